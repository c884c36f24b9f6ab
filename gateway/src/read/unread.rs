//! How much somebody has not read.

use std::collections::HashMap;

use teamlog_projectors::Unread;
use teamlog_schemas::{ConversationId, ConversationKind, Event, Message, Ts};
use teamlog_state::is_countable;

use super::{of_team, tail};
use crate::{ApiError, Caller, Gateway};

/// Countable messages above each mark, and those among them that call the caller, in the order of `marks`. What the
/// caller is not a member of counts nothing.
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
    let shard = caller.team.read().shard().to_owned();
    let at = gateway.shards().unread(&shard, caller.team.id(), caller.user, marks).await?;
    let mut counts = at.rows;
    let places: HashMap<ConversationId, (usize, Ts)> =
        marks.iter().enumerate().map(|(place, (conversation, mark))| (*conversation, (place, *mark))).collect();
    let (entries, team) = tail(gateway, &caller.team, at.position).await?;
    for event in of_team(&entries, &caller.team) {
        let Some((place, mark)) = event.conversation().and_then(|conversation| places.get(&conversation)) else {
            continue;
        };
        let counted = |message: &Message| message.ts > *mark && is_countable(message);
        let Some(slot) = counts.get_mut(*place) else { continue };
        match &**event {
            Event::MessagePosted(e) if counted(&e.message) => {
                slot.count += 1;
                let direct = team.conversation(e.conversation).is_some_and(|c| c.kind == ConversationKind::Im);
                let called = e.mentions.contains(&caller.user) || e.broadcast.is_some();
                slot.mentions += u64::from(called || direct);
            }
            Event::MessageDeleted(e) if counted(&e.before) => slot.count = slot.count.saturating_sub(1),
            _ => {}
        }
    }
    for ((conversation, _), slot) in marks.iter().zip(&mut counts) {
        if !team.is_member(caller.user, *conversation) {
            *slot = Unread::default();
        }
    }
    Ok(counts)
}
