//! How far a consumer has come in a partition: the low-water mark, and what is settled after it. Pure.
//!
//! ```text
//!   offset     10    11    12    13    14    15    16    17
//!            +-----+-----+-----+-----+-----+-----+-----+
//!            |  .  |  s  |  o  |  .  |  s  |  o  |  s  |        s: settled, o: open, .: no work
//!            +-----+-----+-----+-----+-----+-----+-----+
//!                        ^                             ^
//!                        the mark (12): every          read (17): every event before it was looked at
//!                        event before it is settled;
//!                        ahead of it: 14, 16
//! ```
//!
//! The mark and what is ahead of it are what `progress` holds. Both only ever say what is true for good (an event that is
//! settled stays settled), so a record of them may be lost, late or written by a process that was replaced: whoever goes on
//! from it repeats work and leaves out none.

use std::collections::{BTreeMap, BTreeSet};

use teamlog_log::{Offset, Position};
use teamlog_schemas::{TeamId, Ts};

/// Settled events that are remembered ahead of the mark. Past it the latest are forgotten, and done again by whoever goes on
/// from here: a record of `progress` stays within some 40 KB.
pub(crate) const AHEAD_MAX: usize = 4_096;

/// The low-water mark of one consumer in one partition.
#[derive(Debug)]
pub(crate) struct Watermark {
    /// Events with work that is not settled.
    open: BTreeMap<Offset, Open>,
    /// Events after the mark whose work is settled.
    ahead: BTreeSet<Offset>,
    /// Every event before it was looked at.
    read: Position,
    /// Teams whose later events are left to be read again, each with the position from which.
    parked: BTreeMap<TeamId, Position>,
}

#[derive(Debug)]
struct Open {
    /// The position whose next event it is.
    before: Position,
    /// When it happened.
    at: Ts,
    /// Pieces of work that are not settled.
    left: usize,
}

impl Watermark {
    /// Goes on from what was written, with what is settled after it.
    pub(crate) fn resume(mark: Position, ahead: impl IntoIterator<Item = Offset>) -> Watermark {
        Watermark {
            open: BTreeMap::new(),
            ahead: ahead.into_iter().filter(|offset| *offset >= mark.offset).collect(),
            read: mark,
            parked: BTreeMap::new(),
        }
    }

    /// Every event before `position` was looked at: what they ask for is open or parked.
    pub(crate) fn read_to(&mut self, position: Position) {
        self.read = position;
        self.trim();
    }

    /// Where reading goes on.
    pub(crate) const fn read(&self) -> Position {
        self.read
    }

    /// Whether the event at an offset was settled before.
    pub(crate) fn is_settled(&self, offset: Offset) -> bool {
        self.ahead.contains(&offset)
    }

    /// Opens an event of that time with `work` pieces of work; `before` is the position whose next event it is.
    pub(crate) fn open(&mut self, before: Position, offset: Offset, at: Ts, work: usize) {
        if work > 0 {
            self.open.insert(offset, Open { before, at, left: work });
        }
    }

    /// Settles one piece of an event's work.
    pub(crate) fn settle(&mut self, offset: Offset) {
        let Some(open) = self.open.get_mut(&offset) else { return };
        open.left -= 1;
        if open.left == 0 {
            self.open.remove(&offset);
            self.ahead.insert(offset);
            self.trim();
        }
    }

    /// From `position` on a team's events are left to be read again; one that is parked already stays where it was.
    pub(crate) fn park(&mut self, team: TeamId, position: Position) {
        self.parked.entry(team).or_insert(position);
    }

    /// Whether an event of a team is among those left to be read again.
    pub(crate) fn is_parked(&self, team: TeamId, offset: Offset) -> bool {
        self.parked.get(&team).is_some_and(|from| from.offset <= offset)
    }

    /// Where reading again begins; none if no team is parked.
    pub(crate) fn parked_from(&self) -> Option<Position> {
        self.parked.values().copied().min_by_key(|position| position.offset)
    }

    /// Events before `position` were read again. Once that is all that was read, no team is parked any more.
    pub(crate) fn read_again_to(&mut self, position: Position) {
        for from in self.parked.values_mut().filter(|from| from.offset < position.offset) {
            *from = position;
        }
        self.parked.retain(|_, from| from.offset < self.read.offset);
        self.trim();
    }

    /// The low-water mark: every event before it is settled.
    pub(crate) fn mark(&self) -> Position {
        #[cfg(feature = "testing")]
        if teamlog_log::testing::is_left_out(teamlog_log::testing::Rule::LowWater) {
            return self.read;
        }
        let open = self.open.values().next().map(|open| open.before);
        let places = [open, self.parked_from(), Some(self.read)];
        places.into_iter().flatten().min_by_key(|position| position.offset).unwrap_or(self.read)
    }

    /// The first event whose work is not settled.
    pub(crate) fn lowest_open(&self) -> Option<Offset> {
        self.open.keys().next().copied()
    }

    /// When that happened.
    pub(crate) fn oldest(&self) -> Option<Ts> {
        self.open.values().next().map(|open| open.at)
    }

    /// The events after the mark that are settled, lowest first.
    pub(crate) fn ahead(&self) -> impl ExactSizeIterator<Item = Offset> {
        self.ahead.iter().copied()
    }

    /// Events with work that is not settled.
    pub(crate) fn open_len(&self) -> usize {
        self.open.len()
    }

    /// Teams that are parked.
    pub(crate) fn parked_len(&self) -> usize {
        self.parked.len()
    }

    fn trim(&mut self) {
        let mark = self.mark().offset;
        while self.ahead.first().is_some_and(|first| *first < mark) {
            self.ahead.pop_first();
        }
        while self.ahead.len() > AHEAD_MAX {
            self.ahead.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(offset: u64) -> Position {
        Position::bare(Offset(offset))
    }

    fn team(number: u64) -> TeamId {
        TeamId::random('T', number)
    }

    fn ahead(mark: &Watermark) -> Vec<u64> {
        mark.ahead().map(|offset| offset.0).collect()
    }

    #[test]
    fn the_mark_waits_for_the_lowest_and_then_jumps() {
        let mut mark = Watermark::resume(at(10), []);
        for (offset, work) in [(11, 1), (12, 2), (14, 1), (16, 1)] {
            mark.open(at(offset), Offset(offset), Ts::ZERO, work);
        }
        mark.read_to(at(17));
        assert_eq!(mark.mark(), at(11), "an event without work is passed");
        for offset in [16, 14, 12] {
            mark.settle(Offset(offset));
        }
        assert_eq!((mark.mark(), ahead(&mark)), (at(11), vec![14, 16]), "of 12 one piece is left");
        mark.settle(Offset(11));
        assert_eq!((mark.mark(), ahead(&mark)), (at(12), vec![14, 16]));
        mark.settle(Offset(12));
        assert_eq!((mark.mark(), ahead(&mark)), (at(17), vec![]));
    }

    #[test]
    fn what_was_ahead_is_not_done_again() {
        let mark = Watermark::resume(at(12), [Offset(3), Offset(14), Offset(16)]);
        assert_eq!([12, 14, 15, 16].map(|offset| mark.is_settled(Offset(offset))), [false, true, false, true]);
        assert_eq!(ahead(&mark), [14, 16], "what is before the mark says nothing");
    }

    #[test]
    fn a_parked_team_holds_the_mark_until_it_was_read_again() {
        let mut mark = Watermark::resume(at(0), []);
        mark.park(team(1), at(5));
        mark.park(team(1), at(7));
        mark.read_to(at(100));
        assert!(
            mark.is_parked(team(1), Offset(5))
                && !mark.is_parked(team(1), Offset(4))
                && !mark.is_parked(team(2), Offset(50))
        );
        assert_eq!(mark.mark(), at(5));
        mark.read_again_to(at(60));
        assert_eq!((mark.mark(), mark.parked_len()), (at(60), 1));
        mark.read_again_to(at(100));
        assert_eq!((mark.mark(), mark.parked_len()), (at(100), 0));
    }

    #[test]
    fn what_is_ahead_is_bounded() {
        let mut mark = Watermark::resume(at(0), []);
        let all = AHEAD_MAX as u64 + 100;
        (0..all).for_each(|offset| mark.open(at(offset), Offset(offset), Ts::ZERO, 1));
        mark.read_to(at(all));
        (1..all).rev().for_each(|offset| mark.settle(Offset(offset)));
        assert_eq!(ahead(&mark), (1..=AHEAD_MAX as u64).collect::<Vec<_>>(), "the lowest stay");
        mark.settle(Offset(0));
        assert_eq!(mark.mark(), at(all), "and in this life nothing is lost");
    }

    proptest! {
        /// Whatever is settled in whatever order, and whenever it is looked: what was written leaves out no event that is open.
        #[test]
        fn nothing_open_is_left_out(work in prop::collection::vec(0usize..3, 1..60), order in prop::collection::vec(any::<prop::sample::Index>(), 0..120)) {
            let mut mark = Watermark::resume(at(0), []);
            let mut open: Vec<u64> = Vec::new();
            for (offset, work) in (0..).zip(&work) {
                mark.open(at(offset), Offset(offset), Ts::ZERO, *work);
                open.extend(std::iter::repeat_n(offset, *work));
            }
            mark.read_to(at(work.len() as u64));
            for next in order {
                if open.is_empty() {
                    break;
                }
                mark.settle(Offset(open.swap_remove(next.index(open.len()))));
                let resumed = Watermark::resume(mark.mark(), mark.ahead());
                for offset in 0..work.len() as u64 {
                    let is_done = offset < resumed.mark().offset.0 || resumed.is_settled(Offset(offset));
                    prop_assert!(!(is_done && open.contains(&offset)), "{offset} is open");
                    let settled = work[offset as usize] > 0 && !open.contains(&offset);
                    prop_assert!(is_done || !settled, "{offset} is settled and would be done again");
                }
            }
        }
    }
}
