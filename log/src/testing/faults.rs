//! What goes wrong in a faulty log, and how often.

use std::ops::Range;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// What goes wrong in a [`FaultyLog`](super::FaultyLog). Chances are between 0 and 1, an append's are tried in the order
/// of the fields, and at most one of them strikes a record.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Time between the call and the landing. Without a fault a partition's records still land in order.
    pub append_delay: Range<Duration>,
    /// Time between the landing and the caller's hearing of it.
    pub ack_delay: Range<Duration>,
    /// Time before a batch that is there is handed to a reader.
    pub read_delay: Range<Duration>,
    /// When an append that cannot land becomes unknown, whatever the reason.
    pub append_timeout: Duration,
    /// A chance to be refused: it surely does not land, and the caller hears `Failed`.
    pub refused: f64,
    /// A chance to be lost: it never lands, and the caller hears `Unknown`.
    pub lost: f64,
    /// A chance to land while the caller hears `Unknown`.
    pub unreported: f64,
    /// A chance to land only after the caller has heard `Unknown`.
    pub late: f64,
    /// A chance to be held up, so that later records overtake it; it is acknowledged.
    pub overtaken: f64,
    /// A chance to land twice, the second time later.
    pub doubled: f64,
    /// How much later what is late, overtaken or doubled lands.
    pub later: Range<Duration>,
    /// A chance, at each append, that its partition stops for a while: nothing lands, nothing can be read.
    pub paused: f64,
    /// For how long it stops.
    pub pause: Range<Duration>,
    /// A chance that `next` says `Away` instead of a batch.
    pub read_away: f64,
    /// Records whose outcome may be open; past it `QueueFull`.
    pub queue_records_max: usize,
}

/// What becomes of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lands,
    Refused,
    Lost,
    Unreported,
    Late,
    Overtaken,
    Doubled,
}

impl Faults {
    /// Nothing goes wrong and nothing takes time.
    pub fn none() -> Faults {
        let at_once = Duration::ZERO..Duration::ZERO;
        Faults {
            seed: 0,
            append_delay: at_once.clone(),
            ack_delay: at_once.clone(),
            read_delay: at_once.clone(),
            append_timeout: Duration::from_secs(5),
            refused: 0.0,
            lost: 0.0,
            unreported: 0.0,
            late: 0.0,
            overtaken: 0.0,
            doubled: 0.0,
            later: at_once.clone(),
            paused: 0.0,
            pause: at_once,
            read_away: 0.0,
            queue_records_max: 32_768,
        }
    }

    /// Nothing goes wrong, but appends and reads take a few milliseconds.
    pub fn slow(seed: u64) -> Faults {
        Faults { seed, append_delay: ms(1..6), ack_delay: ms(0..3), read_delay: ms(0..3), ..Faults::none() }
    }

    /// A bit of everything, far more often than in life.
    pub fn chaos(seed: u64) -> Faults {
        Faults {
            append_timeout: Duration::from_millis(500),
            refused: 0.02,
            lost: 0.02,
            unreported: 0.02,
            late: 0.02,
            overtaken: 0.02,
            doubled: 0.02,
            later: ms(5..2_000),
            paused: 0.01,
            pause: ms(10..1_500),
            read_away: 0.02,
            ..Faults::slow(seed)
        }
    }

    pub(super) fn fate(&self, rng: &mut StdRng) -> Fate {
        let chances = [
            (self.refused, Fate::Refused),
            (self.lost, Fate::Lost),
            (self.unreported, Fate::Unreported),
            (self.late, Fate::Late),
            (self.overtaken, Fate::Overtaken),
            (self.doubled, Fate::Doubled),
        ];
        chances.into_iter().find(|(chance, _)| rng.random_bool(*chance)).map_or(Fate::Lands, |(_, fate)| fate)
    }
}

fn ms(range: Range<u64>) -> Range<Duration> {
    Duration::from_millis(range.start)..Duration::from_millis(range.end)
}

pub(super) fn draw(rng: &mut StdRng, range: &Range<Duration>) -> Duration {
    if range.is_empty() { range.start } else { rng.random_range(range.clone()) }
}
