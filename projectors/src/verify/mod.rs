//! Verify: every row against a fold of the log. Rebuild: a new generation beside the old one, then the switch.

mod catch_up;
mod compare;
mod database;
mod error;
mod index;
mod rebuild;
mod rebuildable;
mod timed;
mod verified;

use std::path::Path;

use teamlog_log::Feed;
use teamlog_schemas::Event;
use uuid::Uuid;

pub(crate) use compare::{Comparison, cut};
pub(crate) use database::DatabaseReplica;
pub use error::VerifyError;
pub(crate) use index::IndexReplica;
pub use rebuild::{Rebuilt, Switched};
pub(crate) use rebuild::{rebuild, switch};
pub(crate) use rebuildable::{Fold, Rebuildable};
pub use timed::BuildTimes;
pub(crate) use timed::time_build;
pub use verified::{Difference, OneTeam, Verified};

/// Compares every row of a replica with a fold of the log up to the very position of the replica. The fold is built in
/// a folder under `scratch`, which is gone afterwards. With `team` only that team's rows are compared.
pub(crate) async fn verify<R: Rebuildable>(
    feed: &Feed<Event>,
    replica: &R,
    team: Option<OneTeam>,
    scratch: &Path,
) -> Result<Verified, VerifyError> {
    let folder = scratch.join(format!("verify-{}", Uuid::now_v7()));
    tokio::fs::create_dir_all(&folder).await?;
    let compared = async {
        let fold = replica.fold(&folder, team).await?;
        let compared = replica.compare(feed, &fold, team).await;
        fold.close().await?;
        compared
    };
    let compared = compared.await;
    tokio::fs::remove_dir_all(&folder).await?;
    compared
}
