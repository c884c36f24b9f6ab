//! A log with faults of a test's own choosing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use teamlog_log::{
    Appended, Batch, Log, LogError, NewRecord, Offset, Partition, Reader, Stamp, Topic, TopicPartition,
    testing::FaultyLog,
};
use tokio::sync::{mpsc, oneshot, watch};

/// Where an answer that is kept back comes from: it goes out as it was, or as this error.
pub(super) type Ask = oneshot::Sender<Result<(), LogError>>;

/// The partition whose ends can be kept back.
pub(super) const KEPT_BACK: TopicPartition = TopicPartition::events(Partition(0));

/// The fate of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Written,
    Refused,
    /// The append is in flight until the test sets another fate.
    InFlight,
}

pub(super) struct OddLog {
    log: Arc<FaultyLog>,
    /// The fate of appends of marks.
    pub(super) marks: watch::Sender<Fate>,
    /// Whether it keeps back what it answers when it is asked for the end of [`KEPT_BACK`], for the test to let go.
    pub(super) keeps_ends: AtomicBool,
    /// Whether readers wait before they read on in `events`.
    pub(super) lags: watch::Sender<bool>,
    /// Whether what is appended to `events` waits on its way.
    pub(super) hangs: watch::Sender<bool>,
    /// A lock that keeps waiting appends in their order.
    order: Arc<tokio::sync::Mutex<()>>,
    /// Appends to `events` that were begun, but for claims.
    pub(super) appends: AtomicUsize,
    kept: (mpsc::UnboundedSender<Ask>, tokio::sync::Mutex<mpsc::UnboundedReceiver<Ask>>),
}

impl OddLog {
    pub(super) fn over(log: &Arc<FaultyLog>) -> Arc<OddLog> {
        let (kept, asks) = mpsc::unbounded_channel();
        Arc::new(OddLog {
            log: log.clone(),
            marks: watch::Sender::new(Fate::Written),
            keeps_ends: AtomicBool::new(false),
            lags: watch::Sender::new(false),
            hangs: watch::Sender::new(false),
            order: Arc::default(),
            appends: AtomicUsize::new(0),
            kept: (kept, tokio::sync::Mutex::new(asks)),
        })
    }

    /// The next ask for an end whose answer is kept back.
    pub(super) async fn next_ask(&self) -> Ask {
        self.kept.1.lock().await.recv().await.unwrap()
    }
}

#[async_trait]
impl Log for OddLog {
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        self.log.partitions(topic).await
    }

    fn append(&self, to: TopicPartition, records: Vec<NewRecord>) -> BoxFuture<'static, Vec<Appended>> {
        let log = self.log.clone();
        if to.topic == Topic::Events {
            let is_claim = records.iter().any(|record| matches!(record.stamp, Stamp::Claim { .. }));
            self.appends.fetch_add(usize::from(!is_claim), Ordering::Relaxed);
            let (mut hangs, order) = (self.hangs.subscribe(), self.order.clone());
            return async move {
                let _turn = order.lock().await;
                // A test that is over hangs no more.
                let _ = hangs.wait_for(|hangs| !hangs).await;
                log.append(to, records).await
            }
            .boxed();
        }
        if to.topic != Topic::Marks {
            return log.append(to, records);
        }
        let mut fate = self.marks.subscribe();
        async move {
            let fate = fate.wait_for(|fate| *fate != Fate::InFlight).await.map_or(Fate::Refused, |fate| *fate);
            match fate {
                Fate::Written => log.append(to, records).await,
                _ => records.iter().map(|_| Appended::Failed(LogError::Unavailable("no marks".to_owned()))).collect(),
            }
        }
        .boxed()
    }

    async fn end(&self, of: TopicPartition) -> Result<Offset, LogError> {
        let end = self.log.end(of).await;
        if of == KEPT_BACK && self.keeps_ends.load(Ordering::Relaxed) {
            let (ask, let_go) = oneshot::channel();
            let _ = self.kept.0.send(ask);
            // One that was dropped goes out as it was.
            let_go.await.unwrap_or(Ok(()))?;
        }
        end
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        let (events, others): (Vec<_>, Vec<_>) = from.into_iter().partition(|(of, _)| of.topic == Topic::Events);
        let (events, others) = (self.log.reader(events).await?, self.log.reader(others).await?);
        Ok(Box::new(OddReader { events, others, lags: self.lags.subscribe() }))
    }
}

struct OddReader {
    events: Box<dyn Reader>,
    others: Box<dyn Reader>,
    lags: watch::Receiver<bool>,
}

#[async_trait]
impl Reader for OddReader {
    async fn next(&mut self) -> Result<Batch, LogError> {
        let OddReader { events, others, lags } = self;
        let of_events = async {
            loop {
                drop(lags.wait_for(|lags| !lags).await);
                tokio::select! {
                    biased;
                    () = async { drop(lags.wait_for(|lags| *lags).await) } => {}
                    batch = events.next() => return batch,
                }
            }
        };
        tokio::select! {
            batch = of_events => batch,
            batch = others.next() => batch,
        }
    }
}
