//! How much somebody has not read.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use teamlog_live::TeamGuard;
use teamlog_log::Entry;
use teamlog_projectors::Unread;
use teamlog_schemas::{ConversationId, ConversationKind, Event, Message, Ts};
use teamlog_state::is_countable;

use super::{of_team, tail};
use crate::{ApiError, Caller, Gateway};

/// Countable messages above each mark, and those among them that call the caller, in the order of `marks`. Each message
/// of a direct conversation calls, as Slack counts them. What the caller is not a member of counts nothing.
///
/// # Errors
/// What may pass if rows or tail cannot be read.
pub async fn unread(
    gateway: &Gateway,
    caller: &Caller,
    marks: &[(ConversationId, Ts)],
) -> Result<Vec<Unread>, ApiError> {
    if marks.is_empty() {
        return Ok(Vec::new());
    }
    Ok(unread_and(gateway, caller, marks, |_| ()).await?.0)
}

/// The same, and what is seen of the team at the very position that the counts are of.
///
/// # Errors
/// See [`unread`].
pub(crate) async fn unread_and<R>(
    gateway: &Gateway,
    caller: &Caller,
    marks: &[(ConversationId, Ts)],
    look: impl FnOnce(&TeamGuard<'_>) -> R,
) -> Result<(Vec<Unread>, R), ApiError> {
    let (team, user) = (&caller.team, caller.user);
    let shard = team.read().shard().to_owned();
    let at = gateway.shards().unread(&shard, team.id(), user, marks).await?;
    let (entries, kinds, seen) = {
        let (entries, team) = tail(gateway, team, at.position).await?;
        let kind = |conversation| team.conversation(conversation).map(|c| c.kind);
        let kinds = marks.iter().map(|(c, _)| kind(*c).filter(|_| team.is_member(user, *c))).collect::<Vec<_>>();
        (entries, kinds, look(&team))
    };
    let mut counts = at.rows;
    let gone = lay_over(&mut counts, marks, caller, &entries);
    if !gone.is_empty() {
        // What a row counts for, only the row says: whom it called when it was posted, and that no import brought it.
        let wanted: Vec<_> = gone.iter().map(|(place, ts)| (marks[*place].0, *ts)).collect();
        let rows = gateway.shards().counted(&shard, team.id(), user, &wanted).await?.rows;
        for ((place, _), row) in gone.iter().zip(rows) {
            lessen(&mut counts[*place], row);
        }
    }
    for (slot, kind) in counts.iter_mut().zip(kinds) {
        match kind {
            None => *slot = Unread::default(),
            Some(ConversationKind::Im) => slot.mentions = slot.count,
            Some(_) => {}
        }
    }
    Ok((counts, seen))
}

/// Counts what the tail posted and what it deleted of that. What it deleted of the rows comes back: the place of its
/// mark, and its `ts`.
fn lay_over(
    counts: &mut [Unread],
    marks: &[(ConversationId, Ts)],
    caller: &Caller,
    entries: &[Arc<Entry<Event>>],
) -> Vec<(usize, Ts)> {
    let places: HashMap<ConversationId, usize> =
        marks.iter().enumerate().map(|(place, (conversation, _))| (*conversation, place)).collect();
    let mut posted: HashMap<(usize, Ts), Unread> = HashMap::new();
    let mut gone = HashSet::new();
    for event in of_team(entries, &caller.team) {
        let Some(place) = event.conversation().and_then(|conversation| places.get(&conversation).copied()) else {
            continue;
        };
        let counts_for = |message: &Message| message.ts > marks[place].1 && is_countable(message);
        if let Some((_, message)) = event.message()
            && counts_for(message)
        {
            // What an import brings is not unread.
            let mut one = Unread::default();
            if let Event::MessagePosted(e) = &**event {
                let called = e.mentions.contains(&caller.user) || e.broadcast.is_some();
                one = Unread { count: 1, mentions: u64::from(called) };
            }
            counts[place].count += one.count;
            counts[place].mentions += one.mentions;
            posted.insert((place, message.ts), one);
        }
        if let Event::MessageDeleted(e) = &**event
            && counts_for(&e.before)
        {
            match posted.remove(&(place, e.before.ts)) {
                Some(one) => lessen(&mut counts[place], one),
                None => drop(gone.insert((place, e.before.ts))),
            }
        }
    }
    gone.into_iter().collect()
}

fn lessen(slot: &mut Unread, by: Unread) {
    slot.count = slot.count.saturating_sub(by.count);
    slot.mentions = slot.mentions.saturating_sub(by.mentions);
}
