//! How far consumers have come, and their work that failed for good.

use uuid::Uuid;

use crate::{About, Fact, Reach, TeamId, Ts, avro::record};

record! {
    /// How far a consumer has come in a partition of `events` (topic `progress`: last one wins).
    pub struct ConsumerProgress {
        /// The consumer.
        pub consumer: String,
        /// The partition of `events`.
        pub partition: i32,
        /// Every event before this offset is settled: done, or a dead letter.
        pub offset: i64,
        /// The position of that offset, as this program has it.
        pub position: String,
        /// The offsets after it of events that are settled too.
        pub ahead: Vec<i64>,
        /// The consumer begins here. Of two of these the first one counts, and only if nothing was written before it.
        pub begins: bool,
        /// When, by the clock of the node that wrote it.
        pub at: Ts,
    }
}

impl Fact for ConsumerProgress {
    fn about(&self) -> About<'_> {
        About::Cluster
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn record_key(&self) -> Option<String> {
        Some(format!("{}/{}", self.consumer, self.partition))
    }
}

record! {
    /// Work of a consumer failed for good: a dead letter (topic `dead`). It names its event, from which the work follows
    /// again.
    pub struct WorkFailed {
        /// The consumer.
        pub consumer: String,
        /// The event that the work follows from.
        pub event_id: Uuid,
        /// Which of the event's pieces of work, from 0.
        pub number: i32,
        /// The event's team.
        pub team: TeamId,
        /// The event's partition of `events`.
        pub partition: i32,
        /// The event's offset.
        pub offset: i64,
        /// Tries, all of which failed.
        pub tries: i32,
        /// Why the last try failed, without people's text.
        pub why: String,
        /// When the work was given up, by the clock of the node that wrote it.
        pub at: Ts,
        /// True if the work is to be retried, by the node that runs the consumer on the partition.
        pub retried: bool,
    }
}

impl Fact for WorkFailed {
    fn about(&self) -> About<'_> {
        About::Cluster
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn record_key(&self) -> Option<String> {
        Some(format!("{}/{}/{}", self.consumer, self.event_id, self.number))
    }
}
