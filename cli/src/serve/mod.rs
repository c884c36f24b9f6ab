//! `teamlog serve`: every role in one process.
//!
//! ```text
//!   the port is taken --> the log answers, no other server is on it --> views, writers --> the cluster is ours
//!                                                                                                     |
//!   the log is closed <-- heartbeats end <-- views commit <-- writers drain <-- a signal <-- gateway <-+
//! ```

mod door;
mod founding;
mod health;
mod node;
mod signals;

use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::{error, info};

use self::{
    door::Door,
    node::{Node, Start},
    signals::Signals,
};
use crate::{
    config::Config,
    demo,
    parts::{DataDir, OpenLog},
};

/// How often metrics take in what was recorded.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// A start that takes longer than this to know whose cluster it is says where it is before that.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(2);

/// Runs until a signal. A second one exits at once.
pub(crate) async fn serve(config: Config, data: DataDir, demo: bool) -> anyhow::Result<()> {
    let _lock = data.lock()?;
    let mut signals = Signals::new()?;
    let (door, listener) = Door::open(&config, &data).await?;
    let metrics = record_metrics()?;
    let log = OpenLog::open(&config, &data).await?;
    let outcome = async {
        let start = Start::new(&config, &data, &log, &door)?;
        let keeper = Door::keep(&listener)?;
        let joined = tokio::select! {
            joined = door.wait(&log, start.node_id, &start.clock) => joined?,
            () = signals.next() => return Ok(()),
        };
        let mut node = Node::start(start, joined, metrics).await?;
        let serving = async {
            may_serve(&node, &door).await?;
            keeper.leave().await;
            node.serve(listener)?;
            door.announce()?;
            info!(url = door.url, "teamlog serves");
            if demo {
                tokio::spawn(set_up_demo(door.url.clone(), door.admin_key.clone()));
            }
            Err(node.refusal().await)
        };
        let outcome = tokio::select! {
            () = signals.next() => Ok(()),
            refused = serving => refused,
        };
        info!("stopping");
        signals.exit_at_the_next();
        node.stop().await;
        outcome
    }
    .await;
    log.close().await;
    door.close();
    outcome
}

/// Ends once the gateway may serve. Where that takes long, it can be found meanwhile.
async fn may_serve(node: &Node, door: &Door) -> anyhow::Result<()> {
    let known = node.may_serve();
    tokio::pin!(known);
    match tokio::time::timeout(ANNOUNCED_AFTER, &mut known).await {
        Ok(known) => known,
        Err(_) => {
            door.announce()?;
            known.await
        }
    }
}

fn record_metrics() -> anyhow::Result<PrometheusHandle> {
    let metrics = PrometheusBuilder::new().install_recorder().context("cannot record metrics")?;
    // Without it histograms keep every sample until somebody asks for the metrics.
    tokio::spawn({
        let metrics = metrics.clone();
        async move {
            loop {
                tokio::time::sleep(UPKEEP_EVERY).await;
                metrics.run_upkeep();
            }
        }
    });
    Ok(metrics)
}

async fn set_up_demo(url: String, admin_key: String) {
    if let Err(why) = demo::run(&url, &admin_key).await {
        error!(%why, "the demo could not be set up");
    }
}
