//! `Team::apply`: one event after the other, in log order. Total: an event that counts is a fact, so what cannot be
//! (a member of a conversation that is not there) is passed over here and found by `view verify`.

use std::sync::Arc;

use teamlog_schemas::{
    ConversationCreated, ConversationId, Event, MessagePosted, Person, TeamCreated, Token, Ts, is_system,
};

use crate::{
    Bot, Conversation, ConversationRow, Headline, Team,
    rows::{token_hash, token_state},
};

impl Team {
    /// The team that begins with this event; none if the event does not begin one.
    pub fn begin(event: &Arc<Event>) -> Option<Team> {
        let Event::TeamCreated(created) = &**event else { return None };
        let mut team = Team::empty(
            created.meta.team,
            created.domain.as_str(),
            created.name.as_str(),
            created.shard.as_str(),
            created.meta.at,
        );
        team.apply(event);
        Some(team)
    }

    /// Folds one counted event of this team in.
    pub fn apply(&mut self, event: &Arc<Event>) {
        match &**event {
            Event::TeamCreated(e) => self.on_team_created(e),
            Event::UserCreated(e) => self.on_person(&e.person, e.meta.at, e.token.as_ref()),
            Event::BotAdded(e) => {
                let bot = Bot { bot: e.bot, name: e.name.clone(), extra: e.extra.clone() };
                Arc::make_mut(&mut self.bots).insert(e.bot, bot);
            }
            Event::TokenIssued(e) => self.add_token(&e.token),
            Event::TokenRevoked(e) => {
                if let Some(state) = token_hash(&e.hash).and_then(|h| Arc::make_mut(&mut self.tokens).get_mut(&h)) {
                    state.revoked = true;
                }
            }
            Event::ConversationCreated(e) => self.on_conversation_created(e),
            Event::ConversationOpened(e) => {
                if let Some(user) = e.meta.actor {
                    self.set_closed(e.conversation, user, false);
                }
            }
            Event::ConversationClosed(e) => {
                if let Some(user) = e.meta.actor {
                    self.set_closed(e.conversation, user, true);
                }
            }
            Event::MembersJoined(_) | Event::MemberLeft(_) => {
                for change in event.memberships() {
                    self.set_member(change.conversation, change.user, change.joined);
                }
            }
            Event::ConversationRenamed(e) => self.on_renamed(e.conversation, &e.old_name, &e.name),
            Event::TopicSet(e) => {
                let topic = Headline::set(&e.topic, e.meta.actor, e.ts);
                self.with(e.conversation, |c| c.topic = topic);
            }
            Event::PurposeSet(e) => {
                let purpose = Headline::set(&e.purpose, e.meta.actor, e.ts);
                self.with(e.conversation, |c| c.purpose = purpose);
            }
            Event::ConversationArchived(e) => self.with(e.conversation, |c| c.is_archived = true),
            Event::ConversationUnarchived(e) => self.with(e.conversation, |c| c.is_archived = false),
            Event::MessagePosted(e) => self.on_posted(e),
            Event::MessageImported(e) => {
                let ts = e.message.ts;
                self.with(e.conversation, |c| c.latest = c.latest.max(ts));
            }
            // What these change lies in rows, not in a Team.
            Event::MessageEdited(_)
            | Event::MessageDeleted(_)
            | Event::ReactionAdded(_)
            | Event::ReactionRemoved(_)
            | Event::PasswordSet(_) => {}
            // Of other topics.
            Event::ClusterFounded(_)
            | Event::TeamRegistered(_)
            | Event::NodeBeat(_)
            | Event::ReadMarked(_)
            | Event::CredentialStored(_) => return,
        }
        self.note_implied_messages(event);
        self.last_ts = self.last_ts.max(event.given_ts());
        self.keys.remember(event);
    }

    fn on_team_created(&mut self, event: &TeamCreated) {
        self.on_person(&event.owner, event.meta.at, event.token.as_ref());
        for first in &event.channels {
            self.add_conversation(ConversationRow::first(first, event.owner.user, event.meta.at).into());
            self.set_member(first.conversation, event.owner.user, true);
        }
    }

    fn on_person(&mut self, person: &Person, at: Ts, token: Option<&Token>) {
        self.add_person(person.clone(), at);
        if let Some(token) = token {
            self.add_token(token);
        }
    }

    fn add_token(&mut self, token: &Token) {
        if let Some(hash) = token_hash(&token.hash) {
            Arc::make_mut(&mut self.tokens).entry(hash).or_insert(token_state(token.user, token.kind));
        }
    }

    fn on_conversation_created(&mut self, event: &ConversationCreated) {
        self.add_conversation(ConversationRow::created(event).into());
        for user in &event.members {
            self.set_member(event.conversation, *user, true);
        }
        if let Some(index) = self.conversation_index(event.conversation) {
            self.index_direct(index);
        }
        // A direct message is shown to who opened it; to the others with its first message.
        if !event.kind.is_channel() {
            for user in event.members.iter().filter(|user| Some(**user) != event.meta.actor) {
                self.set_closed(event.conversation, *user, !event.imported);
            }
        }
    }

    fn on_renamed(&mut self, conversation: ConversationId, old: &str, new: &str) {
        let Some(index) = self.conversation_index(conversation) else { return };
        let names = Arc::make_mut(&mut self.channels_by_name);
        if names.get(old) == Some(&index) {
            names.remove(old);
        }
        names.insert(new.to_owned(), index);
        self.with(conversation, |c| {
            c.previous_names.push(old.to_owned());
            c.name = Some(new.to_owned());
        });
    }

    fn on_posted(&mut self, event: &MessagePosted) {
        for user in &event.opens_for {
            self.set_closed(event.conversation, *user, false);
        }
        let (ts, counted) = (event.message.ts, is_countable(&event.message));
        self.with(event.conversation, |c| {
            c.latest = c.latest.max(ts);
            c.first_posted = c.first_posted.min(ts);
            c.ordinal += u64::from(counted);
        });
    }

    /// A join message and the like move a conversation's newest `ts`, as a post does.
    fn note_implied_messages(&mut self, event: &Event) {
        for (conversation, message) in event.implied() {
            self.with(conversation, |c| {
                c.latest = c.latest.max(message.ts);
                c.first_posted = c.first_posted.min(message.ts);
            });
        }
    }

    fn with(&mut self, conversation: ConversationId, change: impl FnOnce(&mut Conversation)) {
        if let Some(index) = self.conversation_index(conversation)
            && let Some(conversation) = self.conversations.get_mut(index)
        {
            change(conversation);
        }
    }
}

/// Whether a posted message counts as unread: not a system message, and a reply only if it is shown in the
/// conversation too.
pub fn is_countable(message: &teamlog_schemas::Message) -> bool {
    !is_system(message.subtype.as_deref()) && (!message.is_reply() || message.reply_broadcast)
}
