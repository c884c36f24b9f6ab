//! The trait that every consumer implements.

use std::time::Duration;

use async_trait::async_trait;
use teamlog_schemas::Event;

use crate::{Job, JobEnd, Rate, RetryPolicy, World};

/// Follows the log and acts on the world. Everything but these functions is the runner's: placement, positions, turns,
/// retries, dead letters, metrics.
///
/// A piece of work is run at least once. After a crash or a take-over it may be run again, and two processes may run it at
/// one time while they disagree about placement. What is handed in by [`World::submit`] happens once all the same; whatever
/// else it does must bear to be done again, or carry [`Job::key`] for the receiver to see that it is.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// The name of its kind: in keys, in `progress`, in metrics. Lower case letters and hyphens. It never changes.
    const NAME: &'static str;
    /// A piece of work.
    type Work: Send + Sync + 'static;

    /// Returns the work that follows from an event, in an order that never changes: a piece is known by its number.
    /// Pure. Most events give none.
    fn work(&self, event: &Event) -> Vec<Self::Work>;

    /// Carries out one piece of work. Dropped where it takes longer than [`JobBudget::run_max`].
    async fn run(&self, world: &World, job: &Job<Self::Work>) -> JobEnd;

    /// Returns its bounds.
    fn budget(&self) -> JobBudget {
        JobBudget::default()
    }
}

/// The bounds of one kind of consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobBudget {
    /// Pieces of work that run at one time in this process.
    pub in_flight_max: usize,
    /// Of one team.
    pub team_in_flight_max: usize,
    /// Pieces of work that begin in this process, tries among them.
    pub rate: Rate,
    /// Of one team.
    pub team_rate: Rate,
    /// Pieces of one team that wait in memory for their turn. What comes after them is read again later.
    pub team_waiting_max: usize,
    /// Events of one partition whose work is not settled. At the bound no more are read.
    pub open_max: usize,
    /// Pieces in one partition that wait for another try. At the bound the team with the most gives up its oldest, which
    /// becomes a dead letter: well below `open_max`, so that work which fails never stops work that does not.
    pub held_max: usize,
    /// The longest time that a try may take.
    pub run_max: Duration,
    /// When what failed is tried again.
    pub retry: RetryPolicy,
}

impl JobBudget {
    /// The default rate of a kind. A piece of work takes some 2 ms of a core; most of a machine is left to posts and reads.
    pub const RATE: Rate = Rate::per_second(200);
    /// The default rate of a team: 20 at once, then 10 a second. People ask for less; the work of an import or a busy bot takes
    /// its time. At 10 a second one post in fifty of other teams finds a piece of this work on a core.
    pub const TEAM_RATE: Rate = Rate::of_a_team(10);
}

impl Default for JobBudget {
    /// For work that waits for other servers: many at a time, of one team few.
    fn default() -> Self {
        JobBudget {
            in_flight_max: 64,
            team_in_flight_max: 8,
            rate: JobBudget::RATE,
            team_rate: JobBudget::TEAM_RATE,
            team_waiting_max: 64,
            open_max: 4_096,
            held_max: 1_024,
            run_max: Duration::from_secs(60),
            retry: RetryPolicy::default(),
        }
    }
}
