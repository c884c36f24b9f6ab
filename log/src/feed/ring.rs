//! The recent entries of one partition, bounded in bytes.

use std::{collections::VecDeque, sync::Arc};

use super::{Entry, FeedError};
use crate::{Offset, Position};

/// The newest entries of a partition, without a hole, and the positions at both ends.
pub(super) struct Ring<E> {
    /// The position before the oldest entry.
    start: Position,
    /// The position after the newest one.
    end: Position,
    entries: VecDeque<Arc<Entry<E>>>,
    bytes: usize,
    bytes_max: usize,
    /// Set once the partition is not read any further.
    pub(super) stopped: Option<FeedError>,
}

/// The result of a read at a position.
pub(super) enum Found<E> {
    /// The entries from the position on; empty at the end of the ring.
    Entries(Vec<Arc<Entry<E>>>),
    /// The position is before the ring's start.
    FellOut,
    /// The position is after the ring's end.
    Ahead,
    /// The position is of another history than the ring.
    Rewritten,
}

impl<E> Ring<E> {
    pub(super) fn new(start: Position, bytes_max: usize) -> Ring<E> {
        Ring { start, end: start, entries: VecDeque::new(), bytes: 0, bytes_max, stopped: None }
    }

    pub(super) fn start(&self) -> Position {
        self.start
    }

    pub(super) fn end(&self) -> Position {
        self.end
    }

    pub(super) fn push(&mut self, entry: Arc<Entry<E>>) {
        self.end = entry.after;
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        // The newest entry stays even if it alone is larger than the bound: readers wait for it.
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.cost();
                self.start = oldest.after;
            }
        }
    }

    /// Reads at most `max` entries from `from` on.
    pub(super) fn read(&self, from: &Position, max: usize) -> Found<E> {
        if from.offset < self.start.offset {
            return Found::FellOut;
        }
        if from.offset > self.end.offset {
            return Found::Ahead;
        }
        let first = self.entries.partition_point(|entry| entry.offset < from.offset);
        let here = if first == 0 { self.start } else { self.entries[first - 1].after };
        // In a topic with holes a position may be inside a hole. Such a topic is not fenced, so there is nothing to compare.
        if from.offset == here.offset && *from != here {
            return Found::Rewritten;
        }
        Found::Entries(self.entries.range(first..).take(max).cloned().collect())
    }

    /// The offset after the newest entry.
    pub(super) fn end_offset(&self) -> Offset {
        self.end.offset
    }
}
