//! Where this process is reached, and who answers there until it is known whether it may serve.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use serde_json::json;
use teamlog_ingest::{Clock, Nodes};
use teamlog_log::{LogError, Topic};
use tokio::{
    net::{TcpListener, TcpSocket, lookup_host},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;
use uuid::Uuid;

use crate::{
    config::Config,
    nodes,
    parts::{DataDir, OpenLog, random_hex, write_private},
};

/// Between two attempts to reach a log that is away.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted. A whole office comes back at once, and who finds no room is heard a second later,
/// when its system tries again: the usual 128 made that half of a thousand. `net.core.somaxconn` bounds it as well.
const BACKLOG: u32 = 4096;
/// How long a call that is being answered may take once the gateway may serve.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The address, and what stands about it in the data directory.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) url: String,
    /// The operators' key to this process.
    pub(super) admin_key: String,
    file: PathBuf,
}

/// What the log told, and this process's place among its nodes: none on the embedded engine.
pub(super) struct Joined {
    pub(super) partitions: u32,
    pub(super) nodes: Option<Nodes>,
}

/// Who answers until the gateway does. Gone with its last owner.
pub(super) struct Keeper {
    waiting: JoinHandle<std::io::Result<()>>,
    stop: DropGuard,
}

impl Keeper {
    /// Whoever connects from now on waits in the socket's backlog for the gateway.
    pub(super) async fn leave(self) {
        drop(self.stop);
        let _ = tokio::time::timeout(LAST_CALLS, self.waiting).await;
    }
}

impl Door {
    /// Takes the port.
    pub(super) async fn open(config: &Config, data: &DataDir) -> anyhow::Result<(Door, std::net::TcpListener)> {
        let listen = &config.server.listen;
        let listener = bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}");
        let door = Door { address, url, admin_key: random_hex(24), file: data.server_file() };
        Ok((door, listener.into_std()?))
    }

    /// Tells the commands of this machine.
    pub(super) fn announce(&self) -> anyhow::Result<()> {
        let told = json!({ "url": self.url, "pid": std::process::id(), "admin_key": self.admin_key });
        write_private(&self.file, &told.to_string())
    }

    pub(super) fn close(self) {
        let _ = std::fs::remove_file(self.file);
    }

    /// From now on whoever calls is told to call again.
    pub(super) fn keep(listener: &std::net::TcpListener) -> anyhow::Result<Keeper> {
        let stop = CancellationToken::new();
        let listener = TcpListener::from_std(listener.try_clone()?)?;
        let waiting = tokio::spawn(teamlog_gateway::serve_waiting(listener, stop.clone()));
        Ok(Keeper { waiting, stop: stop.drop_guard() })
    }

    /// Ends once the log answers and no other server is on it.
    pub(super) async fn wait(&self, log: &OpenLog, node: Uuid, clock: &Clock) -> anyhow::Result<Joined> {
        let partitions = self.partitions(log).await?;
        let nodes = nodes::join(log, node, self.address, clock).await?;
        Ok(Joined { partitions, nodes })
    }

    /// How many partitions the log has, asked until it answers.
    async fn partitions(&self, log: &OpenLog) -> anyhow::Result<u32> {
        let mut said = false;
        loop {
            let asked = async {
                log.create_topics().await?;
                log.shared().partitions(Topic::Events).await
            };
            match asked.await {
                Ok(partitions) => return Ok(partitions),
                Err(LogError::Away(why)) => {
                    if !std::mem::replace(&mut said, true) {
                        warn!(why, "the log is away; waiting for it");
                        self.announce()?;
                    }
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                Err(why) => return Err(why.into()),
            }
        }
    }
}

/// Listens on the first of an address's places that can be had.
async fn bind(address: &str) -> std::io::Result<TcpListener> {
    let mut outcome = Err(std::io::Error::other("it names no place"));
    for place in lookup_host(address).await? {
        let socket = if place.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        outcome = socket.bind(place).and_then(|()| socket.listen(BACKLOG));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
