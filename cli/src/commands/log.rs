//! `teamlog log`: reads the log itself, beside a running server or without one.

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use teamlog_log::{Body, Entry, Offset, Partition, Position, Topic, TopicPartition};
use teamlog_schemas::Event;
use tokio_util::sync::CancellationToken;

use super::Outcome;
use crate::{
    config::Config,
    output,
    parts::{DataDir, OpenLog, feed},
};

/// The log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Make the topics that are missing. Example: teamlog log create-topics --config teamlog.toml
    CreateTopics,
    /// Partitions with their claims, epochs and void records. Example: teamlog log describe
    Describe,
    /// Events as JSON lines. Example: teamlog log cat --team acme --from 10
    Cat {
        /// Only this team's (its domain).
        #[arg(long)]
        team: Option<String>,
        /// From this offset of its partition on.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Go on with what comes.
        #[arg(long)]
        follow: bool,
    },
}

/// How long the log may take before the command gives up.
const AWAY: std::time::Duration = std::time::Duration::from_secs(10);

impl LogCommand {
    pub(crate) async fn run(self, config: &Config, data: &DataDir, as_json: bool) -> anyhow::Result<Outcome> {
        let log = OpenLog::open_read_only(config, data).await?;
        let ran = async {
            match self {
                LogCommand::CreateTopics => {
                    log.create_topics().await?;
                    output::line(if as_json { "{\"ok\":true}" } else { "the topics are there" });
                }
                LogCommand::Describe => describe(&log, as_json).await?,
                LogCommand::Cat { team, from, follow } => cat(&log, team.as_deref(), from, follow).await?,
            }
            Ok(Outcome::Done)
        };
        let outcome = ran.await;
        log.close().await;
        outcome
    }
}

/// Calls `each` with every entry of a partition from its beginning to its present end, or for ever.
async fn fold(
    log: &OpenLog,
    source: TopicPartition,
    follow: bool,
    mut each: impl FnMut(&Entry<Event>),
) -> anyhow::Result<()> {
    let end = tokio::time::timeout(AWAY, log.shared().end(source)).await;
    let end = end.unwrap_or_else(|_| Err(teamlog_log::LogError::Away("no answer in 10 s".to_owned())))?;
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let feed = feed(log.shared(), vec![(source, Position::START)], stop);
    let mut subscriber = feed.subscribe(source, Position::START);
    while follow || subscriber.position().offset < end {
        for entry in subscriber.next().await? {
            if follow || entry.offset < end {
                each(&entry);
            }
        }
    }
    Ok(())
}

async fn describe(log: &OpenLog, as_json: bool) -> anyhow::Result<()> {
    let partitions = log.shared().partitions(Topic::Events).await?;
    let events = (0..partitions).map(|number| TopicPartition::events(Partition(number)));
    for source in std::iter::once(TopicPartition::DIRECTORY).chain(events) {
        let (mut claims, mut counted, mut void, mut after) = (0u64, 0u64, 0u64, Position::START);
        fold(log, source, false, |entry| {
            match entry.body {
                Body::Claim { .. } => claims += 1,
                Body::Void(_) => void += 1,
                Body::Event(_) | Body::Barrier | Body::Tombstone(_) | Body::Undecodable(_) => counted += 1,
            }
            after = entry.after;
        })
        .await?;
        let (end, epoch, log_id) = (after.offset, after.epoch, after.log_id);
        let object = json!({
            "partition": source.to_string(), "end": end.0, "log_id": log_id, "epoch": epoch, "claims": claims,
            "counted": counted, "void": void,
        });
        output::object(as_json, &object, || {
            format!("{source}: end {end}, epoch {epoch}, {claims} claims, {counted} counted, {void} void, log {log_id}")
        });
    }
    Ok(())
}

async fn cat(log: &OpenLog, domain: Option<&str>, from: u64, follow: bool) -> anyhow::Result<()> {
    let partitions = log.shared().partitions(Topic::Events).await?;
    let (team, sources) = match domain {
        None if follow => bail!("--follow needs --team: it follows one partition"),
        None => (None, (0..partitions).map(|number| TopicPartition::events(Partition(number))).collect()),
        Some(domain) => {
            let mut found = None;
            fold(log, TopicPartition::DIRECTORY, false, |entry| {
                if let Some(Event::TeamRegistered(e)) = entry.event().map(|event| &**event)
                    && e.domain == domain
                {
                    found = Some((e.meta.team, e.partition.unsigned_abs()));
                }
            })
            .await?;
            let (team, partition) = found.with_context(|| format!("no team has the domain {domain}"))?;
            (Some(team), vec![TopicPartition::events(Partition(partition))])
        }
    };
    for source in sources {
        fold(log, source, follow, |entry| {
            let Some(event) = entry.event().filter(|event| team.is_none() || event.team() == team) else { return };
            if entry.offset < Offset(from) {
                return;
            }
            let mut line = json!({ "partition": source.partition.0, "offset": entry.offset.0 });
            if let (Value::Object(line), Value::Object(event)) = (&mut line, event.to_json()) {
                line.extend(event);
            }
            output::line(&line.to_string());
        })
        .await?;
    }
    Ok(())
}
