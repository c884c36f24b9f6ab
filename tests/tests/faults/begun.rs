//! A team is made in two steps. The server is killed between them: whoever comes next finds one whole team.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use teamlog_tests::{Api, Engine, Options, Server, WAIT};

use crate::views::{all_true, lines};

/// Lets nothing be written to the topic `events`, or lets it again.
async fn shut_events(server: &Server, engine: Engine, is_shut: bool) {
    if engine == Engine::Embedded {
        let url = format!("sqlite://{}", server.data_dir().join("log.sqlite").display());
        let mut file = SqliteConnection::connect(&url).await.unwrap();
        let sql = if is_shut {
            "CREATE TRIGGER shut BEFORE INSERT ON records WHEN NEW.topic = 0 BEGIN SELECT RAISE(ABORT, 'shut'); END"
        } else {
            "DROP TRIGGER shut"
        };
        sqlx::query(sql).execute(&mut file).await.unwrap();
        file.close().await.unwrap();
        return;
    }
    let log = &server.config()["log"];
    let brokers = log["brokers"][0].as_str().unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topic = format!("{}events", log["prefix"].as_str().unwrap());
    let wanted = if is_shut { "1" } else { "1000000" };
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", wanted);
    admin.alter_configs(&[change], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

fn creation(domain: &str) -> Value {
    json!({ "domain": domain, "name": domain, "owner_name": "ada", "owner_email": "ada@example.com" })
}

/// The names of a team's events, in both topics.
async fn events(server: &Server, domain: &str) -> Vec<String> {
    let (status, said) = server.run(&["log", "cat", "--team", domain]).await;
    assert_eq!(status, 0, "{said}");
    lines(&said).map(|line| line["type"].as_str().unwrap().to_owned()).collect()
}

/// Checks that a person with a token finds everything that a new team has.
async fn expect_whole(server: &Server, ada: &Api, domain: &str) {
    let me = ada.good("auth.test", json!({})).await;
    assert_eq!(me["user"], "ada", "{me}");
    let channels = ada.good("conversations.list", json!({})).await;
    assert!(channels["channels"].as_array().unwrap().iter().any(|channel| channel["is_general"] == true), "{channels}");
    ada.say("#general", "whole").await;
    let users =
        server.api().with_token(server.admin_key()).good("teamlog.users.list", json!({ "domain": domain })).await;
    assert_eq!(users["users"].as_array().unwrap().len(), 1, "{users}");
    let begun = events(server, domain).await;
    assert_eq!(begun.iter().filter(|event| *event == "TeamCreated").count(), 1, "{begun:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_whose_maker_died_halfway_is_there_whole() {
    for engine in Engine::all() {
        let mut server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let (probe, _) = server.team("probe").await;
        shut_events(&server, engine, true).await;
        // A broker hears of it a little later.
        let posted = async || probe.call("chat.postMessage", &json!({ "channel": "#general", "text": "?" })).await;
        while posted().await.is_ok() {}
        let domains = ["keyed", "unkeyed", "token", "signin"];
        let with_key = |domain: &str| {
            let mut args = creation(domain);
            args["client_msg_id"] = json!("made once");
            args
        };
        let half = domains.map(|domain| {
            let (api, args) = (server.api(), if domain == "keyed" { with_key(domain) } else { creation(domain) });
            tokio::spawn(async move { api.call("teamlog.teams.create", &args).await })
        });
        let since = Instant::now();
        for domain in domains {
            // It exits with 0 once the directory has the domain.
            while server.run(&["log", "cat", "--team", domain]).await.0 != 0 {
                assert!(since.elapsed() < WAIT, "{engine:?}: the first step was not done: {}", server.log());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        server.kill();
        for call in half {
            let answer = call.await.unwrap();
            assert!(answer.is_err(), "{engine:?}: it was said to be done: {answer:?}");
        }
        shut_events(&server, engine, false).await;
        for domain in domains {
            assert_eq!(events(&server, domain).await, [""; 0], "{engine:?}");
        }
        server.restart().await;

        // Its maker tries again, with the key and without.
        let made = server.api().good("teamlog.teams.create", with_key("keyed")).await;
        let token = made["token"].as_str().unwrap();
        expect_whole(&server, &server.api().with_token(token), "keyed").await;
        let again = server.api().good("teamlog.teams.create", with_key("keyed")).await;
        assert_eq!((&again["team"]["id"], &again["token"]), (&made["team"]["id"], &made["token"]));
        server.api().bad("teamlog.teams.create", creation("unkeyed"), "domain_taken").await;
        // Somebody else comes first.
        let signin = json!({ "domain": "signin", "email": "ada@example.com", "password": "a guess" });
        server.api().bad("teamlog.auth.signin", signin, "invalid_auth").await;
        assert!(events(&server, "signin").await.contains(&"TeamCreated".to_owned()), "{engine:?}");
        for domain in &domains[1..] {
            let (status, said) = server.run(&["--json", "user", "token", "--team", domain, "ada"]).await;
            assert_eq!(status, 0, "{engine:?}: {said}");
            let told = lines(&said).next().unwrap();
            expect_whole(&server, &server.api().with_token(told["token"].as_str().unwrap()), domain).await;
        }
        let (status, said) = server.run(&["log", "verify"]).await;
        assert_eq!(status, 0, "{engine:?}: {said}");
        all_true(&server).await;
    }
}
