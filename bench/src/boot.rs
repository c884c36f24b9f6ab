//! What it costs to begin: `rtm.start`, and `rtm.connect` with the socket behind it.

use bytes::Bytes;
use clap::Args;
use futures::future::try_join_all;
use serde_json::{Map, Value, json};

use crate::{
    BenchError, Common, Report,
    caller::{Caller, Prepared},
    fanout::join,
    figures::{ratio, rounded},
    http::{Flush, Stub},
    load::{Worker, at_once, closed, paced},
    socket::Socket,
    team::Team,
};

/// `rtm.start` of a team, whole and as it is by default, and many who join at once, each as a part of what a stub does that
/// sends the same bytes. Example: teamlog bench boot --tokens big.tokens
#[derive(Clone, Debug, Args)]
pub struct Boot {
    #[command(flatten)]
    common: Common,
    /// Sockets that join at once: `rtm.connect`, the websocket, its `hello`.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4096))]
    sockets: u32,
    /// Calls of `rtm.start` under way at any moment.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    in_flight: u32,
    /// Calls of `rtm.start` a second while they come at an even rate.
    #[arg(long, default_value_t = 10.0)]
    per_second: f64,
}

/// One who calls the same method again and again.
struct Starter {
    caller: Caller,
    call: Prepared,
}

/// One who joins, and stays.
struct Joiner {
    url: String,
    token: String,
    socket: Option<Socket>,
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
        let (figures, line) = self.join(url, team).await?;
        report.say(line);
        for (name, value) in figures {
            report.put(&name, value);
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
            let stub = Stub::start(Flush::Once, |_| body).await?;
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

    async fn join(&self, url: &str, team: &Team) -> Result<(Map<String, Value>, String), BenchError> {
        let answer = Caller::open(url).await?.ask("rtm.connect", &team.tokens[0], &json!({})).await?;
        let stub = Stub::start(Flush::Once, |address| connected(answer, address)).await?;
        // The first round finds the client's memory and the kernel's cold, and does not count.
        at_once(self.joiners(&stub.url(), team)).await?;
        let (limit, _) = at_once(self.joiners(&stub.url(), team)).await?;
        at_once(self.joiners(url, team)).await?;
        let (figures, joined) = at_once(self.joiners(url, team)).await?;
        let open = joined.iter().filter(|joiner| joiner.socket.is_some()).count();
        let ratio = ratio(figures.rate(), limit.rate());
        let mut object = figures.to_json();
        object.insert("sockets".to_owned(), json!(open));
        object.insert("join_seconds".to_owned(), json!(rounded(figures.time.as_secs_f64())));
        object.insert("limits".to_owned(), json!({ "join": limit.to_json() }));
        object.insert("ratio".to_owned(), json!(rounded(ratio)));
        let line = format!("{open} join at once: {}; a stub {}", figures.to_text(), limit.to_text());
        Ok((object, line))
    }

    fn joiners(&self, url: &str, team: &Team) -> Vec<Joiner> {
        let tokens = team.tokens.iter().cycle().take(self.sockets as usize);
        tokens.map(|token| Joiner { url: url.to_owned(), token: token.clone(), socket: None }).collect()
    }
}

/// The server's answer to `rtm.connect`, with a stub's address and as long as it was.
fn connected(mut answer: Value, address: &str) -> Bytes {
    let length = answer["url"].as_str().map_or(0, str::len);
    let mut url = format!("ws://{address}/ws/");
    url.extend(std::iter::repeat_n('x', length.saturating_sub(url.len()).max(1)));
    answer["url"] = json!(url);
    answer.to_string().into()
}

impl Worker for Starter {
    async fn once(&mut self) -> Result<(), BenchError> {
        self.caller.call(&self.call).await.map(drop)
    }
}

impl Worker for Joiner {
    async fn once(&mut self) -> Result<(), BenchError> {
        self.socket = Some(join(&self.url, &self.token).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stubs_answer_is_as_long_as_the_servers() {
        let answer = json!({ "ok": true, "url": format!("ws://127.0.0.1:8080/ws/{}", "a".repeat(150)), "cursor": "c" });
        let stubs = connected(answer.clone(), "127.0.0.1:34567");
        assert_eq!(stubs.len(), answer.to_string().len());
        let stubs: Value = serde_json::from_slice(&stubs).unwrap();
        assert!(stubs["url"].as_str().unwrap().starts_with("ws://127.0.0.1:34567/ws/x"));
    }
}
