//! Calls between nodes: the gateway of each hands commands to the owner that its own table names, by the program's
//! `RemoteWriters`, over connections that can fail.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use rand::{Rng, rngs::StdRng};
use reqwest::StatusCode;
use teamlog_cluster::{Carrier, LinkError};
use teamlog_ingest::{Writers, http::answered};
use tokio::time::Instant;

use crate::{
    plan::CallFaults,
    wire::{Link, Lost, Wire},
};

/// A connection that is not accepted for so long marks the host as unavailable, as in the link.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A node that is silent for so long is found to be unavailable by the ping, as in the link.
const SILENCE: Duration = Duration::from_millis(1_500);

/// The listeners of all nodes, by address. A life that has ended keeps its address, dead, until the next one. Cheap to
/// clone.
#[derive(Clone, Default)]
pub(crate) struct Addresses {
    doors: Arc<Mutex<BTreeMap<String, Door>>>,
}

#[derive(Clone)]
struct Door {
    wire: Wire,
    writers: Arc<dyn Writers>,
}

impl Addresses {
    /// Makes this life the listener at `address`.
    pub(crate) fn listen(&self, address: &str, wire: &Wire, writers: &Arc<dyn Writers>) {
        let door = Door { wire: wire.clone(), writers: writers.clone() };
        self.doors.lock().unwrap().insert(address.to_owned(), door);
    }

    fn door(&self, address: &str) -> Option<Door> {
        self.doors.lock().unwrap().get(address).cloned()
    }
}

/// The calls that one life makes.
pub(crate) struct Calls {
    pub(crate) from: Wire,
    pub(crate) to: Addresses,
    pub(crate) faults: CallFaults,
    pub(crate) rng: Mutex<StdRng>,
}

/// The faults of one call.
struct Luck {
    there: Duration,
    back: Duration,
    refused: bool,
    broken: bool,
    /// True if a call to an unreachable node fails only after the timeout, and a broken call fails while it still executes.
    /// False if the first fails at once, and the second after it was answered.
    silent: bool,
}

impl Luck {
    /// How it is found that nobody is there.
    async fn nobody(&self, silence: Duration, why: LinkError) -> LinkError {
        tokio::time::sleep(if self.silent { silence } else { Duration::ZERO }).await;
        why
    }
}

impl Calls {
    fn luck(&self) -> Luck {
        let mut rng = self.rng.lock().unwrap();
        Luck {
            there: rng.random_range(self.faults.delay.clone()),
            back: rng.random_range(self.faults.delay.clone()),
            refused: rng.random_bool(self.faults.refused),
            broken: rng.random_bool(self.faults.broken),
            silent: rng.random_bool(0.5),
        }
    }
}

#[async_trait]
impl Carrier for Calls {
    async fn ask(
        &self,
        address: &str,
        path: &str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<(StatusCode, Bytes), LinkError> {
        let not_sent = || LinkError::NotSent("nobody takes the connection".to_owned());
        let broken = || LinkError::Broken("the connection broke".to_owned());
        let luck = self.luck();
        self.from.reached().await.map_err(|Lost| not_sent())?;
        let Some(door) = self.to.door(address).filter(|door| !luck.refused && door.wire.link() != Link::Dead) else {
            return Err(luck.nobody(CONNECT_TIMEOUT, not_sent()).await);
        };
        // A call that was sent arrives, even if the caller has given up and retried meanwhile.
        let (path, asked) = (path.to_owned(), door.clone());
        let answer = tokio::spawn(async move {
            tokio::time::sleep(luck.there).await;
            asked.wire.reached().await?;
            let answer = answered(asked.writers, &path, body).await;
            asked.wire.reached().await?;
            Ok::<_, Lost>(answer)
        });
        if luck.broken && luck.silent {
            tokio::time::sleep(luck.back).await;
            return Err(broken());
        }
        let answer = tokio::select! {
            biased;
            () = door.wire.died() => return Err(luck.nobody(SILENCE, broken()).await),
            () = door.wire.stopped_for(SILENCE) => return Err(broken()),
            () = tokio::time::sleep_until(deadline) => return Err(broken()),
            answer = answer => answer.expect("a call does not panic").map_err(|Lost| broken())?,
        };
        tokio::time::sleep(luck.back).await;
        self.from.reached().await.map_err(|Lost| broken())?;
        if luck.broken { Err(broken()) } else { Ok(answer) }
    }
}
