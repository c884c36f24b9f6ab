//! A message is changed.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, Edited, Message, MessageEdited, Text, Ts, is_system};
use teamlog_state::{FactsWanted, Team};

use super::Act;
use crate::{
    Refusal,
    decide::{Attachments, Content, Context, fits},
};

/// Changes a message of the actor's. What is none stays as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
    /// The text.
    pub text: Option<String>,
    /// A JSON array.
    pub blocks: Option<String>,
    /// A JSON array.
    pub attachments: Option<String>,
    /// The version that this edits, by its `edited.ts`; [`Ts::ZERO`] is one that was never edited. If the message is at
    /// another version the edit is refused. Without it the last edit wins.
    pub expected_edited_ts: Option<Ts>,
}

impl Act for Edit {
    type Made = MessageEdited;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { messages: vec![(self.conversation, self.ts)], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessageEdited, Refusal> {
        let actor = it.actor()?;
        let (conversation, fact) = it.message(self.conversation, self.ts)?;
        if conversation.is_archived {
            return Err(Refusal::IsArchived);
        }
        let before = &fact.message;
        if before.user != Some(actor) || is_system(before.subtype.as_deref()) {
            return Err(Refusal::CantUpdateMessage);
        }
        if let Some(expected) = self.expected_edited_ts
            && before.edited.map_or(Ts::ZERO, |edited| edited.ts) != expected
        {
            return Err(Refusal::EditConflict);
        }
        let text = self.text.clone().unwrap_or_else(|| before.text.plain.clone());
        let new_or = |new: &Option<String>, old: &Option<Text>| {
            new.clone().or_else(|| old.as_ref().map(|text| text.plain.clone()))
        };
        let blocks = new_or(&self.blocks, &before.blocks);
        let attachments = self.attachments.clone().or_else(|| kept(before, &text));
        let content = Content::of(&text, blocks.as_deref(), attachments.as_deref())?;
        let after = Message {
            text: Text::from(text),
            blocks: content.blocks,
            attachments: content.attachments,
            edited: Some(Edited { user: actor, ts: it.ts() }),
            ..before.clone()
        };
        fits(&after)?;
        Ok(MessageEdited { meta: it.meta(), conversation: self.conversation, before: before.clone(), after })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let full = Edit {
            conversation: scene.conversation,
            ts: scene.message,
            text: Some(scene.text()),
            blocks: Some("[{}]".to_owned()),
            attachments: Some("[{}]".to_owned()),
            expected_edited_ts: Some(Ts::ZERO),
        };
        let text = Edit { blocks: None, attachments: None, expected_edited_ts: None, ..full.clone() };
        vec![full, text]
    }
}

/// Returns the attachments that a message keeps when its text is edited: what is shown of a link goes with the link.
fn kept(before: &Message, text: &str) -> Option<String> {
    let mut attachments = Attachments::of(before.attachments.as_ref());
    if attachments.follow_text(before.text.as_str(), text) {
        return attachments.to_json();
    }
    before.attachments.as_ref().map(|attachments| attachments.plain.clone())
}
