//! Whose cluster this is.

use std::time::Duration;

use teamlog_ingest::Ingest;
use teamlog_projectors::Shards;
use tracing::{info, warn};

/// How long one attempt may take.
const FOUNDING_WAIT: Duration = Duration::from_secs(10);
/// Between two attempts: where the directory cannot be read on, each fails at once.
const FOUNDING_PAUSE: Duration = Duration::from_secs(1);

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
            Err(why) if why.contains("keys are not those") => return anyhow::anyhow!(why),
            Err(why) if why == said => {}
            Err(why) => {
                warn!(why, "the cluster's founding is not known yet");
                said = why;
            }
        }
        tokio::time::sleep(FOUNDING_PAUSE).await;
    }
}
