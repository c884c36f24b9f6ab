//! Work that waits, team by team, in turn. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};

use teamlog_schemas::TeamId;
use tokio::time::Instant;

use crate::rate::{Pace, Rate};

/// A queue in which teams take turns, one piece of work at a time. Each team has a bound of what waits, of what is in flight
/// and of what begins in a second, so that one team's flood costs another team at most one turn of each team that has work.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    lanes: HashMap<TeamId, Lane<T>>,
    /// Teams that may be given out next.
    turns: VecDeque<TeamId>,
    /// Teams that are at their rate, by the time from which they are looked at again.
    paused: BTreeSet<(Instant, TeamId)>,
    bounds: LaneBounds,
    waiting: usize,
}

/// The bounds of one team's work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneBounds {
    /// Pieces that wait.
    pub(crate) waiting_max: usize,
    /// Pieces in flight.
    pub(crate) in_flight_max: usize,
    /// Pieces that begin.
    pub(crate) rate: Rate,
}

/// The work of a team.
#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<T>,
    in_flight: usize,
    pace: Pace,
    listed: Listed,
}

/// Where a lane is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// Nowhere: nothing of it waits, or it is at its bound in flight.
    Nowhere,
    /// Among the turns.
    Turns,
    /// Among the paused, until then.
    Paused(Instant),
}

impl<T> Lane<T> {
    fn new() -> Lane<T> {
        Lane { waiting: VecDeque::new(), in_flight: 0, pace: Pace::default(), listed: Listed::Nowhere }
    }

    /// Returns where the lane belongs; none if nothing of it has to be remembered.
    fn place(&self, bounds: LaneBounds, now: Instant) -> Option<Listed> {
        if self.waiting.is_empty() {
            return match self.pace.used_until(now) {
                _ if self.in_flight > 0 => Some(Listed::Nowhere),
                until => until.map(Listed::Paused),
            };
        }
        if self.in_flight >= bounds.in_flight_max {
            return Some(Listed::Nowhere);
        }
        let from = self.pace.next(now, bounds.rate);
        Some(if from <= now { Listed::Turns } else { Listed::Paused(from) })
    }
}

impl<T> FairQueue<T> {
    /// An empty queue with these bounds of each team.
    pub(crate) fn new(bounds: LaneBounds) -> FairQueue<T> {
        FairQueue { lanes: HashMap::new(), turns: VecDeque::new(), paused: BTreeSet::new(), bounds, waiting: 0 }
    }

    /// Returns true if `count` more pieces of a team's work may wait. An event's work is taken whole, so a team with none that
    /// waits always has room.
    pub(crate) fn has_room(&self, team: TeamId, count: usize) -> bool {
        let waiting = self.lanes.get(&team).map_or(0, |lane| lane.waiting.len());
        waiting == 0 || waiting + count <= self.bounds.waiting_max
    }

    /// Puts work at the end of its team's lane. The caller checks the bound before: work that is tried again was let in then.
    pub(crate) fn push(&mut self, team: TeamId, work: T, now: Instant) {
        self.lanes.entry(team).or_insert_with(Lane::new).waiting.push_back(work);
        self.waiting += 1;
        self.list(team, now);
    }

    /// Returns true if [`FairQueue::next`] would give something.
    pub(crate) fn is_ready(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Returns when the next pause of a team is over.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.paused.first().map(|(until, _)| *until)
    }

    /// Ends the pauses that are over.
    pub(crate) fn end_pauses(&mut self, now: Instant) {
        while let Some((_, team)) = self.paused.first().copied().filter(|(until, _)| *until <= now) {
            self.list(team, now);
        }
    }

    /// Gives out the next piece of work; it is in flight until [`FairQueue::done`].
    pub(crate) fn next(&mut self, now: Instant) -> Option<T> {
        let team = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&team)?;
        lane.listed = Listed::Nowhere;
        let work = lane.waiting.pop_front()?;
        self.waiting -= 1;
        lane.in_flight += 1;
        lane.pace.take(now, self.bounds.rate);
        self.list(team, now);
        Some(work)
    }

    /// A piece of a team's work is not in flight any more.
    pub(crate) fn done(&mut self, team: TeamId, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&team) {
            lane.in_flight -= 1;
            self.list(team, now);
        }
    }

    /// Pieces of work that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Lists a lane where it belongs now. A lane that has its turn keeps its place.
    fn list(&mut self, team: TeamId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&team) else { return };
        match lane.listed {
            Listed::Turns => return,
            Listed::Paused(until) => drop(self.paused.remove(&(until, team))),
            Listed::Nowhere => {}
        }
        let Some(place) = lane.place(self.bounds, now) else {
            self.lanes.remove(&team);
            return;
        };
        lane.listed = place;
        match place {
            Listed::Turns => self.turns.push_back(team),
            Listed::Paused(until) => drop(self.paused.insert((until, team))),
            Listed::Nowhere => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::time::Duration;

    use super::*;

    /// More than any test takes.
    const FREE: Rate = Rate { per_second: 1_000_000, burst: 1_000_000 };

    fn queue<T>(waiting_max: usize, in_flight_max: usize) -> FairQueue<T> {
        FairQueue::new(LaneBounds { waiting_max, in_flight_max, rate: FREE })
    }

    fn team(number: u64) -> TeamId {
        TeamId::random('T', number)
    }

    #[test]
    fn a_flood_of_one_team_costs_another_one_turn() {
        let now = Instant::now();
        let mut queue = queue(1_000, 1_000);
        (0..1_000).for_each(|number| queue.push(team(1), (1, number), now));
        queue.push(team(2), (2, 0), now);
        let taken: Vec<_> = std::iter::from_fn(|| queue.next(now)).take(3).collect();
        assert_eq!(taken, [(1, 0), (2, 0), (1, 1)]);
    }

    #[test]
    fn a_team_at_its_bound_in_flight_waits_and_others_do_not() {
        let now = Instant::now();
        let mut queue = queue(10, 2);
        (0..4).for_each(|number| queue.push(team(1), number, now));
        queue.push(team(2), 100, now);
        assert_eq!(std::iter::from_fn(|| queue.next(now)).collect::<Vec<_>>(), [0, 100, 1]);
        assert!(!queue.is_ready() && queue.waiting() == 2);
        queue.done(team(1), now);
        assert_eq!(queue.next(now), Some(2));
    }

    #[test]
    fn a_lane_is_bounded_and_takes_an_event_whole() {
        let now = Instant::now();
        let mut queue = queue(3, 1);
        assert!(queue.has_room(team(1), 50), "nothing of it waits");
        (0..2).for_each(|number| queue.push(team(1), number, now));
        assert!(queue.has_room(team(1), 1) && !queue.has_room(team(1), 2) && queue.has_room(team(2), 3));
    }

    #[test]
    fn a_team_at_its_rate_pauses_and_others_do_not() {
        let (now, rate) = (Instant::now(), Rate { per_second: 10, burst: 2 });
        let at = |ms| now + Duration::from_millis(ms);
        let mut queue = FairQueue::new(LaneBounds { waiting_max: 10, in_flight_max: 10, rate });
        (0..4).for_each(|number| queue.push(team(1), number, now));
        queue.push(team(2), 100, now);
        assert_eq!(std::iter::from_fn(|| queue.next(now)).collect::<Vec<_>>(), [0, 100, 1]);
        assert_eq!((queue.is_ready(), queue.next_due()), (false, Some(at(100))));
        queue.end_pauses(at(99));
        assert!(!queue.is_ready());
        queue.end_pauses(at(100));
        assert_eq!((queue.next(at(100)), queue.next(at(100))), (Some(2), None));
        // Its rate is remembered while nothing of it waits or runs, and forgotten once that makes no difference.
        queue.end_pauses(at(200));
        assert_eq!(queue.next(at(200)), Some(3));
        (0..4).for_each(|_| queue.done(team(1), at(210)));
        queue.done(team(2), at(210));
        queue.push(team(1), 5, at(220));
        assert_eq!((queue.is_ready(), queue.next_due()), (false, Some(at(300))));
        queue.end_pauses(at(300));
        assert_eq!(queue.next(at(300)), Some(5));
        queue.done(team(1), at(300));
        assert_eq!(queue.lanes.len(), 1);
        queue.end_pauses(at(1_000));
        assert!(queue.lanes.is_empty() && queue.paused.is_empty());
    }

    proptest! {
        /// Whatever comes and ends when: all is given out once, in its team's order, within the bounds; and a team that is ready
        /// waits for at most one turn of each other.
        #[test]
        fn turns_are_fair(steps in prop::collection::vec((0u64..5, any::<bool>()), 1..300), in_flight_max in 1usize..4) {
            let now = Instant::now();
        let mut queue = queue(usize::MAX, in_flight_max);
            let (mut pushed, mut given) = (HashMap::<u64, u32>::new(), HashMap::<u64, u32>::new());
            let mut in_flight = HashMap::<u64, usize>::new();
            let mut passed_over = HashMap::<u64, usize>::new();
            for (number, is_push) in steps {
                if is_push {
                    let next = pushed.entry(number).or_default();
                    queue.push(team(number), (number, *next), now);
                    *next += 1;
                    continue;
                }
                let ends = in_flight.get_mut(&number).filter(|count| **count > 0);
                if let Some(count) = ends {
                    *count -= 1;
                    queue.done(team(number), now);
                }
                let ready: Vec<u64> = (0..5)
                    .filter(|one| pushed.get(one) > given.get(one) && in_flight.get(one).copied().unwrap_or(0) < in_flight_max)
                    .collect();
                prop_assert_eq!(queue.is_ready(), !ready.is_empty());
                let Some((one, place)) = queue.next(now) else { continue };
                let next = given.entry(one).or_default();
                prop_assert_eq!(place, *next);
                *next += 1;
                *in_flight.entry(one).or_default() += 1;
                prop_assert!(in_flight[&one] <= in_flight_max);
                for other in ready.into_iter().filter(|other| *other != one) {
                    let times = passed_over.entry(other).or_default();
                    *times += 1;
                    prop_assert!(*times <= 4, "team {} was passed over {} times", other, times);
                }
                passed_over.remove(&one);
            }
            let waiting: u32 = pushed.iter().map(|(one, count)| count - given.get(one).copied().unwrap_or(0)).sum();
            prop_assert_eq!(queue.waiting(), waiting as usize);
        }
    }
}
