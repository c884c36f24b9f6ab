//! `Team::apply`: one event after the other, in log order. Total: an event that counts is a fact, so what cannot be
//! (a member of a conversation that is not there) is passed over here and found by `view verify`.

use std::sync::Arc;

use teamlog_schemas::{EVENTS, Event};

use crate::{Team, begun_conversations, change_conversation, closings, issued_token, new_bot, newcomer, revoked_token};

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

    /// Folds one counted event of this team in. What an edit, a deletion or a reaction changes lies in rows, not in a `Team`.
    pub fn apply(&mut self, event: &Arc<Event>) {
        if event.topic() != EVENTS {
            return;
        }
        if let Some((person, since)) = newcomer(event) {
            self.people.add(person.clone(), since);
        }
        if let Some(bot) = new_bot(event) {
            Arc::make_mut(&mut self.bots).insert(bot.bot, bot);
        }
        if let Some((hash, token)) = issued_token(event) {
            Arc::make_mut(&mut self.tokens).entry(hash).or_insert(token);
        }
        if let Some(token) = revoked_token(event).and_then(|hash| Arc::make_mut(&mut self.tokens).get_mut(&hash)) {
            token.revoked = true;
        }
        self.fold_conversations(event);
        self.last_ts = self.last_ts.max(event.given_ts());
        self.keys.remember(event);
    }

    fn fold_conversations(&mut self, event: &Event) {
        for row in begun_conversations(event) {
            self.conversations.add(row.into());
        }
        for change in event.memberships() {
            self.set_member(change.conversation, change.user, change.joined);
        }
        if let Event::ConversationCreated(e) = event
            && let Some(index) = self.conversation_index(e.conversation)
        {
            self.conversations.index_direct(index);
        }
        for (conversation, user, is_closed) in closings(event) {
            self.set_closed(conversation, user, is_closed);
        }
        if let Event::ConversationRenamed(e) = event {
            self.conversations.index_new_name(e.conversation, &e.old_name, &e.name);
        }
        change_conversation(event, |conversation, change| {
            if let Some(index) = self.conversation_index(conversation)
                && let Some(conversation) = self.conversations.get_mut(index)
            {
                change(&mut conversation.row);
            }
        });
    }
}
