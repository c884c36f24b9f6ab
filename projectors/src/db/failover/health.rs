//! What is known of a replica: whether it answers, how soon, and how far behind it is. No I/O.

use std::{any::TypeId, collections::HashMap, time::Duration};

use teamlog_log::TopicPartition;
use tokio::time::Instant;

use super::choice::{Candidate, cost};

/// How long a replica that failed is left alone; doubled each time that it fails again.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// A replica that is back is noticed after so long at the latest.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How old the figures of one that others are asked before may grow: one look a second costs it nothing that shows.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many questions in a row to which it gave no sign count as a failure: whoever hangs would else cost each reader a
/// hedge until one has waited to its end.
const LATE_MAX: u32 = 3;
/// The newest figure's part in the average: some ten questions make it forget.
const NEWEST: f64 = 0.2;
/// A question is hedged at the earliest after this: sooner would double what is asked for a moment's delay.
const PATIENCE_MIN: Duration = Duration::from_millis(50);
/// And after so many times the usual time.
const PATIENCE_FACTOR: u32 = 4;
/// While the usual time is not known: opening a database the first time takes some hundred milliseconds.
const PATIENCE_NEW: Duration = Duration::from_millis(500);

/// Whether a replica is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    /// It is.
    Closed,
    /// It failed: it is left alone until then.
    Open { until: Instant, pause: Duration },
    /// One look at it is under way, and tells.
    HalfOpen { pause: Duration },
}

/// Where a replica stood in a source when it was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Records to the end as it was then.
    pub(super) lag: u64,
    /// Whether the ring led from there to the end.
    pub(super) bridged: bool,
}

#[derive(Debug)]
pub(super) struct Health {
    breaker: Breaker,
    /// How long it takes until the snapshot is there and its position read: the same work whatever is asked, so that
    /// replicas can be compared by it. An average.
    nearness: Option<Duration>,
    /// How long a question of each kind takes in all: what patience with it follows. Averages.
    whole: HashMap<TypeId, Duration>,
    places: HashMap<TopicPartition, Place>,
    /// When it was last heard of.
    heard: Option<Instant>,
    /// Questions in a row that gave no sign.
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

    /// Its snapshot was there after so long; none if it had to be opened first, which says nothing of how near it is.
    pub(super) fn reached(&mut self, took: Option<Duration>, now: Instant) {
        self.late = 0;
        self.heard = Some(now);
        if let Some(took) = took {
            self.nearness = Some(average(self.nearness, took));
        }
    }

    /// Where it stands in a source. True if it is too far behind now and was so in none.
    pub(super) fn stands(&mut self, source: TopicPartition, place: Place) -> bool {
        let is_news = !place.bridged && self.places.values().all(|place| place.bridged);
        self.places.insert(source, place);
        is_news
    }

    /// It answered, after so long where that says something of it. True if it had failed before.
    pub(super) fn answered(&mut self, kind: Option<(TypeId, Duration)>) -> bool {
        if let Some((kind, took)) = kind {
            let usual = self.whole.get(&kind).copied();
            self.whole.insert(kind, average(usual, took));
        }
        std::mem::replace(&mut self.breaker, Breaker::Closed) != Breaker::Closed
    }

    /// It has given no sign for so long, and another is asked in its stead. True if it is left alone from now on.
    pub(super) fn is_late(&mut self, waited: Duration, now: Instant) -> bool {
        self.nearness = Some(average(self.nearness, waited));
        self.late += 1;
        self.late >= LATE_MAX && self.failed(now)
    }

    /// It failed. True if it was asked until now. Whoever asks one that is left alone, for want of another, does not make
    /// its pause longer: with many readers that would be its longest at once.
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

    /// Whether to look at it now; then [`Health::looked`] is to be called behind that. One look at a time.
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

    /// The look is over.
    pub(super) fn looked(&mut self) {
        self.looking = false;
    }
}

fn average(before: Option<Duration>, newest: Duration) -> Duration {
    before.map_or(newest, |before| before.mul_f64(1.0 - NEWEST) + newest.mul_f64(NEWEST))
}

/// How many hedges there may be. In the long run one for ten questions, so that when all are slow at once nothing is
/// asked twice for long; and a number at once, for those who are under way when one dies.
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
