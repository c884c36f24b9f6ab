//! Work that failed and waits for its next try. Pure.

use std::collections::{BTreeMap, HashMap};

use teamlog_log::Offset;
use teamlog_schemas::TeamId;
use tokio::time::Instant;

/// The place of a piece of work among those that are held: its event, its number there, and whether it came by a dead letter.
pub(crate) type Place = (Offset, u32, bool);

/// Work by the time of its next try, bounded. Where there is no room, the team that has the most gives up its oldest: a team
/// whose receiver is down costs another team nothing.
#[derive(Debug)]
pub(crate) struct HeldWork<T> {
    by_time: BTreeMap<(Instant, Place), T>,
    by_place: BTreeMap<Place, (Instant, TeamId)>,
    by_team: HashMap<TeamId, usize>,
    max: usize,
}

impl<T> HeldWork<T> {
    /// Nothing yet, and at most `max`.
    pub(crate) fn new(max: usize) -> HeldWork<T> {
        HeldWork { by_time: BTreeMap::new(), by_place: BTreeMap::new(), by_team: HashMap::new(), max }
    }

    /// Holds a piece of work until `due`. Gives back what has to go for it.
    pub(crate) fn push(&mut self, team: TeamId, place: Place, due: Instant, work: T) -> Option<T> {
        self.by_time.insert((due, place), work);
        self.by_place.insert(place, (due, team));
        *self.by_team.entry(team).or_default() += 1;
        if self.by_time.len() <= self.max {
            return None;
        }
        let most = self.by_team.values().copied().max()?;
        let goes = self.by_place.iter().find(|(_, (_, team))| self.by_team.get(team) == Some(&most));
        let place = goes.map(|(place, _)| *place)?;
        self.take(place)
    }

    /// Takes a piece of work out before its time.
    pub(crate) fn take(&mut self, place: Place) -> Option<T> {
        let (due, team) = self.by_place.remove(&place)?;
        if let Some(count) = self.by_team.get_mut(&team) {
            *count -= 1;
            if *count == 0 {
                self.by_team.remove(&team);
            }
        }
        self.by_time.remove(&(due, place))
    }

    /// Takes the oldest piece of work of an event.
    pub(crate) fn take_of(&mut self, offset: Offset) -> Option<T> {
        let place = self.by_place.range((offset, 0, false)..).next().map(|(place, _)| *place)?;
        if place.0 == offset && !place.2 { self.take(place) } else { None }
    }

    /// When the next try is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.by_time.keys().next().map(|(due, _)| *due)
    }

    /// Takes a piece of work whose time has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        let (due, place) = self.by_time.keys().next().copied()?;
        if due <= now { self.take(place) } else { None }
    }

    /// Pieces of work that are held.
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn team(number: u64) -> TeamId {
        TeamId::random('T', number)
    }

    fn place(number: u64) -> Place {
        (Offset(number), 0, false)
    }

    #[test]
    fn work_comes_when_it_is_due() {
        let (mut held, now) = (HeldWork::new(10), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        for (number, seconds) in [(1, 3), (2, 1), (3, 2)] {
            assert_eq!(held.push(team(1), place(number), later(seconds), number), None);
        }
        assert_eq!((held.next_due(), held.pop_due(now)), (Some(later(1)), None));
        assert_eq!((held.pop_due(later(2)), held.pop_due(later(2)), held.pop_due(later(2))), (Some(2), Some(3), None));
        assert_eq!((held.take_of(Offset(2)), held.take_of(Offset(1)), held.len()), (None, Some(1), 0));
    }

    #[test]
    fn who_has_the_most_gives_up_its_oldest() {
        let (mut held, now) = (HeldWork::new(3), Instant::now());
        held.push(team(2), place(1), now, 1);
        held.push(team(1), place(2), now, 2);
        held.push(team(1), place(3), now, 3);
        assert_eq!(held.push(team(1), place(4), now, 4), Some(2), "not the other team's, which is older");
        assert_eq!(held.push(team(2), place(5), now, 5), Some(1), "of two with as many either will do");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_held_past_the_bound(steps in prop::collection::vec((0u64..4, 0u64..50, any::<bool>()), 1..200), max in 1usize..8) {
            let (mut held, now) = (HeldWork::new(max), Instant::now());
            let (mut pushed, mut out) = (0, 0);
            for (number, (of, seconds, is_pop)) in (0..).zip(steps) {
                let due = now + Duration::from_secs(seconds);
                if is_pop {
                    out += usize::from(held.pop_due(due).is_some());
                } else {
                    pushed += 1;
                    out += usize::from(held.push(team(of), place(number), due, number).is_some());
                }
                prop_assert!(held.len() <= max);
                prop_assert_eq!(held.len(), pushed - out);
                prop_assert_eq!(held.by_team.values().sum::<usize>(), held.len());
                prop_assert_eq!(held.by_place.len(), held.len());
            }
        }
    }
}
