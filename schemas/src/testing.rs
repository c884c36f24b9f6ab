//! Samples of every event, for tests.

use std::str::FromStr;

use crate::Ts;

/// A small generator of numbers, the same from the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `sides` (SplitMix64).
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// Picks a value from a slice.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }

    /// Picks an id from a list of texts.
    pub(crate) fn id<T: FromStr<Err: std::fmt::Debug>>(&mut self, of: &[&str]) -> T {
        self.pick(of).parse().expect("a sample's id parses")
    }

    /// A time within one second.
    pub(crate) fn ts(&mut self) -> Ts {
        Ts::from_micros(1_444_959_632_000_000 + self.roll(1_000_000) as i64)
    }
}
