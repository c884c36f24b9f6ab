//! The trait that every consumer implements, and what one piece of its work is.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use teamlog_log::{Offset, Partition};
use teamlog_schemas::{Event, TeamId};
use uuid::Uuid;

use crate::{RetryPolicy, World};

/// Follows the log and acts on the world. Everything but these functions is the runner's: placement, positions, turns,
/// retries, dead letters, metrics.
///
/// A piece of work is run at least once. After a crash or a take-over it may be run again, and two processes may run it at
/// one time while they disagree about placement. What is handed in by [`World::submit`] happens once all the same; whatever
/// else it does must bear to be done again, or carry [`Job::key`] for the receiver to see that it is.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// The name of its kind: in keys, in `progress`, in metrics. Lower case letters and hyphens. It never changes.
    const NAME: &'static str;
    /// One piece of work.
    type Work: Send + Sync + 'static;

    /// Returns the work that follows from an event, in an order that never changes: a piece is known by its number.
    /// Pure. Most events give none.
    fn work(&self, event: &Event) -> Vec<Self::Work>;

    /// Carries out one piece of work. Dropped where it takes longer than [`JobBudget::run_max`].
    async fn run(&self, world: &World, job: &Job<Self::Work>) -> JobEnd;

    /// Returns its bounds.
    fn budget(&self) -> JobBudget {
        JobBudget::default()
    }
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It is done, or there is nothing to do any more.
    Done,
    /// It may succeed later.
    Again {
        /// For the operator, if no try succeeds. Without people's text and secrets: it is written to the log.
        why: String,
        /// The wait that the receiver asked for.
        wait: Option<Duration>,
    },
    /// It cannot succeed: it becomes a dead letter without another try. The reason is as for `Again`.
    Never(String),
}

impl JobEnd {
    /// It may succeed later.
    pub fn again(why: impl fmt::Display) -> JobEnd {
        JobEnd::Again { why: why.to_string(), wait: None }
    }
}

/// The bounds of one kind of consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobBudget {
    /// Pieces of work that run at one time in this process.
    pub in_flight_max: usize,
    /// Of one team.
    pub team_in_flight_max: usize,
    /// Pieces of one team that wait in memory for their turn. What comes after them is read again later.
    pub team_waiting_max: usize,
    /// Events of one partition whose work is not settled. At the bound no more are read.
    pub open_max: usize,
    /// Pieces in one partition that wait for another try. At the bound the team with the most gives up its oldest, which
    /// becomes a dead letter: well below `open_max`, so that work which fails never stops work that does not.
    pub held_max: usize,
    /// The longest time that a try may take.
    pub run_max: Duration,
    /// When what failed is tried again.
    pub retry: RetryPolicy,
}

impl Default for JobBudget {
    /// For work that waits for other servers: many at a time, of one team few.
    fn default() -> Self {
        JobBudget {
            in_flight_max: 64,
            team_in_flight_max: 8,
            team_waiting_max: 64,
            open_max: 4_096,
            held_max: 1_024,
            run_max: Duration::from_secs(60),
            retry: RetryPolicy::default(),
        }
    }
}

/// One piece of work, and the event that it follows from.
#[derive(Debug)]
pub struct Job<W> {
    /// Its name.
    pub id: JobId,
    /// The event's team.
    pub team: TeamId,
    /// The event's partition of `events`.
    pub partition: Partition,
    /// The event's offset.
    pub offset: Offset,
    /// What is to be done.
    pub work: W,
    /// Tries that failed before, those before it became a dead letter included.
    pub(crate) tries: u32,
    /// When the first of them failed, in this process and since it was taken up.
    pub(crate) failing_since: Option<tokio::time::Instant>,
    /// Tries that failed since it was taken up.
    pub(crate) failures: u32,
    /// It was a dead letter, and does not hold back the position.
    pub(crate) is_revived: bool,
}

impl<W> Job<W> {
    /// The key under which its command is handed in, and by which a receiver outside may tell a repeat.
    pub fn key(&self) -> String {
        self.id.to_string()
    }

    /// Tries that failed before.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    pub(crate) fn place(&self) -> crate::held::Place {
        (self.offset, self.id.number, self.is_revived)
    }
}

/// The name of a piece of work: `<consumer>/<event id>/<number>`. It is the same in every process and after every restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId {
    /// The consumer.
    pub consumer: String,
    /// The event that the work follows from.
    pub event_id: Uuid,
    /// Which of the event's pieces of work.
    pub number: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.consumer, self.event_id, self.number)
    }
}

impl std::str::FromStr for JobId {
    type Err = NotAJob;

    fn from_str(text: &str) -> Result<JobId, NotAJob> {
        let mut parts = text.split('/');
        let (Some(consumer), Some(event), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAJob);
        };
        let event_id = Uuid::try_parse(event).map_err(|_| NotAJob)?;
        let number = number.parse().map_err(|_| NotAJob)?;
        let id = JobId { consumer: consumer.to_owned(), event_id, number };
        // One text for each job: a key of the log is compared byte for byte.
        if consumer.is_empty() || id.to_string() != text { Err(NotAJob) } else { Ok(id) }
    }
}

/// A text that names no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no job: <consumer>/<event id>/<number>")]
pub struct NotAJob;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_one_name() {
        let text = "unfurl/01920000-0000-7000-8000-000000000001/0";
        let id: JobId = text.parse().unwrap();
        assert_eq!((id.to_string().as_str(), id.number), (text, 0));
        for wrong in [
            "",
            "unfurl",
            "unfurl/x/0",
            "unfurl/01920000-0000-7000-8000-000000000001",
            "/01920000-0000-7000-8000-000000000001/0",
        ] {
            assert_eq!(wrong.parse::<JobId>(), Err(NotAJob), "{wrong}");
        }
        for wrong in ["/", "/1", "0", " "] {
            assert_eq!(format!("{text}{wrong}").parse::<JobId>(), Err(NotAJob), "{wrong}");
        }
        let other = text.replace("01920000", "0192ABCD");
        assert_eq!(other.parse::<JobId>(), Err(NotAJob), "another spelling would be another key");
        assert_eq!(text.replace("/0", "/+0").parse::<JobId>(), Err(NotAJob));
    }
}
