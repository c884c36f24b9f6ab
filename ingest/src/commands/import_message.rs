//! A message of an import.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, Message, MessageImported, Reaction};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{
    Nothing, Refusal,
    decide::{Context, fits},
    limits::{ID_BYTES, REACTIONS_BYTES_MAX},
};

/// Adds a message of another system, with the `ts` that it had there. For admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportMessage {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub message: Message,
    /// Its reactions.
    pub reactions: Vec<Reaction>,
}

impl Act for ImportMessage {
    type Made = MessageImported;
    type Otherwise = NoEvent;

    fn wants(&self, team: &Team) -> FactsWanted {
        let (conversation, ts) = (self.conversation, self.message.ts);
        // An archive's messages come in order: one that is newer than all in its conversation is surely not there yet.
        let may_be_there = team.conversation(conversation).is_some_and(|there| ts <= there.latest);
        let messages = may_be_there.then_some((conversation, ts));
        FactsWanted { messages: messages.into_iter().collect(), ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessageImported, NoEvent> {
        if !it.is_admin() {
            return Err(Refusal::NotAllowed.into());
        }
        let conversation = it.team.conversation(self.conversation).ok_or(Refusal::ChannelNotFound)?;
        let ts = self.message.ts;
        if it.facts.message(self.conversation, ts).is_some() {
            return Err(Nothing::AlreadyImported.into());
        }
        // Nor newer than what could be posted now, or a later post might get the `ts` that names this one.
        if ts >= conversation.first_posted || ts >= it.ts() {
            return Err(Refusal::ImportTooNew.into());
        }
        fits(&self.message)?;
        let reactions = self.reactions.iter().map(|reaction| reaction.name.len() + reaction.users.len() * ID_BYTES);
        if reactions.sum::<usize>() > REACTIONS_BYTES_MAX {
            return Err(Refusal::MsgTooLong.into());
        }
        Ok(MessageImported {
            meta: it.meta(),
            conversation: self.conversation,
            message: self.message.clone(),
            reactions: self.reactions.clone(),
        })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let full = ImportMessage {
            conversation: scene.conversation,
            message: scene.full_message(),
            reactions: vec![Reaction { name: scene.emoji(), users: vec![scene.user] }],
        };
        let message = Message {
            ts: scene.long_ago,
            user: Some(scene.user),
            text: scene.text().into(),
            thread_ts: Some(scene.message).filter(|root| *root < scene.long_ago && scene.number.is_multiple_of(2)),
            ..Message::default()
        };
        vec![full, ImportMessage { conversation: scene.conversation, message, reactions: Vec::new() }]
    }
}
