//! The log is readable without this program: by stock tools and stock clients.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use teamlog_tests::{Engine, Options, Server, python};
use tokio::process::Command;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::views::lines;

/// Makes calls of every kind that writes.
async fn write_everything(server: &Server) {
    let new = json!({
        "domain": "everything", "name": "everything", "owner_name": "ada", "owner_email": "ada@example.com",
        "owner_password": "correct horse battery",
    });
    let made = server.api().good("teamlog.teams.create", new).await;
    let ada = server.api().with_token(made["token"].as_str().unwrap());
    let (bob, bob_id) = server.person(&ada, "bob").await;
    let bot = json!({ "name": "robot", "email": "robot@example.com", "is_bot": true });
    ada.good("teamlog.users.create", bot).await;

    let made = ada.good("conversations.create", json!({ "name": "here" })).await;
    let here = made["channel"]["id"].as_str().unwrap();
    let channel = json!({ "channel": here });
    ada.good("conversations.invite", json!({ "channel": here, "users": bob_id })).await;
    bob.good("conversations.leave", channel.clone()).await;
    bob.good("conversations.join", channel.clone()).await;
    ada.good("conversations.kick", json!({ "channel": here, "user": bob_id })).await;
    ada.good("conversations.setTopic", json!({ "channel": here, "topic": "a topic" })).await;
    ada.good("conversations.setPurpose", json!({ "channel": here, "purpose": "a purpose" })).await;
    let first = ada.say(here, "first, with an é and a 🦀").await;
    let second = ada.say(here, "second").await;
    let reply = json!({ "channel": here, "text": "a reply", "thread_ts": first, "reply_broadcast": true });
    ada.good("chat.postMessage", reply).await;
    ada.good("chat.meMessage", json!({ "channel": here, "text": "waves" })).await;
    ada.good("chat.update", json!({ "channel": here, "ts": first, "text": "edited" })).await;
    ada.good("chat.delete", json!({ "channel": here, "ts": second })).await;
    let tada = json!({ "channel": here, "timestamp": first, "name": "tada" });
    ada.good("reactions.add", tada.clone()).await;
    // A refusal, too, leaves something behind if nothing else does.
    ada.bad("reactions.add", tada.clone(), "already_reacted").await;
    ada.good("reactions.remove", tada).await;
    let pin = json!({ "channel": here, "timestamp": first });
    ada.good("pins.add", pin.clone()).await;
    ada.good("pins.remove", pin).await;
    let in_an_hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let later = json!({ "channel": here, "text": "later", "post_at": in_an_hour });
    let later = ada.good("chat.scheduleMessage", later).await["scheduled_message_id"].clone();
    ada.good("chat.deleteScheduledMessage", json!({ "channel": here, "scheduled_message_id": later })).await;
    ada.good("conversations.mark", json!({ "channel": here, "ts": first })).await;
    ada.good("conversations.rename", json!({ "channel": here, "name": "there" })).await;
    ada.good("conversations.archive", channel.clone()).await;
    ada.good("conversations.unarchive", channel).await;
    let opened = ada.good("conversations.open", json!({ "users": bob_id })).await;
    ada.good("conversations.close", json!({ "channel": opened["channel"]["id"] })).await;
    ada.good("conversations.open", json!({ "users": bob_id })).await;
    let signin = json!({ "domain": "everything", "email": "ada@example.com", "password": "correct horse battery" });
    let token = server.api().good("teamlog.auth.signin", signin).await["token"].as_str().unwrap().to_owned();
    server.api().with_token(&token).good("auth.revoke", json!({})).await;

    let archive = server.data_dir().join("archive.zip");
    import(&archive);
    let command = ["import", "slack", archive.to_str().unwrap(), "--domain", "everything"];
    let (status, said) = server.run(&command).await;
    assert_eq!(status, 0, "{said}");
}

/// A small archive with a person's message and a robot's.
fn import(path: &Path) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    let mut put = |name: &str, content: Value| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.to_string().as_bytes()).unwrap();
    };
    put("users.json", json!([{ "id": "U0CYD", "name": "cyd", "profile": { "email": "cyd@example.com" } }]));
    let old =
        json!({ "id": "C0OLD", "name": "old", "created": 1_444_959_000, "creator": "U0CYD", "members": ["U0CYD"] });
    put("channels.json", json!([old]));
    let human = json!({ "type": "message", "user": "U0CYD", "text": "x", "ts": "1444959632.000002" });
    let robot = json!({
        "type": "message", "subtype": "bot_message", "bot_id": "B0ROBOT", "username": "robot", "text": "y",
        "ts": "1444959633.000002",
    });
    put("old/2015-10-16.json", json!([human, robot]));
    zip.finish().unwrap();
}

/// Returns the program's own account of its events: from `(partition, offset)` to the event.
async fn by_us(server: &Server) -> BTreeMap<(u64, u64), Value> {
    let (status, said) = server.run(&["log", "cat"]).await;
    assert_eq!(status, 0, "{said}");
    lines(&said).map(|line| (place(&line), line)).collect()
}

fn place(line: &Value) -> (u64, u64) {
    (line["partition"].as_u64().unwrap(), line["offset"].as_u64().unwrap())
}

async fn run(command: &mut Command) -> String {
    let output = command.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_tools_read_the_log() {
    let Some(engine) = Engine::all().into_iter().find(|engine| *engine == Engine::Stack) else { return };
    let mut server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
    write_everything(&server).await;
    // Read marks wait a moment before they are written, unless the server stops.
    server.stop().await;
    server.restart().await;
    let ours = by_us(&server).await;
    let log = &server.config()["log"];
    let (brokers, prefix) = (log["brokers"][0].as_str().unwrap(), log["prefix"].as_str().unwrap());

    // kcat shows which records are whose, and what the fence needs.
    let topic = format!("{prefix}events");
    let format = r"%p %o %k %h\n";
    let listed = run(Command::new("kcat").args(["-b", brokers, "-t", &topic, "-C", "-e", "-q", "-f", format])).await;
    let mut seen = BTreeSet::new();
    for line in listed.lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        let at = (parts[0].parse().unwrap(), parts[1].parse().unwrap());
        let Some(event) = ours.get(&at) else { continue };
        assert_eq!(event["meta"]["team"], parts[2], "{line}");
        let header = |name: &str| parts[3].split(',').find_map(|header| header.strip_prefix(name)).unwrap();
        assert!(header("epoch=").parse::<u64>().unwrap() >= 1 && header("seq=").parse::<u64>().is_ok(), "{line}");
        seen.insert(at);
    }
    assert!(seen.iter().eq(ours.keys()), "kcat shows {} of {}", seen.len(), ours.len());

    let Some(python) = python() else {
        eprintln!("left out: TEAMLOG_TEST_VENV does not say where Confluent's client is");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/read_log.py");
    let topics =
        ["events", "directory", "marks", "credentials", "nodes", "progress"].map(|topic| format!("{prefix}{topic}"));
    let decoded = run(Command::new(python).arg(script).args([server.url(), brokers]).args(&topics)).await;
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for line in lines(&decoded) {
        found.insert(line["type"].as_str().unwrap().to_owned());
        let Some(event) = ours.get(&place(&line)).filter(|_| line["topic"] == topic) else { continue };
        assert_eq!(event["type"], line["type"]);
        assert_eq!(event["meta"]["event_id"], line["record"]["meta"]["event_id"], "{line}");
        if event["type"] == "MessagePosted" {
            let text = |event: &Value| event["message"]["text"].clone();
            assert!(text(event).is_string() || text(event)["plain"].is_string(), "{event}");
            assert_eq!(text(event), text(&line["record"]), "{line}");
        }
        seen.insert(place(&line));
    }
    assert!(seen.iter().eq(ours.keys()), "{} of {} are decoded", seen.len(), ours.len());
    // Nothing that can be written was left out: a new password has no method yet, people bring theirs as they are made; and
    // no work of a consumer failed here.
    let left_out = ["PasswordSet", "WorkFailed"];
    let known = teamlog_schemas::schemas().map(|schema| schema.name).filter(|name| !left_out.contains(name));
    let missing: Vec<&str> = known.filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "this run wrote no {missing:?}");
}
