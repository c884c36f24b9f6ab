//! `messages`: every message, also one that was deleted: its row keeps the name taken and the ordinals right.
//!
//! `root` is set on replies only. `shown` says that the conversation's history has it (not so a reply that stays in its
//! thread). `ordinal` is the conversation's as of this message, whether or not it counted. `state` is a [`State`].

use std::{collections::HashMap, sync::Arc};

use teamlog_schemas::{
    Changed, ConversationId, Deletion, Event, Message, MessageChange, Reaction, TeamId, Thread, Ts, UserId,
};
use teamlog_state::{MessageFact, Reactions, ReplyHead, is_countable};

use super::{Folded, Source, Tables, threads_at};
use crate::{
    db::{Cell, Cells, DbError, Table, Tx, int, optional, text},
    shards::{
        changes::{ReadFirst, Row},
        values::{conversation_of, number, team_of, ts_of, user_of},
    },
};

pub(in crate::shards) const MESSAGES: Table = Table {
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

/// The state of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    There = 0,
    /// A deleted root that stands for its thread.
    Tombstone = 1,
    /// Gone, and its words with it.
    Deleted = 2,
}

#[derive(Clone, Debug)]
pub(in crate::shards) struct MessageRow {
    ordinal: u64,
    counted: bool,
    state: State,
    message: Message,
    reactions: Vec<Reaction>,
}

impl MessageRow {
    pub(super) fn is_there(&self) -> bool {
        self.state == State::There
    }

    /// Whether it counts as unread now.
    pub(super) fn counts(&self) -> bool {
        self.counted && self.is_there()
    }

    pub(super) fn author(&self) -> Option<UserId> {
        self.message.user
    }

    /// Returns the message as in facts and history; none if it was deleted.
    pub(in crate::shards) fn into_fact(self, thread: Option<Thread>) -> Option<MessageFact> {
        let MessageRow { state, message, reactions, .. } = self;
        let tombstone = state == State::Tombstone;
        (state != State::Deleted).then_some(MessageFact { message, reactions, thread, tombstone })
    }

    fn delete(&mut self, deletion: Deletion<'_>) {
        if deletion.tombstone {
            self.state = State::Tombstone;
            return;
        }
        let Message { ts, user, thread_ts, reply_broadcast, .. } = self.message;
        self.state = State::Deleted;
        self.message = Message { ts, user, thread_ts, reply_broadcast, ..Message::default() };
        self.reactions.clear();
    }
}

impl Row for MessageRow {
    const TABLE: Table = MESSAGES;
    type Key = (TeamId, ConversationId, Ts);

    fn key_cells((team, conversation, ts): Self::Key) -> Cells {
        vec![team.into(), conversation.into(), ts.into()]
    }

    fn values(&self) -> Cells {
        let message = &self.message;
        vec![
            message.user.into(),
            message.thread_ts.filter(|_| message.is_reply()).into(),
            (!message.is_reply() || message.reply_broadcast).into(),
            self.ordinal.into(),
            self.counted.into(),
            Cell::Int(self.state as i64),
            Cell::json(message),
            Cell::json(&self.reactions),
        ]
    }
}

impl ReadFirst for MessageRow {
    /// A posted message is new, and so are those that an event implies: only an import may bring one again, or a reply whose
    /// root is there.
    fn wanted(team: TeamId, event: &Event) -> Vec<Self::Key> {
        if let Event::MessageImported(e) = event {
            let names = e.message.thread_ts.into_iter().chain([e.message.ts]);
            return names.map(|ts| (team, e.conversation, ts)).collect();
        }
        event.change().map(|change| (team, change.conversation, change.ts)).into_iter().collect()
    }

    fn parse(row: &[Cell]) -> Result<(Self::Key, MessageRow), DbError> {
        let state = match row[8].as_int()? {
            0 => State::There,
            1 => State::Tombstone,
            2 => State::Deleted,
            other => return Err(DbError::broken(format!("a message in state {other}"))),
        };
        let message = MessageRow {
            ordinal: number(&row[6])?,
            counted: row[7].as_int()? != 0,
            state,
            message: row[9].as_json()?,
            reactions: row[10].as_json()?,
        };
        Ok(((team_of(&row[0])?, conversation_of(&row[1])?, ts_of(&row[2])?), message))
    }
}

impl Folded for MessageRow {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let Some(MessageChange { conversation, ts, what }) = event.change() {
            on.messages.change((team, conversation, ts), |row| {
                if row.state != State::Deleted {
                    change(row, what);
                }
            });
        }
        for (conversation, message) in event.messages() {
            let (mut ordinal, mut counted, mut reactions) = (0, false, Vec::new());
            if let Event::MessageImported(e) = &**event {
                reactions.clone_from(&e.reactions);
            } else {
                counted = matches!(&**event, Event::MessagePosted(_)) && is_countable(&message);
                ordinal = on.conversations.get((team, conversation)).map_or(0, |conversation| conversation.row.ordinal);
            }
            let key = (team, conversation, message.ts);
            on.messages.put(key, MessageRow { ordinal, counted, state: State::There, message, reactions });
        }
    }
}

fn change(row: &mut MessageRow, what: Changed<'_>) {
    match what {
        Changed::Edited(after) => row.message = after.clone(),
        Changed::Deleted(deletion) => row.delete(deletion),
        Changed::Reacted { name, user, added } => {
            row.reactions.set_reaction(name, user, added);
        }
    }
}

/// Parses a row into its name and its message.
pub(in crate::shards) fn parse_message(row: &Cells) -> Result<(Ts, MessageRow), DbError> {
    MessageRow::parse(row).map(|((_, _, ts), message)| (ts, message))
}

/// Reads messages by name, each with its thread.
pub(in crate::shards) async fn messages_at(
    tx: &mut Tx,
    team: TeamId,
    names: &[(ConversationId, Ts)],
) -> Result<HashMap<(ConversationId, Ts), MessageFact>, DbError> {
    let mut threads = threads_at(tx, team, names).await?;
    let keys = names.iter().map(|(conversation, ts)| MessageRow::key_cells((team, *conversation, *ts)));
    let mut found = HashMap::new();
    for row in tx.select(&MESSAGES, keys.collect()).await? {
        let ((_, conversation, ts), message) = MessageRow::parse(&row)?;
        let thread = threads.remove(&(conversation, ts));
        found.extend(message.into_fact(thread).map(|fact| ((conversation, ts), fact)));
    }
    Ok(found)
}

/// Reads the replies of a thread that are there, oldest first.
pub(in crate::shards) async fn reply_heads(
    tx: &mut Tx,
    team: TeamId,
    conversation: ConversationId,
    root: Ts,
) -> Result<Vec<ReplyHead>, DbError> {
    let sql = "SELECT ts, author FROM messages \
               WHERE team = ? AND conversation = ? AND root = ? AND state = 0 ORDER BY ts";
    let rows = tx.rows(sql, vec![team.into(), conversation.into(), root.into()]).await?;
    rows.iter().map(|row| Ok((ts_of(&row[0])?, row[1].present().map(user_of).transpose()?))).collect()
}
