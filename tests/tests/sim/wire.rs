//! The wire between a node and all others. A node's I/O can be held up, cut off from the log, or ended for ever.
//!
//! A node that is dead goes on in memory, but nothing of it reaches anybody and nothing reaches it: to the log and to
//! its clients that is a `kill -9`. One that is stopped is let go on later where it was, as after SIGSTOP and SIGCONT: what
//! it wanted to send meanwhile is sent then, in order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use rand::{Rng, SeedableRng, rngs::StdRng};
use teamlog_log::{
    Appended, Batch, Log, LogError, NewRecord, Offset, Reader, Topic, TopicPartition, testing::FaultyLog,
};
use tokio::sync::{oneshot, watch};

/// The state of the link between a node and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Everything passes.
    Open,
    /// Nothing passes, either way, until it is open again.
    Stopped,
    /// Clients reach it, and it does not reach the log.
    CutOff,
    /// Nothing passes any more.
    Dead,
}

/// The error of a broken connection to a node.
#[derive(Debug)]
pub(crate) struct Lost;

/// A cut-off producer gives up on a record after so long. It may land all the same, once it is connected again.
const GIVES_UP: Duration = Duration::from_millis(500);

/// The wire of one life of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wire {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<FaultyLog>,
    link: watch::Sender<Link>,
    /// True while heartbeats are dropped in both directions, whatever else passes.
    apart: watch::Sender<bool>,
    state: Mutex<State>,
}

struct State {
    rng: StdRng,
    next: u64,
    /// Appends that wait until the log is available.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    number: u64,
    to: TopicPartition,
    records: Vec<NewRecord>,
    reply: oneshot::Sender<Vec<Appended>>,
}

impl Wire {
    pub(crate) fn new(log: Arc<FaultyLog>, seed: u64) -> Wire {
        let state = State { rng: StdRng::seed_from_u64(seed), next: 0, waiting: VecDeque::new() };
        let (link, apart) = (watch::Sender::new(Link::Open), watch::Sender::new(false));
        Wire { inner: Arc::new(Inner { log, link, apart, state: Mutex::new(state) }) }
    }

    pub(crate) fn link(&self) -> Link {
        *self.inner.link.borrow()
    }

    pub(crate) fn set(&self, link: Link) {
        if self.link() == Link::Dead {
            return;
        }
        self.inner.link.send_replace(link);
        let mut state = self.inner.state.lock().unwrap();
        match link {
            Link::Dead => state.waiting.clear(),
            Link::Open => {
                for waiting in std::mem::take(&mut state.waiting) {
                    let append = self.inner.log.append(waiting.to, waiting.records);
                    tokio::spawn(self.clone().hear(append).map(|outcomes| waiting.reply.send(outcomes)));
                }
            }
            Link::Stopped | Link::CutOff => {}
        }
    }

    /// Stops all heartbeats in both directions, or lets them pass again.
    pub(crate) fn set_apart(&self, apart: bool) {
        self.inner.apart.send_replace(apart);
    }

    /// Waits until the node has been stopped for so long without interruption.
    pub(crate) async fn stopped_for(&self, long: Duration) {
        let mut link = self.inner.link.subscribe();
        loop {
            let _ = link.wait_for(|link| *link == Link::Stopped).await;
            if tokio::time::timeout(long, link.wait_for(|link| *link != Link::Stopped)).await.is_err() {
                return;
            }
        }
    }

    /// Waits until clients can reach the node.
    pub(crate) async fn reached(&self) -> Result<(), Lost> {
        let mut link = self.inner.link.subscribe();
        let link = link.wait_for(|link| *link != Link::Stopped).await.map(|link| *link);
        if matches!(link, Ok(Link::Open | Link::CutOff)) { Ok(()) } else { Err(Lost) }
    }

    /// Waits until the node dies.
    pub(crate) async fn died(&self) {
        let mut link = self.inner.link.subscribe();
        let _ = link.wait_for(|link| *link == Link::Dead).await;
    }

    /// Waits until the node reaches the log. Never returns if it is dead.
    async fn to_log(&self) {
        let mut link = self.inner.link.subscribe();
        let _ = link.wait_for(|link| *link == Link::Open).await;
    }

    /// Waits until the node receives the others' heartbeats.
    async fn not_apart(&self) {
        let mut apart = self.inner.apart.subscribe();
        let _ = apart.wait_for(|apart| !*apart).await;
    }

    async fn hear(self, append: BoxFuture<'static, Vec<Appended>>) -> Vec<Appended> {
        let outcomes = append.await;
        self.to_log().await;
        outcomes
    }

    /// Makes a call to the log that is not an append.
    async fn ask<T>(&self, ask: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
        let cut_off = || Err(LogError::Unavailable("cut off".to_owned()));
        if self.link() == Link::CutOff {
            return cut_off();
        }
        self.to_log().await;
        let answer = ask.await;
        if self.link() == Link::CutOff {
            return cut_off();
        }
        self.to_log().await;
        answer
    }

    /// Gives up on an append that waits: it is dropped, or sent all the same.
    fn give_up(&self, number: u64, count: usize) -> Vec<Appended> {
        let mut state = self.inner.state.lock().unwrap();
        if state.rng.random_bool(0.5) {
            state.waiting.retain(|waiting| waiting.number != number);
        }
        vec![Appended::Unknown(LogError::Unavailable("cut off".to_owned())); count]
    }
}

#[async_trait]
impl Log for Wire {
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        self.inner.log.partitions(topic).await
    }

    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>> {
        if to == TopicPartition::NODES && *self.inner.apart.borrow() && self.link() != Link::Dead {
            let lost = Appended::Unknown(LogError::Unavailable("set apart".to_owned()));
            return futures::future::ready(vec![lost; records.len()]).boxed();
        }
        let mut state = self.inner.state.lock().unwrap();
        match self.link() {
            Link::Dead => futures::future::pending().boxed(),
            Link::Open => self.clone().hear(self.inner.log.append(to, records)).boxed(),
            Link::Stopped | Link::CutOff => {
                let (reply, outcome) = oneshot::channel();
                let (number, count) = (state.next, records.len());
                state.next += 1;
                state.waiting.push_back(Waiting { number, to, records, reply });
                let wire = self.clone();
                async move {
                    let mut outcome = Box::pin(async move {
                        match outcome.await {
                            Ok(outcomes) => outcomes,
                            // The node is dead and receives nothing any more.
                            Err(_) => futures::future::pending().await,
                        }
                    });
                    tokio::select! {
                        biased;
                        outcomes = &mut outcome => return outcomes,
                        () = tokio::time::sleep(GIVES_UP) => {}
                    }
                    if wire.link() == Link::CutOff { wire.give_up(number, count) } else { outcome.await }
                }
                .boxed()
            }
        }
    }

    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        self.ask(self.inner.log.end(of)).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        let reader = self.ask(self.inner.log.reader(from)).await?;
        Ok(Box::new(WiredReader { wire: self.clone(), reader, arrived: None }))
    }
}

struct WiredReader {
    wire: Wire,
    reader: Box<dyn Reader>,
    /// Read, and not handed out yet.
    arrived: Option<Batch>,
}

#[async_trait]
impl Reader for WiredReader {
    async fn next(&mut self) -> Result<Batch, LogError> {
        loop {
            self.wire.to_log().await;
            if self.arrived.is_none() {
                self.arrived = Some(self.reader.next().await?);
            }
            if self.arrived.as_ref().is_some_and(|batch| batch.source == TopicPartition::NODES) {
                self.wire.not_apart().await;
            }
            if self.wire.link() == Link::Open
                && let Some(batch) = self.arrived.take()
            {
                return Ok(batch);
            }
        }
    }
}
