//! Work that waits, team by team, in turn. Pure.

use std::collections::{HashMap, VecDeque};

use teamlog_schemas::TeamId;

/// A queue in which teams take turns, one piece of work at a time. Each team has a bound of what waits and of what is in
/// flight, so that one team's flood costs another team at most one turn of each team that has work.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    lanes: HashMap<TeamId, Lane<T>>,
    /// Teams that may be given out next: they have work that waits, and are not at their bound in flight.
    turns: VecDeque<TeamId>,
    waiting_max: usize,
    in_flight_max: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<T>,
    in_flight: usize,
    has_turn: bool,
}

impl<T> FairQueue<T> {
    /// An empty queue with these bounds of each team.
    pub(crate) fn new(waiting_max: usize, in_flight_max: usize) -> FairQueue<T> {
        FairQueue { lanes: HashMap::new(), turns: VecDeque::new(), waiting_max, in_flight_max, waiting: 0 }
    }

    /// Whether `count` more pieces of a team's work may wait. An event's work is taken whole, so a team with none that waits
    /// always has room.
    pub(crate) fn has_room(&self, team: TeamId, count: usize) -> bool {
        let waiting = self.lanes.get(&team).map_or(0, |lane| lane.waiting.len());
        waiting == 0 || waiting + count <= self.waiting_max
    }

    /// Puts work at the end of its team's lane. The bound is the caller's to ask for: work that is tried again has been let
    /// in before.
    pub(crate) fn push(&mut self, team: TeamId, work: T) {
        let lane =
            self.lanes.entry(team).or_insert_with(|| Lane { waiting: VecDeque::new(), in_flight: 0, has_turn: false });
        lane.waiting.push_back(work);
        self.waiting += 1;
        if !lane.has_turn && lane.in_flight < self.in_flight_max {
            lane.has_turn = true;
            self.turns.push_back(team);
        }
    }

    /// Whether [`FairQueue::next`] would give something.
    pub(crate) fn is_ready(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Gives out the next piece of work; it is in flight until [`FairQueue::done`].
    pub(crate) fn next(&mut self) -> Option<T> {
        let team = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&team)?;
        let work = lane.waiting.pop_front()?;
        self.waiting -= 1;
        lane.in_flight += 1;
        lane.has_turn = !lane.waiting.is_empty() && lane.in_flight < self.in_flight_max;
        if lane.has_turn {
            self.turns.push_back(team);
        }
        Some(work)
    }

    /// A piece of a team's work is not in flight any more.
    pub(crate) fn done(&mut self, team: TeamId) {
        let Some(lane) = self.lanes.get_mut(&team) else { return };
        lane.in_flight -= 1;
        if lane.waiting.is_empty() {
            if lane.in_flight == 0 {
                self.lanes.remove(&team);
            }
        } else if !lane.has_turn {
            lane.has_turn = true;
            self.turns.push_back(team);
        }
    }

    /// Pieces of work that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn team(number: u64) -> TeamId {
        TeamId::random('T', number)
    }

    #[test]
    fn a_flood_of_one_team_costs_another_one_turn() {
        let mut queue = FairQueue::new(1_000, 1_000);
        (0..1_000).for_each(|number| queue.push(team(1), (1, number)));
        queue.push(team(2), (2, 0));
        let taken: Vec<_> = std::iter::from_fn(|| queue.next()).take(3).collect();
        assert_eq!(taken, [(1, 0), (2, 0), (1, 1)]);
    }

    #[test]
    fn a_team_at_its_bound_in_flight_waits_and_others_do_not() {
        let mut queue = FairQueue::new(10, 2);
        (0..4).for_each(|number| queue.push(team(1), number));
        queue.push(team(2), 100);
        assert_eq!(std::iter::from_fn(|| queue.next()).collect::<Vec<_>>(), [0, 100, 1]);
        assert!(!queue.is_ready() && queue.waiting() == 2);
        queue.done(team(1));
        assert_eq!(queue.next(), Some(2));
    }

    #[test]
    fn a_lane_is_bounded_and_takes_an_event_whole() {
        let mut queue = FairQueue::new(3, 1);
        assert!(queue.has_room(team(1), 50), "nothing of it waits");
        (0..2).for_each(|number| queue.push(team(1), number));
        assert!(queue.has_room(team(1), 1) && !queue.has_room(team(1), 2) && queue.has_room(team(2), 3));
    }

    proptest! {
        /// Whatever comes and ends when: all is given out once, in its team's order, within the bounds; and a team that is ready
        /// waits for at most one turn of each other.
        #[test]
        fn turns_are_fair(steps in prop::collection::vec((0u64..5, any::<bool>()), 1..300), in_flight_max in 1usize..4) {
            let mut queue = FairQueue::new(usize::MAX, in_flight_max);
            let (mut pushed, mut given) = (HashMap::<u64, u32>::new(), HashMap::<u64, u32>::new());
            let mut in_flight = HashMap::<u64, usize>::new();
            let mut passed_over = HashMap::<u64, usize>::new();
            for (number, is_push) in steps {
                if is_push {
                    let next = pushed.entry(number).or_default();
                    queue.push(team(number), (number, *next));
                    *next += 1;
                    continue;
                }
                let ends = in_flight.get_mut(&number).filter(|count| **count > 0);
                if let Some(count) = ends {
                    *count -= 1;
                    queue.done(team(number));
                }
                let ready: Vec<u64> = (0..5)
                    .filter(|one| pushed.get(one) > given.get(one) && in_flight.get(one).copied().unwrap_or(0) < in_flight_max)
                    .collect();
                prop_assert_eq!(queue.is_ready(), !ready.is_empty());
                let Some((one, place)) = queue.next() else { continue };
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
