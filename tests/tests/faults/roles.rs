//! Roles in processes of their own: each has a second one beside it, so none is missed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use teamlog_tests::{Api, Cluster, ROLES};

/// The texts of a conversation, oldest first.
async fn texts(api: &Api, channel: &str) -> Vec<String> {
    let history = api.history(channel).await;
    let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
    history.iter().filter(|message| message["subtype"].is_null()).map(text).collect()
}

/// Each process in turn is paused, killed or asked to stop while people talk through a gateway that lives; it starts again
/// where it was, at the same address. Both gateways have all that was said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_talk_on_while_one_process_after_the_other_goes_and_comes_back() {
    let Some(cluster) = Cluster::lease(&[]).await else { return };
    let domain = format!("roles-{}", uuid::Uuid::new_v4().simple());
    let (ada, _) = cluster.api().team(&domain).await;
    let [first, second] = cluster.gateways() else { panic!("{:?}", cluster.gateways()) };
    let channel = ada.good("conversations.create", json!({ "name": "here" })).await;
    let channel = channel["channel"]["id"].as_str().unwrap().to_owned();

    let mut said = Vec::new();
    for part in ROLES {
        let living = if part == "gateway1" { second } else { first };
        let ada = ada.at(living);
        for how in ["paused", "killed", "stopped"] {
            match how {
                "paused" => cluster.pause(&[part]).await,
                "killed" => cluster.kill(&[part]).await,
                _ => cluster.stop(&[part]).await,
            }
            let text = format!("while {part} is {how}");
            ada.say_at_last(&channel, &text).await;
            said.push(text);
            match how {
                "paused" => cluster.resume(&[part]).await,
                _ => cluster.start(&[part]).await,
            }
        }
    }
    let last = "after all that";
    ada.at(second).say_at_last(&channel, last).await;
    said.push(last.to_owned());
    for gateway in [first, second] {
        assert_eq!(texts(&ada.at(gateway), &channel).await, said, "what {gateway} has");
    }

    let mut keys = BTreeSet::new();
    for part in ROLES {
        let told = std::fs::read(cluster.data_dir(part).join("run/server.json")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["url"], cluster.address(part), "where {part} is");
        keys.insert(told["admin_key"].as_str().unwrap().to_owned());
    }
    assert_eq!(keys, BTreeSet::from([cluster.admin_key().to_owned()]), "one key of the operators");
}
