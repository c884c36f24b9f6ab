//! The tasks that all sessions share: presence that is told each second, sessions that move with their team.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::homing;
use crate::Gateway;

/// The period in which people who sent nothing for a while are forgotten by the limits on messages, in seconds.
const FORGET_EVERY: u32 = 60;

/// Begins the tasks with the first session. They end when the sessions are told to go.
pub(super) fn begin(gateway: &Gateway) {
    let rtm = gateway.rtm();
    if rtm.has_upkeep.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(homes) = gateway.homes() {
        let follow = homing::follow(gateway.clone(), homes.clone());
        tokio::spawn(rtm.stop.clone().run_until_cancelled_owned(follow));
    }
    let stop = rtm.stop.clone();
    let rtm = rtm.clone();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut ticks = 0u32;
        loop {
            second.tick().await;
            rtm.presences.tick(Instant::now());
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(FORGET_EVERY) {
                rtm.messages.forget_idle();
            }
        }
    }));
}
