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

/// As the link: a host that does not take a connection for so long is away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// As the link: a node that was silent for so long is found to be away, by its ping.
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
    /// From now on this life is the one that is reached there.
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
    /// True if a dead node does not answer at all, not even with an error. Breaks take effect at once, even on calls in
    /// flight.
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
        // What was sent arrives, though whoever sent it may have given it up, and asked again meanwhile.
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
