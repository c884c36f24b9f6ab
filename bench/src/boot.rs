//! The cost of a session's start: `rtm.start`.

use clap::Args;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::{
    BenchError, Common, Report,
    caller::{Caller, Prepared},
    figures::{ratio, rounded},
    http::{Flush, Stub},
    load::{Worker, closed, paced},
    team::Team,
};

/// `rtm.start` of a team, whole and as it is by default, as a part of what a stub does that sends the same bytes.
/// Example: teamlog bench boot --tokens big.tokens
#[derive(Clone, Debug, Args)]
pub struct Boot {
    #[command(flatten)]
    common: Common,
    /// Calls of `rtm.start` under way at any moment.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    in_flight: u32,
    /// Calls of `rtm.start` a second while they come at an even rate.
    #[arg(long, default_value_t = 100.0)]
    per_second: f64,
}

/// A worker that makes the same call again and again.
struct Starter {
    caller: Caller,
    call: Prepared,
}

impl Boot {
    /// Runs against the server at `url`.
    ///
    /// # Errors
    /// [`BenchError`]; no figure is given of a run in which a call failed.
    pub async fn run(&self, url: &str) -> Result<Report, BenchError> {
        let teams = Team::all(url, &self.common).await?;
        let team = &teams[0];
        let mut report = Report::new(self.common.heading("boot", url));
        report.put("in_flight", self.in_flight);
        report.put("per_second", self.per_second);
        for (name, args) in [("full", json!({ "full": true })), ("default", json!({}))] {
            let (figures, line) = self.start(url, team, &args).await?;
            report.say(format!("rtm.start, {name}: {line}"));
            report.put(name, figures);
        }
        Ok(report)
    }

    async fn start(&self, url: &str, team: &Team, args: &Value) -> Result<(Value, String), BenchError> {
        let broken =
            |why: serde_json::Error| BenchError::Refused { method: "rtm.start".to_owned(), error: why.to_string() };
        let call = Prepared::new(url, "rtm.start", &team.tokens[0], args)?;
        let body = Caller::open(url).await?.call(&call).await?;
        let answer: Value = serde_json::from_slice(&body).map_err(broken)?;
        let (bytes, window) = (body.len(), self.common.window());
        let limit = {
            let stub = Stub::start(&self.common.cpus(), Flush::Once, |_| body).await?;
            closed(self.starters(&stub.url(), team, args).await?, window).await?
        };
        let fast = closed(self.starters(url, team, args).await?, window).await?;
        let even = paced(self.starters(url, team, args).await?, self.per_second, window).await?;
        let ratio = ratio(fast.rate(), limit.rate());
        let count = |key: &str| answer[key].as_array().map_or(0, Vec::len);
        let figures = json!({
            "is_lazy": answer["is_lazy"], "bytes": bytes, "users": count("users"), "channels": count("channels"),
            "answers_in_all": fast.done_in_all + even.done_in_all + 1,
            "full_speed": fast.to_json(), "even": even.to_json(), "limit": limit.to_json(), "ratio": rounded(ratio),
        });
        let line = format!(
            "{bytes} bytes; {}; a stub with the same bytes {}; at {}/s p50 {:.2} ms, p99 {:.2} ms",
            fast.to_text(),
            limit.to_text(),
            self.per_second,
            even.quantile_ms(0.5),
            even.quantile_ms(0.99)
        );
        Ok((figures, line))
    }

    async fn starters(&self, url: &str, team: &Team, args: &Value) -> Result<Vec<Starter>, BenchError> {
        let tokens = team.tokens.iter().cycle().take(self.in_flight as usize);
        let starters = tokens.map(async |token| {
            let call = Prepared::new(url, "rtm.start", token, args)?;
            Ok::<_, BenchError>(Starter { caller: Caller::open(url).await?, call })
        });
        try_join_all(starters).await
    }
}

impl Worker for Starter {
    async fn once(&mut self) -> Result<(), BenchError> {
        self.caller.call(&self.call).await.map(drop)
    }
}
