//! Many seeds, each in a process of its own, and what must hold of all of them.

use std::{
    process::{Command, Stdio},
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use teamlog_log::testing::Rule;

/// Set for a process that runs one seed.
pub(crate) const SEED_OF_CHILD: &str = "TEAMLOG_SIM_SEED";
/// The rule that it leaves out, if any.
pub(crate) const LEFT_OUT: &str = "TEAMLOG_SIM_LEFT_OUT";
/// Every rule that can be.
pub(crate) const RULES: [Rule; 5] = [Rule::Seq, Rule::ReadBack, Rule::Barrier, Rule::Closed, Rule::MembershipAtX];

/// Runs all tests, and ends the process with what the harness of others would.
pub(crate) fn run(seeds: u64) {
    let began = Instant::now();
    let failed: Vec<String> = all(1..=seeds);
    failed.iter().take(5).for_each(|why| println!("{why}"));
    println!("{seeds} seeds, {} failed, {:?}", failed.len(), began.elapsed());
    if !failed.is_empty() {
        std::process::exit(101);
    }
}

fn all(seeds: std::ops::RangeInclusive<u64>) -> Vec<String> {
    let (next, failed) = (AtomicU64::new(*seeds.start()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > *seeds.end() {
                        return;
                    }
                    if let Err(why) = one(seed, None) {
                        failed.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

/// Runs one seed; its line, or what failed.
pub(crate) fn one(seed: u64, left_out: Option<Rule>) -> Result<String, String> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(SEED_OF_CHILD, seed.to_string()).env_remove("SEED").stdin(Stdio::null());
    if let Some(rule) = left_out {
        command.env(LEFT_OUT, format!("{rule:?}"));
    }
    let output = command.output().map_err(|why| why.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))) }
}
