//! `teamlog view`: where the views stand, whether they are true, and building them anew.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;
use teamlog_log::{Partition, Topic, TopicPartition};
use teamlog_projectors::{Replica, View, rebuild, verify};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use crate::{
    config::Config,
    output,
    parts::{DataDir, OpenLog, feed, sources, views},
};

/// The views.
#[derive(Debug, Subcommand)]
pub(crate) enum ViewCommand {
    /// Position and lag of every view and replica. Example: teamlog view status
    Status,
    /// Compare a view with a fold of the log, row by row. Example: teamlog view verify "shard s1"
    Verify {
        /// `mains` or `shard NAME`; all of them if it is left out.
        view: Option<String>,
        /// Only the replica whose address holds this text.
        #[arg(long)]
        replica: Option<String>,
    },
    /// Build a view anew beside the old one, then switch. Example: teamlog view rebuild mains
    Rebuild {
        /// `mains` or `shard NAME`.
        view: String,
        /// Only the replica whose address holds this text.
        #[arg(long)]
        replica: Option<String>,
    },
}

impl ViewCommand {
    pub(crate) async fn run(self, config: &Config, data: &DataDir, as_json: bool) -> anyhow::Result<Outcome> {
        let log = OpenLog::open_read_only(config, data).await?;
        let partitions = log.shared().partitions(Topic::Events).await?;
        let (shards, mains) = views(config, data, partitions)?;
        let all = View::all(&mains, &shards);
        let stop = CancellationToken::new();
        let _stopped = stop.clone().drop_guard();
        let feed = feed(log.shared(), config.log.feed(), sources(partitions, &Default::default()), stop);
        let mut outcome = Outcome::Done;
        match self {
            ViewCommand::Status => {
                let mut projectors = shards.projectors();
                projectors.extend(mains.projectors());
                for projector in projectors {
                    let (name, replica) = (projector.name().to_owned(), projector.replica().to_owned());
                    let reached = match projector.positions().await {
                        Ok(reached) => reached,
                        Err(why) => {
                            outcome = Outcome::Away;
                            let why = why.to_string();
                            let object = json!({ "view": name, "replica": replica, "away": why });
                            output::object(as_json, &object, || format!("{name} on {replica}: away: {why}"));
                            continue;
                        }
                    };
                    let (mut lag, mut positions) = (0, serde_json::Map::new());
                    for source in projector.sources() {
                        let end = log.shared().end(source).await?;
                        let offset = reached.get(&source).map_or(0, |position| position.offset.0);
                        lag += end.0.saturating_sub(offset);
                        positions.insert(source.to_string(), json!({ "offset": offset, "end": end.0 }));
                    }
                    let object = json!({ "view": name, "replica": replica, "lag": lag, "positions": positions });
                    output::object(as_json, &object, || format!("{name} on {replica}: {lag} records behind"));
                }
            }
            ViewCommand::Verify { view, replica } => {
                // The log may not end below what the views claim to have seen.
                for number in 0..partitions {
                    let source = TopicPartition::events(Partition(number));
                    feed.wait_for(source, log.shared().end(source).await?).await?;
                }
                for (view, replica) in chosen(&all, view.as_deref(), replica.as_deref())? {
                    let verified = verify(&feed, view, &replica, None, &std::env::temp_dir()).await?;
                    let (name, replica) = (view.name(), replica.name().to_owned());
                    let differences: Vec<String> = verified.differences.iter().map(ToString::to_string).collect();
                    let object = json!({
                        "view": name, "replica": replica, "rows": verified.rows, "differing": verified.differing,
                        "differences": differences,
                    });
                    output::object(as_json, &object, || {
                        let summary =
                            format!("{name} on {replica}: {} rows, {} differ", verified.rows, verified.differing);
                        std::iter::once(summary).chain(differences).collect::<Vec<_>>().join("\n  ")
                    });
                    if verified.differing > 0 {
                        outcome = Outcome::Differs;
                    }
                }
            }
            ViewCommand::Rebuild { view, replica } => {
                let _only_one = data.lock_rebuild()?;
                for (view, replica) in chosen(&all, Some(&view), replica.as_deref())? {
                    rebuild(&feed, view, &replica).await?;
                    let (name, replica) = (view.name(), replica.name().to_owned());
                    let object = json!({ "view": name, "replica": replica, "rebuilt": true });
                    output::object(as_json, &object, || format!("{name} on {replica}: rebuilt and switched"));
                }
            }
        }
        Ok(outcome)
    }
}

fn chosen<'a>(all: &'a [View], view: Option<&str>, replica: Option<&str>) -> anyhow::Result<Vec<(&'a View, Replica)>> {
    let views = all.iter().filter(|one| view.is_none_or(|name| one.name() == name));
    let fits = |one: &Replica| replica.is_none_or(|text| one.name().contains(text));
    let chosen: Vec<_> =
        views.flat_map(|view| view.replicas().into_iter().filter(fits).map(move |replica| (view, replica))).collect();
    if chosen.is_empty() {
        let known: Vec<String> = all.iter().map(View::name).collect();
        bail!("no such view or replica; the views are: {}", known.join(", "));
    }
    Ok(chosen)
}
