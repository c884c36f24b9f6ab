//! Randomness, passed in like the clock.

use std::{fmt, sync::Arc};

/// Where random numbers come from. Cheap to clone.
#[derive(Clone)]
pub struct Random {
    next: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Random {
    /// From a function.
    pub fn new(next: impl Fn() -> u64 + Send + Sync + 'static) -> Random {
        Random { next: Arc::new(next) }
    }

    /// This thread's generator.
    pub fn system() -> Random {
        Random::new(rand::random)
    }

    /// The next one.
    pub fn next(&self) -> u64 {
        (self.next)()
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}
