//! Mentions: the people whom a message calls, by name or all of its conversation.

use std::collections::HashSet;

use serde_json::Value;
use teamlog_schemas::{Broadcast, UserId};
use teamlog_state::Conversation;

use super::context::Context;

/// The mentions in the text and the blocks of a message.
#[derive(Default)]
pub(crate) struct Mentions {
    named: Vec<UserId>,
    seen: HashSet<UserId>,
    broadcast: Option<Broadcast>,
}

impl Mentions {
    pub(crate) fn of(text: &str, blocks: &[Value]) -> Mentions {
        let mut mentions = Mentions::default();
        mentions.read_text(text);
        blocks.iter().for_each(|block| mentions.read_block(block));
        mentions
    }

    /// Returns the people who are named, may read the conversation and are not deactivated, each once, in their order.
    pub(crate) fn users(&self, it: &Context<'_, '_>, conversation: &Conversation) -> Vec<UserId> {
        let called = |user: &UserId| {
            it.team.may_read(*user, conversation.conversation)
                && it.team.person(*user).is_some_and(|member| !member.person.deleted)
        };
        self.named.iter().copied().filter(called).collect()
    }

    /// Returns the widest broadcast. Only the general channel has everybody in it: elsewhere `<!everyone>` means all of the
    /// channel.
    pub(crate) fn broadcast(&self, conversation: &Conversation) -> Option<Broadcast> {
        match self.broadcast {
            Some(Broadcast::Everyone) if !conversation.is_general => Some(Broadcast::Channel),
            broadcast => broadcast,
        }
    }

    /// Reads Slack's markup: `<@U...>`, `<!here>`, each perhaps with `|label`.
    fn read_text(&mut self, text: &str) {
        for part in text.split('<').skip(1) {
            let Some((inside, _)) = part.split_once('>') else { continue };
            let name = inside.split('|').next().unwrap_or_default();
            match name.split_at_checked(1) {
                Some(("@", user)) => self.name(user),
                Some(("!", range)) => self.call(range),
                _ => {}
            }
        }
    }

    /// Reads a block: markup within its texts, and the elements of rich text.
    fn read_block(&mut self, block: &Value) {
        match block {
            Value::String(text) => self.read_text(text),
            Value::Array(all) => all.iter().for_each(|one| self.read_block(one)),
            Value::Object(fields) => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str);
                match (text("type"), text("user_id"), text("range")) {
                    (Some("user"), Some(user), _) => self.name(user),
                    (Some("broadcast"), _, Some(range)) => self.call(range),
                    _ => fields.values().for_each(|value| self.read_block(value)),
                }
            }
            _ => {}
        }
    }

    fn name(&mut self, user: &str) {
        if let Ok(user) = user.parse()
            && self.seen.insert(user)
        {
            self.named.push(user);
        }
    }

    fn call(&mut self, range: &str) {
        let width = |broadcast| match broadcast {
            Broadcast::Here => 1,
            Broadcast::Channel => 2,
            Broadcast::Everyone => 3,
        };
        let called = match range {
            "here" => Broadcast::Here,
            "channel" | "group" => Broadcast::Channel,
            "everyone" => Broadcast::Everyone,
            _ => return,
        };
        if self.broadcast.is_none_or(|before| width(before) < width(called)) {
            self.broadcast = Some(called);
        }
    }
}
