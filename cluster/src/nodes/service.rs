//! Joining, beating on, and leaving.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use teamlog_log::{Log, LogError, Offset, Record, TopicPartition};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::{JoinError, Membership, NodeParts, Standing, member::Member};

/// Between two heartbeats.
const EVERY: Duration = Duration::from_millis(500);
/// The shorter interval while this process waits for another to fall silent, so that it notices that soon.
const EVERY_AT_FIRST: Duration = Duration::from_millis(250);
/// How far back the topic is read at a start, in records: far more than all nodes write until they count as silent.
const BACK: u64 = 1024;
/// Before the topic is read again after a failure.
const RETRY: Duration = Duration::from_millis(200);
/// How long the goodbye may take.
const LEAVE_WAIT: Duration = Duration::from_secs(1);

type Writes = Box<dyn Fn() -> Vec<u32> + Send + Sync>;

/// This process among the nodes, until it leaves or is dropped.
pub struct Nodes {
    writes: Arc<OnceLock<Writes>>,
    table: watch::Receiver<Arc<Membership>>,
    serving: watch::Sender<bool>,
    refused: watch::Receiver<Option<JoinError>>,
    leave: DropGuard,
    task: JoinHandle<()>,
}

impl Nodes {
    /// Sends a heartbeat, reads who else is there, and waits until nobody is beside whom it must not be. With the log away
    /// it waits for it. It takes no part in placement yet.
    ///
    /// # Errors
    /// [`JoinError::Taken`] if another node still lives after [`SILENT_AFTER`](super::SILENT_AFTER).
    pub async fn join(parts: NodeParts) -> Result<Nodes, JoinError> {
        let stop = CancellationToken::new();
        let leave = stop.clone().drop_guard();
        let mut heard = follow(parts.log.clone(), stop.clone());
        let mut member = Member::new(parts);
        let mut every = every(EVERY_AT_FIRST);
        let mut said = false;
        loop {
            tokio::select! {
                _ = every.tick() => member.beat(&[]),
                Some(records) = heard.recv() => records.iter().for_each(|record| member.on_record(record)),
            }
            match member.standing() {
                None => {}
                Some(Standing::Free) => break,
                Some(Standing::Waits(_)) if said => {}
                Some(Standing::Waits(seen)) => {
                    said = true;
                    info!(node = %seen.node, address = seen.address, "another node was here a moment ago; waiting for it to fall silent");
                }
                Some(Standing::Taken(seen)) => {
                    let (node, address, age_ms) = (seen.node, seen.address.clone(), member.age_ms(seen));
                    return Err(JoinError::Taken { node, address, age_ms });
                }
            }
        }
        member.go_in();
        member.update();
        let (writes, table) = (Arc::new(OnceLock::new()), member.table());
        let (serving, placed) = watch::channel(false);
        let (refusal, refused) = watch::channel(None);
        let task = tokio::spawn(beat_on(member, heard, writes.clone(), placed, refusal, stop));
        Ok(Nodes { writes, table, serving, refused, leave, task })
    }

    /// Ends only if this process must not be here after all, with [`JoinError::Twin`]. By then its heartbeats have ended
    /// and it takes part in placement no longer; it is to be stopped.
    pub async fn refused(&self) -> JoinError {
        let mut refused = self.refused.clone();
        let why = refused.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// The live nodes, as that changes. With the log away what was known last stands.
    pub fn members(&self) -> watch::Receiver<Arc<Membership>> {
        self.table.clone()
    }

    /// From now on this node takes part in placement, or no longer; the others are told at once.
    pub fn take_part(&self, serving: bool) {
        self.serving.send_replace(serving);
    }

    /// From now on its heartbeats say which partitions it writes.
    pub fn tell(&self, writes: impl Fn() -> Vec<u32> + Send + Sync + 'static) {
        // A second one would say the same.
        let _ = self.writes.set(Box::new(writes));
    }

    /// Says goodbye: whoever comes next need not wait. To be called once this process writes nothing any more.
    pub async fn leave(self) {
        drop(self.leave);
        if tokio::time::timeout(LEAVE_WAIT, self.task).await.is_err() {
            warn!("leaving the other nodes takes long; they will see that this one is silent");
        }
    }
}

async fn beat_on(
    mut member: Member,
    mut heard: mpsc::Receiver<Vec<Record>>,
    writes: Arc<OnceLock<Writes>>,
    mut placed: watch::Receiver<bool>,
    refusal: watch::Sender<Option<JoinError>>,
    stop: CancellationToken,
) {
    let mut every = every(EVERY);
    let beat = |member: &mut Member| member.beat(&writes.get().map_or_else(Vec::new, |writes| writes()));
    loop {
        tokio::select! {
            _ = every.tick() => beat(&mut member),
            Ok(()) = placed.changed() => {
                member.place(*placed.borrow_and_update());
                beat(&mut member);
            }
            Some(records) = heard.recv() => {
                records.iter().for_each(|record| member.on_record(record));
                member.update();
                if let Some(why) = member.twin() {
                    member.place(false);
                    refusal.send_replace(Some(why));
                    return;
                }
            }
            () = stop.cancelled() => return,
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut every = tokio::time::interval(period);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every
}

/// Reads the topic in a task of its own until `stop`. Nothing but the process's end ends it: without it a node would hear
/// nobody, and no claim depends on that.
fn follow(log: Arc<dyn Log>, stop: CancellationToken) -> mpsc::Receiver<Vec<Record>> {
    // At its bound the topic is read later.
    let (heard, records) = mpsc::channel(16);
    let reading = async move {
        let (mut said, mut next) = (false, None);
        while let Err(why) = read(&*log, &heard, &mut next, &mut said).await {
            if matches!(why, LogError::BeyondEnd { .. } | LogError::BeforeStart { .. }) {
                next = None;
            }
            if !std::mem::replace(&mut said, true) {
                warn!(%why, "the nodes' heartbeats cannot be read");
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::spawn(stop.run_until_cancelled_owned(reading));
    records
}

/// Ends well once nobody listens any more. After a failure it goes on where it was: heartbeats that were heard before would
/// be taken for the newest, and who lives for dead.
async fn read(
    log: &dyn Log,
    heard: &mpsc::Sender<Vec<Record>>,
    next: &mut Option<Offset>,
    said: &mut bool,
) -> Result<(), LogError> {
    let from = match *next {
        Some(next) => next,
        None => Offset(log.end(TopicPartition::NODES).await?.0.saturating_sub(BACK)),
    };
    let mut reader = log.reader(vec![(TopicPartition::NODES, from)]).await?;
    loop {
        let batch = reader.next().await?;
        *said = false;
        *next = batch.records.last().map(|record| record.offset.next()).or(*next);
        if heard.send(batch.records).await.is_err() {
            return Ok(());
        }
    }
}
