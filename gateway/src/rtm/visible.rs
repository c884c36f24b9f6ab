//! What one person could see at each event of a stretch of the log.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use teamlog_log::{Entry, Position};
use teamlog_schemas::{ConversationId, Event, UserId};
use teamlog_state::Team;

use super::frames::{Audience, frames};

/// The frames of one event for one person, and the position behind it.
pub(super) type Seen = (Position, Vec<Bytes>);

/// The frames that `user` is to get of `entries`, which end where `team` stands.
///
/// What they could see at the beginning is computed backwards: the conversations that they are in now, with their
/// joins and leaves in these entries undone.
pub(super) fn seen(team: &Team, user: UserId, entries: &[Arc<Entry<Event>>]) -> Vec<Seen> {
    let mut inside: HashSet<ConversationId> = team.conversations_of(user).map(|c| c.conversation).collect();
    let ours = |entry: &&Arc<Entry<Event>>| entry.event().is_some_and(|event| event.team() == Some(team.id()));
    for entry in entries.iter().rev().filter(ours) {
        if let Some(event) = entry.event() {
            for change in event.memberships().into_iter().rev().filter(|change| change.user == user) {
                set(&mut inside, change.conversation, !change.joined);
            }
        }
    }
    let mut seen = Vec::new();
    for entry in entries.iter().filter(ours) {
        let Some(event) = entry.event() else { continue };
        let changes: Vec<_> = event.memberships().into_iter().filter(|change| change.user == user).collect();
        for change in changes.iter().filter(|change| change.joined) {
            inside.insert(change.conversation);
        }
        let concerned = |audience: &Audience| match audience {
            Audience::Members(conversation) => inside.contains(conversation),
            Audience::Users(users) => users.contains(&user),
            Audience::Everyone => true,
        };
        let for_user: Vec<Bytes> =
            frames(event, team).into_iter().filter(|(audience, _)| concerned(audience)).map(|(_, f)| f).collect();
        if !for_user.is_empty() {
            seen.push((entry.after, for_user));
        }
        for change in changes.iter().filter(|change| !change.joined) {
            inside.remove(&change.conversation);
        }
    }
    seen
}

fn set(inside: &mut HashSet<ConversationId>, conversation: ConversationId, is_in: bool) {
    if is_in {
        inside.insert(conversation);
    } else {
        inside.remove(&conversation);
    }
}
