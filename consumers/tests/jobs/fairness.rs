//! A flood of one team, and the others.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use teamlog_consumers::{JobBudget, Rate};
use teamlog_log::{Log, testing::FaultyLog};

use crate::house::{Birth, PARTITIONS, echoed, echoes, patient, until};

/// A team asks for far more work than may wait in memory; then another team of its partition asks for one job. The wait of
/// the second team is counted in runs of the first, not in time: at most the jobs that run at once, and one turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_team_costs_another_its_turns_only() {
    const FLOOD: usize = 150;
    let budget = JobBudget { in_flight_max: 4, team_in_flight_max: 2, team_waiting_max: 8, ..patient() };
    let log: Arc<dyn Log> = FaultyLog::plain(PARTITIONS);
    // No run ends before it is let; and what fell out of the ring is read from the log.
    let node = Birth { gate: 0, ring_bytes_max: 10_000, ..Birth::of(log.clone(), budget) }.start();
    node.begun().await;
    let loud = node.make_team("loud").await;
    let quiet = node.make_team_beside(&loud).await;
    let mut said: BTreeSet<String> = (0..FLOOD).map(|number| format!("say {number:03}")).collect();
    for text in &said {
        assert!(node.say(&loud, text).await);
    }
    assert!(node.say(&quiet, "say quietly").await);
    said.insert("say quietly".to_owned());

    let outside = node.outside.clone();
    let begun = |of_quiet: bool| {
        let runs = outside.runs.lock();
        runs.iter().filter(|(text, _)| (text == "say quietly") == of_quiet).count()
    };
    // Nothing has ended: of the flood two pieces run, all there may of one team, and of the quiet team both that there are.
    until("the quiet team's work runs", async || begun(true) == 2).await;
    assert_eq!(begun(false), 2, "the flood has its bound in flight, and no more");
    until("the flood waits outside of memory", async || node.runner.status()[0].parked == 1).await;
    let status = &node.runner.status()[0];
    assert!(status.waiting <= budget.team_waiting_max, "{status:?}");

    node.gate.add_permits(tokio::sync::Semaphore::MAX_PERMITS / 2);
    let wanted = echoes(&said);
    until("all are answered", async || echoed(&log).await.len() == wanted.len()).await;
    until("nothing is left", async || {
        let status = &node.runner.status()[0];
        (status.lag, status.parked, status.waiting, status.in_flight) == (0, 0, 0, 0)
    })
    .await;
    assert!(outside.running_most.load(Ordering::SeqCst) <= budget.in_flight_max);
    node.end().await;
    assert_eq!(echoed(&log).await, wanted, "none twice, none left out");
    let runs = outside.runs.lock().clone();
    assert_eq!(runs.len(), wanted.len(), "and nothing ran twice");
    let first: Vec<_> = runs.iter().filter(|(text, number)| text != "say quietly" && *number == 0).collect();
    assert!(first.is_sorted(), "a team's work begins in its order");
}

/// A team that asks for more than its rate waits for itself alone: another team's work of the same partition is done at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_at_its_rate_waits_and_others_do_not() {
    const FLOOD: usize = 8;
    let team_rate = Rate { per_second: 2, burst: 4 };
    let log: Arc<dyn Log> = FaultyLog::plain(PARTITIONS);
    let node = Birth::of(log.clone(), JobBudget { team_rate, ..patient() }).start();
    node.begun().await;
    let loud = node.make_team("loud").await;
    let quiet = node.make_team_beside(&loud).await;
    let begun = Instant::now();
    let mut said: BTreeSet<String> = (0..FLOOD).map(|number| format!("say {number:03}")).collect();
    for text in &said {
        assert!(node.say(&loud, text).await);
    }
    assert!(node.say(&quiet, "say quietly").await);
    said.insert("say quietly".to_owned());

    let of_flood = || {
        let count = node.outside.runs.lock().iter().filter(|(text, _)| text != "say quietly").count();
        (count, begun.elapsed())
    };
    until("the quiet team is answered", async || {
        echoed(&log).await.keys().filter(|one| one.contains("quietly")).count() == 2
    })
    .await;
    let (count, elapsed) = of_flood();
    assert!(count < 2 * FLOOD, "the quiet team was answered before the flood was");
    let allowed = |elapsed: Duration| 4.0 + 2.0 * elapsed.as_secs_f64();
    assert!(count as f64 <= allowed(elapsed), "{count} in {elapsed:?}");
    let wanted = echoes(&said);
    until("all are answered", async || echoed(&log).await.len() == wanted.len()).await;
    let (count, elapsed) = of_flood();
    assert_eq!(count, 2 * FLOOD);
    assert!(count as f64 <= allowed(elapsed), "{count} in {elapsed:?}");
    node.end().await;
    assert_eq!(echoed(&log).await, wanted, "none twice, none left out");
}
