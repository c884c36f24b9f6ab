//! A dead letter: work that failed for good, as the topic `dead` holds it until somebody retries or drops it.

use std::{cmp::Ordering, time::Duration};

use teamlog_log::{Offset, Partition};
use teamlog_schemas::{Event, TeamId, Ts, WorkFailed};

use crate::JobId;

/// Dead letters of one kind in one partition. At the bound the one that failed first is dropped: what fails without end must
/// fill neither the log nor the memory of whoever lists it.
pub(crate) const LETTERS_MAX: usize = 1_000;
/// How long a dead letter is kept.
pub(crate) const LETTER_KEPT: Duration = Duration::from_secs(14 * 24 * 3_600);
/// The most characters of a reason: what a receiver answers may be long.
const WHY_CHARS_MAX: usize = 500;
/// Half of what keys are remembered for, in microseconds. Past it a command that an earlier try did hand in may be forgotten.
const KEY_SURE_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// Work that failed for good. It names its event and not what is to be done: that follows from the event again, and no
/// text of people lies in a second place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its name.
    pub id: JobId,
    /// The event's team.
    pub team: TeamId,
    /// The event's partition of `events`.
    pub partition: Partition,
    /// The event's offset.
    pub offset: Offset,
    /// Tries, all of which failed.
    pub tries: u32,
    /// Why the last one failed.
    pub why: String,
    /// When the work was given up last.
    pub failed_at: Ts,
    /// True if the work is to be retried.
    pub is_retried: bool,
}

impl Letter {
    /// Reads a record of `dead`; none of one that no program of this kind wrote.
    pub(crate) fn of(record: &WorkFailed) -> Option<Letter> {
        let number = u32::try_from(record.number).ok()?;
        Some(Letter {
            id: JobId { consumer: record.consumer.clone(), event_id: record.event_id, number },
            team: record.team,
            partition: Partition(u32::try_from(record.partition).ok()?),
            offset: Offset(u64::try_from(record.offset).ok()?),
            tries: u32::try_from(record.tries).ok()?,
            why: record.why.clone(),
            failed_at: record.at,
            is_retried: record.retried,
        })
    }

    /// Makes its record of `dead`.
    pub(crate) fn record(&self) -> Event {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let failed = WorkFailed {
            consumer: self.id.consumer.clone(),
            event_id: self.id.event_id,
            number: number(self.id.number),
            team: self.team,
            partition: number(self.partition.0),
            offset: i64::try_from(self.offset.0).unwrap_or(i64::MAX),
            tries: number(self.tries),
            why: shortened(&self.why),
            at: self.failed_at,
            retried: self.is_retried,
        };
        failed.into()
    }

    /// Whether keys that its tries used may be forgotten by now: what it hands in again may happen a second time.
    pub fn may_repeat(&self, now: Ts) -> bool {
        now.micros() - self.failed_at.micros() > KEY_SURE_MICROS
    }

    /// Whether it was kept for as long as dead letters are.
    pub(crate) fn is_over(&self, now: Ts) -> bool {
        let age = now.micros() - self.failed_at.micros();
        u64::try_from(age).is_ok_and(|age| Duration::from_micros(age) > LETTER_KEPT)
    }

    /// The order in which they failed.
    pub(crate) fn by_age(&self, other: &Letter) -> Ordering {
        (self.failed_at, &self.id).cmp(&(other.failed_at, &other.id))
    }
}

fn shortened(why: &str) -> String {
    match why.char_indices().nth(WHY_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &why[..end]),
        None => why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_letter_survives_and_its_reason_is_bounded() {
        let letter = Letter {
            id: JobId { consumer: "unfurl".to_owned(), event_id: Uuid::from_u128(7), number: 3 },
            team: TeamId::random('T', 1),
            partition: Partition(2),
            offset: Offset(1 << 40),
            tries: 10,
            why: "ü".repeat(10_000),
            failed_at: Ts::from_micros(1_000_000),
            is_retried: true,
        };
        assert_eq!(letter.record().record_key(), Some(letter.id.to_string()), "it is found by its key again");
        let Event::WorkFailed(record) = Event::decode(&letter.record().encode().unwrap()).unwrap() else { panic!() };
        let read = Letter::of(&record).unwrap();
        assert_eq!(read.why.chars().count(), WHY_CHARS_MAX + 3);
        assert_eq!(Letter { why: read.why.clone(), ..letter }, read);
        assert_eq!(Letter::of(&WorkFailed { number: -1, ..record.clone() }), None);
        assert_eq!(Letter::of(&WorkFailed { offset: -1, ..record }), None);
    }
}
