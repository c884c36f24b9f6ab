//! The faults of a faulty log, and how often they occur.

use std::ops::Range;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// The faults of a [`FaultyLog`](super::FaultyLog). Chances are between 0 and 1. Those of an append are drawn in the order
/// of the fields, and at most one fault hits a record.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The seed of all random draws.
    pub seed: u64,
    /// Time between the call and the landing. Without a fault a partition's records still land in order.
    pub append_delay: Range<Duration>,
    /// Time between the landing and the outcome that the caller gets.
    pub ack_delay: Range<Duration>,
    /// Time before an available batch is returned to a reader.
    pub read_delay: Range<Duration>,
    /// When an append that cannot land becomes unknown, whatever the reason.
    pub append_timeout: Duration,
    /// The chance to be refused: the record never lands, and the caller gets `Failed`.
    pub refused: f64,
    /// The chance to be lost: the record never lands, and the caller gets `Unknown`.
    pub lost: f64,
    /// The chance to land while the caller gets `Unknown`.
    pub unreported: f64,
    /// The chance to land only after the caller got `Unknown`.
    pub late: f64,
    /// The chance to be delayed, so that later records overtake the record. It is acknowledged.
    pub overtaken: f64,
    /// The chance to land twice, the second time later.
    pub doubled: f64,
    /// The extra delay of a record that is late, overtaken or doubled.
    pub later: Range<Duration>,
    /// The chance, at each append, that its partition pauses: no record lands, and none can be read.
    pub paused: f64,
    /// The length of a pause.
    pub pause: Range<Duration>,
    /// The chance that `next` fails with `Unavailable`.
    pub read_unavailable: f64,
    /// Records whose outcome may be open; past that an append fails with `QueueFull`.
    pub queue_records_max: usize,
}

/// The fate of a record.
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
    /// No faults and no delays.
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
            read_unavailable: 0.0,
            queue_records_max: 32_768,
        }
    }

    /// No faults, but appends and reads take a few milliseconds.
    pub fn slow(seed: u64) -> Faults {
        Faults { seed, append_delay: ms(1..6), ack_delay: ms(0..3), read_delay: ms(0..3), ..Faults::none() }
    }

    /// All faults, far more often than in production.
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
            read_unavailable: 0.02,
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
