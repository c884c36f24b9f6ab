//! A message is scheduled; when it is due it is posted, unless it was deleted before.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{
    ConversationId, Message, MessagePosted, MessageScheduled, ScheduleId, ScheduledMessageDeleted, Ts,
};
use teamlog_state::{FactsWanted, Scheduled, Team, schedule_window};

use super::{Act, NoEvent, post::Post};
use crate::{Nothing, Refusal, decide::Context};

/// How far ahead a message may be scheduled, in microseconds: 120 days (Slack's `chat.scheduleMessage`).
const AHEAD_MAX: i64 = 120 * 24 * 3600 * 1_000_000;
/// Scheduled messages in five minutes of a conversation (Slack's `chat.scheduleMessage`).
const A_WINDOW_MAX: usize = 30;
/// The time before it is due in which a message cannot be deleted any more, in microseconds (Slack's
/// `chat.deleteScheduledMessage`).
const LAST_MOMENT: i64 = 60 * 1_000_000;

/// Schedules a message of the actor's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// When it is to be posted.
    pub due: Ts,
    /// The message.
    pub post: Post,
}

impl Act for Schedule {
    type Made = MessageScheduled;
    type Otherwise = Refusal;

    fn wants(&self, team: &Team) -> FactsWanted {
        let windows = self.post.conversation.map(|conversation| (conversation, schedule_window(self.due)));
        FactsWanted { windows: windows.into_iter().collect(), ..self.post.wants(team) }
    }

    /// The message must be one that could be posted now.
    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessageScheduled, Refusal> {
        let posted = self.post.decide(it)?;
        let conversation = posted.conversation;
        if self.due <= it.now.at {
            return Err(Refusal::TimeInPast);
        }
        if self.due.micros() - it.now.at.micros() > AHEAD_MAX {
            return Err(Refusal::TimeTooFar);
        }
        let in_window = it.facts.windows.get(&(conversation, schedule_window(self.due)));
        if in_window.is_some_and(|ids| ids.len() >= A_WINDOW_MAX) {
            return Err(Refusal::RestrictedTooMany);
        }
        Ok(MessageScheduled {
            meta: it.meta(),
            conversation,
            schedule: ScheduleId::random('Q', (it.now.random)()),
            due: self.due,
            message: Message { ts: self.due, ..posted.message },
            unfurl: posted.unfurl,
        })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let schedule = |post| Schedule { due: scene.later, post };
        Post::samples(scene).into_iter().map(schedule).collect()
    }
}

/// Posts a due scheduled message, in its author's name. Only the partition's owner submits it; no client can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostScheduled {
    /// The scheduled message.
    pub schedule: ScheduleId,
    /// Where it will be posted.
    pub conversation: ConversationId,
    /// The root of its thread, for a reply.
    pub root: Option<Ts>,
}

impl Act for PostScheduled {
    type Made = MessagePosted;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        let root = self.root.map(|root| (self.conversation, root));
        FactsWanted { scheduled: vec![self.schedule], messages: root.into_iter().collect(), ..FactsWanted::default() }
    }

    /// Nothing happens to one that is gone: it was posted, or deleted.
    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessagePosted, NoEvent> {
        let Some(scheduled) = known(it, self.schedule).filter(|one| Some(one.by) == it.origin.actor) else {
            return Err(Nothing::NotScheduled.into());
        };
        if scheduled.due > it.now.at {
            return Err(Nothing::NotDue.into());
        }
        let posted = again(scheduled).decide(it)?;
        Ok(MessagePosted { schedule: Some(self.schedule), ..posted })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let (schedule, conversation) = (scene.schedule, scene.conversation);
        vec![PostScheduled { schedule, conversation, root: Some(scene.message) }]
    }
}

/// Deletes a scheduled message of the actor's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteScheduled {
    /// The conversation where it would be posted.
    pub conversation: ConversationId,
    /// The scheduled message.
    pub schedule: ScheduleId,
}

impl Act for DeleteScheduled {
    type Made = ScheduledMessageDeleted;
    type Otherwise = Refusal;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { scheduled: vec![self.schedule], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ScheduledMessageDeleted, Refusal> {
        let actor = it.actor()?;
        let is_it = |one: &&Scheduled| one.by == actor && one.conversation == self.conversation;
        let scheduled = known(it, self.schedule).filter(is_it).ok_or(Refusal::InvalidScheduledMessageId)?;
        if scheduled.due.micros() - it.now.at.micros() < LAST_MOMENT {
            return Err(Refusal::InvalidScheduledMessageId);
        }
        let (conversation, schedule) = (self.conversation, self.schedule);
        Ok(ScheduledMessageDeleted { meta: it.meta(), conversation, schedule, failed: None })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![DeleteScheduled { conversation: scene.conversation, schedule: scene.schedule }]
    }
}

/// Ends a scheduled message that could not be posted. The partition's owner does it: it has no actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GiveUpScheduled {
    /// The conversation where it would have been posted.
    pub conversation: ConversationId,
    /// The scheduled message.
    pub schedule: ScheduleId,
    /// The code that its post was refused with.
    pub why: String,
}

impl Act for GiveUpScheduled {
    type Made = ScheduledMessageDeleted;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted { scheduled: vec![self.schedule], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ScheduledMessageDeleted, NoEvent> {
        if it.origin.actor.is_some() {
            return Err(Refusal::NotAllowed.into());
        }
        if known(it, self.schedule).is_none() {
            return Err(Nothing::NotScheduled.into());
        }
        let (conversation, schedule, failed) = (self.conversation, self.schedule, Some(self.why.clone()));
        Ok(ScheduledMessageDeleted { meta: it.meta(), conversation, schedule, failed })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let why = "is_archived".to_owned();
        vec![GiveUpScheduled { conversation: scene.conversation, schedule: scene.schedule, why }]
    }
}

fn known<'a>(it: &Context<'a, '_>, schedule: ScheduleId) -> Option<&'a Scheduled> {
    it.facts.scheduled.get(&schedule)?.as_ref()
}

/// The post that a scheduled message is.
fn again(scheduled: &Scheduled) -> Post {
    let Message {
        text, blocks, attachments, thread_ts, reply_broadcast, subtype, username, icons, client_msg_id, ..
    } = scheduled.message.clone();
    Post {
        conversation: Some(scheduled.conversation),
        text: text.plain,
        blocks: blocks.map(|blocks| blocks.plain),
        attachments: attachments.map(|attachments| attachments.plain),
        thread_ts,
        reply_broadcast,
        subtype: subtype.map(Into::into),
        username: username.map(|name| name.plain),
        icons: icons.map(|icons| icons.plain),
        client_msg_id,
        unfurl: scheduled.unfurl,
    }
}
