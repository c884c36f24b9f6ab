//! `teamlog.jobs.*`: work that failed for good, for operators.

use std::sync::Arc;

use serde_json::{Value, json};
use teamlog_schemas::TeamId;

use super::super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes};
use crate::{
    ApiError,
    args::args,
    jobs::{DeadJob, Jobs, JobsError},
};

/// The most dead letters in one answer, and the most that one call retries or drops. Those that failed first come first.
const JOBS_MAX: usize = 1_000;

pub(crate) const METHODS: &[Method] = &[LIST, SHOW, RETRY, DROP];

const CHANGED: Key = Key::always("jobs", Shape::List, "The names of those that it was done to.");

const LIST: Method = Method {
    name: "teamlog.jobs.list",
    alias_of: None,
    about: "Lists work of consumers that failed for good. Those that failed first come first, 1,000 at most.",
    scope: "",
    access: Access::Admin,
    retry: Retry::Repeatable,
    tier: Tier::Special,
    takes: takes!(Which => list),
    answers: &[
        Key::always("jobs", Shape::List, "The dead letters."),
        Key::always("total", Shape::Integer, "How many there are."),
    ],
    errors: &["no_jobs", "team_not_found"],
    examples: &[|| json!({}), || json!({ "kind": "unfurl" })],
};

const SHOW: Method = Method {
    name: "teamlog.jobs.show",
    alias_of: None,
    about: "Shows one dead letter, and the event that its work follows from.",
    scope: "",
    access: Access::Admin,
    retry: Retry::Repeatable,
    tier: Tier::Special,
    takes: takes!(One => show),
    answers: &[
        Key::always("job", Shape::Object, "The dead letter."),
        Key::sometimes("event", Shape::Object, "The event, as `teamlog log cat` shows it."),
    ],
    errors: &["no_jobs", "job_not_found", "outcome_unknown"],
    examples: &[|| json!({ "job": "unfurl/01920000-0000-7000-8000-000000000001/0" })],
};

// Doing either twice does no harm.
const RETRY: Method = Method {
    name: "teamlog.jobs.retry",
    alias_of: None,
    about: "Has work that failed for good tried again. It stays a dead letter until that went well.",
    scope: "",
    access: Access::Admin,
    retry: Retry::Repeatable,
    tier: Tier::Special,
    takes: takes!(These => retry),
    answers: &[CHANGED],
    errors: &["no_jobs", "job_not_found", "team_not_found", "outcome_unknown"],
    examples: &[|| json!({ "job": "unfurl/01920000-0000-7000-8000-000000000001/0" }), || json!({ "kind": "unfurl" })],
};

const DROP: Method = Method {
    name: "teamlog.jobs.drop",
    alias_of: None,
    about: "Gives work up that failed for good.",
    scope: "",
    access: Access::Admin,
    retry: Retry::Repeatable,
    tier: Tier::Special,
    takes: takes!(These => drop_jobs),
    answers: &[CHANGED],
    errors: &["no_jobs", "job_not_found", "team_not_found", "outcome_unknown"],
    examples: &[|| json!({ "kind": "export" })],
};

args! {
    struct Which {
        /// A consumer: only its dead letters.
        kind: Option<String>,
        /// The domain of a team: only the dead letters of its events.
        domain: Option<String>,
    }
    struct One {
        /// The name of a dead letter.
        job: String [missing "job_not_found"],
    }
    struct These {
        /// The name of a dead letter.
        job: Option<String>,
        /// A consumer: all its dead letters, 1,000 at most.
        kind: Option<String>,
        /// The domain of a team: all dead letters of its events.
        domain: Option<String>,
        /// All that there are.
        all: bool,
    }
}

fn jobs<'a>(call: &'a Call<'_>) -> Result<&'a Arc<dyn Jobs>, ApiError> {
    call.gateway.jobs().ok_or(ApiError::refused("no_jobs"))
}

/// The team of a domain.
async fn team(call: &Call<'_>, domain: Option<&str>) -> Result<Option<TeamId>, ApiError> {
    let Some(domain) = domain else { return Ok(None) };
    let found = call.gateway.ingest().directory().find_domain(domain).await?;
    Ok(Some(found.ok_or(ApiError::refused("team_not_found"))?.team))
}

fn shown(job: &DeadJob) -> Value {
    json!({
        "job": job.job, "kind": job.kind, "team": job.team, "partition": job.partition, "offset": job.offset,
        "tries": job.tries, "why": job.why, "failed_at": job.failed_at.to_string(), "retrying": job.is_retried,
        "may_repeat": job.may_repeat,
    })
}

async fn list(call: &Call<'_>, Which { kind, domain }: Which) -> Result<Reply, ApiError> {
    let all = jobs(call)?.dead(kind.as_deref(), team(call, domain.as_deref()).await?);
    let first: Vec<_> = all.iter().take(JOBS_MAX).map(shown).collect();
    Ok(Reply::from(json!({ "jobs": first, "total": all.len() })))
}

async fn show(call: &Call<'_>, One { job }: One) -> Result<Reply, ApiError> {
    let found = jobs(call)?.find(&job).ok_or(ApiError::refused("job_not_found"))?;
    let mut reply = json!({ "job": shown(&found) });
    if let Some(event) = jobs(call)?.event(&job).await.map_err(away)? {
        reply["event"] = event;
    }
    Ok(Reply::from(reply))
}

async fn retry(call: &Call<'_>, these: These) -> Result<Reply, ApiError> {
    let mut done = Vec::new();
    for job in wanted(call, these).await? {
        if jobs(call)?.retry(&job).await.map_err(away)? {
            done.push(job);
        }
    }
    Ok(Reply::from(json!({ "jobs": done })))
}

async fn drop_jobs(call: &Call<'_>, these: These) -> Result<Reply, ApiError> {
    let mut done = Vec::new();
    for job in wanted(call, these).await? {
        if jobs(call)?.drop_job(&job).await.map_err(away)? {
            done.push(job);
        }
    }
    Ok(Reply::from(json!({ "jobs": done })))
}

/// The jobs that a call is about.
async fn wanted(call: &Call<'_>, These { job, kind, domain, all }: These) -> Result<Vec<String>, ApiError> {
    if let Some(job) = job {
        let found = jobs(call)?.find(&job).ok_or(ApiError::refused("job_not_found"))?;
        return Ok(vec![found.job]);
    }
    if kind.is_none() && domain.is_none() && !all {
        return Err(ApiError::refused("job_not_found").saying("name a job, a kind, a domain, or all"));
    }
    let found = jobs(call)?.dead(kind.as_deref(), team(call, domain.as_deref()).await?);
    Ok(found.into_iter().take(JOBS_MAX).map(|job| job.job).collect())
}

fn away(why: JobsError) -> ApiError {
    match why {
        JobsError::Away(_) => ApiError::outcome_unknown(),
    }
}
