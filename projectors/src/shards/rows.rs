//! The rows that a batch reads, folds events into and writes back.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use teamlog_schemas::{
    BotId, ConversationId, ConversationKind, Message, Person, Reaction, TeamId, Text, Thread, TokenKind, Ts, UserId,
};
use teamlog_state::{ConversationRow, Headline, MessageFact, TokenHash, TokenState, WriteKey};

use super::tables;
use crate::db::{Cell, Cells, DbError, Table, id_of};

/// A row that is read before it is changed.
pub(super) trait Row: Sized + Send {
    const TABLE: Table;
    type Key: Copy + Eq + std::hash::Hash + Ord + Send;
    fn key_cells(key: Self::Key) -> Cells;
    fn cells(&self, key: Self::Key) -> Cells;
    /// From all columns, in the table's order.
    fn parse(row: &[Cell]) -> Result<(Self::Key, Self), DbError>;
}

pub(super) fn team_of(cell: &Cell) -> Result<TeamId, DbError> {
    id_of(cell, TeamId::from_packed)
}
pub(super) fn user_of(cell: &Cell) -> Result<UserId, DbError> {
    id_of(cell, UserId::from_packed)
}
pub(super) fn conversation_of(cell: &Cell) -> Result<ConversationId, DbError> {
    id_of(cell, ConversationId::from_packed)
}
pub(super) fn bot_of(cell: &Cell) -> Result<BotId, DbError> {
    id_of(cell, BotId::from_packed)
}
pub(super) fn ts_of(cell: &Cell) -> Result<Ts, DbError> {
    cell.as_int().map(Ts::from_micros)
}
pub(super) fn number<T: TryFrom<i64, Error: std::fmt::Display>>(cell: &Cell) -> Result<T, DbError> {
    T::try_from(cell.as_int()?).map_err(DbError::broken)
}
/// Enums of the schemas are kept by the name that they have there.
pub(super) fn token_kind(cell: &Cell) -> Result<TokenKind, DbError> {
    match cell.as_text()? {
        "user" => Ok(TokenKind::User),
        "bot" => Ok(TokenKind::Bot),
        other => Err(DbError::broken(format!("a token of kind {other}"))),
    }
}

#[derive(Clone, Debug)]
pub(super) struct TeamRow {
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) shard: String,
    pub(super) created: Ts,
    pub(super) last_ts: Ts,
    pub(super) people: u32,
    pub(super) conversations: u32,
}

impl Row for TeamRow {
    const TABLE: Table = tables::TEAMS;
    type Key = TeamId;
    fn key_cells(key: TeamId) -> Cells {
        vec![key.into()]
    }
    fn cells(&self, key: TeamId) -> Cells {
        vec![
            key.into(),
            self.domain.as_str().into(),
            self.name.as_str().into(),
            self.shard.as_str().into(),
            self.created.into(),
            self.last_ts.into(),
            self.people.into(),
            self.conversations.into(),
        ]
    }
    fn parse(row: &[Cell]) -> Result<(TeamId, TeamRow), DbError> {
        let team = TeamRow {
            domain: row[1].as_text()?.to_owned(),
            name: row[2].as_text()?.to_owned(),
            shard: row[3].as_text()?.to_owned(),
            created: ts_of(&row[4])?,
            last_ts: ts_of(&row[5])?,
            people: number(&row[6])?,
            conversations: number(&row[7])?,
        };
        Ok((team_of(&row[0])?, team))
    }
}

#[derive(Clone, Debug)]
pub(super) struct PersonRow {
    pub(super) idx: u32,
    pub(super) since: Ts,
    pub(super) person: Person,
}

impl Row for PersonRow {
    const TABLE: Table = tables::PEOPLE;
    type Key = (TeamId, UserId);
    fn key_cells((team, user): Self::Key) -> Cells {
        vec![team.into(), user.into()]
    }
    fn cells(&self, (team, user): Self::Key) -> Cells {
        let name = self.person.name.as_str().into();
        vec![team.into(), user.into(), self.idx.into(), self.since.into(), name, Cell::json(&self.person)]
    }
    fn parse(row: &[Cell]) -> Result<(Self::Key, PersonRow), DbError> {
        let person = PersonRow { idx: number(&row[2])?, since: ts_of(&row[3])?, person: row[5].as_json()? };
        Ok(((team_of(&row[0])?, user_of(&row[1])?), person))
    }
}

/// What of a conversation seldom changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ConversationBody {
    kind: ConversationKind,
    creator: Option<UserId>,
    created: Ts,
    topic: (Text, Option<UserId>, Ts),
    purpose: (Text, Option<UserId>, Ts),
    is_general: bool,
    is_archived: bool,
    previous_names: Vec<String>,
    extra: Option<Text>,
}

#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub(super) idx: u32,
    pub(super) row: ConversationRow,
}

impl Row for Conversation {
    const TABLE: Table = tables::CONVERSATIONS;
    type Key = (TeamId, ConversationId);
    fn key_cells((team, conversation): Self::Key) -> Cells {
        vec![team.into(), conversation.into()]
    }
    fn cells(&self, (team, conversation): Self::Key) -> Cells {
        let row = self.row.clone();
        let headline = |h: Headline| (h.value, h.creator, h.last_set);
        let body = ConversationBody {
            kind: row.kind,
            creator: row.creator,
            created: row.created,
            topic: headline(row.topic),
            purpose: headline(row.purpose),
            is_general: row.is_general,
            is_archived: row.is_archived,
            previous_names: row.previous_names,
            extra: row.extra,
        };
        vec![
            team.into(),
            conversation.into(),
            self.idx.into(),
            row.name.as_deref().into(),
            row.latest.into(),
            row.first_posted.into(),
            row.ordinal.into(),
            Cell::json(&body),
        ]
    }
    fn parse(row: &[Cell]) -> Result<(Self::Key, Conversation), DbError> {
        let conversation = conversation_of(&row[1])?;
        let body: ConversationBody = row[7].as_json()?;
        let headline = |(value, creator, last_set)| Headline { value, creator, last_set };
        let name = row[3].present().map(Cell::as_text).transpose()?;
        let parsed = ConversationRow {
            conversation,
            kind: body.kind,
            name: name.map(str::to_owned),
            creator: body.creator,
            created: body.created,
            topic: headline(body.topic),
            purpose: headline(body.purpose),
            is_general: body.is_general,
            is_archived: body.is_archived,
            previous_names: body.previous_names,
            latest: ts_of(&row[4])?,
            first_posted: ts_of(&row[5])?,
            ordinal: number(&row[6])?,
            extra: body.extra,
        };
        Ok(((team_of(&row[0])?, conversation), Conversation { idx: number(&row[2])?, row: parsed }))
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    There = 0,
    /// A deleted root that stands for its thread.
    Tombstone = 1,
    /// Gone, and its words with it; the row keeps the name taken and the ordinals right.
    Deleted = 2,
}

#[derive(Clone, Debug)]
pub(super) struct MessageRow {
    pub(super) ordinal: u64,
    pub(super) counted: bool,
    pub(super) state: State,
    pub(super) message: Message,
    pub(super) reactions: Vec<Reaction>,
}

impl MessageRow {
    /// As facts and history have it; none if it is gone.
    pub(super) fn into_fact(self, thread: Option<Thread>) -> Option<MessageFact> {
        let tombstone = self.state == State::Tombstone;
        (self.state != State::Deleted).then_some(MessageFact {
            message: self.message,
            reactions: self.reactions,
            thread,
            tombstone,
        })
    }
}

impl Row for MessageRow {
    const TABLE: Table = tables::MESSAGES;
    type Key = (TeamId, ConversationId, Ts);
    fn key_cells((team, conversation, ts): Self::Key) -> Cells {
        vec![team.into(), conversation.into(), ts.into()]
    }
    fn cells(&self, (team, conversation, ts): Self::Key) -> Cells {
        let message = &self.message;
        vec![
            team.into(),
            conversation.into(),
            ts.into(),
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

impl Row for Thread {
    const TABLE: Table = tables::THREADS;
    type Key = (TeamId, ConversationId, Ts);
    fn key_cells((team, conversation, root): Self::Key) -> Cells {
        vec![team.into(), conversation.into(), root.into()]
    }
    fn cells(&self, key: Self::Key) -> Cells {
        let rest = vec![i64::from(self.reply_count).into(), self.latest_reply.into(), Cell::json(self)];
        [Self::key_cells(key), rest].concat()
    }
    fn parse(row: &[Cell]) -> Result<(Self::Key, Thread), DbError> {
        Ok(((team_of(&row[0])?, conversation_of(&row[1])?, ts_of(&row[2])?), row[5].as_json()?))
    }
}

impl Row for TokenState {
    const TABLE: Table = tables::TOKENS;
    type Key = (TeamId, TokenHash);
    fn key_cells((team, hash): Self::Key) -> Cells {
        vec![team.into(), hash.as_slice().into()]
    }
    fn cells(&self, key: Self::Key) -> Cells {
        let kind = match self.kind {
            TokenKind::User => "user",
            TokenKind::Bot => "bot",
        };
        [Self::key_cells(key), vec![self.user.into(), kind.into(), self.revoked.into()]].concat()
    }
    fn parse(row: &[Cell]) -> Result<(Self::Key, TokenState), DbError> {
        let hash = TokenHash::try_from(row[1].as_bytes()?).map_err(DbError::broken)?;
        let (user, kind) = (user_of(&row[2])?, token_kind(&row[3])?);
        Ok(((team_of(&row[0])?, hash), TokenState { user, kind, revoked: row[4].as_int()? != 0 }))
    }
}

/// SHA-256 of a token's text out of its hex; none if it is none.
pub(super) fn token_hash(hex: &str) -> Option<TokenHash> {
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// What a keyed write is found by: keys have no bound that an index would like.
pub(super) fn digest(key: &WriteKey) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(key.actor.map_or(0, UserId::packed).to_be_bytes());
    hash.update((key.method.len() as u64).to_be_bytes());
    hash.update(&key.method);
    hash.update(&key.key);
    hash.finalize().into()
}
