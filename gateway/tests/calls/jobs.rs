//! Dead letters over the Web API: who may see and change them, which, and what is said where there are none.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Value, json};
use teamlog_gateway::{DeadJob, Jobs, JobsError};
use teamlog_schemas::{TeamId, Ts};

use crate::house::*;

/// The kind at whose dead letters a call panics.
pub(crate) const PANICS: &str = "panics";

/// Dead letters that a test may look at.
pub(crate) struct Letters(Mutex<Vec<DeadJob>>);

impl Default for Letters {
    fn default() -> Letters {
        let letter = |kind: &str, number: u32| DeadJob {
            job: format!("{kind}/01920000-0000-7000-8000-000000000001/{number}"),
            kind: kind.to_owned(),
            team: "T0CJ5PC01".parse().unwrap(),
            partition: 0,
            offset: 7,
            tries: 10,
            why: "the server answers 503".to_owned(),
            failed_at: Ts::from_micros(1_444_959_632_000_000),
            is_retried: false,
            may_repeat: true,
        };
        Letters(Mutex::new(vec![letter("unfurl", 0), letter("unfurl", 1), letter("export", 0)]))
    }
}

#[async_trait]
impl Jobs for Letters {
    fn dead(&self, kind: Option<&str>, team: Option<TeamId>) -> Vec<DeadJob> {
        assert_ne!(kind, Some(PANICS), "a desk that panics");
        let letters = self.0.lock().unwrap();
        let is_wanted = |letter: &&DeadJob| {
            kind.is_none_or(|kind| letter.kind == kind) && team.is_none_or(|team| letter.team == team)
        };
        letters.iter().filter(is_wanted).cloned().collect()
    }

    fn find(&self, job: &str) -> Option<DeadJob> {
        self.0.lock().unwrap().iter().find(|letter| letter.job == job).cloned()
    }

    async fn event(&self, job: &str) -> Result<Option<Value>, JobsError> {
        if job.starts_with("export") {
            return Err(JobsError::Away("no broker".to_owned()));
        }
        Ok(self.find(job).map(|_| json!({ "type": "MessagePosted" })))
    }

    async fn retry(&self, job: &str) -> Result<bool, JobsError> {
        let mut letters = self.0.lock().unwrap();
        let found = letters.iter_mut().find(|letter| letter.job == job);
        Ok(found.map(|letter| letter.is_retried = true).is_some())
    }

    async fn drop_job(&self, job: &str) -> Result<bool, JobsError> {
        let mut letters = self.0.lock().unwrap();
        let before = letters.len();
        letters.retain(|letter| letter.job != job);
        Ok(letters.len() < before)
    }
}

fn names(answer: &Value) -> Vec<&str> {
    let jobs = answer["jobs"].as_array().unwrap().iter();
    jobs.map(|job| job.as_str().or(job["job"].as_str()).unwrap()).collect()
}

#[tokio::test]
async fn operators_list_show_retry_and_drop_what_failed_for_good() {
    let house = House::new(Shard::StandsStill).await;
    let Team { ada, .. } = Team::new(&house).await;
    let [first, second, export] = [("unfurl", 0), ("unfurl", 1), ("export", 0)]
        .map(|(kind, number)| format!("{kind}/01920000-0000-7000-8000-000000000001/{number}"));
    for method in ["list", "show", "retry", "drop"] {
        house.bad(&format!("teamlog.jobs.{method}"), &ada, json!({ "job": first }), "invalid_auth").await;
    }
    let all = house.good("teamlog.jobs.list", ADMIN_KEY, json!({})).await;
    assert_eq!((names(&all), &all["total"]), (vec![&*first, &*second, &*export], &json!(3)));
    let told = json!({
        "job": first, "kind": "unfurl", "team": "T0CJ5PC01", "partition": 0, "offset": 7, "tries": 10,
        "why": "the server answers 503", "failed_at": "1444959632.000000", "retrying": false, "may_repeat": true,
    });
    assert_eq!(all["jobs"][0], told);
    let unfurls = house.good("teamlog.jobs.list", ADMIN_KEY, json!({ "kind": "unfurl" })).await;
    assert_eq!(names(&unfurls), [&*first, &*second]);
    house.bad("teamlog.jobs.list", ADMIN_KEY, json!({ "domain": "nobodys" }), "team_not_found").await;
    let of_team = house.good("teamlog.jobs.list", ADMIN_KEY, json!({ "domain": "lovelace" })).await;
    assert_eq!(of_team["total"], 0, "they are another team's");

    let shown = house.good("teamlog.jobs.show", ADMIN_KEY, json!({ "job": first })).await;
    assert_eq!((&shown["job"], &shown["event"]["type"]), (&told, &json!("MessagePosted")));
    house.bad("teamlog.jobs.show", ADMIN_KEY, json!({ "job": export }), "outcome_unknown").await;

    for method in ["teamlog.jobs.retry", "teamlog.jobs.drop"] {
        house.bad(method, ADMIN_KEY, json!({}), "job_not_found").await;
        house.bad(method, ADMIN_KEY, json!({ "job": "unfurl/x/0" }), "job_not_found").await;
        house.bad(method, ADMIN_KEY, json!({ "domain": "nobodys" }), "team_not_found").await;
    }
    let retried = house.good("teamlog.jobs.retry", ADMIN_KEY, json!({ "kind": "unfurl" })).await;
    assert_eq!(names(&retried), [&*first, &*second]);
    let listed = house.good("teamlog.jobs.list", ADMIN_KEY, json!({})).await;
    assert_eq!((&listed["jobs"][1]["retrying"], &listed["jobs"][2]["retrying"]), (&json!(true), &json!(false)));
    let dropped = house.good("teamlog.jobs.drop", ADMIN_KEY, json!({ "job": second })).await;
    assert_eq!(names(&dropped), [&*second]);
    let dropped = house.good("teamlog.jobs.drop", ADMIN_KEY, json!({ "all": true })).await;
    assert_eq!(names(&dropped), [&*first, &*export]);
    assert_eq!(house.good("teamlog.jobs.list", ADMIN_KEY, json!({})).await["total"], 0);
}
