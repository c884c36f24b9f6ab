//! Whole nodes (heartbeats, writers, feed, projector, a gateway and its sessions) and their clients over a faulty log, in one thread under
//! paused time. One seed decides everything; a shadow model checks invariants 1 to 5 of ARCHITECTURE.md meanwhile.
//!
//! - `SEED=7 cargo test -p teamlog-tests --test sim` runs one seed and prints its trace.
//! - `TEAMLOG_TEST_SEEDS=1000` runs so many instead of 200; with `cargo test --release --test sim` in about a minute.
//! - `TEAMLOG_SIM_LEFT_OUT=Barrier SEED=7` leaves a rule out of it.
//!
//! Each seed has a process of its own, in which even what the operating system gives as random follows from the seed
//! (`mad-turmoil` takes `getrandom`'s place): which branch of a `select!` and which waiter of a channel comes first, the
//! order in maps, ids. Else the trace would differ with each run, and what a process did before would show. The same crate
//! stops the machine's clocks, so nothing here may wait for real time but by sleeping.
//!
//! Read [`run`], then [`world`] and [`trouble`] (what goes wrong), [`node`], [`wire`] and [`owners`] (what it goes wrong
//! with), [`people`] and [`sessions`] (who notices), [`shadow`] (what is true).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod campaign;
mod checks;
mod jobs;
mod node;
mod owners;
mod people;
mod plan;
mod regressions;
mod run;
mod sessions;
mod shadow;
mod store;
mod trace;
mod trouble;
mod wire;
mod world;

use std::{process::ExitCode, thread, time::Duration};

use rand_of_mad_turmoil::{SeedableRng, rngs::StdRng};
use teamlog_log::testing::leave_out;

/// A run takes half a second; one that takes so long never ends.
const HANGS: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number(campaign::SEED_OF_CHILD) {
        alone(seed, false);
    } else if let Some(seed) = number("SEED") {
        alone(seed, true);
    } else {
        return harness(number("TEAMLOG_TEST_SEEDS"));
    }
    ExitCode::SUCCESS
}

/// Runs one seed in this process.
fn alone(seed: u64, printed: bool) {
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    if let Ok(rule) = std::env::var(campaign::LEFT_OUT) {
        let known = campaign::RULES.into_iter().find(|known| format!("{known:?}") == rule);
        leave_out(known.expect("the name of a rule"));
    }
    thread::spawn(move || {
        thread::sleep(HANGS);
        println!("seed {seed} failed: it does not end");
        std::process::exit(trace::FAILED);
    });
    let outcome = run::run(seed, printed);
    let (lines, hash) = outcome.trace;
    let run::Outcome { events, claims, frames, .. } = outcome;
    println!("seed {seed}: {lines} lines {hash:016x}, {events} events, {claims} claims, {frames} frames");
}

/// Does the work of the standard harness, which runs each test in a thread and waits by the real clock: here time is paused.
fn harness(seeds: Option<u64>) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|word| name.contains(word.as_str()));
    let checks: Vec<_> = checks::all(seeds).into_iter().filter(|(name, _)| wanted(name)).collect();
    if words.iter().any(|word| word == "--list") {
        checks.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", checks.len());
    let mut failed = 0;
    for (name, check) in &checks {
        match check() {
            Ok(()) => println!("test {name} ... ok"),
            Err(why) => {
                failed += 1;
                println!("test {name} ... FAILED\n{why}");
            }
        }
    }
    let (passed, word) = (checks.len() - failed, if failed == 0 { "ok" } else { "FAILED" });
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
