//! The operators' commands on views, and their output.

use std::time::{Duration, Instant};

use serde_json::Value;
use teamlog_tests::{Server, WAIT};

/// Waits until every replica of every view has come to the end of the log.
pub(crate) async fn caught_up(server: &Server) {
    let since = Instant::now();
    loop {
        let (status, said) = server.run(&["view", "status", "--json"]).await;
        let lags = lines(&said).map(|line| line["lag"].as_u64());
        if status == 0 && lags.into_iter().all(|lag| lag == Some(0)) {
            return;
        }
        assert!(since.elapsed() < WAIT, "the views do not catch up: {status}\n{said}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every view equals a fold of the log.
pub(crate) async fn all_true(server: &Server) {
    caught_up(server).await;
    let (status, said) = server.run(&["view", "verify"]).await;
    assert_eq!(status, 0, "{said}");
}

/// The objects among the lines of a command that was run with `--json`.
pub(crate) fn lines(said: &str) -> impl Iterator<Item = Value> {
    said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(Value::is_object)
}
