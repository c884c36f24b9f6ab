//! The trace of a run: its actions as lines, and a hash over them. Equal seeds give equal traces.

use std::{
    fmt::Arguments,
    hash::{DefaultHasher, Hasher},
    sync::{Arc, Mutex},
};

use tokio::time::Instant;

/// Where every part of a world says what it does. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Trace {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    began: Instant,
    seed: u64,
    lines: u64,
    /// With fixed keys, so that it is the same in every process.
    hash: DefaultHasher,
    printed: bool,
}

impl Trace {
    /// With no line yet; `printed` shows each on standard error.
    pub(crate) fn new(seed: u64, printed: bool) -> Trace {
        let inner = Inner { began: Instant::now(), seed, lines: 0, hash: DefaultHasher::new(), printed };
        Trace { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Adds a line: an actor (a node, a client, the world) did something.
    pub(crate) fn say(&self, who: &str, what: Arguments<'_>) {
        let mut inner = self.inner.lock().unwrap();
        let line = format!("{:>9.3} {who:<9} {what}", inner.began.elapsed().as_secs_f64());
        inner.hash.write(line.as_bytes());
        inner.lines += 1;
        if inner.printed {
            eprintln!("{line}");
        }
    }

    /// Returns the number of lines, and their hash.
    pub(crate) fn sum(&self) -> (u64, u64) {
        let inner = self.inner.lock().unwrap();
        (inner.lines, inner.hash.finish())
    }

    /// Ends the process: a check found a difference.
    pub(crate) fn fail(&self, what: &str) -> ! {
        let (seed, elapsed) = {
            let inner = self.inner.lock().unwrap();
            (inner.seed, inner.began.elapsed())
        };
        println!("seed {seed} failed after {:.3} s: {what}", elapsed.as_secs_f64());
        std::process::exit(FAILED)
    }
}

/// The status of a process whose seed failed.
pub(crate) const FAILED: i32 = 101;
