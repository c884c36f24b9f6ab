//! `teamlog.import.*`: what operators bring from elsewhere, through the ordinary write path. Safe to repeat: what is
//! there already is passed over.

use tokio::time::Instant;

use futures::future::join_all;
use serde_json::{Map, Value, json};
use teamlog_ingest::{
    Command, NewPerson, NewTeam, Nothing, Request,
    commands::{AddBot, CreateConversation, CreateUser, ImportMessage, ImportedConversation},
};
use teamlog_live::LiveTeam;
use teamlog_schemas::{ConversationKind, Edited, Event, Message, Reaction, TeamId, TeamRegistered, Text, Ts, UserId};

use super::super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes};
use crate::{
    ApiError,
    args::{JsonArray, JsonObject, args, one_of},
    error::{Done, settle},
};

pub(crate) const METHODS: &[Method] = &[BEGIN, ITEMS];

/// Items of one call, at most.
const ITEMS_MAX: usize = 200;

const BEGIN: Method = Method {
    name: "teamlog.import.begin",
    alias_of: None,
    about: "Makes the team of an archive, owned by a person of the archive, with no channel yet. A team that is there is \
            taken as it is.",
    scope: "admin",
    access: Access::Admin,
    retry: Retry::Once,
    tier: Tier::Special,
    takes: takes!(Begin => begin),
    answers: &[Key::always("team", Shape::Object, "The team's `id` and `domain`.")],
    errors: &[
        "domain_taken",
        "invalid_owner",
        "invalid_name",
        "invalid_email",
        "name_taken",
        "too_long",
        "msg_too_long",
    ],
    examples: &[
        || {
            let owner = json!({ "id": "W0EVE", "name": "eve", "profile": { "email": "eve@example.com" } });
            json!({ "domain": "engine-works", "owner": owner })
        },
        || json!({ "domain": "engine-works" }),
    ],
};

args! {
    struct Begin {
        /// The team's domain.
        domain: String [missing "invalid_domain"],
        /// The team's name; the domain if it is left out.
        name: Option<String>,
        /// The owner, as an archive has a user. It may be left out if the team is there.
        owner: Option<JsonObject> [malformed "invalid_owner"],
    }

    struct Items {
        /// The team's domain.
        domain: String [missing "invalid_domain"],
        /// The kind of the items.
        kind: ItemKind [missing "invalid_kind"],
        /// The items, at most 200, as an archive has them.
        items: JsonArray [missing "invalid_items", malformed "invalid_items"],
    }
}

one_of! {
    enum ItemKind else "invalid_kind" {
        User = "user",
        Bot = "bot",
        Conversation = "conversation",
        Message = "message",
    }
}

async fn begin(call: &Call<'_>, args: Begin) -> Result<Reply, ApiError> {
    let domain = args.domain.clone();
    let team = match call.gateway.ingest().directory().find_domain(&domain).await? {
        Some(_) => the_team(call, &domain).await?.id(),
        None => make_team(call, args).await?,
    };
    Ok(json!({ "team": { "id": team, "domain": domain } }).into())
}

/// Makes a team. Its id comes out of the event: once the team is made, nothing may fail as if it had not been.
async fn make_team(call: &Call<'_>, args: Begin) -> Result<TeamId, ApiError> {
    let domain = args.domain;
    let owner = args.owner.and_then(|JsonObject(owner)| person(owner)).ok_or(ApiError::refused("invalid_owner"))?;
    let owner = NewPerson { is_admin: true, ..owner };
    let name = args.name.unwrap_or_else(|| domain.clone());
    let key = Some(format!("import/{domain}"));
    let channels = Some(Vec::new());
    let new = NewTeam { domain, name, owner, team: None, channels, key, deadline: call.deadline() };
    let registered = settle::<TeamRegistered>(call.gateway.ingest().create_team(new).await)?.made()?;
    Ok(registered.meta.team)
}

async fn the_team(call: &Call<'_>, domain: &str) -> Result<std::sync::Arc<LiveTeam>, ApiError> {
    let entry = call.gateway.ingest().directory().find_domain(domain).await?;
    let entry = entry.ok_or(ApiError::refused("team_not_found"))?;
    Ok(call.gateway.ingest().team(entry.team).await?)
}

const ITEMS: Method = Method {
    name: "teamlog.import.items",
    alias_of: None,
    about: "Brings people, bots, conversations or messages of an archive in. It is safe to repeat: what is there is passed \
            over.",
    scope: "admin",
    access: Access::Admin,
    retry: Retry::Once,
    tier: Tier::Special,
    takes: takes!(Items => items),
    answers: &[Key::always(
        "results",
        Shape::List,
        "An object for each item: `result` is `imported`, `there` or an error code, and `id` the direct message that is \
         there under another id.",
    )],
    errors: &["team_not_found", "too_many_items"],
    examples: &[|| {
        json!({
            "domain": "lovelace",
            "kind": "user",
            "items": [{ "id": "W0EVE", "name": "eve", "real_name": "Eve" }],
        })
    }],
};

async fn items(call: &Call<'_>, args: Items) -> Result<Reply, ApiError> {
    let team = the_team(call, &args.domain).await?;
    let items: Vec<Value> = args.items.items().ok_or(ApiError::refused("invalid_items"))?;
    if items.len() > ITEMS_MAX {
        return Err(ApiError::refused("too_many_items"));
    }
    // Handed in in their order; the writer keeps it.
    let each = items.into_iter().map(|item| one(call, &team, args.kind, item, call.deadline()));
    let results: Vec<Value> = join_all(each).await;
    Ok(json!({ "results": results }).into())
}

async fn one(call: &Call<'_>, team: &LiveTeam, kind: ItemKind, item: Value, deadline: Instant) -> Value {
    let Value::Object(item) = item else { return json!({ "result": "not_an_object" }) };
    let command = match kind {
        ItemKind::User => person(item).map(|person| CreateUser(person).into()),
        ItemKind::Bot => bot(item),
        ItemKind::Conversation => conversation(item),
        ItemKind::Message => message(item),
    };
    let Some(command) = command else { return json!({ "result": "not_understood" }) };
    let (partition, method, traceparent) = (team.partition(), call.method.into(), call.traceparent.clone());
    let request = Request { team: team.id(), actor: None, method, key: None, deadline, traceparent, command };
    let answer = call.gateway.ingest().submit(partition, request).await;
    // Messages are many, and nothing that is imported later is looked for in them.
    if kind != ItemKind::Message {
        call.seen(&answer).await;
    }
    match settle::<Event>(answer) {
        Ok(Done::Made(_)) => json!({ "result": "imported" }),
        Ok(Done::Nothing(Nothing::AlreadyOpen(id))) => json!({ "result": "there", "id": id }),
        Ok(Done::Nothing(_)) => json!({ "result": "there" }),
        Err(why) => json!({ "result": why.code() }),
    }
}

/// Takes a text out of an object, if it is one; anything else stays for `extra`.
fn take(object: &mut Map<String, Value>, key: &str) -> Option<String> {
    object.get(key)?.as_str()?;
    match object.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Takes what parses; the rest stays.
fn parsed<T: std::str::FromStr>(object: &mut Map<String, Value>, key: &str) -> Option<T> {
    let value = object.get(key)?.as_str()?.parse().ok()?;
    object.remove(key);
    Some(value)
}

/// Returns the keys that are left as JSON text; none if no key is left.
fn rest(object: &Map<String, Value>) -> Option<String> {
    (!object.is_empty()).then(|| Value::Object(object.clone()).to_string())
}

fn flag(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn seconds(object: &Map<String, Value>, key: &str) -> Ts {
    Ts::from_micros(object.get(key).and_then(Value::as_i64).unwrap_or(0).saturating_mul(1_000_000))
}

fn person(mut user: Map<String, Value>) -> Option<NewPerson> {
    let id: UserId = parsed(&mut user, "id")?;
    let profile = user.get("profile").and_then(Value::as_object).cloned().unwrap_or_default();
    let of_profile = |key: &str| profile.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = take(&mut user, "name")?;
    let real_name = user.get("real_name").and_then(Value::as_str).or(of_profile("real_name")).unwrap_or(&name);
    let bot = of_profile("bot_id").and_then(|id| id.parse().ok());
    Some(NewPerson {
        user: Some(id),
        real_name: real_name.to_owned(),
        email: of_profile("email").map(str::to_owned),
        is_bot: flag(&user, "is_bot"),
        bot,
        is_admin: flag(&user, "is_admin"),
        deleted: flag(&user, "deleted"),
        tz: user.get("tz").and_then(Value::as_str).map(str::to_owned),
        credential_id: None,
        with_token: false,
        extra: rest(&user),
        name,
    })
}

fn bot(mut bot: Map<String, Value>) -> Option<Command> {
    let id = parsed(&mut bot, "id")?;
    let name = take(&mut bot, "name").unwrap_or_default();
    Some(AddBot { bot: id, name, extra: rest(&bot) }.into())
}

fn conversation(mut c: Map<String, Value>) -> Option<Command> {
    let id = parsed(&mut c, "id")?;
    let kind = match take(&mut c, "kind")?.as_str() {
        "channel" => ConversationKind::PublicChannel,
        "group" => ConversationKind::PrivateChannel,
        "mpim" => ConversationKind::Mpim,
        "im" => ConversationKind::Im,
        _ => return None,
    };
    let members = c.remove("members");
    let members = members.as_ref().and_then(Value::as_array).into_iter().flatten();
    let members = members.filter_map(Value::as_str).filter_map(|id| id.parse().ok()).collect();
    let headline = |key: &str| c.get(key).and_then(|one| one.get("value")).and_then(Value::as_str).unwrap_or("");
    let imported = ImportedConversation {
        creator: c.get("creator").and_then(Value::as_str).and_then(|id| id.parse().ok()),
        created: seconds(&c, "created"),
        topic: headline("topic").to_owned(),
        purpose: headline("purpose").to_owned(),
        is_general: flag(&c, "is_general"),
        is_archived: flag(&c, "is_archived"),
        // The channel as clients see it is made from the log; what was counted elsewhere is not true here.
        extra: None,
    };
    let name = take(&mut c, "name");
    let imported = Some(imported);
    Some(CreateConversation { conversation: Some(id), kind, name, members, imported }.into())
}

fn message(mut m: Map<String, Value>) -> Option<Command> {
    let conversation = parsed(&mut m, "channel_id")?;
    let ts = parsed(&mut m, "ts")?;
    if m.get("type").and_then(Value::as_str) == Some("message") {
        m.remove("type");
    }
    let json = |m: &mut Map<String, Value>, key: &str, fits: fn(&Value) -> bool| {
        if m.get(key).is_some_and(fits) { m.remove(key).map(|value| Text::from(value.to_string())) } else { None }
    };
    let blocks = json(&mut m, "blocks", Value::is_array);
    let attachments = json(&mut m, "attachments", Value::is_array);
    let icons = json(&mut m, "icons", Value::is_object);
    let edited = edited(&mut m);
    let reactions = reactions(&mut m);
    let message = Message {
        ts,
        user: parsed(&mut m, "user"),
        bot: parsed(&mut m, "bot_id"),
        subtype: take(&mut m, "subtype"),
        text: Text::from(take(&mut m, "text").unwrap_or_default()),
        blocks,
        attachments,
        thread_ts: parsed(&mut m, "thread_ts"),
        reply_broadcast: false,
        edited,
        username: take(&mut m, "username").map(Text::from),
        icons,
        client_msg_id: take(&mut m, "client_msg_id"),
        extra: rest(&m).map(Text::from),
    };
    Some(ImportMessage { conversation, message, reactions }.into())
}

/// Only what has just a user and a `ts`: anything more stays as it was.
fn edited(m: &mut Map<String, Value>) -> Option<Edited> {
    let object = m.get("edited")?.as_object().filter(|object| object.len() == 2)?;
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let edited = Edited { user: text("user")?.parse().ok()?, ts: text("ts")?.parse().ok()? };
    m.remove("edited");
    Some(edited)
}

fn reactions(m: &mut Map<String, Value>) -> Vec<Reaction> {
    let read = |value: &Value| {
        let users = value.get("users")?.as_array()?.iter();
        let users = users.map(|user| user.as_str()?.parse().ok()).collect::<Option<Vec<UserId>>>()?;
        // More who reacted than are named: it cannot be told as it was.
        let count = value.get("count").and_then(Value::as_u64).unwrap_or(users.len() as u64);
        let name = value.get("name")?.as_str()?.to_owned();
        (count == users.len() as u64).then_some(Reaction { name, users })
    };
    let all = m.get("reactions").and_then(Value::as_array);
    let Some(all) = all.and_then(|all| all.iter().map(read).collect::<Option<Vec<_>>>()) else { return Vec::new() };
    m.remove("reactions");
    all
}
