//! `teamlog view`: where the views stand, whether they are true, and building them anew.
//!
//! Each works beside a running server and without one. A rebuild and a switch run here and not in the server: which
//! generation is current stands beside the view itself, and every process that reads it looks there each second.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use teamlog_log::{Feed, Partition, Topic};
use teamlog_projectors::{Difference, OneTeam, Rebuilt, Switched, Verified, VerifyError, View, ViewReplica, names};
use teamlog_schemas::Event;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{
    Outcome,
    log::{in_time, registered},
    status,
    view_status::{self, needs_rebuild, say},
};
use crate::{
    config::Config,
    parts::{DataDir, OpenLog, feed, search_dir, sources, views},
};

/// Differences that people are shown of a rebuild; `--json` has the first hundred.
const SHOWN: usize = 5;

/// The views.
#[derive(Debug, Subcommand)]
pub(crate) enum ViewCommand {
    /// Position and lag of every view and replica. Example: teamlog view status
    ///
    /// Exits with 3 if a replica does not answer, with 1 if one was built by another version; what the others say is printed
    /// all the same.
    Status(Which),
    /// Compare a view with a fold of the log, row by row. Example: teamlog view verify "shard s1"
    ///
    /// Exits with 1 if anything differs, or was built by another version.
    Verify {
        #[command(flatten)]
        which: Which,
        /// Only this team's rows (its domain).
        #[arg(long)]
        team: Option<String>,
    },
    /// Build a view anew beside the old one, say what differed, then switch. Example: teamlog view rebuild mains
    Rebuild {
        /// `mains`, `shard NAME` or `search`.
        view: String,
        /// Only the replica whose address holds this text.
        #[arg(long)]
        replica: Option<String>,
        /// Leave the new one built, for `view switch` to use later.
        #[arg(long)]
        no_switch: bool,
        /// Refused: a rebuild is of a whole replica.
        #[arg(long, hide = true)]
        team: Option<String>,
    },
    /// Switch to what `view rebuild --no-switch` built. Example: teamlog view switch "shard s1"
    Switch {
        /// `mains`, `shard NAME` or `search`.
        view: String,
        /// Only the replica whose address holds this text.
        #[arg(long)]
        replica: Option<String>,
    },
}

/// Which views and replicas are meant.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// `mains`, `shard NAME` or `search`; all of them if it is left out.
    view: Option<String>,
    /// Only the replica whose address holds this text.
    #[arg(long)]
    replica: Option<String>,
}

impl ViewCommand {
    pub(crate) async fn run(self, config: &Config, data: &DataDir, as_json: bool) -> anyhow::Result<Outcome> {
        if let ViewCommand::Rebuild { team: Some(_), .. } = self {
            bail!(
                "a rebuild is of a whole replica: one team's rows cannot be built beside the others'; leave out --team"
            );
        }
        let log = OpenLog::open_read_only(config, data).await?;
        let outcome = self.with(config, data, &log, as_json).await;
        log.close().await;
        outcome
    }

    async fn with(self, config: &Config, data: &DataDir, log: &OpenLog, as_json: bool) -> anyhow::Result<Outcome> {
        let partitions = in_time(log.shared().partitions(Topic::Events)).await?;
        let (shards, mains) = views(config, data, partitions)?;
        let all = View::all(&mains, &shards, &search_dir(config, data));
        let mut told = Told { as_json, outcome: Outcome::Done };
        match self {
            ViewCommand::Status(Which { view, replica }) => {
                let chosen = chosen(&all, view.as_deref(), replica.as_deref())?;
                return view_status::run(log, &chosen, as_json).await;
            }
            ViewCommand::Verify { which: Which { view, replica }, team } => {
                let (all, team) = match &team {
                    Some(domain) => of_team(log, all, view.as_deref(), domain).await?,
                    None => (all, None),
                };
                let chosen = chosen(&all, view.as_deref(), replica.as_deref())?;
                reading(log, config, partitions, async |feed| verify(feed, &chosen, team, &mut told).await).await?;
            }
            ViewCommand::Rebuild { view, replica, no_switch, .. } => {
                let chosen = chosen(&all, Some(&view), replica.as_deref())?;
                let _locks = data.lock_rebuild()?;
                reading(log, config, partitions, async |feed| rebuild(feed, &chosen, !no_switch, &mut told).await)
                    .await?;
            }
            ViewCommand::Switch { view, replica } => {
                let chosen = chosen(&all, Some(&view), replica.as_deref())?;
                let _locks = data.lock_rebuild()?;
                reading(log, config, partitions, async |feed| switch(feed, &chosen, &mut told).await).await?;
            }
        }
        Ok(told.outcome)
    }
}

/// Does something with a feed of the whole log, which has ended when this does: the log may be closed then.
pub(super) async fn reading<T>(
    log: &OpenLog,
    config: &Config,
    partitions: u32,
    work: impl AsyncFnOnce(&Feed<Event>) -> T,
) -> T {
    let stop = CancellationToken::new();
    let feed = feed(log.shared(), config.log.feed(), sources(partitions, &Default::default()), stop.clone());
    let done = work(&feed).await;
    stop.cancel();
    feed.ended().await;
    done
}

/// The views that hold a team, and where it lies.
async fn of_team(
    log: &OpenLog,
    mut all: Vec<View>,
    view: Option<&str>,
    domain: &str,
) -> anyhow::Result<(Vec<View>, Option<OneTeam>)> {
    let found = registered(log, domain).await?.with_context(|| format!("no team has the domain {domain}"))?;
    let lies = names::shard(&found.shard);
    if let Some(other) = view.filter(|name| name.starts_with(&names::shard("")) && *name != lies) {
        bail!("{domain} is not on {other} but on {lies}");
    }
    all.retain(|view| !matches!(view, View::Shard(_, name) if *name != found.shard));
    let partition = Partition(found.partition.unsigned_abs());
    Ok((all, Some(OneTeam { team: found.meta.team, partition })))
}

async fn verify(
    feed: &Feed<Event>,
    replicas: &[ViewReplica],
    team: Option<OneTeam>,
    told: &mut Told,
) -> anyhow::Result<()> {
    for replica in replicas {
        match replica.verify(feed, team, &std::env::temp_dir()).await {
            Ok(verified) => told.verified(replica, &verified),
            Err(why) => told.failed(replica, why)?,
        }
    }
    Ok(())
}

async fn rebuild(
    feed: &Feed<Event>,
    replicas: &[ViewReplica],
    is_switched: bool,
    told: &mut Told,
) -> anyhow::Result<()> {
    for replica in replicas {
        match replica.rebuild(feed, is_switched).await {
            Ok(rebuilt) => told.rebuilt(replica, &rebuilt),
            Err(why) => told.failed(replica, why)?,
        }
    }
    Ok(())
}

/// Switches where something is built; that it is nowhere is an error.
async fn switch(feed: &Feed<Event>, replicas: &[ViewReplica], told: &mut Told) -> anyhow::Result<()> {
    let (mut switched, mut not_built) = (false, None);
    for replica in replicas {
        match replica.switch(feed).await {
            Ok(Switched { generation, before }) => {
                switched = true;
                let rest = json!({ "generation": generation, "before": before, "switched": true });
                told.say(replica, rest, || format!("switched from generation {before} to {generation}"));
            }
            Err(why @ VerifyError::NotBuilt { .. }) => not_built = Some(why),
            Err(why) => told.failed(replica, why)?,
        }
    }
    match not_built.filter(|_| !switched) {
        Some(why) => Err(why).context("`teamlog view rebuild --no-switch` builds one"),
        None => Ok(()),
    }
}

/// The printer of a result for each replica, and the outcome of all.
struct Told {
    as_json: bool,
    outcome: Outcome,
}

impl Told {
    fn say(&self, of: &ViewReplica, rest: Value, text: impl FnOnce() -> String) {
        say(self.as_json, of, rest, text);
    }

    /// Reports a replica that is unavailable or of another schema, so that the others are still checked. Other errors are
    /// returned.
    fn failed(&mut self, of: &ViewReplica, why: VerifyError) -> anyhow::Result<()> {
        if let Some(other) = why.other_schema() {
            self.say(of, needs_rebuild(other), || other.to_string());
            self.outcome = Outcome::Differs;
            return Ok(());
        }
        let why = anyhow::Error::new(why).context(format!("{} on {}", of.view(), of.name()));
        if status(&why) != 3 {
            return Err(why);
        }
        error!("{why:#}");
        self.say(of, json!({ "away": why.root_cause().to_string() }), || "away".to_owned());
        // A difference that was found before weighs more.
        if self.outcome == Outcome::Done {
            self.outcome = Outcome::Away;
        }
        Ok(())
    }

    fn verified(&mut self, of: &ViewReplica, verified: &Verified) {
        let differences: Vec<String> = verified.differences.iter().map(Difference::to_string).collect();
        let rest = json!({
            "rows": verified.rows, "differing": verified.differing, "differences": differences,
        });
        self.say(of, rest, || {
            let summary = format!("{} rows, {} differ", verified.rows, verified.differing);
            std::iter::once(summary).chain(differences.clone()).collect::<Vec<_>>().join("\n  ")
        });
        if verified.differing > 0 {
            self.outcome = Outcome::Differs;
        }
    }

    fn rebuilt(&self, of: &ViewReplica, rebuilt: &Rebuilt) {
        let done = if rebuilt.switched { "rebuilt and switched" } else { "rebuilt, not switched yet" };
        let done = format!("{done}, generation {}", rebuilt.generation);
        let mut rest = json!({
            "rebuilt": true, "generation": rebuilt.generation, "before": rebuilt.before, "switched": rebuilt.switched,
            "other_schema": rebuilt.differed.is_none(),
        });
        let Some(Verified { rows, differing, differences, .. }) = &rebuilt.differed else {
            self.say(of, rest, || format!("{done}; the old one was of another schema and is not compared"));
            return;
        };
        let differences: Vec<String> = differences.iter().map(Difference::to_string).collect();
        if let (Value::Object(rest), Value::Object(compared)) =
            (&mut rest, json!({ "rows": rows, "differing": differing, "differences": differences }))
        {
            rest.extend(compared);
        }
        self.say(of, rest, || {
            let summary = format!("{done}; in the old one {differing} of {rows} rows differed");
            let mut lines: Vec<String> =
                std::iter::once(summary).chain(differences.iter().take(SHOWN).cloned()).collect();
            if *differing > SHOWN as u64 {
                lines.push(format!("and {} more", differing - SHOWN as u64));
            }
            lines.join("\n  ")
        });
    }
}

/// The replicas that are meant; that there are none is an error.
pub(super) fn chosen(all: &[View], view: Option<&str>, replica: Option<&str>) -> anyhow::Result<Vec<ViewReplica>> {
    let views = all.iter().filter(|one| view.is_none_or(|name| one.name() == name));
    let fits = |one: &ViewReplica| replica.is_none_or(|text| one.name().contains(text));
    let chosen: Vec<_> = views.flat_map(View::replicas).filter(fits).collect();
    if chosen.is_empty() {
        let known: Vec<String> = all.iter().map(View::name).collect();
        bail!("no such view or replica; the views are: {}", known.join(", "));
    }
    Ok(chosen)
}
