//! A channel begins; an import also brings direct messages.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationCreated, ConversationId, ConversationKind, Text, Ts, UserId};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{
    Nothing, Refusal,
    beginnings::text,
    decide::{Context, names},
    limits::{EXTRA_BYTES_MAX, IMPORTED_MEMBERS_MAX, INVITED_MAX},
};

/// Makes a conversation. For admins if it comes by an import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateConversation {
    /// An imported id; none for a new one.
    pub conversation: Option<ConversationId>,
    /// Its kind. Direct messages come by an import alone; a new one is made by [`OpenDirect`](super::OpenDirect).
    pub kind: ConversationKind,
    /// The name of a channel.
    pub name: Option<String>,
    /// Its members besides the actor.
    pub members: Vec<UserId>,
    /// Set by an import: the conversation keeps what it was, and no message says that it began.
    pub imported: Option<ImportedConversation>,
}

/// Parts of a conversation that only an import brings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportedConversation {
    /// Its maker.
    pub creator: Option<UserId>,
    /// When it was made.
    pub created: Ts,
    /// The topic.
    pub topic: String,
    /// The purpose.
    pub purpose: String,
    /// The channel that everybody is in.
    pub is_general: bool,
    /// In the archive.
    pub is_archived: bool,
    /// A JSON object of what nothing here understands.
    pub extra: Option<String>,
}

impl Act for CreateConversation {
    type Made = ConversationCreated;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<ConversationCreated, NoEvent> {
        if let Some(id) = self.conversation
            && it.team.conversation(id).is_some()
        {
            return Err(Nothing::AlreadyImported.into());
        }
        let is_imported = self.imported.is_some();
        if (is_imported || self.conversation.is_some()) && !it.is_admin() {
            return Err(Refusal::NotAllowed.into());
        }
        if self.kind.is_channel() {
            let name = self.name.as_deref().ok_or(Refusal::InvalidNameRequired)?;
            // An archive's names are as they are; only that they are unique is needed.
            if !is_imported {
                names::channel_name(name)?;
            }
            if it.team.channel_named(name).is_some() {
                return Err(Refusal::NameTaken.into());
            }
        } else if !is_imported {
            // There is one for each set of people: `OpenDirect` finds or makes it.
            return Err(Refusal::WrongKind.into());
        }
        let members = self.first_members(it)?;
        if !self.kind.is_channel()
            && let Some(there) = it.team.direct(&members)
        {
            return Err(Nothing::AlreadyOpen(there.conversation).into());
        }
        let brought = self.imported.clone().unwrap_or_else(|| ImportedConversation {
            creator: it.origin.actor,
            created: it.ts(),
            ..ImportedConversation::default()
        });
        if brought.extra.as_ref().is_some_and(|extra| extra.len() > EXTRA_BYTES_MAX) {
            return Err(Refusal::MsgTooLong.into());
        }
        let conversation = self.conversation.unwrap_or_else(|| it.new_conversation_id(self.kind));
        Ok(ConversationCreated {
            meta: it.meta(),
            conversation,
            kind: self.kind,
            name: self.name.clone(),
            creator: brought.creator,
            members,
            created: brought.created,
            topic: Text::from(brought.topic.as_str()),
            purpose: Text::from(brought.purpose.as_str()),
            is_general: brought.is_general && it.team.general().is_none(),
            is_archived: brought.is_archived,
            imported: is_imported,
            extra: text(&brought.extra),
        })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let imported = ImportedConversation {
            creator: Some(scene.user),
            created: scene.long_ago,
            topic: "topic".to_owned(),
            purpose: "purpose".to_owned(),
            is_general: true,
            is_archived: scene.number.is_multiple_of(3),
            extra: Some("{}".to_owned()),
        };
        let is_public = scene.number.is_multiple_of(2);
        let kind = if is_public { ConversationKind::PublicChannel } else { ConversationKind::PrivateChannel };
        let import = |letter: char, kind, name| CreateConversation {
            conversation: Some(format!("{letter}0IMP{}", scene.number % 5).parse().expect("an id")),
            kind,
            name,
            members: scene.users.clone(),
            imported: Some(imported.clone()),
        };
        vec![
            import('G', ConversationKind::PrivateChannel, Some(scene.name("imported"))),
            import('D', ConversationKind::Im, None),
            CreateConversation {
                conversation: None,
                kind,
                name: Some(scene.name("c")),
                members: scene.users.clone(),
                imported: None,
            },
        ]
    }
}

impl CreateConversation {
    /// Returns the actor (an archive names its own), then those whom the command names, each once.
    fn first_members(&self, it: &Context<'_, '_>) -> Result<Vec<UserId>, Refusal> {
        let is_imported = self.imported.is_some();
        let most = if is_imported { IMPORTED_MEMBERS_MAX } else { INVITED_MAX };
        if self.members.len() > most {
            return Err(Refusal::TooManyUsers);
        }
        let mut members: Vec<UserId> = it.origin.actor.filter(|_| !is_imported).into_iter().collect();
        let mut seen: HashSet<UserId> = members.iter().copied().collect();
        for user in &self.members {
            if is_imported {
                it.team.person(*user).ok_or(Refusal::UserNotFound)?;
            } else {
                it.person(*user)?;
            }
            if seen.insert(*user) {
                members.push(*user);
            }
        }
        Ok(members)
    }
}
