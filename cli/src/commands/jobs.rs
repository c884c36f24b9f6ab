//! `teamlog jobs`: work that failed for good, through a running server.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Outcome;
use crate::{client::Client, output};

/// Work of consumers that failed for good: dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List them, those that failed first coming first. Example: teamlog jobs list --team acme --json
    List(Wanted),
    /// Show one, and the event that it follows from.
    /// Example: teamlog jobs show unfurl/01920000-0000-7000-8000-000000000001/0
    Show {
        /// As the list names it.
        job: String,
    },
    /// Have the work tried again. It is a dead letter until that went well. Example: teamlog jobs retry --kind unfurl
    Retry {
        /// As the list names them.
        jobs: Vec<String>,
        #[command(flatten)]
        wanted: Wanted,
        /// All that there are.
        #[arg(long)]
        all: bool,
    },
    /// Give the work up for good. Example: teamlog jobs drop --kind unfurl --team acme
    Drop {
        /// As the list names them.
        jobs: Vec<String>,
        #[command(flatten)]
        wanted: Wanted,
        /// All that there are.
        #[arg(long)]
        all: bool,
    },
}

/// Which of them.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Of this consumer.
    #[arg(long)]
    kind: Option<String>,
    /// Of the team with this domain.
    #[arg(long, value_name = "DOMAIN")]
    team: Option<String>,
}

fn text<'a>(job: &'a Value, key: &str) -> &'a str {
    job[key].as_str().unwrap_or_default()
}

fn line(job: &Value) -> String {
    let note = match (job["retrying"].as_bool(), job["may_repeat"].as_bool()) {
        (Some(true), _) => "  (is being tried again)",
        (_, Some(true)) => "  (old: a retry may do again what an earlier try did)",
        _ => "",
    };
    format!("{}  {}  {} tries  {}{note}", text(job, "job"), text(job, "team"), job["tries"], text(job, "why"))
}

impl JobsCommand {
    pub(crate) async fn run(self, client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
        match self {
            JobsCommand::List(Wanted { kind, team }) => {
                let listed = client.call("teamlog.jobs.list", &json!({ "kind": kind, "domain": team })).await?;
                let jobs = listed["jobs"].as_array().cloned().unwrap_or_default();
                for job in &jobs {
                    output::object(as_json, job, || line(job));
                }
                if let Some(more) = listed["total"].as_u64().filter(|total| *total > jobs.len() as u64) {
                    tracing::warn!("{} of {more} are shown: name a kind or a team", jobs.len());
                }
            }
            JobsCommand::Show { job } => {
                let shown = client.call("teamlog.jobs.show", &json!({ "job": job })).await?;
                let shown = json!({ "job": shown["job"], "event": shown["event"] });
                output::object(as_json, &shown, || serde_json::to_string_pretty(&shown).unwrap_or_default());
            }
            JobsCommand::Retry { jobs, wanted, all } => {
                change(client, "teamlog.jobs.retry", jobs, wanted, all, as_json).await?;
            }
            JobsCommand::Drop { jobs, wanted, all } => {
                change(client, "teamlog.jobs.drop", jobs, wanted, all, as_json).await?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// Prints the names of those that were changed.
async fn change(
    client: &Client,
    method: &str,
    jobs: Vec<String>,
    Wanted { kind, team }: Wanted,
    all: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    if jobs.is_empty() == (kind.is_none() && team.is_none() && !all) {
        bail!("name jobs, or say which with --kind, --team or --all");
    }
    let calls: Vec<_> = if jobs.is_empty() {
        vec![json!({ "kind": kind, "domain": team, "all": all })]
    } else {
        jobs.iter().map(|job| json!({ "job": job })).collect()
    };
    for call in calls {
        let changed = client.write(method, &call).await?;
        for job in changed["jobs"].as_array().into_iter().flatten() {
            output::object(as_json, &json!({ "job": job }), || job.as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(())
}
