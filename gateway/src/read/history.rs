//! Pages of a conversation and of a thread, and single messages.

use std::sync::Arc;

use teamlog_live::{TeamGuard, bridge};
use teamlog_projectors::HistoryPage;
use teamlog_schemas::{ConversationId, Event, Message, Ts};
use teamlog_state::{Facts, FactsWanted, MessageFact, Pin, Team, TeamSource};

use super::{
    overlay::{Overlay, Window},
    readable,
};
use crate::{ApiError, Caller, Gateway};

/// Which messages are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The oldest `ts` of the page.
    pub oldest: Ts,
    /// The newest `ts` of the page.
    pub latest: Ts,
    /// True if messages exactly at `oldest` and `latest` are included.
    pub inclusive: bool,
    /// The most messages of a page, at least one.
    pub limit: usize,
}

impl Page {
    /// The newest `limit`.
    pub fn newest(limit: usize) -> Page {
        Page { oldest: Ts::ZERO, latest: Ts::MAX, inclusive: true, limit }
    }
}

/// A page, and where the next one goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Paged {
    /// The messages, in the order of the page.
    pub messages: Vec<MessageFact>,
    /// The end (exclusive) to go on from, if there may be more.
    pub next: Option<Ts>,
}

/// Reads a page of a conversation, newest first. Of replies it has only those that were broadcast.
///
/// # Errors
/// `channel_not_found` if the caller may not read it; a retryable error if rows or tail cannot be read.
pub async fn history(
    gateway: &Gateway,
    caller: &Caller,
    conversation: ConversationId,
    page: &Page,
) -> Result<Paged, ApiError> {
    let (facts, edge) = rows(gateway, caller, conversation, page, true, None).await?;
    Ok(cut(facts.into_iter().rev(), edge, page.limit))
}

/// A page of a thread's replies, oldest first, without the root.
///
/// # Errors
/// As [`history`].
pub async fn replies(
    gateway: &Gateway,
    caller: &Caller,
    conversation: ConversationId,
    root: Ts,
    page: &Page,
) -> Result<Paged, ApiError> {
    let (facts, edge) = rows(gateway, caller, conversation, page, false, Some(root)).await?;
    Ok(cut(facts.into_iter(), edge, page.limit))
}

/// Reads a message with its reactions and thread. A deleted root with replies is returned as a tombstone.
///
/// # Errors
/// As [`history`].
pub async fn message(
    gateway: &Gateway,
    caller: &Caller,
    conversation: ConversationId,
    ts: Ts,
) -> Result<Option<MessageFact>, ApiError> {
    let (mut facts, _) = by_name(gateway, caller, conversation, &[ts]).await?;
    Ok(facts.messages.remove(&(conversation, ts)).flatten())
}

/// The messages that are pinned to a conversation, the newest pin first.
///
/// # Errors
/// As [`history`].
pub async fn pinned(
    gateway: &Gateway,
    caller: &Caller,
    conversation: ConversationId,
) -> Result<Vec<(Pin, MessageFact)>, ApiError> {
    let pins = |team: &Team| team.conversation(conversation).map(|c| c.pins.clone()).unwrap_or_default();
    let names: Vec<Ts> = pins(&caller.team.read()).iter().map(|pin| pin.ts).collect();
    let (mut facts, team) = by_name(gateway, caller, conversation, &names).await?;
    // A pin that came since the call is left out; one that went is not there any more.
    let message = |pin: Pin| Some((pin, facts.messages.remove(&(conversation, pin.ts))??));
    Ok(pins(&team).into_iter().rev().filter_map(message).collect())
}

/// Messages of a conversation by their names, and the team as of the position that they reflect.
async fn by_name<'a>(
    gateway: &Gateway,
    caller: &'a Caller,
    conversation: ConversationId,
    names: &[Ts],
) -> Result<(Facts, TeamGuard<'a>), ApiError> {
    let shard = begin(caller, conversation)?;
    let names: Vec<_> = names.iter().map(|ts| (conversation, *ts)).collect();
    let wanted = FactsWanted { messages: names.clone(), ..FactsWanted::default() };
    let at = gateway.shards().facts(&shard, caller.team.id(), &[wanted]).await?;
    let at = at.map(|facts| {
        let mut facts: Facts = facts.into_iter().next().unwrap_or_default();
        for name in names {
            facts.messages.entry(name).or_insert(None);
        }
        facts
    });
    let (facts, team) = bridge::to_team(gateway.ingest().teams(), &caller.team, at, Facts::apply).await?;
    readable(&team, caller.user, conversation)?;
    Ok((facts, team))
}

/// Rejects a conversation that the caller may not read, and returns the shard of its rows.
fn begin(caller: &Caller, conversation: ConversationId) -> Result<String, ApiError> {
    let team = caller.team.read();
    readable(&team, caller.user, conversation)?;
    Ok(team.shard().to_owned())
}

/// The messages of a page as they are now, oldest first, and the edge: the `ts` of the last row, if there may be more
/// rows beyond. What the tail adds beyond the edge belongs to the next page.
async fn rows(
    gateway: &Gateway,
    caller: &Caller,
    conversation: ConversationId,
    page: &Page,
    newest_first: bool,
    root: Option<Ts>,
) -> Result<(Vec<MessageFact>, Option<Ts>), ApiError> {
    let shard = begin(caller, conversation)?;
    // One row more than wanted tells whether there are more. In a thread, the root may be among the rows.
    let limit = page.limit + if root.is_some() { 2 } else { 1 };
    let asked = HistoryPage {
        oldest: page.oldest,
        latest: page.latest,
        inclusive: page.inclusive,
        limit,
        newest_first,
        replies_of: root,
    };
    let (team, partition) = (caller.team.id(), caller.team.partition());
    let at = gateway.history().page(&shard, team, partition, conversation, &asked).await?;
    let full = at.rows.len() >= limit;
    let timestamps = at.rows.iter().map(|fact| fact.message.ts);
    let edge = if newest_first { timestamps.min() } else { timestamps.max() }.filter(|_| full);
    let window = Window { oldest: page.oldest, latest: page.latest, inclusive: page.inclusive };
    let in_reach = |ts: Ts| edge.is_none_or(|edge| if newest_first { ts > edge } else { ts < edge });
    let wanted = |message: &Message| {
        let belongs = match root {
            Some(root) => message.is_reply() && message.thread_ts == Some(root),
            None => !message.is_reply() || message.reply_broadcast,
        };
        belongs && window.holds(message.ts) && in_reach(message.ts)
    };
    let at = at.map(|rows| Overlay::new(conversation, rows));
    let lay = |overlay: &mut Overlay, event: &Arc<Event>| overlay.apply(event, wanted);
    let (overlay, team) = bridge::to_team(gateway.ingest().teams(), &caller.team, at, lay).await?;
    readable(&team, caller.user, conversation)?;
    drop(team);
    let mut facts = overlay.finish();
    facts.retain(|fact| root != Some(fact.message.ts));
    Ok((facts, edge))
}

/// The first `limit` in the page's order. With an edge there may be more even if the page is not full, for some of its
/// rows may be deleted by now.
fn cut(facts: impl Iterator<Item = MessageFact>, edge: Option<Ts>, limit: usize) -> Paged {
    let mut messages: Vec<MessageFact> = facts.take(limit + 1).collect();
    let more = messages.len() > limit;
    messages.truncate(limit);
    let last = messages.last().map(|fact| fact.message.ts);
    let next = if more { last } else { edge };
    Paged { messages, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(micros: &[i64]) -> Vec<MessageFact> {
        let row = |micros: &i64| MessageFact {
            message: Message { ts: Ts::from_micros(*micros), ..Message::default() },
            reactions: Vec::new(),
            thread: None,
            tombstone: false,
        };
        micros.iter().map(row).collect()
    }

    #[test]
    fn a_page_ends_at_its_last_message() {
        let paged = cut(facts(&[9, 8, 7]).into_iter(), Some(Ts::from_micros(7)), 2);
        assert_eq!((paged.messages.len(), paged.next), (2, Some(Ts::from_micros(8))));
        let paged = cut(facts(&[9, 8]).into_iter(), None, 2);
        assert_eq!((paged.messages.len(), paged.next), (2, None));
    }

    #[test]
    fn a_page_whose_rows_were_deleted_goes_on_from_its_edge() {
        let paged = cut(facts(&[]).into_iter(), Some(Ts::from_micros(7)), 2);
        assert_eq!((paged.messages.len(), paged.next), (0, Some(Ts::from_micros(7))));
    }
}
