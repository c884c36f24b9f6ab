//! The conversations that a person could see at each event of a range of the log.

use std::{collections::HashSet, sync::Arc};

use teamlog_log::Entry;
use teamlog_schemas::{ConversationId, Event, Reach, TeamId, UserId};

use super::draw::Audience;

/// Returns true if a frame of an event may be for one of some people, so that no frame is rendered for nobody. Live and
/// replaying sessions both use this, so they cannot differ.
///
/// `is_public` says of the event's conversation whether it is a public channel, `has_member` whether one of the people is in
/// it at this event.
pub(crate) fn may_reach(
    event: &Event,
    is_public: impl FnOnce(ConversationId) -> bool,
    has_member: impl FnOnce(ConversationId) -> bool,
) -> bool {
    match (event.reach(), event.conversation()) {
        (Reach::Nobody, _) => false,
        (Reach::Everyone, _) | (Reach::Members | Reach::Viewers, None) => true,
        (Reach::Members, Some(conversation)) => has_member(conversation),
        (Reach::Viewers, Some(conversation)) => is_public(conversation) || has_member(conversation),
    }
}

/// A person's conversations, updated with each event of their team.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    team: TeamId,
    user: UserId,
    conversations: HashSet<ConversationId>,
}

impl Inside {
    /// The conversations that somebody was in at the beginning of `entries`, computed backwards: those that they are in
    /// at the end, with their joins and leaves undone.
    pub(crate) fn before(
        team: TeamId,
        user: UserId,
        at_the_end: HashSet<ConversationId>,
        entries: &[Arc<Entry<Event>>],
    ) -> Inside {
        let mut inside = Inside { team, user, conversations: at_the_end };
        #[cfg(feature = "testing")]
        if teamlog_log::testing::is_left_out(teamlog_log::testing::Rule::MembershipAtX) {
            return inside;
        }
        for event in entries.iter().rev().filter_map(|entry| entry.event()) {
            if event.team() == Some(team) {
                for change in event.memberships().into_iter().rev().filter(|change| change.user == user) {
                    inside.set(change.conversation, !change.joined);
                }
            }
        }
        inside
    }

    /// Lets one event of the team pass: a join is in force at its own event, a leave only behind it. `look` asks which
    /// of its frames are for this person.
    pub(crate) fn pass<R>(&mut self, event: &Event, look: impl FnOnce(&Inside) -> R) -> R {
        let changes: Vec<_> = event.memberships().into_iter().filter(|change| change.user == self.user).collect();
        for change in changes.iter().filter(|change| change.joined) {
            self.set(change.conversation, true);
        }
        let looked = look(self);
        for change in changes.iter().filter(|change| !change.joined) {
            self.set(change.conversation, false);
        }
        looked
    }

    /// Whether an event is of the team.
    pub(crate) fn is_of_team(&self, event: &Event) -> bool {
        event.team() == Some(self.team)
    }

    /// Whether an event must be looked at for this person, while [`Inside::pass`] is letting it pass: some frame of it may
    /// be for them, or it changes what they are in.
    pub(crate) fn may_concern(&self, event: &Event) -> bool {
        // The kinds of conversations are not known here, so what all may see is looked at.
        self.is_of_team(event)
            && (may_reach(event, |_| true, |conversation| self.conversations.contains(&conversation))
                || event.memberships().iter().any(|change| change.user == self.user))
    }

    /// Whether a frame is for this person, at the event that [`Inside::pass`] is letting pass.
    pub(crate) fn is_addressed(&self, audience: &Audience) -> bool {
        match audience {
            Audience::Members(conversation) => self.conversations.contains(conversation),
            Audience::Users(users) => users.contains(&self.user),
            Audience::Everyone => true,
        }
    }

    fn set(&mut self, conversation: ConversationId, is_in: bool) {
        if is_in {
            self.conversations.insert(conversation);
        } else {
            self.conversations.remove(&conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use teamlog_log::{Body, Offset, Position, TopicPartition};
    use teamlog_schemas::{Joined, MemberLeft, MembersJoined, Meta, Ts};
    use uuid::Uuid;

    use super::*;

    fn user(number: u8) -> UserId {
        format!("U{number}").parse().unwrap()
    }
    fn channel(number: u8) -> ConversationId {
        format!("C{number}").parse().unwrap()
    }

    fn entry(offset: usize, event: Event) -> Arc<Entry<Event>> {
        let offset = Offset(offset as u64);
        Arc::new(Entry {
            source: TopicPartition::DIRECTORY,
            offset,
            after: Position::bare(offset.next()),
            body: Body::Event(Arc::new(event)),
            timestamp_ms: 0,
            bytes: 0,
        })
    }

    /// Builds a log of people who join and leave channels in two teams. Steps that change nothing are left out.
    fn events(steps: &[(bool, u8, u8)]) -> Vec<Arc<Entry<Event>>> {
        let mut inside: HashSet<(bool, u8, u8)> = HashSet::new();
        let mut entries = Vec::new();
        for (other_team, who, place) in steps.iter().copied() {
            let team = if other_team { "T2" } else { "T1" }.parse().unwrap();
            let meta =
                Meta { event_id: Uuid::nil(), team, actor: Some(user(who)), at: Ts::ZERO, key: None, method: None };
            let conversation = channel(place);
            let joins = inside.insert((other_team, who, place));
            let event = if joins {
                let joined = vec![Joined { user: user(who), ts: Ts::ZERO }];
                Event::from(MembersJoined { meta, conversation, inviter: None, joined })
            } else {
                inside.remove(&(other_team, who, place));
                Event::from(MemberLeft { meta, conversation, user: user(who), kicked_by: None, ts: Ts::ZERO })
            };
            entries.push(entry(entries.len(), event));
        }
        entries
    }

    proptest! {
        /// Membership computed backwards from any point equals membership computed forwards from the start.
        #[test]
        fn backwards_is_as_forwards(steps in prop::collection::vec((any::<bool>(), 1u8..4, 1u8..4), 0..60), cut in 0usize..60) {
            let (team, who) = ("T1".parse().unwrap(), user(1));
            let entries = events(&steps);
            let mut forwards: HashSet<ConversationId> = HashSet::new();
            // At each event: what is in force while it passes.
            let mut at_each = Vec::new();
            let mut at_cut = HashSet::new();
            let cut = cut.min(entries.len());
            for (number, entry) in entries.iter().enumerate() {
                if number == cut {
                    at_cut = forwards.clone();
                }
                let event = entry.event().unwrap();
                let mut while_passing = forwards.clone();
                for change in event.memberships() {
                    if event.team() == Some(team) && change.user == who {
                        while_passing.insert(change.conversation);
                        forwards.insert(change.conversation);
                        if !change.joined {
                            forwards.remove(&change.conversation);
                        }
                    }
                }
                at_each.push(while_passing);
            }
            if cut == entries.len() {
                at_cut = forwards.clone();
            }
            let mut inside = Inside::before(team, who, forwards.clone(), &entries[cut..]);
            prop_assert_eq!(&inside.conversations, &at_cut);
            for (entry, expected) in entries[cut..].iter().zip(&at_each[cut..]) {
                let event = entry.event().unwrap();
                if !inside.is_of_team(event) {
                    prop_assert_eq!(event.team(), Some("T2".parse().unwrap()));
                    continue;
                }
                inside.pass(event, |now| {
                    let place = event.conversation().unwrap();
                    assert_eq!(now.may_concern(event), expected.contains(&place), "{event:?}");
                    for place in 1..4 {
                        let sees = now.is_addressed(&Audience::Members(channel(place)));
                        assert_eq!(sees, expected.contains(&channel(place)), "{event:?}");
                    }
                });
            }
            prop_assert_eq!(inside.conversations, forwards);
        }
    }
}
