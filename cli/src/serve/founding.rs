//! Whose cluster this is.

use std::time::Duration;

use teamlog_cluster::Clock;
use teamlog_ingest::{FoundingError, Ingest};
use teamlog_log::TopicPartition;
use teamlog_projectors::Shards;
use tracing::{info, warn};

/// How long one attempt may take.
const FOUNDING_WAIT: Duration = Duration::from_secs(10);
/// Between two attempts: where the directory cannot be read on, each fails at once.
const FOUNDING_PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked whether the founding was read.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Ends once the directory was read to its end, or cannot be: before that this process must write nothing.
///
/// # Errors
/// With the reason why it must not at all.
pub(super) async fn ours_if_founded(ingest: &Ingest) -> anyhow::Result<()> {
    while ingest.directory().current().await.is_err() {
        if ingest.teams().feed().stopped(TopicPartition::DIRECTORY).is_some() {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    ingest.cluster().map_or(Ok(()), |cluster| cluster.map(drop).map_err(Into::into))
}

/// Waits until this process may serve. That is so if the founding was read and its keys are this node's, and also if there
/// is no founding to read: the directory cannot be read, so nothing is accepted; or it is empty, and a wrong clock keeps
/// this node from founding. Both states are reported to clients, and neither can harm a team.
///
/// # Errors
/// With the reason why this process must not serve the cluster.
pub(super) async fn known(ingest: &Ingest, clock: &Clock) -> anyhow::Result<()> {
    loop {
        if let Some(cluster) = ingest.cluster() {
            return cluster.map(drop).map_err(Into::into);
        }
        let cannot_be_read = ingest.teams().feed().stopped(TopicPartition::DIRECTORY).is_some();
        let cannot_be_founded = || async { !clock.may_claim() && ingest.directory().current().await.is_ok() };
        if cannot_be_read || cannot_be_founded().await && ingest.cluster().is_none() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Founds the cluster or finds that it is ours, for as long as that takes; ends only with the reason why this process must
/// not serve it. By then the directory was read to its end, so that teams which mains did not show at the start are
/// compared with their shards too.
pub(super) async fn found(ingest: Ingest, shards: Shards) -> anyhow::Error {
    let mut said = String::new();
    loop {
        match ingest.found_cluster(FOUNDING_WAIT).await {
            Ok(cluster) => {
                info!(%cluster, "the cluster is ours");
                if let Err(why) = shards.check(ingest.directory().entries().iter()) {
                    return why.into();
                }
                std::future::pending::<()>().await;
            }
            Err(why @ (FoundingError::OtherKeys(_) | FoundingError::OtherPartitions { .. })) => return why.into(),
            Err(FoundingError::NotKnown(why)) if why == said => {}
            Err(FoundingError::NotKnown(why)) => {
                warn!(why, "the cluster's founding is not known yet");
                said = why;
            }
        }
        tokio::time::sleep(FOUNDING_PAUSE).await;
    }
}
