//! Where this process is reached, and who answers there until it is known whether it may serve.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use serde_json::json;
use teamlog_cluster::{NodeParts, Nodes, Role, Secrets};
use teamlog_log::{LogError, Topic};
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::{
    config::Config,
    parts::{DataDir, OpenLog, write_private},
};

/// The pause between two attempts to reach an unavailable log.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Between two looks for topics that were just made.
const SOON: Duration = Duration::from_millis(100);
/// Connections that wait to be accepted. A whole office comes back at once, and who finds no room is heard a second later,
/// when its system tries again: the usual 128 made that half of a thousand. `net.core.somaxconn` bounds it as well.
const BACKLOG: u32 = 4096;

/// The addresses, and what stands about them in the data directory.
pub(super) struct Door {
    /// Where clients reach it; of a role without any, where other nodes do.
    pub(super) url: String,
    /// The address at which other nodes reach it.
    pub(super) address: String,
    /// The operators' key to it: that of all processes with the cluster's key.
    pub(super) admin_key: String,
    file: PathBuf,
}

/// The ports that are bound.
pub(super) struct Ports {
    /// For clients: of `serve` and `gateway`.
    pub(super) public: Option<std::net::TcpListener>,
    /// For other nodes: of every role but `serve`.
    pub(super) internal: Option<std::net::TcpListener>,
}

/// The log's number of partitions, and this process's node in the cluster (`None` on the embedded engine).
pub(super) struct Joined {
    pub(super) partitions: u32,
    pub(super) nodes: Option<Nodes>,
}

/// A guard of the task that answers while the node starts; dropping it stops the task. Connections made after that wait in
/// the socket's backlog for the server.
pub(super) struct Keeper {
    _stop: DropGuard,
}

impl Door {
    /// Takes the ports.
    pub(super) async fn open(
        config: &Config,
        data: &DataDir,
        secrets: &Secrets,
        role: Role,
    ) -> anyhow::Result<(Door, Ports)> {
        let is_public = matches!(role, Role::Serve | Role::Gateway);
        let (public, at) = take(is_public.then_some(&*config.server.listen)).await?;
        let (internal, internal_at) = take((role != Role::Serve).then_some(&*config.cluster.listen)).await?;
        let of = |at: Option<SocketAddr>| at.map(|at| format!("http://{at}"));
        let url = of(at.or(internal_at)).unwrap_or_default();
        let advertised = || (internal_at.or(at)).map(|at| format!("http://{}", advertised(at)));
        let address = config.cluster.advertise.clone().or_else(advertised).unwrap_or_default();
        let door = Door { url, address, admin_key: secrets.admin_key(), file: data.server_file() };
        Ok((door, Ports { public, internal }))
    }

    /// Tells the commands of this machine.
    pub(super) fn announce(&self) -> anyhow::Result<()> {
        let told = json!({ "url": self.url, "pid": std::process::id(), "admin_key": self.admin_key });
        write_private(&self.file, &told.to_string())
    }

    pub(super) fn close(self) {
        let _ = std::fs::remove_file(self.file);
    }

    /// Answers callers on these ports that they should retry, until the keeper is dropped.
    pub(super) fn keep(ports: &Ports) -> anyhow::Result<Keeper> {
        let stop = CancellationToken::new();
        for listener in ports.public.iter().chain(&ports.internal) {
            let listener = TcpListener::from_std(listener.try_clone()?)?;
            tokio::spawn(teamlog_gateway::serve_waiting(listener, stop.clone()));
        }
        Ok(Keeper { _stop: stop.drop_guard() })
    }

    /// Waits until the log answers and no node is on it that excludes this process. With the embedded engine the lock on the
    /// data directory excludes other processes, and the log's records are stamped by this machine's clock.
    pub(super) async fn wait(
        &self,
        log: &OpenLog,
        this_node: impl FnOnce() -> anyhow::Result<NodeParts>,
    ) -> anyhow::Result<Joined> {
        let partitions = self.partitions(log).await?;
        if matches!(log, OpenLog::Embedded(_)) {
            return Ok(Joined { partitions, nodes: None });
        }
        Ok(Joined { partitions, nodes: Some(Nodes::join(this_node()?).await?) })
    }

    /// Returns the log's number of partitions; retries until the log answers.
    async fn partitions(&self, log: &OpenLog) -> anyhow::Result<u32> {
        let mut said = false;
        loop {
            let asked = async {
                log.create_topics().await?;
                let log = log.shared();
                let mut partitions = Vec::new();
                for topic in Topic::ALL {
                    partitions.push((topic, log.partitions(topic).await?));
                }
                Ok(partitions)
            };
            match asked.await {
                Ok(partitions) => return fitting(&partitions),
                Err(LogError::Unavailable(why)) => {
                    if !std::mem::replace(&mut said, true) {
                        warn!(why, "the log is away; waiting for it");
                        self.announce()?;
                    }
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                // Another node makes them at this moment, and not every broker has heard of it.
                Err(LogError::NoTopic(_)) => tokio::time::sleep(SOON).await,
                Err(why) => return Err(why.into()),
            }
        }
    }
}

/// The number of partitions of `events`, if the other topics' fit.
///
/// # Errors
/// With the one that does not: what is written to it would be looked for elsewhere.
fn fitting(partitions: &[(Topic, u32)]) -> anyhow::Result<u32> {
    let of = |wanted| partitions.iter().find(|(topic, _)| *topic == wanted).map_or(0, |(_, count)| *count);
    let events = of(Topic::Events);
    for (topic, here) in partitions {
        let (here, wanted) = (*here, topic.partitions(events));
        if here != wanted {
            bail!("topic {} has {here} partitions and must have {wanted} (events has {events})", topic.name());
        }
    }
    Ok(events)
}

/// Takes the port of an address, if there is one to be taken.
async fn take(listen: Option<&str>) -> anyhow::Result<(Option<std::net::TcpListener>, Option<SocketAddr>)> {
    let Some(listen) = listen else { return Ok((None, None)) };
    let listener = bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let at = listener.local_addr()?;
    Ok((Some(listener.into_std()?), Some(at)))
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

/// An address that says something elsewhere too: with every interface listened on, this machine's name.
fn advertised(address: SocketAddr) -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if address.ip().is_unspecified() && !name.is_empty() {
        return format!("{name}:{}", address.port());
    }
    address.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_must_fit_each_other() {
        let with = |changed: Topic, count: u32| {
            fitting(&Topic::ALL.map(|topic| (topic, if topic == changed { count } else { topic.partitions(16) })))
        };
        assert_eq!(with(Topic::Events, 16).unwrap(), 16);
        let others = Topic::ALL.into_iter().filter(|topic| *topic != Topic::Events);
        for (topic, count) in others.flat_map(|topic| [(topic, 2), (topic, 32)]) {
            let why = with(topic, count).unwrap_err().to_string();
            assert!(why.contains(topic.name()) && why.contains(&count.to_string()), "{why}");
        }
        assert!(with(Topic::Events, 24).unwrap_err().to_string().contains("must have 24"));
    }

    #[test]
    fn an_address_is_one_that_others_can_use() {
        assert_eq!(advertised("127.0.0.1:80".parse().unwrap()), "127.0.0.1:80");
        assert!(!advertised("0.0.0.0:80".parse().unwrap()).starts_with("0.0.0.0"));
    }
}
