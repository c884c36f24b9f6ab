//! Many seeds, each in a process of its own, and how many of them run at a time.

use std::{
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use teamlog_log::testing::Rule;

/// Set for a process that runs one seed and says nothing but its outcome.
pub(crate) const SEED_OF_CHILD: &str = "TEAMLOG_SIM_SEED";
/// The rule that a process leaves out, if any.
pub(crate) const LEFT_OUT: &str = "TEAMLOG_SIM_LEFT_OUT";
/// Every rule that can be.
pub(crate) const RULES: [Rule; 6] =
    [Rule::Seq, Rule::ReadBack, Rule::Barrier, Rule::Closed, Rule::MembershipAtX, Rule::LowWater];

/// The result of a seed: one line of a run that went well, or the failure.
pub(crate) type Said = Result<String, String>;

/// Runs one seed.
pub(crate) fn one(seed: u64, left_out: Option<Rule>) -> Said {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(SEED_OF_CHILD, seed.to_string()).env_remove("SEED").stdin(Stdio::null());
    if let Some(rule) = left_out {
        command.env(LEFT_OUT, format!("{rule:?}"));
    }
    let output = command.output().map_err(|why| why.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{said}{errors}\nrun it again: SEED={seed} cargo test -p teamlog-tests --test sim"))
}

/// Runs seeds, as many at a time as there are cores, until all have run or so many have failed. What each said, in the
/// order of the seeds.
pub(crate) fn many(seeds: &[u64], left_out: Option<Rule>, failed_max: usize) -> Vec<(u64, Said)> {
    let (next, failed, said) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while failed.load(Ordering::Relaxed) < failed_max
                    && let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let outcome = one(*seed, left_out);
                    failed.fetch_add(usize::from(outcome.is_err()), Ordering::Relaxed);
                    said.lock().unwrap().push((*seed, outcome));
                }
            });
        }
    });
    let mut said = said.into_inner().unwrap();
    said.sort_by_key(|(seed, _)| *seed);
    said
}
