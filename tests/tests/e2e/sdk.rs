//! The SDKs that people have, as they are, talk to each other through a server.

use std::{path::Path, process::Stdio};

use serde_json::json;
use teamlog_tests::{Engine, Server, WAIT, node_modules, python};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

#[tokio::test]
async fn python_and_node_chat_with_each_other() {
    let (Some(python), Some(modules)) = (python(), node_modules()) else {
        eprintln!("left out: TEAMLOG_TEST_VENV and TEAMLOG_TEST_NODE do not say where the SDKs are");
        return;
    };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR"));
    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let (ada, _) = server.team("sdks").await;
        let (py, py_id) = server.person(&ada, "py").await;
        let (node, node_id) = server.person(&ada, "node").await;
        let made = ada.good("conversations.create", json!({ "name": "sdks" })).await;
        let here = made["channel"]["id"].as_str().unwrap().to_owned();
        let users = format!("{py_id},{node_id}");
        ada.good("conversations.invite", json!({ "channel": here, "users": users })).await;

        let mut in_python = Command::new(&python)
            .arg(scripts.join("python/sdk_chat.py"))
            .args([server.url(), py.token(), &here])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(in_python.stdout.take().unwrap()).lines();
        let ready = tokio::time::timeout(WAIT, said.next_line()).await.expect("Python gets ready").unwrap();
        assert_eq!(ready.as_deref(), Some("READY"));
        let mut in_node = Command::new("node")
            .arg(scripts.join("node/sdk_chat.mjs"))
            .args([server.url(), node.token(), &here])
            .env("NODE_MODULES", &modules)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        for (name, child) in [("Node", &mut in_node), ("Python", &mut in_python)] {
            let status = tokio::time::timeout(WAIT, child.wait()).await.unwrap_or_else(|_| panic!("{name} ends"));
            let status = status.unwrap();
            assert!(status.success(), "{engine:?}: {name} ended with {status}");
        }
        let history = ada.history(&here).await;
        let talk = history.iter().filter(|message| message["subtype"].is_null());
        let talk: Vec<_> = talk.map(|message| (&message["user"], message["text"].as_str().unwrap())).collect();
        let (py_id, node_id) = (json!(py_id), json!(node_id));
        let expected = [(&node_id, "ping from node"), (&py_id, "pong from python"), (&node_id, "bye")];
        assert_eq!(talk, expected, "{engine:?}");
    }
}
