//! The health of a replica: whether it answers, how fast, and its lag. No I/O.

use std::{any::TypeId, collections::HashMap, time::Duration};

use teamlog_log::TopicPartition;
use tokio::time::Instant;

use super::choice::{Candidate, cost};

/// The pause in which a replica that failed is not asked. Doubled each time it fails again.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause: a replica that is available again is noticed after this time at the latest.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The time after which a replica that is not asked is probed, so that its figures stay current. A probe per second costs
/// next to nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The number of consecutive late queries that count as a failure. Otherwise a replica that hangs would cost every reader a
/// hedge until the first query times out.
const LATE_MAX: u32 = 3;
/// The weight of the newest figure in an average. After about ten queries the older figures hardly count.
const NEWEST: f64 = 0.2;
/// The shortest time before a query is hedged. With less, any short delay would double the load.
const PATIENCE_MIN: Duration = Duration::from_millis(50);
/// A query is hedged after this multiple of the usual time, and not before [`PATIENCE_MIN`].
const PATIENCE_FACTOR: u32 = 4;
/// The time before a hedge while the usual time is not known: opening a database takes some hundred milliseconds.
const PATIENCE_NEW: Duration = Duration::from_millis(500);

/// A circuit breaker: whether a replica is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    /// The replica is asked.
    Closed,
    /// The replica failed, and is not asked until then.
    Open { until: Instant, pause: Duration },
    /// A probe is in flight. Its outcome closes or opens the breaker.
    HalfOpen { pause: Duration },
}

/// A replica's position in a source when it last answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Records between that position and the end at that time.
    pub(super) lag: u64,
    /// True if the ring reached from that position to the end.
    pub(super) bridged: bool,
}

#[derive(Debug)]
pub(super) struct Health {
    breaker: Breaker,
    /// The average time until a snapshot is open and its position is read. This work does not depend on the query, so
    /// replicas can be compared by it.
    nearness: Option<Duration>,
    /// The average time of a whole query, by kind of query. The time before a hedge is derived from it.
    whole: HashMap<TypeId, Duration>,
    places: HashMap<TopicPartition, Place>,
    /// The time of the last answer or failure.
    heard: Option<Instant>,
    /// The number of consecutive queries that were late.
    late: u32,
    /// A look is under way.
    looking: bool,
}

impl Health {
    pub(super) fn new() -> Health {
        Health {
            breaker: Breaker::Closed,
            nearness: None,
            whole: HashMap::new(),
            places: HashMap::new(),
            heard: None,
            late: 0,
            looking: false,
        }
    }

    pub(super) fn breaker(&self) -> Breaker {
        self.breaker
    }

    /// As a question about a source finds it.
    pub(super) fn candidate(&self, source: TopicPartition) -> Candidate {
        let place = self.places.get(&source);
        Candidate {
            open: self.breaker != Breaker::Closed,
            bridged: place.is_none_or(|place| place.bridged),
            cost: self.nearness.map(|nearness| cost(nearness, place.map_or(0, |place| place.lag))),
        }
    }

    /// How long to wait for an answer before another replica is asked as well.
    pub(super) fn patience(&self, kind: TypeId) -> Duration {
        let usual = self.whole.get(&kind);
        usual.map_or(PATIENCE_NEW, |usual| (*usual * PATIENCE_FACTOR).max(PATIENCE_MIN))
    }

    /// Records the time until a snapshot was open. None if the replica had to be opened first: that time does not show how
    /// near it is.
    pub(super) fn reached(&mut self, took: Option<Duration>, now: Instant) {
        self.late = 0;
        self.heard = Some(now);
        if let Some(took) = took {
            self.nearness = Some(average(self.nearness, took));
        }
    }

    /// Records the replica's place in a source. Returns true if the tail does not bridge it, and bridged all places before.
    pub(super) fn stands(&mut self, source: TopicPartition, place: Place) -> bool {
        let is_news = !place.bridged && self.places.values().all(|place| place.bridged);
        self.places.insert(source, place);
        is_news
    }

    /// Records an answer and closes the breaker. `kind` has the kind of query and its time, if that time is meaningful.
    /// Returns true if the replica had failed before.
    pub(super) fn answered(&mut self, kind: Option<(TypeId, Duration)>) -> bool {
        if let Some((kind, took)) = kind {
            let usual = self.whole.get(&kind).copied();
            self.whole.insert(kind, average(usual, took));
        }
        std::mem::replace(&mut self.breaker, Breaker::Closed) != Breaker::Closed
    }

    /// Records that a query was late by `waited`, and that another replica is asked too. Returns true if this opened the
    /// breaker.
    pub(super) fn is_late(&mut self, waited: Duration, now: Instant) -> bool {
        self.nearness = Some(average(self.nearness, waited));
        self.late += 1;
        self.late >= LATE_MAX && self.failed(now)
    }

    /// Records a failure and opens the breaker. Returns true if the breaker was closed before. If it is open already (the
    /// replica was asked because no other was left), the pause stays as it is: otherwise many readers would raise it to its
    /// maximum at once.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.late = 0;
        self.heard = Some(now);
        let (pause, was_closed) = match self.breaker {
            Breaker::Closed => (PAUSE_MIN, true),
            Breaker::HalfOpen { pause } => ((pause * 2).min(PAUSE_MAX), false),
            Breaker::Open { .. } => return false,
        };
        self.breaker = Breaker::Open { until: now + pause, pause };
        was_closed
    }

    /// Returns true if the replica must be probed now. After the probe, call [`Health::looked`]. One probe at a time.
    pub(super) fn is_look_due(&mut self, now: Instant) -> bool {
        let is_due = match self.breaker {
            Breaker::Closed => self.heard.is_none_or(|heard| now.duration_since(heard) >= LOOK_EVERY),
            Breaker::Open { until, .. } => until <= now,
            Breaker::HalfOpen { .. } => true,
        };
        if self.looking || !is_due {
            return false;
        }
        if let Breaker::Open { pause, .. } = self.breaker {
            self.breaker = Breaker::HalfOpen { pause };
        }
        self.looking = true;
        true
    }

    /// Records that the probe has ended.
    pub(super) fn looked(&mut self) {
        self.looking = false;
    }
}

fn average(before: Option<Duration>, newest: Duration) -> Duration {
    before.map_or(newest, |before| before.mul_f64(1.0 - NEWEST) + newest.mul_f64(NEWEST))
}

/// The number of hedges that may be sent. In the long run there is one for every ten queries, so that the load is not
/// doubled for long when all replicas are slow. A burst is allowed for the queries in flight when a replica dies.
#[derive(Debug)]
pub(super) struct Budget {
    hedges: f64,
}

const HEDGES_MAX: f64 = 64.0;
const HEDGES_A_QUESTION: f64 = 0.1;

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { hedges: HEDGES_MAX }
    }

    pub(super) fn asked(&mut self) {
        self.hedges = (self.hedges + HEDGES_A_QUESTION).min(HEDGES_MAX);
    }

    pub(super) fn take(&mut self) -> bool {
        let there = self.hedges >= 1.0;
        if there {
            self.hedges -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use teamlog_log::Partition;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn kind() -> TypeId {
        TypeId::of::<Health>()
    }

    fn here() -> TopicPartition {
        TopicPartition::events(Partition(0))
    }

    #[test]
    fn pauses_double_to_ten_seconds_and_an_answer_ends_them() {
        let (mut health, mut now) = (Health::new(), Instant::now());
        assert!(health.failed(now));
        for pause in [1, 2, 4, 8, 10, 10].map(Duration::from_secs) {
            assert_eq!(health.breaker(), Breaker::Open { until: now + pause, pause });
            assert!(health.candidate(here()).open);
            // Those who ask for want of another change nothing.
            assert!(!health.failed(now + pause / 2));
            assert!(!health.is_look_due(now + pause - ms(1)));
            now += pause;
            assert!(health.is_look_due(now));
            assert!(!health.is_look_due(now), "one at a time");
            assert_eq!(health.breaker(), Breaker::HalfOpen { pause });
            assert!(health.candidate(here()).open, "the others go elsewhere meanwhile");
            assert!(!health.failed(now));
            health.looked();
        }
        assert!(health.answered(None));
        assert!(!health.candidate(here()).open);
        assert!(!health.answered(None));
        assert!(health.failed(now));
        assert_eq!(health.breaker(), Breaker::Open { until: now + PAUSE_MIN, pause: PAUSE_MIN });
    }

    #[test]
    fn figures_follow_what_was_seen() {
        let (mut health, now) = (Health::new(), Instant::now());
        assert_eq!(health.candidate(here()), Candidate { open: false, bridged: true, cost: None });
        health.reached(None, now);
        assert_eq!(health.candidate(here()).cost, None, "opening it is no figure");
        health.reached(Some(ms(10)), now);
        health.reached(Some(ms(20)), now);
        assert_eq!(health.candidate(here()).cost, Some(ms(12)));
        assert!(health.stands(here(), Place { lag: 3000, bridged: false }));
        assert!(!health.stands(here(), Place { lag: 3000, bridged: false }), "said once");
        assert_eq!(health.candidate(here()), Candidate { open: false, bridged: false, cost: Some(ms(15)) });
    }

    #[test]
    fn patience_is_a_multiple_of_the_usual_time() {
        let mut health = Health::new();
        assert_eq!(health.patience(kind()), PATIENCE_NEW);
        health.answered(Some((kind(), ms(2))));
        assert_eq!(health.patience(kind()), ms(50));
        health.answered(Some((TypeId::of::<Budget>(), ms(300))));
        assert_eq!(health.patience(kind()), ms(50), "a kind's own");
        for _ in 0..40 {
            health.answered(Some((kind(), ms(100))));
        }
        let patience = health.patience(kind());
        assert!((ms(399)..=ms(400)).contains(&patience), "{patience:?}");
    }

    #[test]
    fn one_that_gives_no_sign_is_left_alone_the_third_time() {
        let (mut health, now) = (Health::new(), Instant::now());
        health.reached(Some(ms(1)), now);
        assert!(!health.is_late(ms(50), now) && !health.is_late(ms(50), now));
        assert!(health.candidate(here()).cost > Some(ms(15)), "and is less near meanwhile");
        health.reached(Some(ms(1)), now);
        assert!(!health.is_late(ms(50), now) && !health.is_late(ms(50), now), "in a row");
        assert!(health.is_late(ms(50), now));
        assert!(health.candidate(here()).open);
    }

    #[test]
    fn one_that_nobody_asks_is_looked_at_once_a_second() {
        let (mut health, now) = (Health::new(), Instant::now());
        assert!(health.is_look_due(now));
        health.reached(Some(ms(1)), now);
        health.looked();
        assert!(!health.is_look_due(now + ms(999)));
        assert!(health.is_look_due(now + ms(1000)));
    }

    #[test]
    fn hedges_are_one_in_ten_in_the_long_run() {
        let mut budget = Budget::new();
        let at_once = (0..1000).filter(|_| budget.take()).count();
        assert_eq!(at_once, HEDGES_MAX as usize);
        let hedged = (0..1000).filter(|_| {
            budget.asked();
            budget.take()
        });
        assert!((99..=100).contains(&hedged.count()));
    }
}
