//! Answers: the outcome of a command, as its caller gets it.

use std::{marker::PhantomData, ops::Deref, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use teamlog_log::{Partition, Position};
use teamlog_schemas::{ConversationId, Event, EventType, UserId};

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The command's event counts: it was appended now, or by an earlier try with the same idempotency key.
    Acked(Acked),
    /// There was nothing to do: the wanted state holds already.
    Nothing {
        /// The reason: which state holds already.
        why: Nothing,
        /// The partition of `events` (or 0 of `directory`).
        partition: Partition,
        /// A position at which that state held. A reader that has caught up to it has seen the events behind that state.
        seen_at: Position,
    },
    /// The command is not permitted or not possible. True as of some moment between the call and this answer.
    Refused(Refusal),
    /// The command surely did not execute, and a retry may succeed.
    NotAccepted {
        /// When to try again.
        retry_after: Duration,
        /// Why, for logs.
        why: NotAccepted,
    },
    /// The outcome is unknown: the command may have executed, or may still execute.
    Unknown,
}

impl Answer {
    /// Returns the position that a reader must have caught up to, to see what the answer reports. `None` for an answer that
    /// reports nothing of the log.
    pub fn seen_at(&self) -> Option<(Partition, Position)> {
        match self {
            Answer::Acked(Acked { partition, seen_at, .. }) | Answer::Nothing { partition, seen_at, .. } => {
                Some((*partition, *seen_at))
            }
            Answer::Refused(_) | Answer::NotAccepted { .. } | Answer::Unknown => None,
        }
    }

    /// Returns this answer with `seen_at` moved to a later position.
    pub(crate) fn at(mut self, position: Position) -> Answer {
        if let Answer::Acked(Acked { seen_at, .. }) | Answer::Nothing { seen_at, .. } = &mut self {
            *seen_at = position;
        }
        self
    }

    /// Returns a [`NotAccepted`](Answer::NotAccepted) answer with a retry delay that fits the reason.
    pub fn not_accepted(why: NotAccepted) -> Answer {
        let retry_after = match why {
            NotAccepted::Busy | NotAccepted::Late | NotAccepted::NotOwner => Duration::from_secs(1),
            NotAccepted::TeamAway | NotAccepted::Stopping => Duration::from_secs(2),
            NotAccepted::LogAway | NotAccepted::OtherVersion => Duration::from_secs(5),
            NotAccepted::Unreadable => Duration::from_secs(30),
        };
        Answer::NotAccepted { retry_after, why }
    }
}

/// A command's event and its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Acked {
    /// The event that the command made.
    pub event: Arc<Event>,
    /// The partition of `events` (or 0 of `directory`).
    pub partition: Partition,
    /// A position that reflects the event: a reader that has caught up to it has seen the event.
    pub seen_at: Position,
    /// True if an earlier try with the same idempotency key made the event.
    pub repeated: bool,
}

/// An event of a known type. The event itself is shared with those that hold it as an [`Event`].
#[derive(Clone, Debug)]
pub struct Made<E> {
    event: Arc<Event>,
    as_type: PhantomData<fn() -> E>,
}

impl<E: EventType> Made<E> {
    /// Returns the event as one of type `E`, or `None` if it is of another type.
    pub fn of(event: Arc<Event>) -> Option<Made<E>> {
        E::of(&event).is_some().then_some(Made { event, as_type: PhantomData })
    }
}

impl<E> Made<E> {
    /// Returns the event.
    pub fn event(&self) -> &Arc<Event> {
        &self.event
    }
}

impl<E: EventType> Deref for Made<E> {
    type Target = E;

    fn deref(&self) -> &E {
        E::of(&self.event).expect("`Made::of` has checked the type")
    }
}

/// Why there was nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nothing {
    /// The actor was in the channel already.
    AlreadyIn(ConversationId),
    /// The actor was not in the channel.
    NotIn,
    /// The direct message was there, and open.
    AlreadyOpen(ConversationId),
    /// The direct message was closed already.
    AlreadyClosed,
    /// The token was revoked already.
    AlreadyRevoked,
    /// The team had begun already.
    AlreadyBegun,
    /// This person was imported before.
    AlreadyThere(UserId),
    /// This conversation, bot or message was imported before.
    AlreadyImported,
    /// A link is not unfurled: the message is deleted, has no such link any more, or shows it already.
    NotShown,
    /// The scheduled message was posted, deleted or given up before.
    NotScheduled,
    /// The scheduled message is not due yet by the writer's clock.
    NotDue,
}

/// Why a command surely did not execute, though a retry may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotAccepted {
    /// Too many commands wait for this team or partition.
    Busy,
    /// The log is unavailable.
    LogAway,
    /// The team could not be loaded: no replica of its shard answers, or its tail is too long.
    TeamAway,
    /// Another writer owns the partition, or this one is taking it over.
    NotOwner,
    /// The deadline expired before the command's event was appended.
    Late,
    /// The node is shutting down.
    Stopping,
    /// The partition has a record that this node cannot read. An operator must act.
    Unreadable,
    /// A node runs an older version, which could not read the event or did not understand the command. This ends once all
    /// nodes are upgraded.
    OtherVersion,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $code:literal),* $(,)?) => {
        /// Why a command is not permitted or not possible. The codes are Slack's (`METHODS` of its published
        /// descriptions) where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $($(#[$doc])* $name),* }

        impl Refusal {
            /// The error code that clients see.
            pub const fn code(self) -> &'static str {
                match self { $(Refusal::$name => $code),* }
            }

            /// All refusals.
            pub const ALL: &[Refusal] = &[$(Refusal::$name),*];

            /// Returns the refusal with this code, or `None` if this version does not know the code.
            pub fn by_code(code: &str) -> Option<Refusal> {
                Refusal::ALL.iter().copied().find(|refusal| refusal.code() == code)
            }
        }
    };
}

refusals! {
    /// No such team.
    TeamNotFound "team_not_found",
    /// The domain belongs to another team.
    DomainTaken "domain_taken",
    /// Not a valid domain: 1 to 63 lower case letters, digits and inner hyphens.
    InvalidDomain "invalid_domain",
    /// No such conversation, or none that the actor may know of.
    ChannelNotFound "channel_not_found",
    /// The actor is not a member of the conversation.
    NotInChannel "not_in_channel",
    /// The channel is archived.
    IsArchived "is_archived",
    /// The channel is archived already.
    AlreadyArchived "already_archived",
    /// The channel is not archived.
    NotArchived "not_archived",
    /// The general channel cannot be archived.
    CantArchiveGeneral "cant_archive_general",
    /// The general channel cannot be left: every member of the team is in it.
    CantLeaveGeneral "cant_leave_general",
    /// A removal from the general channel, which is not possible: every member of the team is in it.
    CantKickFromGeneral "cant_kick_from_general",
    /// Removing oneself: the command for that is to leave.
    CantKickSelf "cant_kick_self",
    /// Inviting oneself: the command for that is to join.
    CantInviteSelf "cant_invite_self",
    /// All invited people are members already.
    AlreadyInChannel "already_in_channel",
    /// The last member of a private channel cannot leave it.
    LastMember "last_member",
    /// Not possible for this kind of conversation.
    WrongKind "method_not_supported_for_channel_type",
    /// Another channel has this name.
    NameTaken "name_taken",
    /// A name is needed.
    InvalidNameRequired "invalid_name_required",
    /// Longer than 80 characters.
    InvalidNameMaxlength "invalid_name_maxlength",
    /// Punctuation alone.
    InvalidNamePunctuation "invalid_name_punctuation",
    /// Upper case, spaces, periods or other characters that a name cannot have.
    InvalidNameSpecials "invalid_name_specials",
    /// Not a name of an emoji, or of a person.
    InvalidName "invalid_name",
    /// Not a valid email address.
    InvalidEmail "invalid_email",
    /// Another person has this email address.
    EmailTaken "email_taken",
    /// No such person.
    UserNotFound "user_not_found",
    /// A deactivated person.
    UserDisabled "user_disabled",
    /// Too few for a group.
    NotEnoughUsers "not_enough_users",
    /// Too many for a group (8 others), or for one invitation (1,000).
    TooManyUsers "too_many_users",
    /// Admins only.
    NotAllowed "restricted_action",
    /// Only the creator of a channel, or an admin, may rename it.
    NotAuthorized "not_authorized",
    /// No text, blocks or attachments.
    NoText "no_text",
    /// More than 40,000 characters, or 100 KB with all its parts.
    MsgTooLong "msg_too_long",
    /// More than 100.
    TooManyAttachments "too_many_attachments",
    /// Not a JSON array of at most 50 objects.
    InvalidBlocks "invalid_blocks",
    /// Not a JSON array of objects.
    InvalidAttachments "invalid_attachments",
    /// No such message to reply to.
    ThreadNotFound "thread_not_found",
    /// No such message.
    MessageNotFound "message_not_found",
    /// A message by another author, or one that the system posted.
    CantUpdateMessage "cant_update_message",
    /// The message has no attachment of that number.
    AttachmentNotFound "attachment_not_found",
    /// A message by another author.
    CantDeleteMessage "cant_delete_message",
    /// A concurrent edit was applied first.
    EditConflict "edit_conflict",
    /// The actor has this reaction on the message already.
    AlreadyReacted "already_reacted",
    /// More than 23 emoji on a message.
    TooManyEmoji "too_many_emoji",
    /// The actor does not have this reaction on the message.
    NoReaction "no_reaction",
    /// The message is pinned already.
    AlreadyPinned "already_pinned",
    /// The message is not pinned.
    NoPin "no_pin",
    /// A message that the system posted, such as a join notice.
    NotPinnable "not_pinnable",
    /// More than 100 pins in a conversation.
    TooManyPins "too_many_pins",
    /// A time to post at that has passed.
    TimeInPast "time_in_past",
    /// A time to post at that is more than 120 days ahead.
    TimeTooFar "time_too_far",
    /// More than 30 scheduled messages in five minutes of a conversation.
    RestrictedTooMany "restricted_too_many",
    /// No such scheduled message of the actor's, or one that is due within a minute.
    InvalidScheduledMessageId "invalid_scheduled_message_id",
    /// More than 250 characters.
    TooLong "too_long",
    /// An imported message must be older than every message that was posted in its conversation.
    ImportTooNew "import_too_new",
    /// No such token.
    TokenNotFound "token_not_found",
    /// An idempotency key that was used for another command.
    KeyReused "idempotency_key_reused",
    /// The actor is not a member of this team any more.
    AccountInactive "account_inactive",
}
