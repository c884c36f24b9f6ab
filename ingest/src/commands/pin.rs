//! Pins a message to its conversation, and unpins it.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, MessagePinned, MessageUnpinned, Ts, is_system};
use teamlog_state::{Conversation, FactsWanted, MessageFact, Team};

use super::Act;
use crate::{Refusal, decide::Context, limits::PINS_MAX};

/// Pins a message to its conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
}

impl Act for Pin {
    type Made = MessagePinned;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { messages: vec![(self.conversation, self.ts)], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessagePinned, Refusal> {
        let (there, fact) = pinnable(it, self.conversation, self.ts)?;
        let message = fact.message.clone();
        if is_system(message.subtype.as_deref()) {
            return Err(Refusal::NotPinnable);
        }
        if there.pin(self.ts).is_some() {
            return Err(Refusal::AlreadyPinned);
        }
        if there.pins.len() >= PINS_MAX {
            return Err(Refusal::TooManyPins);
        }
        let pin_count = count(there.pins.len() + 1);
        Ok(MessagePinned { meta: it.meta(), conversation: self.conversation, message, pin_count, ts: it.ts() })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Pin { conversation: scene.conversation, ts: scene.message }]
    }
}

/// Unpins a message. Any member may do it, not only the one who pinned it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unpin {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
}

impl Act for Unpin {
    type Made = MessageUnpinned;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { messages: vec![(self.conversation, self.ts)], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessageUnpinned, Refusal> {
        let (there, fact) = pinnable(it, self.conversation, self.ts)?;
        let pin = there.pin(self.ts).ok_or(Refusal::NoPin)?;
        Ok(MessageUnpinned {
            meta: it.meta(),
            conversation: self.conversation,
            message: fact.message.clone(),
            pinned_by: pin.by,
            pinned_at: pin.at,
            pin_count: count(there.pins.len() - 1),
        })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Unpin { conversation: scene.conversation, ts: scene.message }]
    }
}

/// Returns a message of a conversation whose pins the actor may change.
fn pinnable<'a>(
    it: &Context<'a, '_>,
    conversation: ConversationId,
    ts: Ts,
) -> Result<(&'a Conversation, &'a MessageFact), Refusal> {
    it.actor()?;
    it.must_be_in(it.visible(conversation)?)?;
    let (there, fact) = it.message(conversation, ts)?;
    if there.is_archived { Err(Refusal::IsArchived) } else { Ok((there, fact)) }
}

/// Pins as events count them; there are at most [`PINS_MAX`].
fn count(pins: usize) -> i32 {
    i32::try_from(pins).unwrap_or(i32::MAX)
}
