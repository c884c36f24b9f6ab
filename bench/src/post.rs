//! Posts a second that are acknowledged.

use clap::Args;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::{
    BenchError, Common, Report,
    caller::{Caller, Prepared},
    figures::{Figures, ratio, rounded},
    heard::Heard,
    http::{Flush, Stub},
    load::{Worker, closed},
    raw::RawLog,
    team::Team,
};

/// Posts a second that are acknowledged, as a part of what the slower can do at best: the log without anybody who decides,
/// or a web handler that does nothing. Example: teamlog bench post --in-flight 256
#[derive(Clone, Debug, Args)]
pub struct Post {
    #[command(flatten)]
    common: Common,
    /// Posts under way at any moment, each over a connection of its own.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
}

/// A worker that posts over a connection of its own.
pub(crate) struct Poster {
    caller: Caller,
    call: Prepared,
}

impl Post {
    /// Runs against the server at `url`.
    ///
    /// # Errors
    /// [`BenchError`]; no figure is given of a run in which a call failed.
    pub async fn run(&self, url: &str) -> Result<Report, BenchError> {
        let teams = Team::all(url, &self.common).await?;
        let (in_flight, window) = (self.in_flight as usize, self.common.window());
        // The stub answers with the bytes of the server's answer to this post.
        let mut first = Poster::open(url, &teams[0], 0, self.text(0)).await?;
        let body = first.caller.call(&first.call).await?;
        let append = self.append().await?;
        let handler = {
            let stub = Stub::start(&self.common.cpus(), Flush::Once, |_| body).await?;
            closed(self.posters(&stub.url(), &teams, in_flight).await?, window).await?
        };
        let posts = closed(self.posters(url, &teams, in_flight).await?, window).await?;
        Ok(self.report(url, &teams, (&posts, &append, &handler)))
    }

    async fn append(&self) -> Result<Figures, BenchError> {
        let mut raw = RawLog::open(&self.common).await?;
        let appenders = raw.appenders(self.in_flight as usize, &self.text(0)).await?;
        let append = closed(appenders, self.common.window()).await;
        raw.close().await?;
        append
    }

    async fn posters(&self, url: &str, teams: &[Team], count: usize) -> Result<Vec<Poster>, BenchError> {
        let open = (0..count)
            .map(|number| Poster::open(url, &teams[number % teams.len()], number / teams.len(), self.text(number)));
        try_join_all(open).await
    }

    fn text(&self, number: usize) -> String {
        Heard::text(number, self.common.text_bytes as usize)
    }

    fn report(&self, url: &str, teams: &[Team], (posts, append, handler): (&Figures, &Figures, &Figures)) -> Report {
        let mut report = Report::new(self.common.heading("post", url));
        let users: usize = teams.iter().map(|team| team.tokens.len().min(self.in_flight as usize)).sum();
        let is_append = append.rate() <= handler.rate();
        let (limit, name) = if is_append { (append, "append") } else { (handler, "handler") };
        report.put("in_flight", self.in_flight);
        report.put("teams", teams.len());
        report.put("users", users);
        report.put("posts", posts.done);
        // Plus the post whose answer the stub repeats.
        report.put("posts_in_all", posts.done_in_all + 1);
        for (key, value) in posts.to_json() {
            report.put(&key, value);
        }
        report.put("limits", json!({ "append": append.to_json(), "handler": handler.to_json() }));
        report.put("limit", name);
        report.put("limit_rate", rounded(limit.rate()));
        report.put("ratio", rounded(ratio(posts.rate(), limit.rate())));
        let (teams, in_flight) = (teams.len(), self.in_flight);
        report.say(format!("posts ({in_flight} in flight, {teams} teams): {}", posts.to_text()));
        report.say(format!("raw append: {}", append.to_text()));
        report.say(format!("bare handler: {}", handler.to_text()));
        report.say(format!("{:.0} % of the {name}", 100.0 * ratio(posts.rate(), limit.rate())));
        report
    }
}

impl Poster {
    /// Connects as one of the team's people. `person` wraps around at their number.
    pub(crate) async fn open(url: &str, team: &Team, person: usize, text: String) -> Result<Poster, BenchError> {
        let token = &team.tokens[person % team.tokens.len()];
        let args: Value = json!({ "channel": team.channel, "text": text });
        let call = Prepared::new(url, "chat.postMessage", token, &args)?;
        Ok(Poster { caller: Caller::open(url).await?, call })
    }
}

impl Worker for Poster {
    async fn once(&mut self) -> Result<(), BenchError> {
        self.caller.call(&self.call).await.map(drop)
    }
}
