//! Rebuilding a replica as a new generation beside the current one.
//!
//! A database's switch is one step; an index's are two, and the second only clears a note. After a crash before the switch, the old generation is current; after a crash later, the new one. The
//! next rebuild removes a generation that a crash left over. Only a generation that is marked as built can become current,
//! and it is marked once it is complete.

use std::time::Duration;

use teamlog_log::{Feed, TopicPartition};
use teamlog_schemas::Event;
use tracing::info;

use super::{
    Verified, VerifyError,
    catch_up::{catch_up, ends},
    rebuildable::{Fold, Rebuildable},
};

/// The time for which the old generation is kept after the switch. Readers and runners of every process look up the
/// current generation every second, and a query takes at most two seconds.
const OLD_KEPT: Duration = Duration::from_secs(4);

/// The result of a rebuild.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The generation that was built.
    pub generation: u32,
    /// The generation that was current before the rebuild.
    pub before: u32,
    /// The differences of the old generation from the log. None if it has another schema and was not compared.
    pub differed: Option<Verified>,
    /// True if the new generation is current now.
    pub switched: bool,
}

/// The result of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The generation that is current now.
    pub generation: u32,
    /// The generation that was current before.
    pub before: u32,
}

/// Builds a new generation of a replica from the log, and compares the old one with it. If `is_switched`, makes the new one
/// current and removes the old one. Readers and runners switch by themselves.
pub(crate) async fn rebuild<R: Rebuildable>(
    feed: &Feed<Event>,
    view: &str,
    replica: &R,
    is_switched: bool,
) -> Result<Rebuilt, VerifyError> {
    let before = replica.current().await?;
    let generation = before + 1;
    replica.mark_built(None).await?;
    // A crash may have left a part of a new generation, or the old generation after a switch.
    replica.remove(generation).await?;
    if let Some(older) = before.checked_sub(1) {
        replica.remove(older).await?;
    }
    info!(view, replica = replica.name(), generation, "a view is built anew");
    let new = replica.open(generation).await?;
    let differed = match replica.compare(feed, &new, None).await {
        Err(why) if why.other_schema().is_some() => None,
        compared => Some(compared?),
    };
    // The comparison took time, and the old generation may lag far. The new one must not move readers back.
    to_the_end(feed, replica.sources(), new).await?;
    replica.mark_built(Some(generation)).await?;
    let differing = differed.as_ref().map(|differed| differed.differing);
    info!(view, replica = replica.name(), generation, differing, "a view was built anew");
    if is_switched {
        switch(feed, view, replica).await?;
    }
    Ok(Rebuilt { generation, before, differed, switched: is_switched })
}

/// Catches the built generation up to the log's end, makes it current, and removes the old one.
pub(crate) async fn switch<R: Rebuildable>(
    feed: &Feed<Event>,
    view: &str,
    replica: &R,
) -> Result<Switched, VerifyError> {
    let before = replica.current().await?;
    let Some(generation) = replica.built().await? else {
        return Err(VerifyError::NotBuilt { view: view.to_owned(), replica: replica.name().to_owned() });
    };
    if generation == before {
        // A crash came between the two steps of an index's switch: what was to become current is current.
        replica.mark_built(None).await?;
        let before = generation.saturating_sub(1);
        if before < generation {
            replica.remove(before).await?;
        }
        return Ok(Switched { generation, before });
    }
    to_the_end(feed, replica.sources(), replica.open(generation).await?).await?;
    replica.switch(generation).await?;
    info!(view, replica = replica.name(), generation, "the new one is current");
    tokio::time::sleep(OLD_KEPT).await;
    replica.remove(before).await?;
    Ok(Switched { generation, before })
}

async fn to_the_end<F: Fold>(feed: &Feed<Event>, sources: Vec<TopicPartition>, fold: F) -> Result<(), VerifyError> {
    let ends = ends(feed, sources).await?;
    catch_up(feed, fold.projector(), ends).await?;
    fold.close().await
}
