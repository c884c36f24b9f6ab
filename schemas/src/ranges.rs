//! The ranges of schema ids, by area.

/// A range of ids that is reserved for the schemas of one area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id.
    pub first: u32,
    /// The last one, inclusive.
    pub last: u32,
    /// The area, including schemas that do not exist yet.
    pub area: &'static str,
}

const fn range(first: u32, last: u32, area: &'static str) -> IdRange {
    IdRange { first, last, area }
}

/// Ids are for ever: records that carry them lie in logs. A new event, and a new version of an old one, take the next
/// free id of their area's range. What is above the last range is free.
pub const ID_RANGES: &[IdRange] = &[
    range(1, 9, "the log's own records"),
    range(10, 19, "the cluster: directory, nodes"),
    range(20, 49, "teams, people, tokens; user groups, profiles, preferences"),
    range(50, 79, "conversations"),
    range(80, 119, "messages; scheduled ones, bookmarks"),
    range(120, 149, "reactions; pins, stars, emoji"),
    range(150, 179, "files"),
    range(180, 199, "marks, credentials; keys of erasure"),
    range(200, 209, "consumers: how far they have come, work that failed"),
];
