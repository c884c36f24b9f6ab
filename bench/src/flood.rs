//! The bench of a flood: a team posts more links than can be looked at for minutes, and other teams go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::{
    BenchError, Common, Report,
    caller::Caller,
    figures::{Figures, ratio, rounded},
    heard::{Heard, Listeners, Mark},
    http::Pages,
    load::{Window, Worker, paced},
    post::Poster,
    socket::{Socket, join},
    team::Team,
};

/// Posters at the even rate.
const POSTERS: usize = 16;
/// Callers at the even rate whose messages have a link. Each waits for the link's preview.
const LINKERS: usize = 32;
/// Callers that post the flood.
const FLOODERS: usize = 64;
/// Links of one message of the flood: as many as a server looks at.
const LINKS_A_POST: u64 = 5;
/// Scheduled messages of one channel. A server allows 30 within five minutes.
const SCHEDULED_A_CHANNEL: u64 = 25;
/// How far ahead the first scheduled message is due: as long as it takes to schedule all.
const SCHEDULING: Duration = Duration::from_secs(3);
/// The longest wait for a scheduled message. If it was not posted by then, it is lost or the server is stuck.
const LATE_MAX: Duration = Duration::from_secs(60);
/// The text before the time in a scheduled message.
const DUE: &str = r#""text":"due "#;

/// How posts, previews of links and scheduled messages of one team stand while another team has a flood of links waiting,
/// beside the same without it. The server needs `[apps] allow_private_urls = true`: it fetches pages from this process.
/// Example: teamlog bench flood --links 100000
#[derive(Clone, Debug, Args)]
pub struct Flood {
    #[command(flatten)]
    common: Common,
    /// Links that the loud team posts.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    links: u64,
    /// Posts a second of the other team.
    #[arg(long, default_value_t = 100.0)]
    posts_per_second: f64,
    /// Links a second of the other team, below the server's `[unfurl] team_per_second`.
    #[arg(long, default_value_t = 8.0)]
    links_per_second: f64,
    /// Scheduled messages of the other team that are due in each second.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    scheduled_per_second: u64,
}

/// The figures of one team over one window.
struct Phase {
    posts: Figures,
    unfurls: Figures,
    late: Figures,
}

/// A row of the report: its key, its name, and the figures of a window that it compares.
type Compared = (&'static str, &'static str, fn(&Phase) -> &Figures);

/// A worker that posts a link and waits until its preview has reached a socket.
struct Linker {
    number: usize,
    heard: Arc<Heard>,
    caller: Caller,
    token: String,
    channel: String,
    pages: Arc<Pages>,
    next_page: Arc<AtomicU64>,
}

impl Flood {
    /// Runs against the server at `url`.
    ///
    /// # Errors
    /// [`BenchError`]; no figure is given of a run in which a call failed, a preview or a scheduled message did not come, or the
    /// flood was over before the window was.
    pub async fn run(&self, url: &str) -> Result<Report, BenchError> {
        let common = Common { teams: 2, ..self.common.clone() };
        let teams = Team::all(url, &common).await?;
        let [quiet, loud] = &teams[..] else {
            return Err(BenchError::Usage("a flood takes two teams: name two files of tokens, or none".to_owned()));
        };
        let pages = Arc::new(Pages::start().await?);
        let next_page = Arc::new(AtomicU64::new(0));
        let without = self.phase(url, quiet, &pages, &next_page).await?;
        let flooded = Listeners::new(vec![join(url, &loud.tokens[0]).await?], 1, Mark::Title);
        self.flood(url, loud, &pages, &next_page).await?;
        let before = flooded.frames();
        let with = self.phase(url, quiet, &pages, &next_page).await?;
        let unfurled = flooded.frames() - before;
        let all = flooded.end().await;
        if unfurled == 0 || all >= self.links {
            let why =
                format!("{all} of {} links were unfurled: there was no flood while the others were timed", self.links);
            return Err(BenchError::Usage(why));
        }
        Ok(self.report(url, &without, &with, unfurled))
    }

    fn window(&self) -> Window {
        self.common.window()
    }

    /// Posts all links of the flood, as fast as the server takes them.
    async fn flood(&self, url: &str, loud: &Team, pages: &Pages, next_page: &AtomicU64) -> Result<(), BenchError> {
        let posts = AtomicU64::new(self.links.div_ceil(LINKS_A_POST));
        let flooder = async |number: usize| {
            let mut caller = Caller::open(url).await?;
            let token = &loud.tokens[number % loud.tokens.len()];
            while posts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let first = next_page.fetch_add(LINKS_A_POST, Ordering::Relaxed);
                let links: Vec<_> = (first..first + LINKS_A_POST).map(|page| pages.url("~0~", page)).collect();
                let args = json!({ "channel": loud.channel, "text": links.join(" ") });
                caller.ask("chat.postMessage", token, &args).await?;
            }
            Ok::<_, BenchError>(())
        };
        try_join_all((0..FLOODERS).map(flooder)).await.map(drop)
    }

    /// Times the quiet team over one window.
    async fn phase(
        &self,
        url: &str,
        team: &Team,
        pages: &Arc<Pages>,
        next_page: &Arc<AtomicU64>,
    ) -> Result<Phase, BenchError> {
        let text = |number| Heard::text(number, self.common.text_bytes as usize);
        let posters = (0..POSTERS).map(|number| Poster::open(url, team, number, text(number)));
        let posters = try_join_all(posters).await?;
        let listeners = Listeners::new(vec![join(url, &team.tokens[0]).await?], LINKERS, Mark::Title);
        let linker = async |number: usize| {
            Ok::<_, BenchError>(Linker {
                number,
                heard: listeners.counts(),
                caller: Caller::open(url).await?,
                token: team.tokens[number % team.tokens.len()].clone(),
                channel: team.channel.clone(),
                pages: pages.clone(),
                next_page: next_page.clone(),
            })
        };
        let linkers = try_join_all((0..LINKERS).map(linker)).await?;
        let due = join(url, &team.tokens[0]).await?;
        let expected = self.schedule(url, team).await?;
        let (posts, unfurls, late) = tokio::try_join!(
            paced(posters, self.posts_per_second, self.window()),
            paced(linkers, self.links_per_second, self.window()),
            lateness(due, expected, self.window()),
        )?;
        listeners.end().await;
        Ok(Phase { posts, unfurls, late })
    }

    /// Schedules the messages that come due within the window, in channels of their own, and returns how many.
    async fn schedule(&self, url: &str, team: &Team) -> Result<u64, BenchError> {
        let mut caller = Caller::open(url).await?;
        let token = &team.tokens[0];
        let first = epoch() + SCHEDULING;
        let seconds = self.window().time.as_secs().max(1);
        let count = seconds * self.scheduled_per_second;
        let mut channel = String::new();
        for number in 0..count {
            if number % SCHEDULED_A_CHANNEL == 0 {
                let name = format!("due-{}", uuid::Uuid::new_v4().simple());
                let made = caller.ask("conversations.create", token, &json!({ "name": name })).await?;
                channel = made["channel"]["id"].as_str().unwrap_or_default().to_owned();
            }
            let due = first.as_secs() + 1 + number % seconds;
            let args = json!({ "channel": channel, "text": format!("due {due} "), "post_at": due });
            caller.ask("chat.scheduleMessage", token, &args).await?;
        }
        Ok(count)
    }

    fn report(&self, url: &str, without: &Phase, with: &Phase, unfurled: u64) -> Report {
        let mut report = Report::new(self.common.heading("flood", url));
        report.put("links", self.links);
        report.put("unfurled_meanwhile", unfurled);
        report.put("posts_per_second", self.posts_per_second);
        report.put("links_per_second", self.links_per_second);
        report.put("scheduled_per_second", self.scheduled_per_second);
        report.say(format!("{} links of another team; {unfurled} of them were unfurled meanwhile", self.links));
        let all: [Compared; 3] = [
            ("posts", "posts", |phase| &phase.posts),
            ("unfurls", "from a post to its link's preview", |phase| &phase.unfurls),
            ("late", "scheduled messages late by", |phase| &phase.late),
        ];
        for (key, name, of) in all {
            let (without, with) = (of(without), of(with));
            let times = ratio(with.quantile_ms(0.99), without.quantile_ms(0.99));
            report.put(
                key,
                json!({
                    "with": Value::Object(with.to_json()),
                    "without": Value::Object(without.to_json()),
                    "ratio_p99": rounded(times),
                }),
            );
            report.say(format!("{name}: without {}", without.to_text()));
            report.say(format!("{name}: with    {}; p99 {times:.2} times", with.to_text()));
        }
        report
    }
}

impl Worker for Linker {
    async fn once(&mut self) -> Result<(), BenchError> {
        self.heard.begin(self.number);
        let page = self.next_page.fetch_add(1, Ordering::Relaxed);
        let link = self.pages.url(&format!("~{}~", self.number), page);
        let args = json!({ "channel": self.channel, "text": link });
        self.caller.ask("chat.postMessage", &self.token, &args).await?;
        self.heard.all(self.number).await
    }
}

/// Takes how late each scheduled message reached a socket, until all have.
async fn lateness(mut socket: Socket, expected: u64, window: Window) -> Result<Figures, BenchError> {
    let wait = SCHEDULING + window.time + LATE_MAX;
    let heard = async {
        let mut late = Vec::new();
        while (late.len() as u64) < expected {
            let frame = socket.frame().await?;
            if let Some(due) = due_of(&frame) {
                late.push(epoch().saturating_sub(due));
            }
        }
        Ok(Figures::of(expected, window.time, late))
    };
    let missing = |_| BenchError::Socket(format!("a scheduled message did not come in {wait:?}"));
    tokio::time::timeout(wait, heard).await.map_err(missing)?
}

/// Returns when the scheduled message of a frame was due, after the Unix epoch; none for any other frame.
fn due_of(frame: &str) -> Option<Duration> {
    let (_, behind) = frame.split_once(DUE)?;
    behind.split(' ').next()?.parse().ok().map(Duration::from_secs)
}

fn epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_message_says_when_it_was_due() {
        assert_eq!(due_of(r#"{"type":"message","text":"due 12 ","ts":"1.0"}"#), Some(Duration::from_secs(12)));
        assert_eq!(due_of(r#"{"type":"message","text":"overdue 12 "}"#), None);
        assert_eq!(due_of(r#"{"type":"hello"}"#), None);
    }
}
