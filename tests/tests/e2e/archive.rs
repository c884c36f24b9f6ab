//! A Slack export comes in, is given back as it was, and comes in again without doubling anything.

use std::io::Write;

use serde_json::{Value, json};
use teamlog_tests::{Engine, Server};
use zip::{ZipWriter, write::SimpleFileOptions};

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

#[tokio::test]
async fn an_archive_is_given_back_as_it_was() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("export.zip");
    let mut zip = ZipWriter::new(std::fs::File::create(&path).unwrap());
    let mut put = |name: &str, content: Value| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.to_string().as_bytes()).unwrap();
    };
    let person =
        |id: &str, name: &str| json!({ "id": id, "name": name, "profile": { "email": format!("{name}@x.org") } });
    put("users.json", json!([person("U0ADA", "ada"), person("U0BOB", "bob")]));
    let channel = json!({
        "id": "C0PLANS", "name": "plans", "created": 1_444_959_000, "creator": "U0ADA", "is_general": true,
        "members": ["U0ADA", "U0BOB"], "topic": { "value": "a topic" }, "purpose": { "value": "" },
    });
    put("channels.json", json!([channel]));
    put("plans/2015-10-16.json", json!(messages()));
    zip.finish().unwrap();

    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let import = ["--json", "import", "slack", path.to_str().unwrap(), "--domain", "acme"];
        let (status, said) = server.run(&import).await;
        assert_eq!(status, 0, "{said}");
        assert!(said.contains("\"message imported\":3"), "{said}");
        let (status, said) = server.run(&import).await;
        assert_eq!(status, 0, "{said}");
        assert!(said.contains("\"message there\":3") && !said.contains("imported"), "{said}");

        let admin = server.api().with_token(server.admin_key());
        let token = admin.good("teamlog.users.token", json!({ "domain": "acme", "user": "ada" })).await;
        let ada = server.api().with_token(token["token"].as_str().unwrap());
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

#[tokio::test]
async fn what_is_no_archive_is_refused() {
    let server = Server::start(Engine::Embedded).await;
    let file = server.data_dir().join("no.zip");
    std::fs::write(&file, "nonsense").unwrap();
    let (status, said) = server.run(&["import", "slack", file.to_str().unwrap(), "--domain", "acme"]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("is no zip archive"), "{said}");
}
