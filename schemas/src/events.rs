//! Every event: a fact in the past tense, fat enough to be whole.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    BotId, Broadcast, ConversationId, ConversationKind, FirstChannel, Joined, Message, Meta, Person, Reaction, TeamId,
    Text, Thread, Token, Ts, UserId,
};

macro_rules! event {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }
    };
}

event!(
    /// The first event of the directory: it founds the cluster.
    ClusterFounded {
        /// The event's own id.
        event_id: Uuid,
        /// When.
        at: Ts,
        /// The cluster's identity.
        cluster_id: Uuid,
        /// HMAC of the cluster's id under its key, in hex: a node with another key is refused.
        key_check: String,
        /// The partitions of `events`, for good.
        partitions: i32,
    }
);
event!(
    /// A domain got its team: the first of the two steps in which a team is made. It carries all that
    /// [`TeamCreated`] will hold.
    TeamRegistered {
        /// The beginning.
        meta: Meta,
        /// The domain: lower case letters, digits, `-`.
        domain: String,
        /// The team's name.
        name: String,
        /// The partition of `events` that holds the team for life.
        partition: i32,
        /// The shard that holds its rows.
        shard: String,
        /// The owner.
        owner: Person,
        /// The channels that it begins with.
        channels: Vec<FirstChannel>,
        /// The owner's token.
        token: Option<Token>,
        /// The owner's password, in `credentials`.
        credential_id: Option<Uuid>,
    }
);
event!(
    /// A team began: the second step, a pure function of [`TeamRegistered`], decided under the key
    /// `registered/<event_id>`.
    TeamCreated {
        /// The beginning.
        meta: Meta,
        /// The domain.
        domain: String,
        /// The team's name.
        name: String,
        /// The shard that holds its rows.
        shard: String,
        /// The owner, a member of every first channel.
        owner: Person,
        /// The channels that it begins with.
        channels: Vec<FirstChannel>,
        /// The owner's token.
        token: Option<Token>,
        /// The owner's password, in `credentials`.
        credential_id: Option<Uuid>,
    }
);
event!(
    /// A person or a bot's user came to the team.
    UserCreated {
        /// The beginning.
        meta: Meta,
        /// Who.
        person: Person,
        /// Their first token.
        token: Option<Token>,
        /// Their password, in `credentials`.
        credential_id: Option<Uuid>,
    }
);
event!(
    /// A bot as a sender of messages, without a user of its own (from an import).
    BotAdded {
        /// The beginning.
        meta: Meta,
        /// The bot.
        bot: BotId,
        /// Its name.
        name: Text,
        /// A JSON object with what an import brought and nothing here understands.
        extra: Option<Text>,
    }
);
event!(
    /// A password counts from here on.
    PasswordSet {
        /// The beginning.
        meta: Meta,
        /// Whose.
        user: UserId,
        /// The record in `credentials`.
        credential_id: Uuid,
    }
);
event!(
    /// A token was given out.
    TokenIssued {
        /// The beginning.
        meta: Meta,
        /// The token.
        token: Token,
    }
);
event!(
    /// A token is dead, and so are its sessions.
    TokenRevoked {
        /// The beginning.
        meta: Meta,
        /// Whose.
        user: UserId,
        /// SHA-256 of the token's text, in hex.
        hash: String,
    }
);
event!(
    /// A conversation began.
    ConversationCreated {
        /// The beginning.
        meta: Meta,
        /// The conversation.
        conversation: ConversationId,
        /// What it is.
        kind: ConversationKind,
        /// The name; none for a direct message of two.
        name: Option<String>,
        /// Who made it.
        creator: Option<UserId>,
        /// Who is in it from the beginning.
        members: Vec<UserId>,
        /// When; of a channel that was made here (not imported) also the `ts` of the creator's join message.
        created: Ts,
        /// The topic.
        topic: Text,
        /// The purpose.
        purpose: Text,
        /// The channel that everybody is in.
        is_general: bool,
        /// Archived before it came here (by an import).
        is_archived: bool,
        /// Came by an import: no join message, no frames.
        imported: bool,
        /// A JSON object with what an import brought and nothing here understands.
        extra: Option<Text>,
    }
);
event!(
    /// Somebody opened a direct message that was closed for them.
    ConversationOpened {
        /// The beginning; the actor is who opened it.
        meta: Meta,
        /// The direct message.
        conversation: ConversationId,
    }
);
event!(
    /// Somebody closed a direct message for themselves.
    ConversationClosed {
        /// The beginning; the actor is who closed it.
        meta: Meta,
        /// The direct message.
        conversation: ConversationId,
    }
);
event!(
    /// People came to a channel. It implies one join message each.
    MembersJoined {
        /// The beginning.
        meta: Meta,
        /// The channel.
        conversation: ConversationId,
        /// Who invited them; none if they came by themselves.
        inviter: Option<UserId>,
        /// Who, with their messages' `ts`, ascending.
        joined: Vec<Joined>,
    }
);
event!(
    /// Somebody left a channel or was removed. It implies a leave message.
    MemberLeft {
        /// The beginning.
        meta: Meta,
        /// The channel.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Who removed them; none if they went by themselves.
        kicked_by: Option<UserId>,
        /// The leave message's `ts`.
        ts: Ts,
    }
);
event!(
    /// A channel has another name. It implies a message.
    ConversationRenamed {
        /// The beginning.
        meta: Meta,
        /// The channel.
        conversation: ConversationId,
        /// What it was called.
        old_name: String,
        /// What it is called.
        name: String,
        /// The message's `ts`.
        ts: Ts,
    }
);
event!(
    /// A channel has another topic. It implies a message.
    TopicSet {
        /// The beginning.
        meta: Meta,
        /// The channel.
        conversation: ConversationId,
        /// The topic.
        topic: Text,
        /// The message's `ts`.
        ts: Ts,
    }
);
event!(
    /// A channel has another purpose. It implies a message.
    PurposeSet {
        /// The beginning.
        meta: Meta,
        /// The channel.
        conversation: ConversationId,
        /// The purpose.
        purpose: Text,
        /// The message's `ts`.
        ts: Ts,
    }
);
event!(
    /// A channel was archived. It implies a message.
    ConversationArchived {
        /// The beginning.
        meta: Meta,
        /// The channel.
        conversation: ConversationId,
        /// The message's `ts`.
        ts: Ts,
    }
);
event!(
    /// A channel was taken back from the archive. It implies a message.
    ConversationUnarchived {
        /// The beginning.
        meta: Meta,
        /// The channel.
        conversation: ConversationId,
        /// The message's `ts`.
        ts: Ts,
    }
);
event!(
    /// A message was posted.
    MessagePosted {
        /// The beginning.
        meta: Meta,
        /// Where.
        conversation: ConversationId,
        /// The message.
        message: Message,
        /// On a reply: its thread, this reply included.
        thread: Option<Thread>,
        /// The people whom it names.
        mentions: Vec<UserId>,
        /// The people whom it calls without naming them.
        broadcast: Option<Broadcast>,
        /// Members of a direct message for whom this post opens it again.
        opens_for: Vec<UserId>,
    }
);
event!(
    /// A message came by an import, with its own `ts`. It is not sent to sessions and does not count as unread.
    MessageImported {
        /// The beginning.
        meta: Meta,
        /// Where.
        conversation: ConversationId,
        /// The message.
        message: Message,
        /// The reactions that it had.
        reactions: Vec<Reaction>,
    }
);
event!(
    /// A message was edited.
    MessageEdited {
        /// The beginning.
        meta: Meta,
        /// Where.
        conversation: ConversationId,
        /// The message as it was.
        before: Message,
        /// The message as it is.
        after: Message,
    }
);
event!(
    /// A message was deleted.
    MessageDeleted {
        /// The beginning.
        meta: Meta,
        /// Where.
        conversation: ConversationId,
        /// The message as it was.
        before: Message,
        /// A root with replies leaves a tombstone, for the thread goes on.
        tombstone: bool,
        /// If it was a reply: its thread without it.
        thread: Option<Thread>,
    }
);
event!(
    /// Somebody put an emoji on a message.
    ReactionAdded {
        /// The beginning; the actor is who reacted.
        meta: Meta,
        /// Where.
        conversation: ConversationId,
        /// The message.
        ts: Ts,
        /// The emoji's name, without colons.
        name: String,
        /// Who wrote the message.
        item_author: Option<UserId>,
    }
);
event!(
    /// Somebody took an emoji off a message.
    ReactionRemoved {
        /// The beginning; the actor is whose reaction it was.
        meta: Meta,
        /// Where.
        conversation: ConversationId,
        /// The message.
        ts: Ts,
        /// The emoji's name, without colons.
        name: String,
        /// Who wrote the message.
        item_author: Option<UserId>,
    }
);
event!(
    /// Somebody has read a conversation up to a message (topic `marks`: last one wins, may be lost).
    ReadMarked {
        /// The beginning; the actor is the reader.
        meta: Meta,
        /// The conversation.
        conversation: ConversationId,
        /// The newest message that was read.
        ts: Ts,
    }
);
event!(
    /// A password's hash, sealed with the cluster's key (topic `credentials`). Valid only once a counted event
    /// names its `credential_id`.
    CredentialStored {
        /// The beginning.
        meta: Meta,
        /// Its name.
        credential_id: Uuid,
        /// Whose.
        user: UserId,
        /// In hex: a nonce of 24 bytes, then XChaCha20-Poly1305 of the argon2id string.
        sealed: String,
    }
);
event!(
    /// A node is alive (topic `nodes`). A node that stops in good order leaves a tombstone.
    NodeBeat {
        /// The node; lasts as long as its data directory.
        node: Uuid,
        /// The process: a restarted node goes on under its id with another life.
        life: Uuid,
        /// When, by its own clock.
        at: Ts,
        /// `serve`, `ingest`, `gateway`, `project` or `work`.
        role: String,
        /// Where other nodes reach it.
        address: String,
        /// Where clients reach it.
        url: Option<String>,
        /// The program's version.
        version: String,
        /// The schema ids that it knows.
        schemas: Vec<i32>,
        /// The partitions of `events` that it writes.
        writes: Vec<i32>,
        /// The views that it builds.
        views: Vec<String>,
        /// The consumers that it runs.
        #[serde(default)]
        kinds: Vec<String>,
        /// It takes part in placement: it is ready, and does not leave.
        serving: bool,
        /// Its clock is near enough to the brokers' for it to claim partitions.
        may_claim: bool,
    }
);
event!(
    /// How far a consumer has come in a partition of `events` (topic `progress`: last one wins).
    ConsumerProgress {
        /// The consumer.
        consumer: String,
        /// The partition of `events`.
        partition: i32,
        /// Every event before this offset is settled: done, or a dead letter.
        offset: i64,
        /// The position of that offset, as this program has it.
        position: String,
        /// The offsets after it of events that are settled too.
        ahead: Vec<i64>,
        /// The consumer begins here. Of two of these the first one counts, and only if nothing was written before it.
        begins: bool,
        /// When, by the clock of the node that wrote it.
        at: Ts,
    }
);
event!(
    /// Work of a consumer failed for good: a dead letter (topic `dead`). It names its event, from which the work follows again.
    WorkFailed {
        /// The consumer.
        consumer: String,
        /// The event that the work follows from.
        event_id: Uuid,
        /// Which of the event's pieces of work, from 0.
        number: i32,
        /// The event's team.
        team: TeamId,
        /// The event's partition of `events`.
        partition: i32,
        /// The event's offset.
        offset: i64,
        /// Tries, all of which failed.
        tries: i32,
        /// Why the last try failed, without people's text.
        why: String,
        /// When the work was given up, by the clock of the node that wrote it.
        at: Ts,
        /// It is to be tried again, by whoever follows its partition for its consumer.
        retried: bool,
    }
);
