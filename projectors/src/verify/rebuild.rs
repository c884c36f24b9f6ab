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
    copy::{Copy, Fold},
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
    /// How the old one differed from the log.
    pub differed: Verified,
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
pub(crate) async fn rebuild<C: Copy>(
    feed: &Feed<Event>,
    view: &str,
    copy: &C,
    is_switched: bool,
) -> Result<Rebuilt, VerifyError> {
    let before = copy.current().await?;
    let generation = before + 1;
    copy.mark_built(None).await?;
    copy.remove(generation).await?;
    info!(view, replica = copy.name(), generation, "a view is built anew");
    let new = copy.open(generation).await?;
    let differed = copy.compare(feed, &new, None).await?;
    // The comparison took its time, and the old one may have been far behind: no reader is to be sent far back.
    to_the_end(feed, copy.sources(), new).await?;
    copy.mark_built(Some(generation)).await?;
    info!(view, replica = copy.name(), generation, differed = differed.differing, "a view was built anew");
    if is_switched {
        switch(feed, view, copy).await?;
    }
    Ok(Rebuilt { generation, before, differed, switched: is_switched })
}

/// Makes the generation that was built the current one, once it has come to the log's end, and removes the old one.
pub(crate) async fn switch<C: Copy>(feed: &Feed<Event>, view: &str, copy: &C) -> Result<Switched, VerifyError> {
    let replica = || copy.name().to_owned();
    let before = copy.current().await?;
    let built = copy.built().await?;
    let generation = built.ok_or_else(|| VerifyError::NotBuilt { view: view.to_owned(), replica: replica() })?;
    to_the_end(feed, copy.sources(), copy.open(generation).await?).await?;
    copy.switch(generation).await?;
    info!(view, replica = copy.name(), generation, "the new one is current");
    tokio::time::sleep(OLD_KEPT).await;
    copy.remove(before).await?;
    Ok(Switched { generation, before })
}

async fn to_the_end<F: Fold>(feed: &Feed<Event>, sources: Vec<TopicPartition>, fold: F) -> Result<(), VerifyError> {
    let ends = ends(feed, sources).await?;
    catch_up(feed, fold.projector(), ends).await?;
    fold.close().await
}
