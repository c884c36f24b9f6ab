//! Rebuilding a replica beside itself.
//!
//! A crash at any step leaves the old generation the current one until the switch, which is one row, and the new one
//! from then on; a generation that a crash left behind is dropped by the next rebuild.

use std::time::Duration;

use teamlog_log::Feed;
use teamlog_schemas::Event;
use tracing::info;

use super::{Verified, VerifyError, catch_up::catch_up, compare_at_once};
use crate::{
    db::{Replica, read_positions},
    view::View,
};

/// How long the old generation stays after the switch: readers and runners of every process look for the new one
/// each second, and a query takes two at most.
const OLD_KEPT: Duration = Duration::from_secs(4);

/// What a rebuild did.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The generation that is current now.
    pub generation: u32,
    /// The one that was.
    pub before: u32,
    /// How the old one differed from the log.
    pub differed: Verified,
}

/// Builds a replica of a view anew from the log, beside the old one, tells what differed in the old one, makes the new
/// one current and drops the old one. Readers and runners go over by themselves.
///
/// # Errors
/// If the log or the replica does not answer; the old generation stays the current one then.
pub async fn rebuild(feed: &Feed<Event>, view: &View, replica: &Replica) -> Result<Rebuilt, VerifyError> {
    let before = replica.current_generation().await?;
    let generation = before + 1;
    let new = replica.generation(generation);
    new.drop_generation(generation).await?;
    info!(view = view.name(), replica = replica.name(), generation, "a view is built anew");
    let differed = compare_at_once(feed, view, &new, replica, None).await?;
    // The comparison took its time: come close again, so that no reader is sent far back.
    let now = read_positions(&mut replica.read().await?).await?;
    catch_up(feed, &*view.projector(new.clone()), &now).await?;
    new.close().await;
    replica.switch(generation).await?;
    info!(
        view = view.name(),
        replica = replica.name(),
        generation,
        differed = differed.differing,
        "the new one is current"
    );
    tokio::time::sleep(OLD_KEPT).await;
    replica.generation(before).drop_generation(before).await?;
    Ok(Rebuilt { generation, before, differed })
}
