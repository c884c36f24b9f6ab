//! `teamlog serve`: every role in one process.
//!
//! ```text
//!   the port is taken --> the log answers, no other server is on it --> views, writers, gateway --> a signal
//!                                                                                                      |
//!   the log is closed <-- heartbeats end <-- views commit <-- writers drain <-- sessions are sent on <-+
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

/// Runs until a signal. A second one exits at once.
pub(crate) async fn serve(config: Config, data: DataDir, demo: bool) -> anyhow::Result<()> {
    let _lock = data.lock()?;
    let mut signals = Signals::new()?;
    let (door, listener) = Door::open(&config, &data).await?;
    let metrics = record_metrics()?;
    let log = OpenLog::open(&config, &data).await?;
    let outcome = async {
        let start = Start::new(&config, &data, &log, &door)?;
        let joined = tokio::select! {
            joined = door.wait(&log, &start, &listener) => joined?,
            () = signals.next() => return Ok(()),
        };
        let mut node = Node::start(start, joined, listener, metrics).await?;
        door.announce()?;
        info!(url = door.url, "teamlog serves");
        if demo {
            tokio::spawn(set_up_demo(door.url.clone(), door.admin_key.clone()));
        }
        let outcome = tokio::select! {
            () = signals.next() => Ok(()),
            refused = node.refusal() => Err(refused),
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
