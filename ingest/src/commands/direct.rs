//! Direct messages, of two and of groups, are made, opened and closed.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{
    ConversationClosed, ConversationCreated, ConversationId, ConversationKind, ConversationOpened, Event, Text, UserId,
};
use teamlog_state::{Conversation, FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{Nothing, Refusal, decide::Context, limits::GROUP_OTHERS_MAX};

/// Opens the direct message of the actor and these people, and makes it if there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenDirect {
    /// The others; none or the actor alone is a direct message with oneself.
    pub users: Vec<UserId>,
}

impl Act for OpenDirect {
    /// [`ConversationCreated`] or [`ConversationOpened`].
    type Made = Event;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<Event, NoEvent> {
        let actor = it.actor()?;
        let mut members = vec![actor];
        for user in &self.users {
            it.team.person(*user).ok_or(Refusal::UserNotFound)?;
            if !members.contains(user) {
                members.push(*user);
            }
        }
        if members.len() > GROUP_OTHERS_MAX + 1 {
            return Err(Refusal::TooManyUsers.into());
        }
        if let Some(there) = it.team.direct(&members) {
            return opened(it, there, actor).map(Event::from);
        }
        // An old direct message can be read after somebody in it was deactivated. A new one cannot begin then.
        members.iter().try_for_each(|user| it.person(*user).map(drop))?;
        let kind = if members.len() > 2 { ConversationKind::Mpim } else { ConversationKind::Im };
        let name = (kind == ConversationKind::Mpim).then(|| {
            let names = members.iter().filter_map(|user| it.team.person(*user));
            let names: Vec<_> = names.map(|member| member.person.name.as_str()).collect();
            format!("mpdm-{}-1", names.join("--"))
        });
        let conversation = it.new_conversation_id(kind);
        Ok(Event::from(ConversationCreated {
            meta: it.meta(),
            conversation,
            kind,
            name,
            creator: Some(actor),
            members,
            created: it.ts(),
            topic: Text::default(),
            purpose: Text::default(),
            is_general: false,
            is_archived: false,
            imported: false,
            extra: None,
        }))
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![OpenDirect { users: scene.users.clone() }]
    }
}

/// Opens a direct message for the actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenConversation {
    /// The direct message.
    pub conversation: ConversationId,
}

impl Act for OpenConversation {
    type Made = ConversationOpened;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ConversationOpened, NoEvent> {
        let actor = it.actor()?;
        let there = direct(it, self.conversation)?;
        opened(it, there, actor)
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![OpenConversation { conversation: scene.conversation }]
    }
}

/// Closes a direct message for the actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloseDirect {
    /// The direct message.
    pub conversation: ConversationId,
}

impl Act for CloseDirect {
    type Made = ConversationClosed;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ConversationClosed, NoEvent> {
        let actor = it.actor()?;
        let there = direct(it, self.conversation)?;
        if is_closed(it, there, actor) {
            return Err(Nothing::AlreadyClosed.into());
        }
        Ok(ConversationClosed { meta: it.meta(), conversation: self.conversation })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![CloseDirect { conversation: scene.conversation }]
    }
}

fn opened(it: &Context<'_, '_>, there: &Conversation, actor: UserId) -> Result<ConversationOpened, NoEvent> {
    let conversation = there.conversation;
    if !is_closed(it, there, actor) {
        return Err(Nothing::AlreadyOpen(conversation).into());
    }
    Ok(ConversationOpened { meta: it.meta(), conversation })
}

fn direct<'a>(it: &Context<'a, '_>, conversation: ConversationId) -> Result<&'a Conversation, Refusal> {
    let there = it.visible(conversation)?;
    if there.kind.is_channel() { Err(Refusal::WrongKind) } else { Ok(there) }
}

fn is_closed(it: &Context<'_, '_>, there: &Conversation, actor: UserId) -> bool {
    it.team.person_index(actor).is_some_and(|index| there.closed_for.contains(index))
}
