//! `teamlog log`: reads the log itself, beside a running server or without one.

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use teamlog_log::{Body, Entry, FeedConfig, LogError, Offset, Partition, Position, Topic, TopicPartition};
use teamlog_schemas::{Event, TeamRegistered};
use tokio_util::sync::CancellationToken;

use super::{
    Outcome,
    log_verify::{DirectoryCheck, Findings, PartitionCheck},
};
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
    /// Read the whole of `directory` and `events` and check what must hold. Example: teamlog log verify --json
    ///
    /// Checked are: everything that counts can be read; the cluster was founded first and once; a domain has one team,
    /// and a team its partition; a team begins once, before all else of it; no event and no keyed write counts twice;
    /// what a team gives out as `ts` rises strictly; conversations and people are there before anything concerns them.
    /// Exits with 1 if anything is not so.
    Verify,
}

/// How long the log may take before the command gives up.
const AWAY: std::time::Duration = std::time::Duration::from_secs(10);

impl LogCommand {
    pub(crate) async fn run(self, config: &Config, data: &DataDir, as_json: bool) -> anyhow::Result<Outcome> {
        let log = OpenLog::open_read_only(config, data).await?;
        let ran = async {
            let mut outcome = Outcome::Done;
            match self {
                LogCommand::CreateTopics => {
                    log.create_topics().await?;
                    output::line(if as_json { "{\"ok\":true}" } else { "the topics are there" });
                }
                LogCommand::Describe => describe(&log, as_json).await?,
                LogCommand::Cat { team, from, follow } => cat(&log, team.as_deref(), from, follow).await?,
                LogCommand::Verify => outcome = verify(&log, as_json).await?,
            }
            Ok(outcome)
        };
        let outcome = ran.await;
        log.close().await;
        outcome
    }
}

/// Waits for the log's answer, and fails as unavailable after a time limit.
pub(super) async fn in_time<T>(asked: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
    tokio::time::timeout(AWAY, asked).await.unwrap_or_else(|_| Err(no_answer()))
}

/// Returns the end of a partition, and fails as unavailable after a time limit.
pub(super) async fn end(log: &OpenLog, source: TopicPartition) -> anyhow::Result<Offset> {
    Ok(in_time(log.shared().end(source)).await?)
}

fn no_answer() -> LogError {
    LogError::Unavailable("no answer in 10 s".to_owned())
}

/// Calls `each` with every entry of a partition from its beginning to its present end, or for ever.
async fn fold(
    log: &OpenLog,
    source: TopicPartition,
    follow: bool,
    each: impl FnMut(&Entry<Event>),
) -> anyhow::Result<()> {
    let to = if follow { None } else { Some(end(log, source).await?) };
    fold_to(log, source, to, each).await
}

/// Calls `each` with every entry of a partition from its beginning to the offset `to`, or for ever if that is `None`.
async fn fold_to(
    log: &OpenLog,
    source: TopicPartition,
    to: Option<Offset>,
    mut each: impl FnMut(&Entry<Event>),
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let stopped = stop.clone().drop_guard();
    let feed = feed(log.shared(), FeedConfig::default(), vec![(source, Position::START)], stop);
    let mut subscriber = feed.subscribe(source, Position::START);
    while to.is_none_or(|to| subscriber.position().offset < to) {
        let entries = match to {
            None => subscriber.next().await?,
            Some(_) => tokio::time::timeout(AWAY, subscriber.next()).await.map_err(|_| no_answer())??,
        };
        for entry in entries.iter().filter(|entry| to.is_none_or(|to| entry.offset < to)) {
            each(entry);
        }
    }
    // The log is closed after this, so no reader may be left.
    drop(stopped);
    feed.ended().await;
    Ok(())
}

async fn verify(log: &OpenLog, as_json: bool) -> anyhow::Result<Outcome> {
    let partitions = in_time(log.shared().partitions(Topic::Events)).await?;
    // The ends of events first: each team that has begun below them is registered in what is read of the directory.
    let mut ends = Vec::new();
    for number in 0..partitions {
        let source = TopicPartition::events(Partition(number));
        ends.push((source, end(log, source).await?));
    }
    let (mut findings, mut directory, mut begun) = (Findings::default(), DirectoryCheck::default(), 0);
    fold(log, TopicPartition::DIRECTORY, false, |entry| directory.see(entry, partitions, &mut findings)).await?;
    for (source, end) in ends {
        let mut check = PartitionCheck::new(source.partition, &directory);
        fold_to(log, source, Some(end), |entry| check.see(entry, &mut findings)).await?;
        begun += check.teams();
    }
    let Findings { told, count, events, void } = findings;
    let registered = directory.teams();
    let object = json!({
        "partitions": partitions, "teams": registered, "teams_begun": begun, "events": events, "void": void,
        "differing": count, "differences": told,
    });
    output::object(as_json, &object, || {
        let summary = format!("{events} events of {begun} teams count, {void} records are void, {count} are wrong");
        std::iter::once(summary).chain(told).collect::<Vec<_>>().join("\n  ")
    });
    Ok(if count == 0 { Outcome::Done } else { Outcome::Differs })
}

async fn describe(log: &OpenLog, as_json: bool) -> anyhow::Result<()> {
    let partitions = in_time(log.shared().partitions(Topic::Events)).await?;
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
        let (end, epoch, log_id, claim) = (after.offset, after.epoch, after.log_id, after.claim_id);
        let object = json!({
            "partition": source.to_string(), "end": end.0, "log_id": log_id, "epoch": epoch, "claim_id": claim,
            "claims": claims, "counted": counted, "void": void,
        });
        output::object(as_json, &object, || {
            format!(
                "{source}: end {end}, epoch {epoch}, {claims} claims, {counted} counted, {void} void, log {log_id}, claim {claim}"
            )
        });
    }
    Ok(())
}

/// How the directory has a domain, if it has it. The first one counts.
pub(super) async fn registered(log: &OpenLog, domain: &str) -> anyhow::Result<Option<TeamRegistered>> {
    let mut found = None;
    fold(log, TopicPartition::DIRECTORY, false, |entry| {
        if let Some(Event::TeamRegistered(e)) = entry.event().map(|event| &**event)
            && e.domain == domain
        {
            found.get_or_insert_with(|| e.clone());
        }
    })
    .await?;
    Ok(found)
}

async fn cat(log: &OpenLog, domain: Option<&str>, from: u64, follow: bool) -> anyhow::Result<()> {
    let partitions = in_time(log.shared().partitions(Topic::Events)).await?;
    let (team, sources) = match domain {
        None if follow => bail!("--follow needs --team: it follows one partition"),
        None => (None, (0..partitions).map(|number| TopicPartition::events(Partition(number))).collect()),
        Some(domain) => {
            let found = registered(log, domain).await?.with_context(|| format!("no team has the domain {domain}"))?;
            (Some(found.meta.team), vec![TopicPartition::events(Partition(found.partition.unsigned_abs()))])
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
