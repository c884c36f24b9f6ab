//! The cheap clone in front of a writer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use teamlog_cluster::{Clock, Membership, Random, Secrets};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Answer, NotAccepted};

/// Sizes and times of a writer.
#[derive(Clone)]
pub struct WriterConfig {
    /// Commands that wait or are in flight for one lane (a team); past it, `Busy`.
    pub lane_max: usize,
    /// Commands that wait for the partition; past it, `Busy`.
    pub inbox_max: usize,
    /// Records in flight for the partition; past it commands wait.
    pub in_flight_max: usize,
    /// The node's id, for people who read the log's headers.
    pub node: uuid::Uuid,
    /// The wall clock within its bound. Past the bound it claims nothing.
    pub clock: Clock,
    /// The live nodes: what one of them cannot read is not written yet.
    pub members: watch::Receiver<Arc<Membership>>,
    /// The random source for ids and for the length of a writer's pauses.
    pub random: Random,
    /// The keys that tokens are derived from.
    pub secrets: Arc<Secrets>,
}

/// A command on its way, and where its answer goes.
pub(crate) struct Submission<R> {
    pub(crate) request: R,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// A handle that submits commands to a writer. Cheap to clone.
pub struct WriterHandle<R> {
    pub(super) inbox: mpsc::Sender<Submission<R>>,
    /// The epoch of this writer's claim while it counts, else 0.
    pub(super) leads: Arc<AtomicU64>,
    pub(super) stop: CancellationToken,
}

impl<R> Clone for WriterHandle<R> {
    fn clone(&self) -> Self {
        WriterHandle { inbox: self.inbox.clone(), leads: self.leads.clone(), stop: self.stop.clone() }
    }
}

/// How long after its deadline a command's answer may still come: the writer answers at the deadline by itself.
const GRACE: Duration = Duration::from_secs(2);

impl<R> WriterHandle<R> {
    /// The epoch of this very writer's claim, if that is the newest that counts. Another's, a former life's of this node
    /// too, does not make it the writer.
    pub fn leads(&self) -> Option<u64> {
        Some(self.leads.load(Ordering::Relaxed)).filter(|epoch| *epoch > 0)
    }

    /// Hands a command in and waits for what becomes of it, at most to its deadline.
    pub async fn submit(&self, request: R, deadline: Instant) -> Answer {
        let (reply, answer) = oneshot::channel();
        match self.inbox.try_send(Submission { request, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Answer::not_accepted(NotAccepted::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) if self.stop.is_cancelled() => {
                return Answer::not_accepted(NotAccepted::Stopping);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Answer::not_accepted(NotAccepted::Unreadable),
        }
        match tokio::time::timeout_at(deadline + GRACE, answer).await {
            Ok(Ok(answer)) => answer,
            // The writer's task has ended or hangs: the outcome is unknown.
            Ok(Err(_)) | Err(_) => Answer::Unknown,
        }
    }
}
