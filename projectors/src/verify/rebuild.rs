//! Rebuilding a replica beside itself.
//!
//! A crash at any step leaves the old generation the current one until the switch, which is one step, and the new one
//! from then on; a generation that a crash left behind is removed by the next rebuild. Only one that is said to be built
//! can be switched to, and that is said once it is complete.

use std::time::Duration;

use teamlog_log::{Feed, TopicPartition};
use teamlog_schemas::Event;
use tracing::info;

use super::{
    Verified, VerifyError,
    catch_up::{catch_up, ends},
    rebuildable::{Fold, Rebuildable},
};

/// How long the old generation stays after the switch: readers and runners of every process look for the new one
/// each second, and a query takes two at most.
const OLD_KEPT: Duration = Duration::from_secs(4);

/// What a rebuild did.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The generation that was built.
    pub generation: u32,
    /// The one that was current before it began.
    pub before: u32,
    /// How the old one differed from the log; none if it is of another schema and was not compared.
    pub differed: Option<Verified>,
    /// Whether the new one is current now.
    pub switched: bool,
}

/// What a switch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The generation that is current now.
    pub generation: u32,
    /// The one that was.
    pub before: u32,
}

/// Builds a replica anew from the log, beside the old one, tells what differed in the old one, and, if it is to be
/// switched, makes the new one current and removes the old one. Readers and runners go over by themselves.
pub(crate) async fn rebuild<R: Rebuildable>(
    feed: &Feed<Event>,
    view: &str,
    replica: &R,
    is_switched: bool,
) -> Result<Rebuilt, VerifyError> {
    let before = replica.current().await?;
    let generation = before + 1;
    replica.mark_built(None).await?;
    // What a crash may have left: half of a new one, or an old one behind a switch.
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
    // The comparison took its time, and the old one may have been far behind: no reader is to be sent far back.
    to_the_end(feed, replica.sources(), new).await?;
    replica.mark_built(Some(generation)).await?;
    let differing = differed.as_ref().map(|differed| differed.differing);
    info!(view, replica = replica.name(), generation, differing, "a view was built anew");
    if is_switched {
        switch(feed, view, replica).await?;
    }
    Ok(Rebuilt { generation, before, differed, switched: is_switched })
}

/// Makes the generation that was built the current one, once it has come to the log's end, and removes the old one.
pub(crate) async fn switch<R: Rebuildable>(
    feed: &Feed<Event>,
    view: &str,
    replica: &R,
) -> Result<Switched, VerifyError> {
    let before = replica.current().await?;
    let Some(generation) = replica.built().await? else {
        return Err(VerifyError::NotBuilt { view: view.to_owned(), replica: replica.name().to_owned() });
    };
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
