//! What becomes of a command, as its caller hears it.

use std::{marker::PhantomData, ops::Deref, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use teamlog_log::{Partition, Position};
use teamlog_schemas::{ConversationId, Event, EventType, UserId};

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Its event counts, now or since an earlier try of the same key.
    Acked(Acked),
    /// There was nothing to do: it is so already.
    Nothing {
        /// What is so.
        why: Nothing,
        /// The partition of `events` (or 0 of `directory`).
        partition: Partition,
        /// A position at which it was so: whoever has read up to it has seen what makes it so.
        seen_at: Position,
    },
    /// It may not or cannot be done. True as of some moment between the call and this answer.
    Refused(Refusal),
    /// It surely did not happen, and the same may well succeed later.
    NotAccepted {
        /// When to try again.
        retry_after: Duration,
        /// Why, for logs.
        why: NotAccepted,
    },
    /// It may have happened, or may yet.
    Unknown,
}

impl Answer {
    /// How far whoever asked must have read to see what the answer says; none for one that says nothing of the log.
    pub fn seen_at(&self) -> Option<(Partition, Position)> {
        match self {
            Answer::Acked(Acked { partition, seen_at, .. }) | Answer::Nothing { partition, seen_at, .. } => {
                Some((*partition, *seen_at))
            }
            Answer::Refused(_) | Answer::NotAccepted { .. } | Answer::Unknown => None,
        }
    }

    /// The same, seen at a later position.
    pub(crate) fn at(mut self, position: Position) -> Answer {
        if let Answer::Acked(Acked { seen_at, .. }) | Answer::Nothing { seen_at, .. } = &mut self {
            *seen_at = position;
        }
        self
    }

    /// Surely not done, to be tried again after a time that fits the reason.
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

/// A command's event and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Acked {
    /// What happened.
    pub event: Arc<Event>,
    /// The partition of `events` (or 0 of `directory`).
    pub partition: Partition,
    /// A position that reflects the event: whoever has read up to it has seen what happened.
    pub seen_at: Position,
    /// An earlier try of the same key did it.
    pub repeated: bool,
}

/// An event of a known type, shared with all that hold it as an [`Event`].
#[derive(Clone, Debug)]
pub struct Made<E> {
    event: Arc<Event>,
    as_type: PhantomData<fn() -> E>,
}

impl<E: EventType> Made<E> {
    /// Returns the event as one of the type `E`; none if it is of another type.
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
    /// The token was dead already.
    AlreadyRevoked,
    /// The team had begun already.
    AlreadyBegun,
    /// An import brought this person before.
    AlreadyThere(UserId),
    /// An import brought this conversation, bot or message before.
    AlreadyImported,
    /// A link is not shown below its message: the message is gone, or has no such link any more, or shows it already.
    NotShown,
    /// A scheduled message was posted, deleted or given up before.
    NotScheduled,
    /// A scheduled message is not due yet by the writer's clock.
    NotDue,
}

/// Why a command was surely not carried out, though it might be later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotAccepted {
    /// Too much waits for this team or partition.
    Busy,
    /// The log does not answer.
    LogAway,
    /// The team could not be loaded: no replica of its shard answers, or its tail is too long.
    TeamAway,
    /// Another writer has the partition, or this one is taking it over.
    NotOwner,
    /// The deadline passed before it was appended.
    Late,
    /// The node is stopping.
    Stopping,
    /// The partition cannot be read on: a person must act.
    Unreadable,
    /// A node is of an older version, which could not read the event or did not understand the command. It passes when
    /// all have been upgraded.
    OtherVersion,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $code:literal),* $(,)?) => {
        /// Why a command may not or cannot be carried out. The codes are Slack's (`METHODS` of its published
        /// descriptions) where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $($(#[$doc])* $name),* }

        impl Refusal {
            /// The error code that clients see.
            pub const fn code(self) -> &'static str {
                match self { $(Refusal::$name => $code),* }
            }

            /// All of them.
            pub const ALL: &[Refusal] = &[$(Refusal::$name),*];

            /// The refusal of a code; none if this version does not know it.
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
    /// Not a domain: 1 to 63 lower case letters, digits and inner hyphens.
    InvalidDomain "invalid_domain",
    /// No such conversation, or none that the actor may know of.
    ChannelNotFound "channel_not_found",
    /// The actor is not in it.
    NotInChannel "not_in_channel",
    /// It is in the archive.
    IsArchived "is_archived",
    /// It is in the archive already.
    AlreadyArchived "already_archived",
    /// It is not in the archive.
    NotArchived "not_archived",
    /// The general channel stays.
    CantArchiveGeneral "cant_archive_general",
    /// Everybody is in the general channel.
    CantLeaveGeneral "cant_leave_general",
    /// Everybody is in the general channel.
    CantKickFromGeneral "cant_kick_from_general",
    /// One leaves, one does not remove oneself.
    CantKickSelf "cant_kick_self",
    /// One joins, one does not invite oneself.
    CantInviteSelf "cant_invite_self",
    /// All who were invited are in it.
    AlreadyInChannel "already_in_channel",
    /// The last member of a private channel cannot leave it.
    LastMember "last_member",
    /// Not for this kind of conversation.
    WrongKind "method_not_supported_for_channel_type",
    /// A channel has that name.
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
    /// Not an address.
    InvalidEmail "invalid_email",
    /// Somebody has that address.
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
    /// Only who made a channel, or an admin, may name it.
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
    /// Somebody else's message, or one that nobody wrote.
    CantUpdateMessage "cant_update_message",
    /// The message has no attachment of that number.
    AttachmentNotFound "attachment_not_found",
    /// Somebody else's message.
    CantDeleteMessage "cant_delete_message",
    /// Another edit came first.
    EditConflict "edit_conflict",
    /// The actor had reacted so.
    AlreadyReacted "already_reacted",
    /// More than 23 emoji on a message.
    TooManyEmoji "too_many_emoji",
    /// The actor had not reacted so.
    NoReaction "no_reaction",
    /// The message is pinned already.
    AlreadyPinned "already_pinned",
    /// The message is not pinned.
    NoPin "no_pin",
    /// A message of the conversation itself, which nobody wrote.
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
    /// An imported message must be older than all that was posted in its conversation.
    ImportTooNew "import_too_new",
    /// No such token.
    TokenNotFound "token_not_found",
    /// An idempotency key that was used for something else.
    KeyReused "idempotency_key_reused",
    /// The actor is not of this team any more.
    AccountInactive "account_inactive",
}
