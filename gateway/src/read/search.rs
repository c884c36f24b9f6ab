//! Search: names from an index, and the messages themselves from rows and tail.

use teamlog_live::bridge;
use teamlog_log::TopicPartition;
use teamlog_projectors::MessageQuery;
use teamlog_schemas::ConversationId;
use teamlog_state::{Facts, FactsWanted, MessageFact, TeamSource};

use super::MessageIndex;
use crate::{ApiError, Caller, Gateway};

/// A message that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchHit {
    /// Where.
    pub conversation: ConversationId,
    /// The message as it is now.
    pub fact: MessageFact,
    /// How well it fits.
    pub score: f32,
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchFound {
    /// How much in all.
    pub total: usize,
    /// The wanted page of it.
    pub hits: Vec<SearchHit>,
}

/// Finds messages that the caller may read. Everything that was acknowledged to the caller before the call is reflected:
/// messages, edits and deletions.
///
/// # Errors
/// If no index answers in time, or rows or tail cannot be read.
pub async fn search(
    gateway: &Gateway,
    index: &dyn MessageIndex,
    caller: &Caller,
    query: MessageQuery,
) -> Result<SearchFound, ApiError> {
    let (teams, live) = (gateway.ingest().teams(), &caller.team);
    // Everything that was acknowledged on this node has been read by its feed.
    let at_least = teams.feed().position(TopicPartition::events(live.partition())).offset;
    let found = index.find(live.partition(), at_least, query).await?;
    if found.hits.is_empty() {
        return Ok(SearchFound { total: found.total, hits: Vec::new() });
    }
    let shard = live.read().shard().to_owned();
    let messages: Vec<_> = found.hits.iter().map(|hit| (hit.conversation, hit.ts)).collect();
    let wanted = FactsWanted { messages: messages.clone(), ..FactsWanted::default() };
    let at = gateway.shards().facts(&shard, live.id(), &[wanted]).await?;
    let at = at.map(|facts| {
        let mut facts: Facts = facts.into_iter().next().unwrap_or_default();
        for name in messages {
            facts.messages.entry(name).or_insert(None);
        }
        facts
    });
    let (mut facts, team) = bridge::to_team(teams, live, at, Facts::apply).await?;
    let mut hits = Vec::with_capacity(found.hits.len());
    for hit in &found.hits {
        let fact = facts.messages.remove(&(hit.conversation, hit.ts)).flatten();
        let fact = fact.filter(|fact| !fact.tombstone && team.may_read(caller.user, hit.conversation));
        hits.extend(fact.map(|fact| SearchHit { conversation: hit.conversation, fact, score: hit.score }));
    }
    // Messages that were removed while this was read are not counted either.
    let gone = found.hits.len() - hits.len();
    Ok(SearchFound { total: found.total.saturating_sub(gone), hits })
}
