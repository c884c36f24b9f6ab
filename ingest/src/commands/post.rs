//! A message is posted.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, Message, MessagePosted, Text, Ts, UnfurlFlags};
use teamlog_state::{FactsWanted, Team, thread_with};

use super::Act;
use crate::{
    Refusal,
    beginnings::text,
    decide::{Content, Context, Mentions, fits},
};

/// Posts a message of the actor's, perhaps as a reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Post {
    /// The conversation. Nothing is posted without one.
    pub conversation: Option<ConversationId>,
    /// The text.
    pub text: String,
    /// A JSON array.
    pub blocks: Option<String>,
    /// A JSON array.
    pub attachments: Option<String>,
    /// The root's `ts`, for a reply.
    pub thread_ts: Option<Ts>,
    /// Show the reply in the conversation too.
    pub reply_broadcast: bool,
    /// `me_message` or none.
    pub subtype: Option<Cow<'static, str>>,
    /// A bot's name for this message.
    pub username: Option<String>,
    /// A JSON object of icons for this message.
    pub icons: Option<String>,
    /// The client's own name for the message.
    pub client_msg_id: Option<String>,
    /// The author's flags for unfurling links, if given.
    pub unfurl: Option<UnfurlFlags>,
}

impl Act for Post {
    type Made = MessagePosted;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        let root = self.conversation.zip(self.thread_ts);
        FactsWanted { messages: root.into_iter().collect(), ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessagePosted, Refusal> {
        let actor = it.actor()?;
        let conversation = it.visible(self.conversation.ok_or(Refusal::ChannelNotFound)?)?;
        it.must_be_in(conversation)?;
        if conversation.is_archived {
            return Err(Refusal::IsArchived);
        }
        let content = Content::of(&self.text, self.blocks.as_deref(), self.attachments.as_deref())?;
        // Above an import's too: a message's `ts` and its conversation name it for good.
        let ts = it.ts().max(conversation.latest.next());
        let bot = it.team.person(actor).and_then(|member| member.person.bot);
        // A bot may choose a name and icons for a message; a person may not.
        let of_a_bot = |dress: &Option<String>| text(dress).filter(|_| bot.is_some());
        let message = Message {
            ts,
            user: Some(actor),
            bot,
            subtype: self.subtype.as_ref().map(ToString::to_string),
            text: Text::from(self.text.as_str()),
            blocks: content.blocks,
            attachments: content.attachments,
            thread_ts: self.thread_ts,
            reply_broadcast: self.reply_broadcast && self.thread_ts.is_some(),
            edited: None,
            username: of_a_bot(&self.username),
            icons: of_a_bot(&self.icons),
            client_msg_id: self.client_msg_id.clone(),
            extra: None,
        };
        fits(&message)?;
        let thread = match self.thread_ts {
            None => None,
            Some(root) => {
                let fact = it.facts.message(conversation.conversation, root).ok_or(Refusal::ThreadNotFound)?;
                if fact.message.is_reply() {
                    return Err(Refusal::ThreadNotFound);
                }
                Some(thread_with(fact, ts, Some(actor)))
            }
        };
        let mentions = Mentions::of(&self.text, &content.read);
        let opens_for = conversation.closed_for.iter().filter_map(|index| it.team.person_at(index));
        Ok(MessagePosted {
            meta: it.meta(),
            conversation: conversation.conversation,
            mentions: mentions.users(it, conversation),
            broadcast: mentions.broadcast(conversation),
            opens_for: opens_for.map(|member| member.person.user).collect(),
            message,
            thread,
            unfurl: self.unfurl,
            schedule: None,
        })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let plain = Post { conversation: Some(scene.conversation), text: scene.text(), ..Post::default() };
        let reply_broadcast = scene.number.is_multiple_of(3);
        let full = Post {
            conversation: Some(scene.conversation),
            text: scene.text(),
            blocks: Some(r#"[{"type":"section","text":"<!here>"}]"#.to_owned()),
            attachments: Some(r#"[{"text":"an attachment"}]"#.to_owned()),
            thread_ts: Some(scene.message),
            reply_broadcast: true,
            subtype: Some("me_message".into()),
            username: Some("robot".to_owned()),
            icons: Some("{}".to_owned()),
            client_msg_id: Some("c1".to_owned()),
            unfurl: Some(UnfurlFlags { links: Some(true), media: Some(false) }),
        };
        let reply = Post { thread_ts: Some(scene.message), reply_broadcast, ..plain.clone() };
        let linked = Post { text: super::attachments::LINKED.to_owned(), ..plain.clone() };
        vec![full, reply, plain, linked]
    }
}
