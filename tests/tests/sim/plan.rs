//! The plan that a seed determines before the run: the size of the world, and its faults.

use std::{ops::Range, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use teamlog_log::testing::Faults;

/// Everything that is the same for a whole run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) partitions: u32,
    pub(crate) teams: usize,
    /// In each team, its owner included.
    pub(crate) people: usize,
    /// Public and private channels in each team, beside the general one.
    pub(crate) channels: (usize, usize),
    /// Sessions of each team.
    pub(crate) sessions: usize,
    /// How long things go wrong.
    pub(crate) chaos: Duration,
    /// Between two things that somebody does.
    pub(crate) idle: Range<Duration>,
    /// Between two things that happen to nodes.
    pub(crate) calm: Range<Duration>,
    pub(crate) faults: Faults,
    /// Of each node's clock, in microseconds: within its bound, but for one node's at the most.
    pub(crate) skews: Vec<i64>,
    /// Of the calls between nodes.
    pub(crate) calls: CallFaults,
    /// The longest time that a view lags by.
    pub(crate) lag: Duration,
    pub(crate) ring_bytes_max: usize,
    /// Events that wait for one session.
    pub(crate) queue_max: usize,
    pub(crate) burst_frames: usize,
    pub(crate) catch_up_bytes_max: usize,
}

/// The faults of calls from one node to another.
#[derive(Clone, Debug)]
pub(crate) struct CallFaults {
    /// On its way, each way.
    pub(crate) delay: Range<Duration>,
    /// A chance to find no connection.
    pub(crate) refused: f64,
    /// A chance that the connection breaks before the answer is there, whatever it was.
    pub(crate) broken: f64,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Plan {
        let mut rng = stream(seed, "plan");
        let nodes = rng.random_range(2..=3);
        let faults = match rng.random_range(0..4) {
            0 => Faults::slow(seed),
            1 => Faults { later: ms(5..200), pause: ms(10..300), ..Faults::chaos(seed) },
            _ => Faults::chaos(seed),
        };
        let is_skewed = rng.random_bool(0.3);
        let skew = |_| if is_skewed { rng.random_range(-SKEW_MAX..SKEW_MAX) } else { 0 };
        let mut skews: Vec<i64> = (0..nodes).map(skew).collect();
        let mut off = stream(seed, "off");
        if off.random_bool(0.2) {
            skews[off.random_range(0..nodes)] = *pick(&mut off, &[-600_000_000, -5_000_000, 5_000_000, 600_000_000]);
        }
        let broken = *pick(&mut rng, &[0.0, 0.02, 0.1]);
        Plan {
            seed,
            nodes,
            skews,
            calls: CallFaults { delay: ms(0..*pick(&mut rng, &[2, 20, 200])), refused: broken, broken },
            partitions: rng.random_range(1..=3),
            teams: rng.random_range(1..=2),
            people: rng.random_range(3..=5),
            channels: (rng.random_range(1..=2), rng.random_range(1..=2)),
            sessions: rng.random_range(2..=4),
            chaos: ms(6_000..20_000).start + Duration::from_millis(rng.random_range(0..10_000)),
            idle: ms(20..rng.random_range(200..800)),
            calm: ms(50..rng.random_range(500..4_000)),
            faults,
            lag: Duration::from_millis(*pick(&mut rng, &[0, 20, 300, 3_000])),
            ring_bytes_max: *pick(&mut rng, &[1_000, 4_000, 20_000, 1 << 20]),
            queue_max: *pick(&mut rng, &[1, 2, 8, 64]),
            burst_frames: *pick(&mut rng, &[1, 5, 50]),
            catch_up_bytes_max: *pick(&mut rng, &[1, 2_000, 1 << 20]),
        }
    }
}

/// Microseconds by which a clock that keeps its time may be off: a bit less than nodes hold it to.
pub(crate) const SKEW_MAX: i64 = 1_900_000;

/// Random numbers of a purpose's own: what one part draws moves no other.
pub(crate) fn stream(seed: u64, purpose: &str) -> StdRng {
    let mixed = purpose
        .bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |mixed, byte| (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    StdRng::seed_from_u64(mixed)
}

pub(crate) fn ms(range: Range<u64>) -> Range<Duration> {
    Duration::from_millis(range.start)..Duration::from_millis(range.end)
}

pub(crate) fn pick<'a, T>(rng: &mut StdRng, of: &'a [T]) -> &'a T {
    &of[rng.random_range(0..of.len())]
}
