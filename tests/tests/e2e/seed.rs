//! `teamlog seed`.

use std::fs;

use serde_json::{Value, json};
use teamlog_tests::{Engine, Options, Server};

/// After a run with an unknown outcome, the seed is run again: it must not make a second team.
#[tokio::test]
async fn a_seed_that_is_run_again_makes_the_same_team_once() {
    let server = Server::with(Engine::Embedded, Options { unlimited: true, ..Options::default() }).await;
    let tokens = server.data_dir().join("tokens");
    let numbers = ["--users", "5", "--channels", "2", "--messages", "30"];
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut args = vec!["seed", "--domain", "big", "--tokens-out", tokens.to_str().unwrap()];
        args.extend(numbers);
        let (status, said) = server.run(&args).await;
        assert_eq!(status, 0, "{said}");
        let api = server.api().with_token(server.admin_key());
        let users = api.good("teamlog.users.list", json!({ "domain": "big" })).await["users"].clone();
        let (log_status, events) = server.run(&["log", "cat", "--team", "big"]).await;
        assert_eq!(log_status, 0, "{events}");
        let events = events.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
        runs.push((fs::read_to_string(&tokens).unwrap(), users, events));
    }
    assert_eq!(runs[0].1.as_array().unwrap().len(), 5);
    assert!(runs[0].2 > 30, "{}", runs[0].2);
    assert_eq!(runs[0], runs[1]);
}
