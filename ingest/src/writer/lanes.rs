//! Commands that wait, lane by lane, in turn.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    time::Duration,
};

use teamlog_schemas::UserId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Decider;
use crate::{Answer, NotAccepted};

/// A command of a writer with this decider that has no answer yet.
pub(super) type PendingOf<F> = Pending<<F as Decider>::Request, <F as Decider>::Facts>;

/// A command that has no answer yet.
pub(super) struct Pending<R, F> {
    pub(super) request: R,
    pub(super) actor: Option<UserId>,
    pub(super) deadline: Instant,
    /// `None` once the command was answered. For a record in flight that may be at its
    /// deadline, before the outcome is known.
    pub(super) reply: Option<oneshot::Sender<Answer>>,
    /// The facts that it needs, once they were read: as of all events written so far.
    pub(super) facts: Option<F>,
    /// True if an event of its key, from an earlier try, was seen in flight. Its outcome must then not be reported as "not
    /// accepted".
    pub(super) may_be_done: bool,
}

impl<R, F> Pending<R, F> {
    /// Answers "not accepted", or "unknown" if an earlier try may have executed.
    pub(super) fn turn_away(&mut self, why: NotAccepted) {
        self.answer(if self.may_be_done { Answer::Unknown } else { Answer::not_accepted(why) });
    }

    /// Whether its caller waits no more: the deadline expired, or the call was cancelled. A node that was paused must not
    /// execute a command that its caller has meanwhile sent to another node.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline <= now || self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        if let Some(reply) = self.reply.take() {
            // The caller may have been cancelled.
            let _ = reply.send(answer);
        }
    }
}

/// Where a lane's state is.
pub(super) enum Held<S> {
    Absent,
    Loading,
    Here(S),
}

/// The commands and the state of one lane.
pub(super) struct Lane<S, R, F> {
    pub(super) state: Held<S>,
    pub(super) queue: VecDeque<Pending<R, F>>,
    /// Commands whose facts are to be read, or are being read.
    pub(super) wanting: Vec<Pending<R, F>>,
    pub(super) reading: Vec<Pending<R, F>>,
    /// Actors whose earlier command waits for facts, and their later commands.
    pub(super) behind: HashMap<Option<UserId>, VecDeque<Pending<R, F>>>,
    pub(super) holding: HashSet<Option<UserId>>,
    /// Records in flight.
    pub(super) in_flight: usize,
    pub(super) used: Instant,
    pub(super) queued_turn: bool,
}

impl<S, R, F> Lane<S, R, F> {
    fn new() -> Self {
        Lane {
            state: Held::Absent,
            queue: VecDeque::new(),
            wanting: Vec::new(),
            reading: Vec::new(),
            behind: HashMap::new(),
            holding: HashSet::new(),
            in_flight: 0,
            used: Instant::now(),
            queued_turn: false,
        }
    }

    /// Returns the number of waiting commands, in all queues of the lane.
    pub(super) fn waiting(&self) -> usize {
        let behind: usize = self.behind.values().map(VecDeque::len).sum();
        self.queue.len() + self.wanting.len() + self.reading.len() + behind
    }

    /// Lets an actor's later commands go on, ahead of everybody else's.
    pub(super) fn release(&mut self, actor: Option<UserId>) {
        self.holding.remove(&actor);
        if let Some(behind) = self.behind.remove(&actor) {
            for pending in behind.into_iter().rev() {
                self.queue.push_front(pending);
            }
        }
    }

    /// Drops the state and moves every command back into the queue. The order of each actor's commands is kept.
    pub(super) fn reset(&mut self) {
        self.state = Held::Absent;
        let mut first: VecDeque<Pending<R, F>> = self.reading.drain(..).chain(self.wanting.drain(..)).collect();
        for (_, behind) in self.behind.drain() {
            first.extend(behind);
        }
        self.holding.clear();
        first.append(&mut self.queue);
        self.queue = first;
        for pending in &mut self.queue {
            pending.facts = None;
        }
    }

    /// Answers and drops the expired commands. Returns true if other commands can go on because of that.
    pub(super) fn expire(&mut self, now: Instant, why: NotAccepted) -> bool {
        let mut alive = |pending: &mut Pending<R, F>| {
            if pending.deadline > now {
                return true;
            }
            pending.turn_away(why);
            false
        };
        self.queue.retain_mut(&mut alive);
        let mut released = Vec::new();
        self.wanting.retain_mut(|pending| {
            let stays = alive(pending);
            if !stays {
                released.push(pending.actor);
            }
            stays
        });
        self.behind.values_mut().for_each(|behind| behind.retain_mut(&mut alive));
        // Commands whose facts are being read keep their place, for the facts arrive in that order.
        for pending in &mut self.reading {
            alive(pending);
        }
        for actor in &released {
            self.release(*actor);
        }
        !released.is_empty()
    }
}

/// All lanes of a partition, and the order of their turns.
pub(super) struct Lanes<L, S, R, F> {
    lanes: HashMap<L, Lane<S, R, F>>,
    turns: VecDeque<L>,
}

/// Commands that one lane may have decided before the next one's turn.
pub(super) const QUANTUM: usize = 16;
/// How long the state of a lane with nothing to do is kept.
const IDLE: Duration = Duration::from_secs(60);

impl<L: Copy + Eq + Hash, S, R, F> Lanes<L, S, R, F> {
    pub(super) fn new() -> Self {
        Lanes { lanes: HashMap::new(), turns: VecDeque::new() }
    }

    pub(super) fn lane(&mut self, lane: L) -> &mut Lane<S, R, F> {
        self.lanes.entry(lane).or_insert_with(Lane::new)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (L, &mut Lane<S, R, F>)> {
        self.lanes.iter_mut().map(|(lane, it)| (*lane, it))
    }

    pub(super) fn waiting(&self) -> usize {
        self.lanes.values().map(Lane::waiting).sum()
    }

    /// Gives a lane a turn, if it has none yet.
    pub(super) fn wake(&mut self, lane: L) {
        let it = self.lanes.entry(lane).or_insert_with(Lane::new);
        if !std::mem::replace(&mut it.queued_turn, true) {
            self.turns.push_back(lane);
        }
    }

    /// Returns the lane whose turn it is, and removes it from the turns.
    pub(super) fn next_turn(&mut self) -> Option<L> {
        let lane = self.turns.pop_front()?;
        self.lane(lane).queued_turn = false;
        Some(lane)
    }

    /// Starts over: every state is gone, every command waits for its lane's state again.
    pub(super) fn reset(&mut self) {
        let all: Vec<L> = self.lanes.keys().copied().collect();
        for lane in all {
            self.lane(lane).reset();
            self.lane(lane).in_flight = 0;
            self.wake(lane);
        }
    }

    /// Forgets lanes that have had nothing to do for a while.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        self.lanes.retain(|_, lane| {
            lane.in_flight > 0
                || lane.queued_turn
                || lane.waiting() > 0
                || matches!(lane.state, Held::Loading)
                || now.duration_since(lane.used) < IDLE
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(actor: &str, deadline: Instant) -> (Pending<(), ()>, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        let actor = Some(actor.parse().unwrap());
        (Pending { request: (), actor, deadline, reply: Some(reply), facts: None, may_be_done: false }, answer)
    }

    #[test]
    fn who_gave_up_waiting_for_facts_holds_up_nobody() {
        let (now, mut lane) = (Instant::now(), Lane::<(), (), ()>::new());
        let (first, mut answer) = pending("U1", now);
        let (second, _later) = pending("U1", now + IDLE);
        lane.holding.insert(first.actor);
        lane.behind.entry(first.actor).or_default().push_back(second);
        lane.wanting.push(first);
        assert!(lane.expire(now, NotAccepted::Late));
        assert!(matches!(answer.try_recv(), Ok(Answer::NotAccepted { .. })));
        assert!(lane.holding.is_empty() && lane.behind.is_empty() && lane.wanting.is_empty());
        assert_eq!(lane.queue.len(), 1, "the second one takes its turn");
        assert!(!lane.expire(now, NotAccepted::Late));
    }

    #[test]
    fn a_repeat_of_what_was_seen_in_flight_is_never_called_not_done() {
        let (now, mut lane) = (Instant::now(), Lane::<(), _, _>::new());
        let ((first, mut of_first), (mut repeat, mut of_repeat)) = (pending("U1", now), pending("U2", now));
        repeat.may_be_done = true;
        lane.queue.extend([first, repeat]);
        lane.expire(now, NotAccepted::LogAway);
        assert!(matches!(of_first.try_recv(), Ok(Answer::NotAccepted { .. })));
        assert!(matches!(of_repeat.try_recv(), Ok(Answer::Unknown)));
    }
}
