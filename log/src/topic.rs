//! The topics of the log: the only list of them, with the properties of each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How long a topic's records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All records, for ever.
    ForEver,
    /// The newest record of each key, until a tombstone.
    Newest,
    /// As [`Kept::Newest`], for a topic whose records are mostly superseded within seconds. Superseded records are removed
    /// within hours, so that the topic stays short to read from its beginning.
    NewestSoon,
    /// The newest record of each key, for an hour, stamped by the broker.
    Beats,
}

macro_rules! topics {
    ($($(#[$doc:meta])* $topic:ident = $code:literal, $name:literal, fenced: $fenced:literal, partitioned: $partitioned:literal,
        kept: $kept:ident;)*) => {
        /// A topic of the log. The name on the broker is the configured prefix plus [`Topic::name`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Topic { $($(#[$doc])* $topic),* }

        impl Topic {
            /// Every topic, in the order in which they are created.
            pub const ALL: [Topic; [$(Topic::$topic),*].len()] = [$(Topic::$topic),*];

            /// The name without the prefix.
            pub const fn name(self) -> &'static str {
                match self { $(Topic::$topic => $name),* }
            }

            /// Whether its records pass the [fence](crate::Fence). In the other topics every record counts, in log order.
            pub const fn fenced(self) -> bool {
                match self { $(Topic::$topic => $fenced),* }
            }

            /// Whether it has as many partitions as `events` (otherwise one).
            pub const fn partitioned(self) -> bool {
                match self { $(Topic::$topic => $partitioned),* }
            }

            /// How long its records are kept.
            pub const fn kept(self) -> Kept {
                match self { $(Topic::$topic => Kept::$kept),* }
            }

            /// Its number in the embedded engine's file. It never changes.
            pub(crate) const fn code(self) -> i64 {
                match self { $(Topic::$topic => $code),* }
            }
        }
    };
}

// A new topic is one entry here, with the next free number, and a row in ARCHITECTURE.md.
topics! {
    /// Every fact about every team, keyed by team id.
    Events = 0, "events", fenced: true, partitioned: true, kept: ForEver;
    /// The teams and their domains.
    Directory = 1, "directory", fenced: true, partitioned: false, kept: ForEver;
    /// Read marks, keyed by team, user and conversation.
    Marks = 2, "marks", fenced: false, partitioned: true, kept: Newest;
    /// Sealed password hashes, keyed by team, user and their id.
    Credentials = 3, "credentials", fenced: false, partitioned: true, kept: Newest;
    /// Heartbeats of live nodes, keyed by node.
    Nodes = 4, "nodes", fenced: false, partitioned: false, kept: Beats;
    /// The position of each consumer, keyed by consumer and partition.
    Progress = 5, "progress", fenced: false, partitioned: true, kept: NewestSoon;
    /// Work that failed for good, keyed by consumer, event and number.
    Dead = 6, "dead", fenced: false, partitioned: true, kept: NewestSoon;
}

impl Topic {
    /// Whether only the newest record of a key is kept.
    pub const fn compacted(self) -> bool {
        !matches!(self.kept(), Kept::ForEver)
    }

    /// The number of its partitions if `events` has `events` partitions.
    pub const fn partitions(self, events: u32) -> u32 {
        if self.partitioned() { events } else { 1 }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_never_change() {
        assert_eq!(Topic::ALL.map(Topic::code), [0, 1, 2, 3, 4, 5, 6], "the files that there are have these");
        let names: BTreeSet<_> = Topic::ALL.map(Topic::name).into();
        assert_eq!(names.len(), Topic::ALL.len());
    }

    #[test]
    fn what_the_fence_judges_is_kept_whole() {
        assert!(Topic::ALL.iter().all(|topic| topic.fenced() != topic.compacted()), "compaction would drop claims");
    }
}
