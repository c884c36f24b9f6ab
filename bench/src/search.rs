//! Searches a second.

use clap::Args;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::{
    BenchError, Common, Report,
    caller::{Caller, Prepared},
    figures::{ratio, rounded},
    http::{Flush, Stub},
    load::{Worker, closed},
    team::Team,
};

/// Posts in flight while the messages to be found are posted.
const POSTING: usize = 16;

/// Searches of messages a second, as a part of what a stub does that answers the same bytes. What is sought is posted
/// first, so that there is something to be found. Example: teamlog bench search --tokens big.tokens
#[derive(Clone, Debug, Args)]
pub struct Search {
    #[command(flatten)]
    common: Common,
    /// Searches under way at any moment.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    in_flight: u32,
    /// Queries, used in turn: words, as `search.messages` takes them.
    #[arg(long, value_delimiter = ',', default_value = "deploy,customer build,meeting notes,lunch")]
    queries: Vec<String>,
    /// Messages that are posted of each of them beforehand.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    messages: u32,
}

/// A worker that searches with one query after the other.
struct Seeker {
    caller: Caller,
    calls: Vec<Prepared>,
    next: usize,
}

impl Search {
    /// Runs against the server at `url`.
    ///
    /// # Errors
    /// [`BenchError`]; no figure is given of a run in which a call failed, or found nothing.
    pub async fn run(&self, url: &str) -> Result<Report, BenchError> {
        let teams = Team::all(url, &self.common).await?;
        let team = &teams[0];
        self.post(url, team).await?;
        let (mut found, mut body) = (Vec::new(), None);
        let mut caller = Caller::open(url).await?;
        for (number, query) in self.queries.iter().enumerate() {
            let answer = caller.call(&self.call(url, team, 0, number)?).await?;
            let total = total(&answer).filter(|total| *total > 0);
            let nothing = || BenchError::Refused {
                method: "search.messages".to_owned(),
                error: format!("nothing is found of {query}, and it was posted"),
            };
            found.push(json!({ "query": query, "found": total.ok_or_else(nothing)?, "bytes": answer.len() }));
            body.get_or_insert(answer);
        }
        let body = body.ok_or_else(|| BenchError::Usage("nothing to seek".to_owned()))?;
        let limit = {
            let stub = Stub::start(&self.common.cpus(), Flush::Once, |_| body).await?;
            closed(self.seekers(&stub.url(), team).await?, self.common.window()).await?
        };
        let searches = closed(self.seekers(url, team).await?, self.common.window()).await?;
        let mut report = Report::new(self.common.heading("search", url));
        report.put("in_flight", self.in_flight);
        report.put("queries", found);
        report.put("searches", searches.done);
        for (key, value) in searches.to_json() {
            report.put(&key, value);
        }
        let ratio = ratio(searches.rate(), limit.rate());
        report.put("limits", json!({ "handler": limit.to_json() }));
        report.put("ratio", rounded(ratio));
        report.say(format!("searches ({} in flight): {}", self.in_flight, searches.to_text()));
        report.say(format!("bare handler: {}; {:.1} %", limit.to_text(), 100.0 * ratio));
        Ok(report)
    }

    async fn post(&self, url: &str, team: &Team) -> Result<(), BenchError> {
        let each = self.messages as usize;
        let posters = (0..POSTING).map(async |poster| {
            let mut caller = Caller::open(url).await?;
            for number in (poster..each * self.queries.len()).step_by(POSTING) {
                let text = format!("{} {number}", self.queries[number / each]);
                let args = json!({ "channel": team.channel, "text": text });
                let token = &team.tokens[number % team.tokens.len()];
                caller.call(&Prepared::new(url, "chat.postMessage", token, &args)?).await?;
            }
            Ok::<_, BenchError>(())
        });
        try_join_all(posters).await.map(drop)
    }

    fn call(&self, url: &str, team: &Team, seeker: usize, query: usize) -> Result<Prepared, BenchError> {
        let token = &team.tokens[seeker % team.tokens.len()];
        Prepared::new(url, "search.messages", token, &json!({ "query": self.queries[query], "count": 20 }))
    }

    async fn seekers(&self, url: &str, team: &Team) -> Result<Vec<Seeker>, BenchError> {
        let seekers = (0..self.in_flight as usize).map(async |number| {
            let calls = (0..self.queries.len()).map(|query| self.call(url, team, number, query));
            let calls = calls.collect::<Result<Vec<_>, _>>()?;
            Ok::<_, BenchError>(Seeker { caller: Caller::open(url).await?, calls, next: number })
        });
        try_join_all(seekers).await
    }
}

/// Returns the number of matches that an answer states.
fn total(answer: &[u8]) -> Option<u64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer["messages"]["total"].as_u64()
}

impl Worker for Seeker {
    async fn once(&mut self) -> Result<(), BenchError> {
        let call = &self.calls[self.next % self.calls.len()];
        self.next += 1;
        self.caller.call(call).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_found_is_counted_as_the_server_says() {
        assert_eq!(super::total(br#"{"ok":true,"messages":{"total":3,"matches":[]}}"#), Some(3));
        assert_eq!(super::total(br#"{"ok":true}"#), None);
    }
}
