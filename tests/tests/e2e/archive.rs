//! A Slack export comes in, is given back as it was, and comes in again without doubling anything.

use std::{collections::BTreeMap, io::Write, path::Path};

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Server};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

fn messages() -> Vec<Value> {
    vec![
        json!({ "type": "message", "user": "U0ADA", "text": "hello", "ts": "1444959632.000002" }),
        json!({
            "type": "message", "subtype": "bot_message", "bot_id": "B0ROBOT", "username": "robot", "text": "",
            "icons": { "emoji": ":robot_face:" }, "ts": "1444959633.000002",
            "attachments": [{ "fallback": "f", "id": 1, "nested": { "deep": [1, 2.5, null] } }],
        }),
        json!({
            "type": "message", "user": "U0BOB", "text": "a root", "ts": "1444959634.000002",
            "thread_ts": "1444959634.000002", "reactions": [{ "name": "tada", "users": ["U0ADA"], "count": 1 }],
            "edited": { "user": "U0BOB", "ts": "1444959635.000000" }, "something_new": { "kept": true },
        }),
    ]
}

fn write(path: &Path, files: &[(&str, Value)]) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.to_string().as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn people() -> Value {
    let person =
        |id: &str, name: &str| json!({ "id": id, "name": name, "profile": { "email": format!("{name}@x.org") } });
    json!([person("U0ADA", "ada"), person("U0BOB", "bob")])
}

async fn somebody(server: &Server, domain: &str, user: &str) -> Api {
    let admin = server.api().with_token(server.admin_key());
    let token = admin.good("teamlog.users.token", json!({ "domain": domain, "user": user })).await;
    server.api().with_token(token["token"].as_str().unwrap())
}

#[tokio::test]
async fn an_archive_is_given_back_as_it_was() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("export.zip");
    let channel = json!({
        "id": "C0PLANS", "name": "plans", "created": 1_444_959_000, "creator": "U0ADA", "is_general": true,
        "members": ["U0ADA", "U0BOB"], "topic": { "value": "a topic" }, "purpose": { "value": "" },
    });
    let day = json!(messages());
    write(&path, &[("users.json", people()), ("channels.json", json!([channel])), ("plans/2015-10-16.json", day)]);

    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let import = ["--json", "import", "slack", path.to_str().unwrap(), "--domain", "acme"];
        let (status, said) = server.run(&import).await;
        assert_eq!(status, 0, "{said}");
        assert!(said.contains("\"message imported\":3"), "{said}");
        let (status, said) = server.run(&import).await;
        assert_eq!(status, 0, "{said}");
        assert!(said.contains("\"message there\":3") && !said.contains("imported"), "{said}");

        let ada = somebody(&server, "acme", "ada").await;
        let history = ada.history("C0PLANS").await;
        assert_eq!(history.len(), 3);
        for (got, sent) in history.iter().zip(messages()) {
            for (key, value) in sent.as_object().unwrap() {
                assert_eq!(&got[key], value, "{engine:?}: {key} of {got}");
            }
        }
        let info = ada.good("conversations.info", json!({ "channel": "C0PLANS" })).await;
        assert_eq!(info["channel"]["topic"]["value"], "a topic");
        ada.say("C0PLANS", "and on it goes").await;
    }
}

/// There is one direct message a pair, whatever an archive calls it.
#[tokio::test]
async fn a_direct_message_that_is_open_takes_in_the_archives() {
    let folder = tempfile::TempDir::new().unwrap();
    let (first, second) = (folder.path().join("first.zip"), folder.path().join("second.zip"));
    write(&first, &[("users.json", people())]);
    let direct = json!([{ "id": "D0OLD", "created": 1_444_959_000, "members": ["U0ADA", "U0BOB"] }]);
    let day = json!([{ "type": "message", "user": "U0BOB", "text": "of old", "ts": "1444959632.000002" }]);
    write(&second, &[("users.json", people()), ("dms.json", direct), ("D0OLD/2015-10-16.json", day)]);

    let server = Server::start(Engine::Embedded).await;
    let (status, said) = server.run(&["import", "slack", first.to_str().unwrap(), "--domain", "acme"]).await;
    assert_eq!(status, 0, "{said}");
    let ada = somebody(&server, "acme", "ada").await;
    let open = ada.good("conversations.open", json!({ "users": "U0BOB" })).await["channel"]["id"].clone();
    let open = open.as_str().unwrap();
    ada.say(open, "of today").await;
    let (status, said) = server.run(&["import", "slack", second.to_str().unwrap(), "--domain", "acme"]).await;
    assert_eq!(status, 0, "{said}");
    let texts: Vec<String> = ada.history(open).await.iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, ["of old", "of today"]);
}

/// An archive as Slack made it, which lies beside the project where the project's design does; left out elsewhere.
#[tokio::test]
async fn a_real_archive_is_given_back_as_it_was() {
    let exports = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/slack/exports");
    let Ok(files) = std::fs::read_dir(&exports) else {
        return eprintln!("left out: {} is not there", exports.display());
    };
    let is_zip = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "zip");
    for path in files.map(|file| file.unwrap().path()).filter(is_zip) {
        let mut zip = ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
        let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
        let mut list = |name: &str| -> Vec<Value> { serde_json::from_reader(zip.by_name(name).unwrap()).unwrap() };
        let users = list("users.json");
        let channels = list("channels.json");
        for engine in Engine::all() {
            let server = Server::start(engine).await;
            let (status, said) = server.run(&["import", "slack", path.to_str().unwrap(), "--domain", "real"]).await;
            assert_eq!(status, 0, "{said}");
            let owner = users.iter().find(|user| user["is_owner"] == true).unwrap_or(&users[0]);
            let owner = somebody(&server, "real", owner["id"].as_str().unwrap()).await;
            let mut count = 0;
            for channel in &channels {
                let folder = format!("{}/", channel["name"].as_str().unwrap());
                let history = owner.history(channel["id"].as_str().unwrap()).await;
                let by_ts: BTreeMap<_, _> = history.iter().map(|m| (m["ts"].as_str().unwrap(), m)).collect();
                for day in names.iter().filter(|name| name.starts_with(&folder) && name.ends_with(".json")) {
                    for sent in list(day) {
                        let got = by_ts[sent["ts"].as_str().unwrap()].as_object().unwrap();
                        // Slack left out the team in its archives.
                        let got: serde_json::Map<_, _> = got
                            .clone()
                            .into_iter()
                            .filter(|(key, _)| key != "team" || sent.get("team").is_some())
                            .collect();
                        assert_eq!(Value::Object(got), sent, "{engine:?}");
                        count += 1;
                    }
                }
            }
            assert!(count > 0, "an archive without a message says nothing");
            eprintln!("{engine:?}: {count} messages of {}", path.display());
        }
    }
}

#[tokio::test]
async fn what_is_no_archive_is_refused() {
    let server = Server::start(Engine::Embedded).await;
    let file = server.data_dir().join("no.zip");
    std::fs::write(&file, "nonsense").unwrap();
    let (status, said) = server.run(&["import", "slack", file.to_str().unwrap(), "--domain", "acme"]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("is no zip archive"), "{said}");
}
