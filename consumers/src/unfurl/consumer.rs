//! The consumer that unfurls the links of posted messages.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use teamlog_ingest::{Link, commands::Unfurl, links};
use teamlog_schemas::{ConversationId, Event, MessagePosted, Ts};

use super::{Found, Kind, Unfurler};
use crate::{Consumer, Job, JobBudget, JobEnd, Rate, RetryPolicy, World};

/// Links of one message that are unfurled; later ones stay plain. Slack shows about as many, and each costs a fetch that
/// the message's author decides and others' servers pay for.
const LINKS_MAX: usize = 5;

/// Unfurls the links of posted messages, each as a piece of work of its own.
///
/// A page that cannot be reached now, or answers 5xx, is tried again for some minutes, and then becomes a dead letter. A
/// page that has nothing to show, is refused by the guard or does not exist is done: another try would give the same.
pub struct UnfurlLinks {
    unfurler: Unfurler,
}

impl UnfurlLinks {
    /// Fetches through `unfurler`.
    pub fn new(unfurler: Unfurler) -> UnfurlLinks {
        UnfurlLinks { unfurler }
    }
}

/// The work on one link of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfurling {
    conversation: ConversationId,
    ts: Ts,
    link: Link,
    wanted: Wanted,
}

/// Which kinds of pages are shown below a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    links: bool,
    media: bool,
}

impl Wanted {
    /// Of a person's message everything is shown, of a bot's media alone, if the post did not say otherwise.
    /// Source: Slack's page on unfurling.
    fn by(posted: &MessagePosted) -> Wanted {
        let said = posted.unfurl.unwrap_or_default();
        Wanted { links: said.links.unwrap_or(posted.message.bot.is_none()), media: said.media.unwrap_or(true) }
    }

    fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::Text => self.links,
            Kind::Media => self.media,
        }
    }
}

#[async_trait]
impl Consumer for UnfurlLinks {
    const NAME: &'static str = "unfurl";
    type Work = Unfurling;

    fn work(&self, event: &Event) -> Vec<Unfurling> {
        let Event::MessagePosted(posted) = event else { return Vec::new() };
        let wanted = Wanted::by(posted);
        if !wanted.links && !wanted.media {
            return Vec::new();
        }
        let mut seen = HashSet::new();
        let each_once = links(posted.message.text.as_str()).filter(|link| seen.insert(link.url.clone()));
        let one = |link| Unfurling { conversation: posted.conversation, ts: posted.message.ts, link, wanted };
        each_once.take(LINKS_MAX).map(one).collect()
    }

    async fn run(&self, world: &World, job: &Job<Unfurling>) -> JobEnd {
        let work = &job.work;
        let preview = match self.unfurler.preview(&work.link.url).await.as_deref() {
            Ok(Found::Preview(preview)) if work.wanted.has(preview.kind) => preview.clone(),
            Ok(Found::Preview(_)) => return done("not_wanted"),
            Ok(Found::Nothing(why)) => {
                tracing::debug!(job = %job.id, why, "a link shows nothing");
                return done("nothing");
            }
            Err(error) => return JobEnd::Again { why: error.to_string(), wait: error.retry_after() },
        };
        let unfurl = Unfurl {
            conversation: work.conversation,
            ts: work.ts,
            link: work.link.original.clone(),
            attachment: preview.attachment(&work.link).to_string(),
        };
        match world.submit(job, None, unfurl).await {
            Ok(Some(_)) => done("shown"),
            Ok(None) => done("too_late"),
            Err(undone) => undone.into(),
        }
    }

    fn budget(&self) -> JobBudget {
        let config = self.unfurler.config();
        JobBudget {
            rate: Rate::per_second(config.per_second.get()),
            team_rate: Rate::of_a_team(config.team_per_second.get()),
            // A page, its oEmbed document and the command, each with a bound of 10 s.
            run_max: Duration::from_secs(40),
            retry: RetryPolicy {
                first: Duration::from_secs(2),
                last: Duration::from_secs(60),
                tries_max: config.tries_max,
                age_max: Duration::from_secs(600),
            },
            ..JobBudget::default()
        }
    }
}

fn done(outcome: &'static str) -> JobEnd {
    metrics::counter!("teamlog_unfurls_total", "outcome" => outcome).increment(1);
    JobEnd::Done
}
