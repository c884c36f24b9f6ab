//! Attachments come to a message and go, without its being edited: `edited` stays as it was.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, Message, MessageEdited, Ts};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{
    Nothing, Refusal,
    decide::{Attachments, Content, Context, fits},
    links::links,
};

/// The text of a message with the link of the samples.
#[cfg(any(test, feature = "testing"))]
pub(super) const LINKED: &str = "<https://example.com/?a=1&amp;b=2|a page>";

/// Attaches to a message what is shown of one of its links. Nobody's act: only what has no actor may do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unfurl {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
    /// The link, as it stands in the message.
    pub link: String,
    /// A JSON object, whose `from_url` is the link.
    pub attachment: String,
}

impl Act for Unfurl {
    type Made = MessageEdited;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { messages: vec![(self.conversation, self.ts)], ..FactsWanted::default() }
    }

    /// Decides by the present message: there is nothing to do if it is deleted, does not have the link any more, shows it
    /// already, has no room for it, or is in an archived conversation.
    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessageEdited, NoEvent> {
        if it.origin.actor.is_some() {
            return Err(Refusal::NotAllowed.into());
        }
        let attachment = serde_json::from_str(&self.attachment).map_err(|_| Refusal::InvalidAttachments)?;
        let Ok((conversation, fact)) = it.message(self.conversation, self.ts) else {
            return Err(Nothing::NotShown.into());
        };
        let before = &fact.message;
        let text = before.text.as_str();
        let mut attachments = Attachments::of(before.attachments.as_ref());
        let is_there = links(text).any(|link| link.original == self.link);
        if conversation.is_archived || !is_there || attachments.show(&self.link) {
            return Err(Nothing::NotShown.into());
        }
        attachments.add(attachment, text);
        changed(it, self.conversation, before, &attachments).map_err(|_| Nothing::NotShown.into())
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Unfurl {
            conversation: scene.conversation,
            ts: scene.message,
            link: "https://example.com/?a=1&b=2".to_owned(),
            attachment: r#"{"from_url":"https://example.com/?a=1&b=2","title":"A \"page\""}"#.to_owned(),
        }]
    }
}

/// Removes one attachment of a message: the author's act, or an admin's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoveAttachment {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
    /// The attachment's number, its `id`.
    pub number: u64,
}

impl Act for RemoveAttachment {
    type Made = MessageEdited;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { messages: vec![(self.conversation, self.ts)], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessageEdited, Refusal> {
        let (conversation, fact) = it.message(self.conversation, self.ts)?;
        if conversation.is_archived {
            return Err(Refusal::IsArchived);
        }
        let before = &fact.message;
        if !it.is_admin() && before.user != it.origin.actor {
            return Err(Refusal::CantUpdateMessage);
        }
        let mut attachments = Attachments::of(before.attachments.as_ref());
        if !attachments.remove(self.number) {
            return Err(Refusal::AttachmentNotFound);
        }
        changed(it, self.conversation, before, &attachments)
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![RemoveAttachment { conversation: scene.conversation, ts: scene.message, number: 1 }]
    }
}

/// The message with other attachments, if that is still a message and fits.
fn changed(
    it: &mut Context<'_, '_>,
    conversation: ConversationId,
    before: &Message,
    attachments: &Attachments,
) -> Result<MessageEdited, Refusal> {
    let blocks = before.blocks.as_ref().map(|blocks| blocks.as_str());
    let content = Content::of(before.text.as_str(), blocks, attachments.to_json().as_deref())?;
    let after = Message { attachments: content.attachments, ..before.clone() };
    fits(&after)?;
    Ok(MessageEdited { meta: it.meta(), conversation, before: before.clone(), after })
}
