//! Randomness, passed in like the clock.

use std::{fmt, sync::Arc};

/// A source of random numbers. Cheap to clone.
#[derive(Clone)]
pub struct Random {
    next: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Random {
    /// Makes a source from a function.
    pub fn new(next: impl Fn() -> u64 + Send + Sync + 'static) -> Random {
        Random { next: Arc::new(next) }
    }

    /// Returns the generator of the calling thread.
    pub fn system() -> Random {
        Random::new(rand::random)
    }

    /// Returns the next number.
    pub fn next(&self) -> u64 {
        (self.next)()
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}
