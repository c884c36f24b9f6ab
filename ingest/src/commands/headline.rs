//! A channel gets a topic or a purpose.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, PurposeSet, Text, TopicSet};
use teamlog_state::{FactsWanted, Team};

use super::Act;
use crate::{Refusal, decide::Context, limits::HEADLINE_CHARS_MAX};

/// Sets a channel's topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetTopic {
    /// The channel.
    pub conversation: ConversationId,
    /// The topic; empty for none.
    pub topic: String,
}

impl Act for SetTopic {
    type Made = TopicSet;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<TopicSet, Refusal> {
        it.own_channel(self.conversation)?;
        let topic = headline(&self.topic)?;
        Ok(TopicSet { meta: it.meta(), conversation: self.conversation, topic, ts: it.ts() })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![SetTopic { conversation: scene.conversation, topic: scene.text() }]
    }
}

/// Sets a channel's purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetPurpose {
    /// The channel.
    pub conversation: ConversationId,
    /// The purpose; empty for none.
    pub purpose: String,
}

impl Act for SetPurpose {
    type Made = PurposeSet;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<PurposeSet, Refusal> {
        it.own_channel(self.conversation)?;
        let purpose = headline(&self.purpose)?;
        Ok(PurposeSet { meta: it.meta(), conversation: self.conversation, purpose, ts: it.ts() })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let set = |purpose| SetPurpose { conversation: scene.conversation, purpose };
        vec![set(scene.text()), set(String::new())]
    }
}

fn headline(text: &str) -> Result<Text, Refusal> {
    if text.chars().count() > HEADLINE_CHARS_MAX { Err(Refusal::TooLong) } else { Ok(Text::from(text)) }
}
