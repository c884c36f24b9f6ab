//! Emoji are put on a message and taken off.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, ReactionAdded, ReactionRemoved, Ts, UserId};
use teamlog_state::{FactsWanted, MessageFact, Team};

use super::Act;
use crate::{
    Refusal,
    decide::{Context, names},
    limits::EMOJI_A_MESSAGE_MAX,
};

/// Puts an emoji of the actor's on a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct React {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
    /// The emoji's name.
    pub name: String,
}

impl Act for React {
    type Made = ReactionAdded;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { messages: vec![(self.conversation, self.ts)], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ReactionAdded, Refusal> {
        let React { conversation, ts, name } = self.clone();
        let (actor, fact) = reactable(it, conversation, ts, &name)?;
        match fact.reactions.iter().find(|reaction| reaction.name == name) {
            Some(reaction) if reaction.users.contains(&actor) => return Err(Refusal::AlreadyReacted),
            None if fact.reactions.len() >= EMOJI_A_MESSAGE_MAX => return Err(Refusal::TooManyEmoji),
            Some(_) | None => {}
        }
        Ok(ReactionAdded { meta: it.meta(), conversation, ts, name, item_author: fact.message.user })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![React { conversation: scene.conversation, ts: scene.message, name: scene.emoji() }]
    }
}

/// Takes an emoji of the actor's off a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unreact {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
    /// The emoji's name.
    pub name: String,
}

impl Act for Unreact {
    type Made = ReactionRemoved;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { messages: vec![(self.conversation, self.ts)], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ReactionRemoved, Refusal> {
        let Unreact { conversation, ts, name } = self.clone();
        let (actor, fact) = reactable(it, conversation, ts, &name)?;
        let reacted = fact.reactions.iter().any(|reaction| reaction.name == name && reaction.users.contains(&actor));
        if !reacted {
            return Err(Refusal::NoReaction);
        }
        Ok(ReactionRemoved { meta: it.meta(), conversation, ts, name, item_author: fact.message.user })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Unreact { conversation: scene.conversation, ts: scene.message, name: scene.emoji() }]
    }
}

/// Returns the actor, and a message on which the actor may change their reactions.
fn reactable<'a>(
    it: &Context<'a, '_>,
    conversation: ConversationId,
    ts: Ts,
    name: &str,
) -> Result<(UserId, &'a MessageFact), Refusal> {
    let actor = it.actor()?;
    names::emoji(name)?;
    let (there, fact) = it.message(conversation, ts)?;
    if there.is_archived { Err(Refusal::IsArchived) } else { Ok((actor, fact)) }
}
