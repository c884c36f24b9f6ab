//! The time from a process's start to its first answer.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use clap::Args;
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    BenchError, Report,
    caller::{Caller, Prepared},
    figures::{Figures, ratio, rounded},
    heard::Heard,
    load::Worker,
    options::heading,
    post::Poster,
    process::{ServerProcess, own_folder},
    team::Team,
};

/// Posts in flight while the log is filled.
const FILLING: usize = 64;
/// People of the team; each of them posts.
const PEOPLE: u32 = 8;
/// The longest wait for a server's first answer.
const ANSWERED_BY: Duration = Duration::from_secs(120);
/// The pause between two attempts at a server that does not answer yet.
const TRY_EVERY: Duration = Duration::from_millis(1);

/// From the start of a server's process to its first answer, a page of history, on an embedded log of so many events; and
/// as a multiple of what the same takes on a log with hardly any. It runs servers of its own in folders of its own.
/// Example: teamlog bench start --events 100000
#[derive(Clone, Debug, Args)]
pub struct Start {
    /// Messages that the log has, beside the few events that make a team.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    /// Starts that are timed on each log, behind one that is not.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    starts: u32,
    /// Bytes of a message's text.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=4000))]
    text_bytes: u32,
    /// Where the servers' folders lie for as long as they are measured.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
}

impl Start {
    /// Runs the bench. `program` is this binary.
    ///
    /// # Errors
    /// [`BenchError`]; no figure is given of a run in which a server did not answer.
    pub async fn run(&self, program: &Path) -> Result<Report, BenchError> {
        let empty = self.log_of(program, 0).await?;
        let filled = self.log_of(program, self.events).await?;
        let events = self.events;
        let mut report = Report::new(heading("start", "embedded"));
        report.put("events", events);
        report.put("starts", self.starts);
        for (name, value) in filled.to_json() {
            report.put(&name, value);
        }
        report.put("limits", json!({ "empty_log": empty.to_json() }));
        report.put("ratio", rounded(ratio(filled.quantile_ms(0.5), empty.quantile_ms(0.5))));
        for (name, figures) in [(format!("a log of {events} events"), &filled), ("an empty log".to_owned(), &empty)] {
            let [p50, p99] = [0.5, 0.99].map(|part| figures.quantile_ms(part));
            report.say(format!("start to first answer on {name}: p50 {p50:.1} ms, p99 {p99:.1} ms"));
        }
        Ok(report)
    }

    /// Measures starts on a new log with `posts` messages.
    async fn log_of(&self, program: &Path, posts: u32) -> Result<Figures, BenchError> {
        let folder = own_folder(&self.scratch)?;
        let server = ServerProcess::start(program, folder.path())?;
        let url = answers(async || server.url()).await?;
        let team = answers(async || Team::make(&url, PEOPLE).await).await?;
        self.fill(&url, &team, posts).await?;
        let page = json!({ "channel": team.channel, "limit": 20 });
        // This first answer creates all that later starts find, so that the timed starts do not differ.
        first_answer(&server, &team, &page).await?;
        server.stop().await?;
        let mut times = Vec::new();
        for number in 0..=self.starts {
            let begun = Instant::now();
            let server = ServerProcess::start(program, folder.path())?;
            first_answer(&server, &team, &page).await?;
            let time = begun.elapsed();
            server.stop().await?;
            // The first start does not count: the system's file cache is cold.
            if number > 0 {
                times.push(time);
            }
        }
        let in_all: Duration = times.iter().sum();
        Ok(Figures::of(times.len() as u64, in_all, times))
    }

    async fn fill(&self, url: &str, team: &Team, posts: u32) -> Result<(), BenchError> {
        let left = Arc::new(AtomicI64::new(i64::from(posts)));
        let mut running = JoinSet::new();
        for number in 0..FILLING {
            let text = Heard::text(number, self.text_bytes as usize);
            let mut poster = Poster::open(url, team, number, text).await?;
            let left = left.clone();
            running.spawn(async move {
                while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                    poster.once().await?;
                }
                Ok::<_, BenchError>(())
            });
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|_| BenchError::Lost("a poster"))??;
        }
        Ok(())
    }
}

/// Fetches a page of the channel's history.
async fn first_answer(server: &ServerProcess, team: &Team, page: &serde_json::Value) -> Result<(), BenchError> {
    answers(async || {
        let url = server.url()?;
        let call = Prepared::new(&url, "conversations.history", &team.tokens[0], page)?;
        Caller::open(&url).await?.call(&call).await.map(drop)
    })
    .await
}

/// Retries until the call is answered. A server that starts refuses connections first, then answers calls with 503.
async fn answers<T>(mut attempt: impl AsyncFnMut() -> Result<T, BenchError>) -> Result<T, BenchError> {
    let until = Instant::now() + ANSWERED_BY;
    loop {
        match attempt().await {
            Ok(answered) => return Ok(answered),
            Err(why @ (BenchError::Away { .. } | BenchError::Refused { .. })) if Instant::now() < until => drop(why),
            Err(why) => return Err(why),
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_is_tried_until_it_answers_or_the_time_is_over() {
        let away = || BenchError::Away { at: "x".to_owned(), why: "y".to_owned() };
        let mut tries = 0;
        let answered = answers(async || {
            tries += 1;
            if tries < 5 { Err(away()) } else { Ok(7) }
        });
        assert_eq!(answered.await.unwrap(), 7);
        assert_eq!(tries, 5);
        let begun = Instant::now();
        assert!(answers(async || Err::<(), _>(away())).await.is_err());
        assert!(begun.elapsed() >= ANSWERED_BY);
        assert!(matches!(answers(async || Err::<(), _>(BenchError::Lost("z"))).await, Err(BenchError::Lost("z"))));
    }
}
