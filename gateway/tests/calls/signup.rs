//! How teams and people begin, and what is left where a part fails in between.

use std::{collections::HashMap, sync::Arc};

use axum::{body::Body, http::Request};
use parking_lot::Mutex;
use serde_json::{Value, json};
use teamlog_gateway::Credentials;
use teamlog_ingest::{Answer, Command, NewPerson, Request as Ask, commands::CreateUser};
use teamlog_log::{Partition, Position, TopicPartition};
use teamlog_schemas::{TeamId, UserId};
use teamlog_state::{SourceError, newcomer};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{house::*, text};

/// How a vault is.
#[derive(Clone, Copy)]
enum Mood {
    Works,
    IsAway,
    Panics,
}

/// Passwords' hashes in memory.
pub(crate) struct Vault {
    mood: Mutex<Mood>,
    stored: Mutex<HashMap<UserId, (Uuid, String)>>,
}

impl Vault {
    pub(crate) fn new() -> Arc<Vault> {
        Arc::new(Vault { mood: Mutex::new(Mood::Works), stored: Mutex::default() })
    }
}

#[async_trait::async_trait]
impl Credentials for Vault {
    async fn store(&self, _: TeamId, user: UserId, hash: String) -> Result<Uuid, SourceError> {
        let mood = *self.mood.lock();
        match mood {
            Mood::Works => {
                let credential_id = Uuid::new_v4();
                self.stored.lock().insert(user, (credential_id, hash));
                Ok(credential_id)
            }
            Mood::IsAway => Err(SourceError::Away { shard: "credentials".to_owned(), why: "a test".to_owned() }),
            Mood::Panics => panic!("a vault that panics"),
        }
    }

    async fn password(&self, _: TeamId, user: UserId) -> Result<Option<String>, SourceError> {
        Ok(self.stored.lock().get(&user).map(|(_, hash)| hash.clone()))
    }
}

const PASSWORD: &str = "correct horse battery";

/// The credential that each new person's event names.
async fn named(house: &House) -> HashMap<UserId, Option<Uuid>> {
    let mut named = HashMap::new();
    for number in 0..2 {
        let events = TopicPartition::events(Partition(number));
        for entry in house.ingest.teams().feed().scan(events, Position::START).await.unwrap() {
            let Some(event) = entry.event() else { continue };
            let credential = event.password().map(|(_, credential)| credential);
            named.extend(newcomer(event).map(|(person, _)| (person.user, credential)));
        }
    }
    named
}

#[tokio::test]
async fn nobody_is_made_whose_password_could_not_be_stored() {
    let vault = Vault::new();
    let house = House::with_vault(vault.clone()).await;
    let team = json!({"domain": "lovelace", "owner_name": "ada", "owner_email": "ada@example.com",
        "owner_password": PASSWORD});
    let person = json!({"domain": "lovelace", "name": "carol", "email": "carol@example.com", "password": PASSWORD});
    for (method, args, email) in
        [("teamlog.teams.create", team, "ada@example.com"), ("teamlog.users.create", person, "carol@example.com")]
    {
        *vault.mood.lock() = Mood::IsAway;
        house.bad(method, ADMIN_KEY, args.clone(), "service_unavailable").await;
        *vault.mood.lock() = Mood::Works;
        // The same again, without a key: nothing of the first try is in its way.
        let made = house.good(method, ADMIN_KEY, args).await;
        let signin = json!({"domain": "lovelace", "email": email, "password": PASSWORD});
        assert_eq!(house.good("teamlog.auth.signin", "", signin).await["user"]["id"], made["user"]["id"]);
        let user: UserId = text(&made["user"]["id"]).parse().unwrap();
        assert_eq!(named(&house).await[&user], Some(vault.stored.lock()[&user].0), "{method}");
    }
}

#[tokio::test]
async fn a_write_that_panics_has_an_unknown_outcome() {
    let vault = Vault::new();
    let house = House::with_vault(vault.clone()).await;
    let Team { ada, .. } = Team::new(&house).await;
    *vault.mood.lock() = Mood::Panics;
    let args = json!({"name": "carol", "email": "carol@example.com", "password": PASSWORD});
    let built = Request::post("/api/teamlog.users.create").header("authorization", format!("Bearer {ada}"));
    let built = built.header("content-type", "application/json").body(Body::from(args.to_string()));
    let answer = house.send(built.unwrap()).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(body(answer).await, json!({"ok": false, "error": "outcome_unknown"}));
}

#[tokio::test]
async fn whoever_is_not_in_the_general_channel_enters_it_on_connecting() {
    let house = House::new(Shard::Follows).await;
    let Team { ada, .. } = Team::new(&house).await;
    let team: TeamId = text(&house.good("auth.test", &ada, json!({})).await["team_id"]).parse().unwrap();
    // All that is left of a call that broke off behind its first write.
    let person = NewPerson { name: "carol".to_owned(), with_token: true, ..NewPerson::default() };
    let ask = Ask {
        team,
        actor: None,
        method: "teamlog.users.create".into(),
        key: None,
        deadline: Instant::now() + std::time::Duration::from_secs(10),
        traceparent: None,
        command: Command::from(CreateUser(person)),
    };
    let Answer::Acked(acked) = house.ingest.submit_by_team(ask).await else { panic!("carol is not made") };
    house.ingest.teams().wait_for(acked.partition, acked.seen_at.offset).await.unwrap();
    let carol = house.ingest.secrets().token_of(&acked.event).unwrap();
    let channels = async || {
        let page = house.good("users.conversations", &carol, json!({})).await;
        page["channels"].as_array().unwrap().iter().map(|channel| text(&channel["name"])).collect::<Vec<_>>()
    };
    assert_eq!(channels().await, [""; 0]);
    house.good("rtm.connect", &carol, json!({})).await;
    assert_eq!(channels().await, ["general"]);
    let before: Value = house.good("teamlog.status", &carol, json!({})).await["counted"].clone();
    house.good("rtm.connect", &carol, json!({})).await;
    assert_eq!(house.good("teamlog.status", &carol, json!({})).await["counted"], before, "it writes once");
}
