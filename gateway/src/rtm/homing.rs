//! Moves sessions whose team has another home: they are told to resume there.

use std::time::Duration;

use crate::{Gateway, Homes};

/// The pause after a change of the node table: other nodes need to see it too, and it may change back.
const SETTLE: Duration = Duration::from_secs(1);
/// Sessions that are told at once; a pause follows, because all of them reconnect to the new home at the same time.
const BURST: usize = 100;
const BURST_PAUSE: Duration = Duration::from_millis(100);
/// The period of the search for sessions that came to the wrong gateway, with an old URL.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Tells sessions whose team has another home to resume there, until the process ends.
pub(super) async fn follow(gateway: Gateway, homes: Homes) {
    let hub = &gateway.rtm().hub;
    let mut members = homes.members();
    loop {
        let _ = tokio::time::timeout(SWEEP_EVERY, members.changed()).await;
        tokio::time::sleep(SETTLE).await;
        loop {
            let elsewhere: Vec<_> =
                hub.teams().into_iter().filter(|team| gateway.home_elsewhere(*team).is_some()).collect();
            let told = elsewhere.into_iter().fold(0, |told, team| told + hub.send_home(team, BURST - told));
            if told == 0 {
                break;
            }
            metrics::counter!("teamlog_rtm_sent_home_total").increment(told as u64);
            tokio::time::sleep(BURST_PAUSE).await;
        }
    }
}
