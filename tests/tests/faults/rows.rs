//! A row that somebody changed by hand is found, named and mended while the server serves.

use serde_json::json;
use teamlog_tests::{Api, Engine, Options, Server};

use crate::{
    databases::{Replica, Shard},
    load::Load,
    views::{all_true, caught_up},
};

const TRUTH: &str = "the truth";
const LIE: &str = "a lie at last";

async fn tell_a_lie(replica: &Replica) {
    let sql = format!("UPDATE messages SET body = REPLACE(body, '{TRUTH}', '{LIE}') WHERE body LIKE '%{TRUTH}%'");
    assert_eq!(replica.open().await.execute(&sql).await, 1, "{replica:?}");
}

async fn hears(api: &Api, channel: &str, text: &str) -> bool {
    api.history(channel).await.iter().any(|message| message["text"] == text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_changed_by_hand_is_named_and_mended() {
    for engine in Engine::all() {
        let server = Server::with(engine, Options { unlimited: true, ..Options::default() }).await;
        let (ada, _) = server.team("rows").await;
        let channel = |name: &'static str| ada.good("conversations.create", json!({ "name": name }));
        let told = channel("told").await["channel"]["id"].as_str().unwrap().to_owned();
        let busy = channel("busy").await["channel"]["id"].as_str().unwrap().to_owned();
        let ts = ada.say(&told, TRUTH).await;
        let shard = Shard::of(&server, &ada).await;
        let view = format!("shard {}", shard.name);
        caught_up(&server).await;
        let mut load = Load::start(&ada, &busy);
        // Where there is one replica, it is the first and the last.
        for (replica, only) in [(shard.replicas.first(), false), (shard.replicas.last(), true)] {
            let replica = replica.unwrap();
            tell_a_lie(replica).await;
            let (status, said) = server.run(&["view", "verify", &view]).await;
            assert_eq!(status, 1, "{engine:?}: {said}");
            let micros = ts.replace('.', "");
            for named in [&*view, replica.name(), "messages", &told, &micros, TRUTH, LIE] {
                assert!(said.contains(named), "{engine:?}: {named} is not in {said}");
            }
            // Of two replicas the nearer one is asked, whichever that is at the moment.
            if shard.replicas.len() == 1 {
                assert!(hears(&ada, &told, LIE).await, "{engine:?}: this is the replica that is asked");
            }
            let mut rebuild = vec!["view", "rebuild", &view];
            if only {
                rebuild.extend(["--replica", replica.name()]);
            }
            let (status, said) = server.run(&rebuild).await;
            assert_eq!(status, 0, "{engine:?}: {said}");
            load.rounds(5).await;
            let (status, said) = server.run(&["view", "verify", &view]).await;
            assert_eq!(status, 0, "{engine:?}: {said}");
            assert!(hears(&ada, &told, TRUTH).await && !hears(&ada, &told, LIE).await, "{engine:?}");
        }
        let acknowledged = load.stop().await;
        let history = ada.history(&busy).await;
        assert!(acknowledged.iter().all(|ts| history.iter().any(|message| message["ts"] == **ts)), "{engine:?}");
        all_true(&server).await;
    }
}
