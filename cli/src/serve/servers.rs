//! The servers of a process, for clients and for other nodes, from their start to the end of the last call.

use std::{sync::Arc, time::Duration};

use teamlog_cluster::Internal;
use teamlog_gateway::{Gateway, Rtm};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::door::Ports;

/// How long calls under way may take at a stop.
const CALLS_WAIT: Duration = Duration::from_secs(5);

/// A server that runs.
#[derive(Default)]
struct Running {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// The servers of a process.
pub(super) struct Servers {
    gateway: Option<Gateway>,
    internal: Option<Internal>,
    rtm: Arc<Rtm>,
    /// Answers clients.
    public: Running,
    /// Answers other nodes.
    nodes: Running,
}

impl Servers {
    /// Takes what answers clients and what answers other nodes, as far as this process does.
    pub(super) fn new(gateway: Option<Gateway>, internal: Option<Internal>, rtm: Arc<Rtm>) -> Servers {
        Servers { gateway, internal, rtm, public: Running::default(), nodes: Running::default() }
    }

    /// Starts the servers.
    ///
    /// # Errors
    /// If a socket cannot be used.
    pub(super) fn start(&mut self, ports: Ports) -> anyhow::Result<()> {
        if let (Some(listener), Some(gateway)) = (ports.public, &self.gateway) {
            let listener = TcpListener::from_std(listener)?;
            let serving = teamlog_gateway::serve(listener, gateway.clone(), self.public.stop.clone());
            self.public.task = Some(tokio::spawn(async move {
                if let Err(why) = serving.await {
                    error!(%why, "clients are not served any more");
                }
            }));
        }
        if let (Some(listener), Some(internal)) = (ports.internal, self.internal.take()) {
            let listener = TcpListener::from_std(listener)?;
            self.nodes.task = Some(tokio::spawn(internal.serve(listener, self.nodes.stop.clone())));
        }
        Ok(())
    }

    /// Refuses new calls of clients, tells their sessions to resume elsewhere, and waits for those under way. With
    /// `forwarded` the calls that other gateways passed on are clients' too.
    pub(super) async fn end_clients(&mut self, forwarded: bool) {
        self.public.stop.cancel();
        if forwarded {
            self.nodes.stop.cancel();
        }
        self.rtm.shutdown().await;
        self.public.ended().await;
        if forwarded {
            self.nodes.ended().await;
        }
    }

    /// Refuses new calls of other nodes, and waits for those under way.
    pub(super) async fn end_nodes(&mut self) {
        self.nodes.stop.cancel();
        self.nodes.ended().await;
    }
}

impl Running {
    /// Waits for a server that is shutting down, at most for the time that calls in flight may take.
    async fn ended(&mut self) {
        if let Some(task) = self.task.take() {
            let _ = tokio::time::timeout(CALLS_WAIT, task).await;
        }
    }
}
