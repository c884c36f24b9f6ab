//! A shard's tables. Keys lead with the team, then mostly the conversation; ids are packed, times microseconds.

use crate::db::{Schema, Table, blob, bytes, int, optional, text};

pub(crate) static SHARD: Schema = Schema {
    tables: &[
        TEAMS,
        PEOPLE,
        CONVERSATIONS,
        MEMBERS,
        CLOSED,
        BOTS,
        TOKENS,
        MESSAGES,
        THREADS,
        DELETIONS,
        MENTIONS,
        MARKS,
        PASSWORDS,
        CREDENTIALS,
        WRITE_KEYS,
    ],
};

/// `people` and `conversations` count them: the next dense index.
pub(super) const TEAMS: Table = Table {
    name: "teams",
    columns: &[
        int("team"),
        text("domain"),
        text("name"),
        text("shard"),
        int("created"),
        int("last_ts"),
        int("people"),
        int("conversations"),
    ],
    key: 1,
    indexes: &[],
    pruned: false,
};

/// `idx` is the dense index in the team, `body` the person as the event told it.
pub(super) const PEOPLE: Table = Table {
    name: "people",
    columns: &[int("team"), int("person"), int("idx"), int("since"), text("name"), text("body")],
    key: 2,
    indexes: &[],
    pruned: false,
};

/// `ordinal` is the newest countable message's, `body` what seldom changes.
pub(super) const CONVERSATIONS: Table = Table {
    name: "conversations",
    columns: &[
        int("team"),
        int("conversation"),
        int("idx"),
        optional(text("name")),
        int("latest"),
        int("first_posted"),
        int("ordinal"),
        text("body"),
    ],
    key: 2,
    indexes: &[],
    pruned: false,
};

pub(super) const MEMBERS: Table = Table {
    name: "members",
    columns: &[int("team"), int("conversation"), int("person")],
    key: 3,
    indexes: &[],
    pruned: false,
};

/// Direct messages that are closed for somebody.
pub(super) const CLOSED: Table = Table {
    name: "closed",
    columns: &[int("team"), int("conversation"), int("person")],
    key: 3,
    indexes: &[],
    pruned: false,
};

pub(super) const BOTS: Table = Table {
    name: "bots",
    columns: &[int("team"), int("bot"), text("name"), optional(text("extra"))],
    key: 2,
    indexes: &[],
    pruned: false,
};

/// `hash` is the SHA-256 of a token's text.
pub(super) const TOKENS: Table = Table {
    name: "tokens",
    columns: &[int("team"), bytes("hash", 32), int("person"), text("kind"), int("revoked")],
    key: 2,
    indexes: &[],
    pruned: false,
};

/// `root` is set on replies only, `shown` says that the conversation's history has it (not so a reply that stays in
/// its thread), `ordinal` is the conversation's as of this message, whether or not it counted, and `state` is one of
/// [`super::rows::State`].
pub(super) const MESSAGES: Table = Table {
    name: "messages",
    columns: &[
        int("team"),
        int("conversation"),
        int("ts"),
        optional(int("author")),
        optional(int("root")),
        int("shown"),
        int("ordinal"),
        int("counted"),
        int("state"),
        text("body"),
        text("reactions"),
    ],
    key: 3,
    indexes: &[("by_root", "team, conversation, root, ts")],
    pruned: false,
};

/// By root, whether or not the root is there (an import may bring it later).
pub(super) const THREADS: Table = Table {
    name: "threads",
    columns: &[
        int("team"),
        int("conversation"),
        int("root"),
        int("reply_count"),
        optional(int("latest")),
        text("body"),
    ],
    key: 3,
    indexes: &[],
    pruned: false,
};

/// Countable messages that were deleted: what the ordinals behind a mark must lessen by.
pub(super) const DELETIONS: Table = Table {
    name: "deletions",
    columns: &[int("team"), int("conversation"), int("ts")],
    key: 3,
    indexes: &[],
    pruned: false,
};

/// Who was named by what; `person` 0 is everybody in the conversation, judged at reading.
pub(super) const MENTIONS: Table = Table {
    name: "mentions",
    columns: &[int("team"), int("person"), int("conversation"), int("ts")],
    key: 4,
    indexes: &[],
    pruned: false,
};

/// Of the topic `marks` alone.
pub(super) const MARKS: Table = Table {
    name: "marks",
    columns: &[int("team"), int("person"), int("conversation"), int("ts")],
    key: 3,
    indexes: &[],
    pruned: false,
};

/// Which credential counts for whom.
pub(super) const PASSWORDS: Table = Table {
    name: "passwords",
    columns: &[int("team"), int("person"), bytes("credential", 16)],
    key: 2,
    indexes: &[],
    pruned: false,
};

/// Of the topic `credentials` alone.
pub(super) const CREDENTIALS: Table = Table {
    name: "credentials",
    columns: &[int("team"), bytes("credential", 16), int("person"), text("sealed")],
    key: 2,
    indexes: &[],
    pruned: false,
};

/// The events of keyed writes, by the digest of actor, method and key, for as long as a retry may come.
pub(super) const WRITE_KEYS: Table = Table {
    name: "write_keys",
    columns: &[int("team"), bytes("digest", 32), int("at"), blob("event")],
    key: 2,
    indexes: &[("by_age", "at")],
    pruned: true,
};
