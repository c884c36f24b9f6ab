//! A piece of work: its name, the event that it follows from, and how a try of it ends.

use std::{fmt, time::Duration};

use teamlog_log::{Offset, Partition};
use teamlog_schemas::TeamId;
use tokio::time::Instant;
use uuid::Uuid;

use crate::held::Place;

/// A piece of work, with the event that it follows from.
#[derive(Debug)]
pub struct Job<W> {
    /// The name of the job.
    pub id: JobId,
    /// The event's team.
    pub team: TeamId,
    /// The event's partition of `events`.
    pub partition: Partition,
    /// The event's offset.
    pub offset: Offset,
    /// The work to do.
    pub work: W,
    /// The number of failed tries, including those before the job became a dead letter.
    pub(crate) tries: u32,
    /// When the first of them failed, in this process and since it was taken up.
    pub(crate) failing_since: Option<Instant>,
    /// Tries that failed since it was taken up.
    pub(crate) failures: u32,
    /// True if the job was a dead letter. Such a job does not hold back the position.
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

    pub(crate) fn place(&self) -> Place {
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

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// The work is done, or is no longer needed.
    Done,
    /// The try failed, and a later one may succeed.
    Again {
        /// For the operator, if no try succeeds. Without people's text and secrets: it is written to the log.
        why: String,
        /// The wait that the receiver asked for.
        wait: Option<Duration>,
    },
    /// The work cannot succeed: it becomes a dead letter without another try. The reason is as for `Again`.
    Never(String),
}

impl JobEnd {
    /// Returns [`JobEnd::Again`] for this reason, without a wait.
    pub fn again(why: impl fmt::Display) -> JobEnd {
        JobEnd::Again { why: why.to_string(), wait: None }
    }
}

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
