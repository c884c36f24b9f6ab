//! The decider of a partition of `events`: its teams.

use std::sync::Arc;

use bytes::Bytes;
use teamlog_live::{Teams, TeamsError, bridge};
use teamlog_log::{Offset, Partition, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId, UserId};
use teamlog_state::{At, Facts, FactsWanted, Team, TeamSource, WriteKey};
use tokio::time::Instant;

use crate::{
    Decision, NotAccepted, Now, Refusal, Request,
    decide::{decide, facts_wanted},
    writer::{Decider, Loaded, Lookup},
};

/// The decider of one partition of `events`, by team. The state is `None` for a team that has not begun.
pub(crate) struct TeamDecider {
    pub(crate) partition: Partition,
    pub(crate) teams: Teams,
    pub(crate) source: Arc<dyn TeamSource<Position>>,
}

impl Decider for TeamDecider {
    type Request = Request;
    type Lane = TeamId;
    type State = Option<Box<Team>>;
    type Wanted = FactsWanted;
    type Facts = Facts;

    fn lane(&self, request: &Request) -> TeamId {
        request.team
    }

    fn actor(&self, request: &Request) -> Option<UserId> {
        request.actor
    }

    fn deadline(&self, request: &Request) -> Instant {
        request.deadline
    }

    fn traceparent(&self, request: &Request) -> Option<Bytes> {
        request.traceparent.clone().map(Bytes::from)
    }

    fn load(&self, team: TeamId, reflect: Offset) -> Lookup<Loaded<Self::State>> {
        let (teams, partition) = (self.teams.clone(), self.partition);
        Box::pin(async move {
            match teams.snapshot(team, partition, reflect).await {
                Ok(Some((team, position))) => Ok((Some(Box::new(team)), position)),
                Ok(None) => Ok((None, teams.position(partition))),
                Err(why) => {
                    tracing::warn!(%team, %why, "a team cannot be loaded for its writer");
                    Err(match why {
                        TeamsError::Stopped(_) => NotAccepted::LogAway,
                        _ => NotAccepted::TeamAway,
                    })
                }
            }
        })
    }

    fn wanted(&self, state: &Self::State, request: &Request) -> Option<FactsWanted> {
        let wanted = facts_wanted(state.as_deref()?, request);
        if wanted.is_empty() { None } else { Some(wanted) }
    }

    fn facts(&self, team: TeamId, wanted: Vec<FactsWanted>) -> Lookup<Loaded<Vec<Facts>>> {
        let (teams, source, partition) = (self.teams.clone(), self.source.clone(), self.partition);
        Box::pin(async move {
            let away = |why: String| {
                tracing::warn!(%team, why, "facts cannot be read");
                NotAccepted::TeamAway
            };
            let live = teams.get(team).await.map_err(|why| away(why.to_string()))?;
            let shard = live.read().shard().to_owned();
            let events = TopicPartition::events(partition);
            let mut wanted = wanted;
            loop {
                let at = source.facts(&shard, team, &wanted).await.map_err(|why| away(why.to_string()))?;
                // The tail after the rows is applied here, from the ring or one shared scan, however far the shard lags.
                // The writer applies the rest.
                let read = bridge::to_end(teams.feed(), events, at, |facts, event| {
                    if event.team() == Some(team) {
                        facts.iter_mut().for_each(|one| one.apply(event));
                    }
                });
                let At { position, rows: facts } = read.await.map_err(|why| away(why.to_string()))?;
                if !name_roots(&mut wanted, &facts) {
                    return Ok((facts, position));
                }
            }
        })
    }

    fn apply(&self, state: &mut Self::State, event: &Arc<Event>) {
        match state {
            Some(team) => team.apply(event),
            None => *state = Team::begin(event).map(Box::new),
        }
    }

    fn apply_facts(&self, facts: &mut Facts, event: &Arc<Event>) {
        facts.apply(event);
    }

    fn belongs(&self, team: TeamId, event: &Event) -> bool {
        event.team() == Some(team)
    }

    fn written(&self, state: &Self::State, facts: &Facts, request: &Request) -> Option<Arc<Event>> {
        let key =
            WriteKey { actor: request.actor, method: request.method.clone().into_owned(), key: request.key.clone()? };
        let recent = state.as_deref().and_then(|team| team.recent_write(&key));
        recent.or(facts.write.as_ref()).cloned()
    }

    fn decide(&self, state: &Self::State, facts: &Facts, request: &Request, now: Now<'_>) -> Result<Decision, Refusal> {
        decide(state.as_deref(), facts, request, now)
    }
}

/// Adds the thread roots of the replies in `found` to `wanted`. Returns true if it added any, so that a second read is
/// needed. A command that deletes a reply names the reply alone; its thread is known after the first read (rows and tail:
/// the shard may not have the reply yet). A message never changes its thread, so there is no third read.
fn name_roots(wanted: &mut [FactsWanted], found: &[Facts]) -> bool {
    let mut more = false;
    for (wanted, facts) in wanted.iter_mut().zip(found) {
        for (conversation, ts) in wanted.replies.clone() {
            let message = facts.message(conversation, ts).map(|fact| &fact.message);
            if let Some(root) = message.filter(|message| message.is_reply()).and_then(|message| message.thread_ts)
                && !wanted.replies.contains(&(conversation, root))
            {
                wanted.replies.push((conversation, root));
                wanted.messages.push((conversation, root));
                more = true;
            }
        }
    }
    more
}
