//! Many people of one team who connect at once, and whether twice as many take twice as long.

use bytes::Bytes;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::{
    BenchError, Common, Report,
    caller::Caller,
    figures::{Figures, ratio, rounded},
    http::{Flush, Stub},
    load::{Worker, at_once},
    socket::{Socket, join},
    team::Team,
};

/// Many of one team who join at once, `rtm.connect`, the websocket, its `hello`: how long it takes until the last one has
/// joined, as a multiple of what a stub takes that sends the same bytes; and how that time grows with their number.
/// Example: teamlog bench reconnect --sockets 1000,2000,4000
#[derive(Clone, Debug, Args)]
pub struct Reconnect {
    #[command(flatten)]
    common: Common,
    /// Sockets that join at once, one round of each number.
    #[arg(long, value_delimiter = ',', default_value = "1000,2000,4000", value_parser = clap::value_parser!(u32).range(1..=4096))]
    sockets: Vec<u32>,
    /// Rounds of each number; the middle one by its time is reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
}

/// A worker that joins and keeps its socket until all have joined.
struct Joiner {
    url: String,
    token: String,
    socket: Option<Socket>,
}

/// The figures of one number of sockets, of the server and of the stub.
struct Size {
    sockets: u32,
    server: Figures,
    stub: Figures,
}

impl Reconnect {
    /// Runs against the server at `url`.
    ///
    /// # Errors
    /// [`BenchError`]; no figure is given of a run in which a join failed.
    pub async fn run(&self, url: &str) -> Result<Report, BenchError> {
        let teams = Team::all(url, &self.common).await?;
        let team = &teams[0];
        let answer = Caller::open(url).await?.ask("rtm.connect", &team.tokens[0], &json!({})).await?;
        let stub = Stub::start(&self.common.cpus(), Flush::Once, |address| connected(answer, address)).await?;
        let mut numbers = self.sockets.clone();
        numbers.sort_unstable();
        numbers.dedup();
        let mut sizes = Vec::new();
        for sockets in numbers {
            let (server, stub) = self.rounds(url, &stub.url(), team, sockets).await?;
            sizes.push(Size { sockets, server, stub });
        }
        Ok(self.report(url, team, &sizes))
    }

    /// Measures the server and the stub in turn, so that other load on the machine affects both.
    async fn rounds(&self, url: &str, stub: &str, team: &Team, sockets: u32) -> Result<(Figures, Figures), BenchError> {
        let (mut of_server, mut of_stub) = (Vec::new(), Vec::new());
        for round in 0..=self.rounds {
            for (url, figures) in [(stub, &mut of_stub), (url, &mut of_server)] {
                let (joined, _) = at_once(joiners(url, team, sockets)).await?;
                // The first round does not count: the client's memory and the kernel's caches are cold.
                if round > 0 {
                    figures.push(joined);
                }
            }
        }
        Ok((middle(of_server), middle(of_stub)))
    }

    fn report(&self, url: &str, team: &Team, sizes: &[Size]) -> Report {
        let mut report = Report::new(self.common.heading("reconnect", url));
        report.put("rounds", self.rounds);
        report.put("users", team.tokens.len());
        report.put("sizes", sizes.iter().map(|size| Value::Object(size.to_json())).collect::<Vec<_>>());
        for size in sizes {
            let (sockets, ratio) = (size.sockets, size.ratio());
            let [server, stub] = [&size.server, &size.stub].map(Figures::to_text);
            report.say(format!("{sockets} join at once: {server}; a stub {stub}; {ratio:.2} times its time"));
        }
        let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else { return report };
        for (name, value) in most.to_json() {
            report.put(&name, value);
        }
        let growth = growth(least, most);
        report.put("growth", rounded(growth));
        report.say(format!("from {} to {} time grows {growth:.2} times as fast as n", least.sockets, most.sockets));
        report
    }
}

impl Size {
    fn seconds(&self) -> f64 {
        self.server.time.as_secs_f64()
    }

    fn ratio(&self) -> f64 {
        ratio(self.seconds(), self.stub.time.as_secs_f64())
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut object = self.server.to_json();
        let mut limit = self.stub.to_json();
        limit.insert("join_seconds".to_owned(), json!(rounded(self.stub.time.as_secs_f64())));
        object.insert("sockets".to_owned(), json!(self.sockets));
        object.insert("joined".to_owned(), json!(self.server.done));
        object.insert("join_seconds".to_owned(), json!(rounded(self.seconds())));
        object.insert("limits".to_owned(), json!({ "join": limit }));
        object.insert("ratio".to_owned(), json!(rounded(self.ratio())));
        object
    }
}

/// Returns the growth of the time divided by the growth of the number of sockets: 1 if the time is linear in the number.
fn growth(least: &Size, most: &Size) -> f64 {
    ratio(ratio(most.seconds(), least.seconds()), f64::from(most.sockets) / f64::from(least.sockets))
}

fn joiners(url: &str, team: &Team, sockets: u32) -> Vec<Joiner> {
    let tokens = team.tokens.iter().cycle().take(sockets as usize);
    tokens.map(|token| Joiner { url: url.to_owned(), token: token.clone(), socket: None }).collect()
}

/// Returns the median of the rounds by time, so that a round that other load delayed does not count.
fn middle(mut rounds: Vec<Figures>) -> Figures {
    rounds.sort_unstable_by_key(|round| round.time);
    let at = rounds.len() / 2;
    rounds.swap_remove(at)
}

/// Returns the server's answer to `rtm.connect` with the stub's address in it, at the same length.
pub(crate) fn connected(mut answer: Value, address: &str) -> Bytes {
    let length = answer["url"].as_str().map_or(0, str::len);
    let mut url = format!("ws://{address}/ws/");
    url.extend(std::iter::repeat_n('x', length.saturating_sub(url.len()).max(1)));
    answer["url"] = json!(url);
    answer.to_string().into()
}

impl Worker for Joiner {
    async fn once(&mut self) -> Result<(), BenchError> {
        self.socket = Some(join(&self.url, &self.token).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stubs_answer_is_as_long_as_the_servers() {
        let answer = json!({ "ok": true, "url": format!("ws://127.0.0.1:8080/ws/{}", "a".repeat(150)), "cursor": "c" });
        let stubs = connected(answer.clone(), "127.0.0.1:34567");
        assert_eq!(stubs.len(), answer.to_string().len());
        let stubs: Value = serde_json::from_slice(&stubs).unwrap();
        assert!(stubs["url"].as_str().unwrap().starts_with("ws://127.0.0.1:34567/ws/x"));
    }

    #[test]
    fn the_round_in_the_middle_counts_and_growth_is_that_of_time_over_that_of_n() {
        let round = |ms| Figures::of(1, Duration::from_millis(ms), [Duration::from_millis(ms)]);
        assert_eq!(middle(vec![round(900), round(20), round(10)]).time, Duration::from_millis(20));
        let size = |sockets, ms| Size { sockets, server: round(ms), stub: round(250) };
        assert_eq!(size(10, 500).ratio(), 2.0);
        assert_eq!(growth(&size(10, 250), &size(40, 500)), 0.5);
    }
}
