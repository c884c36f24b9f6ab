//! Sessions whose team has found another home are told to go on there.

use std::{sync::Arc, time::Duration};

use super::service::Rtm;
use crate::{Gateway, Homes};

/// After a change of the table: other nodes come to see it too, and what changed may change back.
const SETTLE: Duration = Duration::from_secs(1);
/// Sessions that are told in one go, and the pause behind them: at their new home they come all at once.
const BURST: usize = 100;
const BURST_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked for those who came here though they should not have: by a url of some minutes ago.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Runs until the process ends.
pub(super) async fn follow(rtm: Arc<Rtm>, gateway: Gateway, homes: Homes) {
    let mut members = homes.members();
    loop {
        let _ = tokio::time::timeout(SWEEP_EVERY, members.changed()).await;
        tokio::time::sleep(SETTLE).await;
        loop {
            let elsewhere: Vec<_> =
                rtm.hub.teams().into_iter().filter(|team| gateway.home_elsewhere(*team).is_some()).collect();
            let told = elsewhere.into_iter().fold(0, |told, team| told + rtm.hub.send_home(team, BURST - told));
            if told == 0 {
                break;
            }
            metrics::counter!("teamlog_rtm_sent_home_total").increment(told as u64);
            tokio::time::sleep(BURST_PAUSE).await;
        }
    }
}
