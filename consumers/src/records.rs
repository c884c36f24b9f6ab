//! `Records`: what a consumer has in the log about one partition, its position and its dead letters. A write that fails is
//! tried again until it is in the log.

use std::{collections::HashSet, time::Duration};

use teamlog_log::{LogError, Offset, Partition};
use teamlog_schemas::{Event, Ts};
use tokio::{sync::watch, task::JoinSet};
use tracing::warn;

use crate::{
    JobId, Letter,
    ledger::{Ledger, LedgerError, Progress},
    letter::LETTERS_MAX,
};

/// Before a failed write to the log is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// Dead letters that are tried again at one time in a partition. The others wait in the log.
const REVIVED_MAX: usize = 16;

/// The outcome of a write to the log, or of a read from it that bypasses the feed.
enum Answered {
    Advanced(Progress, Result<(), LedgerError>),
    /// With the event whose work is settled by it; none if the work was a dead letter before.
    Buried(Option<Offset>, Letter, Result<(), LogError>),
    Removed(Letter, Result<(), LogError>),
    Fetched(Letter, Result<Option<Box<Event>>, LogError>),
}

/// An outcome from which something follows for the consumer.
pub(crate) enum Recorded {
    /// The dead letter of a piece of this event's work is in the log.
    Buried(Offset),
    /// A dead letter is to be tried again, with its event; none if the log does not have it any more.
    Fetched(Letter, Option<Box<Event>>),
}

/// The records of one consumer about one partition.
pub(crate) struct Records {
    consumer: &'static str,
    ledger: Ledger,
    partition: Partition,
    under_way: JoinSet<Answered>,
    /// The newest position that is known to be in the log.
    written: Option<Progress>,
    is_writing: bool,
    is_failing: bool,
    /// Dead letters that are tried again here, or dropped.
    taken: HashSet<JobId>,
}

impl Records {
    /// Takes the position that is known to be in the log; none if there may be another one.
    pub(crate) fn new(consumer: &'static str, ledger: Ledger, partition: Partition, written: Option<Progress>) -> Self {
        let (under_way, taken) = (JoinSet::new(), HashSet::new());
        Records { consumer, ledger, partition, under_way, written, is_writing: false, is_failing: false, taken }
    }

    /// Returns a receiver that is notified when dead letters are to be tried again.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.ledger.changed()
    }

    /// Returns the next outcome from which something follows; none if nothing is under way. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Recorded> {
        loop {
            let answered = self.under_way.join_next().await?;
            if let Some(recorded) = answered.ok().and_then(|answered| self.on_answered(answered)) {
                return Some(recorded);
            }
        }
    }

    fn on_answered(&mut self, answered: Answered) -> Option<Recorded> {
        match answered {
            Answered::Advanced(progress, Ok(())) => {
                self.is_writing = false;
                self.is_failing = false;
                self.written = Some(progress);
            }
            Answered::Advanced(_, Err(why)) => {
                self.is_writing = false;
                self.complain(&why);
            }
            Answered::Buried(settles, letter, Ok(())) => {
                self.taken.remove(&letter.id);
                return settles.map(Recorded::Buried);
            }
            Answered::Buried(settles, letter, Err(why)) => {
                self.complain(&why);
                self.bury(settles, letter);
            }
            Answered::Removed(letter, Ok(())) => {
                self.taken.remove(&letter.id);
            }
            Answered::Removed(letter, Err(why)) => {
                self.complain(&why);
                self.remove(letter);
            }
            Answered::Fetched(letter, Ok(event)) => return Some(Recorded::Fetched(letter, event)),
            Answered::Fetched(letter, Err(why)) => {
                self.complain(&why);
                self.fetch(letter);
            }
        }
        None
    }

    /// Warns once that the log takes nothing.
    fn complain(&mut self, why: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let (kind, partition) = (self.consumer, self.partition);
            warn!(kind, %partition, %why, "a consumer's progress does not come into the log");
        }
    }

    /// Begins to write a position, if it is news and no other one is being written.
    pub(crate) fn advance(&mut self, progress: Progress, now: Ts) {
        if self.is_writing || self.written.as_ref() == Some(&progress) {
            return;
        }
        self.is_writing = true;
        let (consumer, ledger, partition) = (self.consumer, self.ledger.clone(), self.partition);
        self.under_way.spawn(async move {
            let advanced = ledger.advance(consumer, partition, &progress, now).await;
            Answered::Advanced(progress, advanced)
        });
    }

    /// Writes the last position, if it is news. What fails is not tried again.
    pub(crate) async fn close(&mut self, progress: &Progress, now: Ts) {
        if self.written.as_ref() != Some(progress) {
            let _ = self.ledger.advance(self.consumer, self.partition, progress, now).await;
        }
    }

    /// Returns true if work is a dead letter.
    pub(crate) fn is_dead(&self, id: &JobId) -> bool {
        self.ledger.letter_in(self.partition, id).is_some()
    }

    /// Returns how many dead letters there are.
    pub(crate) fn dead(&self) -> usize {
        self.ledger.count(self.consumer, self.partition)
    }

    /// Writes a dead letter. The event that it settles comes out of [`Records::next`] once the letter is in the log.
    pub(crate) fn bury(&mut self, settles: Option<Offset>, letter: Letter) {
        let ledger = self.ledger.clone();
        self.under_way.spawn(async move {
            let put = ledger.put(&letter).await;
            pause_after(&put).await;
            Answered::Buried(settles, letter, put)
        });
    }

    /// Removes the dead letter of work that was tried again and is done.
    pub(crate) fn done_again(&mut self, id: &JobId) {
        match self.ledger.letter_in(self.partition, id) {
            Some(letter) => self.remove(letter),
            None => {
                self.taken.remove(id);
            }
        }
    }

    fn remove(&mut self, letter: Letter) {
        let ledger = self.ledger.clone();
        self.under_way.spawn(async move {
            let removed = ledger.remove(&letter).await;
            pause_after(&removed).await;
            Answered::Removed(letter, removed)
        });
    }

    /// Fetches the events of dead letters that are to be tried again. They come out of [`Records::next`].
    pub(crate) fn revive(&mut self) {
        for letter in self.ledger.retried(self.consumer, self.partition) {
            if self.taken.len() >= REVIVED_MAX {
                return;
            }
            if self.taken.insert(letter.id.clone()) {
                self.fetch(letter);
            }
        }
    }

    fn fetch(&mut self, letter: Letter) {
        let ledger = self.ledger.clone();
        self.under_way.spawn(async move {
            let fetched = ledger.event_of(&letter).await.map(|event| event.map(Box::new));
            pause_after(&fetched).await;
            Answered::Fetched(letter, fetched)
        });
    }

    /// Drops dead letters that were kept for long enough, and the oldest where there are too many.
    pub(crate) fn expire(&mut self, now: Ts) {
        let letters = self.ledger.letters_in(self.consumer, self.partition);
        let too_many = letters.len().saturating_sub(LETTERS_MAX);
        for (place, letter) in letters.into_iter().enumerate() {
            if (place < too_many || letter.is_over(now)) && self.taken.insert(letter.id.clone()) {
                metrics::counter!("teamlog_jobs_dead_dropped_total", "kind" => self.consumer).increment(1);
                warn!(job = %letter.id, "a dead letter is dropped: it is too old, or there are too many");
                self.remove(letter);
            }
        }
    }
}

async fn pause_after<T>(outcome: &Result<T, LogError>) {
    if outcome.is_err() {
        tokio::time::sleep(WRITE_AGAIN).await;
    }
}
