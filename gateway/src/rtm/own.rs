//! The messages that came over a socket: in flight, answered in the order in which they came, and read back from the log.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use serde_json::Value;
use teamlog_ingest::{Answer, NotAccepted};
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

/// Messages of one socket that are in flight. Past it, no more frames are read from the socket.
const UNDER_WAY_MAX: usize = 64;

/// A message whose answer has not been sent.
pub(super) struct Unanswered {
    /// The client's number for it.
    pub(super) id: Option<Value>,
    pub(super) text: String,
}

/// A message's name, and the writer's answer to it.
pub(super) type Outcome = (String, Answer);

/// The messages of one socket.
#[derive(Default)]
pub(super) struct OwnMessages {
    /// The messages that were not answered yet, by name. The name is the `client_msg_id` in the log, or a fresh one if
    /// another message in flight has the same.
    unanswered: HashMap<String, Unanswered>,
    /// The names of messages that were not read back from the log yet.
    unread: HashSet<String>,
    under_way: FuturesOrdered<BoxFuture<'static, Outcome>>,
    /// Set if the writers do not keep the order of commands in flight. Then one message of this socket is in flight at a
    /// time, and the others wait here. The lock is fair.
    turns: Option<Arc<Mutex<()>>>,
}

impl OwnMessages {
    /// Takes whether the writers keep the order of commands in flight.
    pub(super) fn new(in_order: bool) -> OwnMessages {
        OwnMessages { turns: (!in_order).then(Arc::default), ..OwnMessages::default() }
    }

    /// Returns true if another message may be submitted.
    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < UNDER_WAY_MAX
    }

    /// Returns true if all messages are answered, and those in the log were read back.
    pub(super) fn are_settled(&self) -> bool {
        self.under_way.is_empty() && self.unread.is_empty()
    }

    /// Submits a message. It is submitted, or queued, before this returns: so messages are decided in the order in which
    /// they came.
    pub(super) fn submit(
        &mut self,
        client_msg_id: &str,
        message: Unanswered,
        deadline: Instant,
        answer: impl Future<Output = Answer> + Send + 'static,
    ) {
        let is_taken = self.unanswered.contains_key(client_msg_id);
        let name = if is_taken { Uuid::new_v4().to_string() } else { client_msg_id.to_owned() };
        self.unanswered.insert(name.clone(), message);
        self.unread.insert(name.clone());
        let turns = self.turns.clone();
        let mut outcome = async move {
            let Some(turns) = turns else { return (name, answer.await) };
            let _turn = turns.lock().await;
            let is_late = Instant::now() >= deadline;
            (name, if is_late { Answer::not_accepted(NotAccepted::Late) } else { answer.await })
        }
        .boxed();
        match (&mut outcome).now_or_never() {
            Some(outcome) => self.under_way.push_back(futures::future::ready(outcome).boxed()),
            None => self.under_way.push_back(outcome),
        }
    }

    /// Returns the next outcome, in the order of the messages; waits without end while none is in flight. Cancel safe.
    pub(super) async fn outcome(&mut self) -> Outcome {
        match self.under_way.next().await {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    /// Takes a message out whose answer came; none if it was answered when it was read back from the log.
    pub(super) fn answered(&mut self, name: &str, answer: &Answer) -> Option<Unanswered> {
        let message = self.unanswered.remove(name);
        let will_be_read = matches!(answer, Answer::Acked(acked) if !acked.repeated) && message.is_some();
        if !will_be_read {
            self.unread.remove(name);
        }
        message
    }

    /// Takes a message out that was read back from the log: whether it came over this socket, and the message if it is
    /// still to be answered.
    pub(super) fn read_back(&mut self, client_msg_id: &str) -> (bool, Option<Unanswered>) {
        (self.unread.remove(client_msg_id), self.unanswered.remove(client_msg_id))
    }

    /// Waits for the outcomes of all messages.
    pub(super) async fn finish(&mut self) {
        self.under_way.by_ref().for_each(|_| async {}).await;
    }
}
