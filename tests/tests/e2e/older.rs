//! Today's version on the data of an older one (`scripts/older-views` made it): the log opens, the views say that they are of
//! another schema, what can be served is served, and a rebuild of each under load is the migration.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Options, Server, WAIT};

/// The log line of a process about a view of another schema.
const SAID: &str = "a view is of another schema";
/// The views of the older data, in the order of `view status`.
const VIEWS: [&str; 3] = ["mains", "shard s1", "search"];

/// Rows that the older version counted in `shard s1` when it verified them. Each post adds one.
const OLDER_ROWS: usize = 330;

/// A server on the older data, and the team's owner.
async fn older() -> (Server, Api) {
    let options = Options { unlimited: true, expected_errors: vec![SAID], ..Options::default() };
    let mut server = Server::prepare(Engine::Embedded, options).await;
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/older-views.tar.gz");
    std::fs::create_dir_all(server.data_dir()).unwrap();
    let unpacked = Command::new("tar").arg("-xzf").arg(&packed).arg("-C").arg(server.data_dir()).status();
    assert!(unpacked.unwrap().success(), "{}", packed.display());
    server.restart().await;
    let tokens = std::fs::read_to_string(server.data_dir().join("acme.tokens")).unwrap();
    let ada = server.api().with_token(tokens.lines().next().unwrap().split_once(' ').unwrap().1);
    (server, ada)
}

/// A command's lines of JSON.
async fn lines(server: &Server, status: i32, args: &[&str]) -> Vec<Value> {
    let (ended, said) = server.run(&[&["--json"], args].concat()).await;
    assert_eq!(ended, status, "{args:?}:\n{said}");
    said.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until `/readyz` reports this state of a view, and returns the report.
async fn readyz(server: &Server, view: &str, needs_rebuild: bool) -> Value {
    let since = Instant::now();
    loop {
        let answer = reqwest::get(format!("{}/readyz", server.url())).await.unwrap();
        assert!(answer.status().is_success(), "the server serves what it can");
        let all: Value = answer.json().await.unwrap();
        let views = all["parts"]["views"].as_object().unwrap_or_else(|| panic!("{all}"));
        let (_, one) = views.iter().find(|(name, _)| name.starts_with(&format!("{view} on "))).unwrap();
        if one["needs_rebuild"] == needs_rebuild {
            return one.clone();
        }
        assert!(since.elapsed() < WAIT, "{all}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn texts(api: &Api, channel: &str) -> Vec<String> {
    let page = api.good("conversations.history", json!({ "channel": channel, "limit": 100 })).await;
    let messages = page["messages"].as_array().unwrap();
    messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

/// Posts and reads without pause and is never refused.
async fn work(api: Api, channel: String, stop: Arc<AtomicBool>) -> usize {
    let mut posted = 0;
    while !stop.load(Ordering::Relaxed) {
        let text = format!("word{posted}");
        api.say(&channel, &text).await;
        assert_eq!(texts(&api, &channel).await[0], text);
        posted += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    posted
}

#[tokio::test]
async fn views_of_an_older_version_are_told_served_around_and_rebuilt_under_load() {
    let (server, ada) = older().await;
    for view in VIEWS {
        let said = readyz(&server, view, true).await;
        let why = said["failing"].as_str().unwrap();
        assert!(why.contains("another version"), "{why}");
        assert!(why.ends_with(&format!("run `teamlog view rebuild \"{view}\"`")), "{why}");
    }
    let status = lines(&server, 1, &["view", "status"]).await;
    assert_eq!(status.iter().map(|one| one["view"].as_str().unwrap()).collect::<Vec<_>>(), VIEWS);
    for one in status.iter().chain(&lines(&server, 1, &["view", "verify"]).await) {
        assert_eq!((&one["needs_rebuild"], &one["schema"]), (&json!(true), &Value::Null), "{one}");
        assert!(one["advice"].as_str().unwrap().contains("teamlog view rebuild"), "{one}");
    }
    let (_, said) = server.run(&["view", "status", "mains"]).await;
    assert!(said.contains("mains on ") && said.contains("run `teamlog view rebuild \"mains\"`"), "{said}");

    // The log alone serves the team: its people, its history, its threads, and writes.
    let workbench = channel(&ada, "workbench").await;
    let before = texts(&ada, &workbench).await;
    assert!(before.contains(&"step 2, edited".to_owned()) && !before.iter().any(|text| text.contains("step 3")));
    let sought = json!({ "query": "edited" });
    let refused = ada.ask("search.messages", &sought).await.unwrap();
    assert!(refused.status == 503 && refused.body["ok"] == false, "{refused:?}");

    let stop = Arc::new(AtomicBool::new(false));
    let general = channel(&ada, "general").await;
    let working = tokio::spawn(work(ada.clone(), general.clone(), stop.clone()));
    for view in VIEWS {
        let rebuilt = lines(&server, 0, &["view", "rebuild", view]).await;
        assert_eq!(rebuilt.len(), 1, "{rebuilt:?}");
        for (key, expected) in
            [("generation", json!(1)), ("before", json!(0)), ("switched", json!(true)), ("other_schema", json!(true))]
        {
            assert_eq!(rebuilt[0][key], expected, "{key} of {rebuilt:?}");
        }
        assert_eq!(readyz(&server, view, false).await["failing"], Value::Null);
    }
    stop.store(true, Ordering::Relaxed);
    let posted = working.await.unwrap();
    assert!(posted > 20, "{posted}");

    assert_eq!(texts(&ada, &workbench).await, before);
    let found = ada.good("search.messages", sought).await;
    assert_eq!(found["messages"]["total"], 1, "{found}");
    for view in lines(&server, 0, &["view", "verify"]).await {
        assert_eq!(view["differing"], 0, "{view}");
        assert!(view["view"] != "shard s1" || view["rows"] == OLDER_ROWS + posted, "{view}");
    }
    let lines_said = server.log().lines().filter(|line| line.contains(SAID)).count();
    assert_eq!(lines_said, VIEWS.len(), "one line each:\n{}", server.log());
    // Nothing of the old generations is left, and the next process has nothing to say.
    assert!(!server.data_dir().join("search/v1").exists());
    let mut server = server;
    server.stop().await;
    server.restart().await;
    assert_eq!(texts(&ada.at(server.url()), &workbench).await, before);
    assert_eq!(server.log().lines().filter(|line| line.contains(SAID)).count(), VIEWS.len());
    lines(&server, 0, &["view", "status"]).await;
}

async fn channel(api: &Api, name: &str) -> String {
    let all = api.good("conversations.list", json!({ "limit": 200 })).await;
    let all = all["channels"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
}
