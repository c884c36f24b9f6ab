//! The life of a team through the Web API, and again after the server was killed.

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Server};

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter(|m| m["subtype"].is_null()).map(|m| m["text"].as_str().unwrap()).collect()
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

async fn channel(api: &Api, name: &str, is_private: bool) -> String {
    id(&api.good("conversations.create", json!({ "name": name, "is_private": is_private })).await["channel"])
}

#[tokio::test]
async fn what_was_said_and_done_is_there_also_after_a_kill() {
    for engine in Engine::all() {
        let mut server = Server::start(engine).await;
        let (mut ada, ada_id) = server.team("engines").await;
        let (mut bob, bob_id) = server.person(&ada, "bob").await;
        let (mut cyd, _) = server.person(&ada, "cyd").await;
        let engines = channel(&ada, "machines", false).await;
        bob.good("conversations.join", json!({ "channel": engines })).await;
        let secret = channel(&ada, "secret", true).await;
        ada.good("conversations.invite", json!({ "channel": secret, "users": bob_id })).await;

        let first = ada.say(&engines, "first").await;
        let edited = bob.say(&engines, "secnod").await;
        let deleted = bob.say(&engines, "never mind").await;
        let keyed =
            json!({ "channel": engines, "text": "once", "client_msg_id": "0191d9c0-0000-7000-8000-000000000001" });
        let once = bob.good("chat.postMessage", keyed.clone()).await["ts"].clone();
        bob.good("chat.update", json!({ "channel": engines, "ts": edited, "text": "second" })).await;
        ada.bad("chat.update", json!({ "channel": engines, "ts": edited, "text": "mine" }), "cant_update_message")
            .await;
        bob.good("chat.delete", json!({ "channel": engines, "ts": deleted })).await;
        bob.bad("chat.delete", json!({ "channel": engines, "ts": deleted }), "message_not_found").await;
        let reply = json!({ "channel": engines, "text": "a reply", "thread_ts": first });
        let reply = bob.good("chat.postMessage", reply).await["ts"].clone();
        let tada = json!({ "channel": engines, "timestamp": first, "name": "tada" });
        bob.good("reactions.add", tada.clone()).await;
        bob.bad("reactions.add", tada, "already_reacted").await;
        let psst = ada.say(&secret, "psst").await;

        for round in ["before", "after"] {
            let again = bob.good("chat.postMessage", keyed.clone()).await;
            assert_eq!(again["ts"], once, "a retry {round} the restart");
            for api in [&ada, &bob, &cyd] {
                let history = api.history(&engines).await;
                assert_eq!(texts(&history), ["first", "second", "once"], "{engine:?} {round}");
                let find = |ts: &str| history.iter().find(|message| message["ts"] == ts).unwrap();
                let root = find(&first);
                assert_eq!((&root["user"], &root["reply_count"]), (&json!(ada_id), &json!(1)));
                assert_eq!(root["reactions"], json!([{ "name": "tada", "users": [bob_id], "count": 1 }]));
                assert_eq!(find(&edited)["edited"]["user"], bob_id);
            }
            let thread = ada.good("conversations.replies", json!({ "channel": engines, "ts": first })).await;
            assert_eq!(texts(thread["messages"].as_array().unwrap()), ["first", "a reply"]);
            assert_eq!(thread["messages"][1]["ts"], reply);
            assert_eq!(texts(&bob.history(&secret).await), ["psst"]);
            for (method, args) in [
                ("conversations.history", json!({ "channel": secret })),
                ("conversations.info", json!({ "channel": secret })),
                ("conversations.replies", json!({ "channel": secret, "ts": psst })),
                ("chat.postMessage", json!({ "channel": secret, "text": "let me in" })),
            ] {
                cyd.bad(method, args, "channel_not_found").await;
            }
            let every = json!({ "types": "public_channel,private_channel", "limit": 100 });
            let listed = cyd.good("conversations.list", every).await;
            let listed: Vec<_> = listed["channels"].as_array().unwrap().iter().map(id).collect();
            assert!(listed.contains(&engines) && !listed.contains(&secret), "{listed:?}");

            if round == "before" {
                server.restart().await;
                for api in [&mut ada, &mut bob, &mut cyd] {
                    *api = api.at(server.url());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_stop_in_good_order_keeps_all_and_leaves_no_address() {
    for engine in Engine::all() {
        let mut server = Server::start(engine).await;
        let (ada, _) = server.team("stops").await;
        let here = channel(&ada, "here", false).await;
        let said = ada.say(&here, "before the stop").await;
        server.stop().await;
        server.restart().await;
        let ada = ada.at(server.url());
        assert_eq!(ada.history(&here).await.last().unwrap()["ts"], said);
        assert!(ada.say(&here, "after it").await > said);
    }
}

#[tokio::test]
async fn what_one_writes_the_others_see_and_nobody_else() {
    for engine in Engine::all() {
        let server = Server::start(engine).await;
        let (ada, _) = server.team("talk").await;
        let (bob, bob_id) = server.person(&ada, "bob").await;
        let here = channel(&ada, "here", false).await;
        bob.good("conversations.join", json!({ "channel": here })).await;
        let secret = channel(&ada, "secret", true).await;
        let mut socket = bob.connect(json!({})).await;

        let ts = ada.say(&here, "one").await;
        assert_eq!(socket.message("one").await["ts"], ts);
        ada.say(&secret, "hidden").await;
        let reply = json!({ "channel": here, "text": "a reply", "thread_ts": ts });
        bob.good("chat.postMessage", reply).await;
        ada.good("chat.update", json!({ "channel": here, "ts": ts, "text": "edited" })).await;
        let changed = socket.until("the edit", |frame| frame["subtype"] == "message_changed").await;
        assert_eq!((&changed["message"]["text"], &changed["message"]["ts"]), (&json!("edited"), &json!(ts)));
        bob.good("reactions.add", json!({ "channel": here, "timestamp": ts, "name": "tada" })).await;
        let replies = ada.good("conversations.replies", json!({ "channel": here, "ts": ts })).await;
        let root = &replies["messages"][0];
        assert_eq!((&root["text"], &root["reply_count"]), (&json!("edited"), &json!(1)));
        assert_eq!(root["reactions"][0]["users"], json!([bob_id]));
        assert_eq!(replies["messages"][1]["text"], "a reply");
        ada.say(&here, "last").await;
        loop {
            let frame = socket.frame().await.unwrap();
            assert!(!frame.to_string().contains(&secret), "{engine:?}: bob hears of {frame}");
            if frame["text"] == "last" {
                break;
            }
        }
        for view in [&["view", "verify"][..], &["log", "verify"]] {
            let (status, said) = server.run(view).await;
            assert_eq!(status, 0, "{engine:?}: {view:?}: {said}");
        }
    }
}
