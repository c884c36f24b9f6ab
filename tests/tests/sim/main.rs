//! Whole nodes (writer, feed, projector, gateway's sessions) and their clients over a faulty log, in one thread under
//! paused time. One seed decides everything; a shadow model checks invariants 1 to 5 of ARCHITECTURE.md meanwhile.
//!
//! - `SEED=7 cargo test -p teamlog-tests --test sim` runs one seed and prints its trace.
//! - `TEAMLOG_TEST_SEEDS=1000` runs so many instead of 200.
//!
//! Each seed has a process of its own, in which even what the operating system gives as random follows from the seed
//! (`mad-turmoil`): the runtime's choices, the order in maps, ids. Nothing of one run is left for the next.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod campaign;
mod node;
mod people;
mod plan;
mod run;
mod sessions;
mod shadow;
mod store;
mod trace;
mod wire;
mod world;

use rand_of_mad_turmoil::{SeedableRng, rngs::StdRng};
use teamlog_log::testing::leave_out;

fn main() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number(campaign::SEED_OF_CHILD) {
        alone(seed, false);
    } else if let Some(seed) = number("SEED") {
        alone(seed, true);
    } else {
        campaign::run(number("TEAMLOG_TEST_SEEDS").unwrap_or(200));
    }
}

/// Runs one seed in this process.
fn alone(seed: u64, printed: bool) {
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    if let Ok(rule) = std::env::var(campaign::LEFT_OUT) {
        let known = campaign::RULES.into_iter().find(|known| format!("{known:?}") == rule);
        leave_out(known.expect("the name of a rule"));
    }
    let outcome = run::run(seed, printed);
    let (lines, hash) = outcome.trace;
    println!("seed {seed}: {lines} lines {hash:016x}, {} events, {} frames", outcome.events, outcome.frames);
}
