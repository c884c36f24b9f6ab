//! The bench of one conversation with many sockets: deliveries a second, and the time from a post to the last socket.

use std::sync::Arc;

use clap::Args;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::{
    BenchError, Common, Report,
    figures::{Figures, ratio, rounded},
    heard::{Heard, Listeners, Mark},
    http::{Flush, Publication, Stub},
    load::{Worker, closed, paced},
    post::Poster,
    raw::RawLog,
    socket::{Socket, join, open},
    team::Team,
};

/// Posters at the even rate. Each waits until its post has reached the last socket.
const PACED_POSTERS: usize = 32;

/// Deliveries a second of one conversation to many sockets, as a part of what bare websockets do; and the time from a post
/// to the last of them. Example: teamlog bench fanout --sockets 1000
#[derive(Clone, Debug, Args)]
pub struct Fanout {
    #[command(flatten)]
    common: Common,
    /// Sockets in the conversation, spread over the team's people.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    sockets: u32,
    /// At full speed: posts that have not reached every socket yet. A poster waits for that.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=256))]
    in_flight: u32,
    /// Posts a second while the time from a post to the last socket is taken.
    #[arg(long, default_value_t = 50.0)]
    per_second: f64,
}

/// A worker that posts and waits until the post has reached every socket.
struct Speaker {
    number: usize,
    heard: Arc<Heard>,
    way: Way,
}

enum Way {
    Server(Box<Poster>),
    Stub(Publication),
}

/// The figures at the even rate and at full speed. `frames` counts the frames of all sockets in both runs.
struct Spread {
    paced: Figures,
    full: Figures,
    frames: u64,
}

impl Fanout {
    /// Runs against the server at `url`.
    ///
    /// # Errors
    /// [`BenchError`]; no figure is given of a run in which a call failed or a socket ended.
    pub async fn run(&self, url: &str) -> Result<Report, BenchError> {
        let teams = Team::all(url, &self.common).await?;
        let [team] = &teams[..] else {
            return Err(BenchError::Usage("one conversation is one team's: name one file of tokens".to_owned()));
        };
        let frame = self.sample(url, team).await?;
        let append = self.append().await?;
        let every_frame = self.stub(Flush::EveryFrame, &frame).await?;
        let once = self.stub(Flush::Once, &frame).await?;
        let server = self.server(url, team).await?;
        Ok(self.report(url, team, &server, &append, (&every_frame, &once), frame.len()))
    }

    /// Returns the frame of a post as a socket receives it.
    async fn sample(&self, url: &str, team: &Team) -> Result<String, BenchError> {
        let mut socket = join(url, &team.tokens[0]).await?;
        let mut poster = Poster::open(url, team, 0, self.text(0)).await?;
        poster.once().await?;
        let text = json!(self.text(0)).to_string();
        loop {
            let frame = socket.frame().await?;
            if frame.contains(&text) {
                return Ok(frame.as_str().to_owned());
            }
        }
    }

    fn text(&self, poster: usize) -> String {
        Heard::text(poster, self.common.text_bytes as usize)
    }

    async fn append(&self) -> Result<Figures, BenchError> {
        let mut raw = RawLog::open(&self.common).await?;
        let appenders = raw.appenders(PACED_POSTERS, &self.text(0)).await?;
        let append = paced(appenders, self.per_second, self.common.window()).await;
        raw.close().await?;
        append
    }

    async fn stub(&self, flush: Flush, frame: &str) -> Result<Spread, BenchError> {
        let stub = Stub::start(&self.common.cpus(), flush, |_| "{}".into()).await?;
        let url = stub.socket_url();
        let sockets = open((0..self.sockets).map(|_| Socket::open(&url))).await?;
        let ways = |count: usize| {
            let frame_of = |poster| frame.replacen(&self.text(0), &self.text(poster), 1);
            (0..count).map(|poster| Way::Stub(stub.publication(frame_of(poster)))).collect()
        };
        self.spread(sockets, ways(PACED_POSTERS), ways(self.in_flight as usize)).await
    }

    async fn server(&self, url: &str, team: &Team) -> Result<Spread, BenchError> {
        let tokens = team.tokens.iter().cycle().take(self.sockets as usize);
        let sockets = open(tokens.map(|token| join(url, token))).await?;
        let ways = async |count: usize| {
            let posters = (0..count).map(|number| Poster::open(url, team, number, self.text(number)));
            let posters = try_join_all(posters).await?;
            Ok::<_, BenchError>(posters.into_iter().map(|poster| Way::Server(Box::new(poster))).collect())
        };
        self.spread(sockets, ways(PACED_POSTERS).await?, ways(self.in_flight as usize).await?).await
    }

    async fn spread(&self, sockets: Vec<Socket>, slowly: Vec<Way>, fast: Vec<Way>) -> Result<Spread, BenchError> {
        let listeners = Listeners::new(sockets, slowly.len().max(fast.len()), Mark::Text);
        let speakers = |ways: Vec<Way>| {
            let speakers = ways.into_iter().enumerate();
            speakers.map(|(number, way)| Speaker { number, heard: listeners.counts(), way }).collect()
        };
        let paced = paced(speakers(slowly), self.per_second, self.common.window()).await?;
        let full = closed(speakers(fast), self.common.window()).await?;
        Ok(Spread { paced, full, frames: listeners.end().await })
    }

    fn report(
        &self,
        url: &str,
        team: &Team,
        server: &Spread,
        append: &Figures,
        (every_frame, once): (&Spread, &Spread),
        frame_bytes: usize,
    ) -> Report {
        let deliveries = |spread: &Spread| spread.full.rate() * f64::from(self.sockets);
        let (rate, limit) = (deliveries(server), deliveries(every_frame));
        let write_to_all = &every_frame.paced;
        let sum_ms = append.quantile_ms(0.99) + write_to_all.quantile_ms(0.99);
        let mut report = Report::new(self.common.heading("fanout", url));
        for (name, value) in [
            ("sockets", json!(self.sockets)),
            ("users", json!(team.tokens.len().min(self.sockets as usize))),
            ("in_flight", json!(self.in_flight)),
            ("frame_bytes", json!(frame_bytes)),
            ("posts_in_all", json!(server.paced.done_in_all + server.full.done_in_all)),
            ("deliveries_in_all", json!(server.frames)),
            ("rate", json!(rounded(rate))),
            ("full_speed", Value::Object(server.full.to_json())),
            ("per_second", json!(self.per_second)),
            ("post_to_last", Value::Object(server.paced.to_json())),
            (
                "limits",
                json!({
                    "flush_every_frame_rate": rounded(limit),
                    "flush_once_rate": rounded(deliveries(once)),
                    "append": append.to_json(),
                    "write_to_all": write_to_all.to_json(),
                }),
            ),
            ("ratio", json!(rounded(ratio(rate, limit)))),
            ("ratio_to_flush_once", json!(rounded(ratio(rate, deliveries(once))))),
            ("p99_to_limits", json!(rounded(ratio(server.paced.quantile_ms(0.99), sum_ms)))),
        ] {
            report.put(name, value);
        }
        let (sockets, per_second) = (self.sockets, self.per_second);
        report.say(format!("deliveries to {sockets} sockets: {rate:.0}/s"));
        report.say(format!("a stub that flushes every frame: {limit:.0}/s; once: {:.0}/s", deliveries(once)));
        report.say(format!("post to last socket at {per_second}/s: {}", server.paced.to_text()));
        report.say(format!("raw append: {}", append.to_text()));
        report.say(format!("raw write to all: {}", write_to_all.to_text()));
        report
    }
}

impl Worker for Speaker {
    async fn once(&mut self) -> Result<(), BenchError> {
        self.heard.begin(self.number);
        match &mut self.way {
            Way::Server(poster) => poster.once().await?,
            Way::Stub(publication) => publication.publish().await?,
        }
        self.heard.all(self.number).await
    }
}
