//! The questions that a shard answers, one struct each.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use teamlog_schemas::{BotId, ConversationId, Event, TeamId, Text, Thread, Ts, UserId};
use teamlog_state::{Bot, Facts, FactsWanted, MessageFact, TeamRows, UserState};
use uuid::Uuid;

use super::{
    HistoryPage, Unread,
    rows::{
        Conversation, MessageRow, PersonRow, Row, TeamRow, bot_of, conversation_of, digest, number, ts_of, user_of,
    },
    tables,
};
use crate::db::{Cell, Cells, DbError, Query, Tx, id_of};

/// Sizes of the statements that count what is unread, so that few of them are ever prepared.
const COUNTED: [usize; 7] = [1, 2, 4, 8, 16, 32, COUNTED_MAX];
/// Conversations or messages asked about in one statement.
const COUNTED_MAX: usize = 50;

/// These, the last one as often as it takes to be as many as a statement has.
fn filled<T: Copy>(asked: &[T]) -> Vec<T> {
    let size = COUNTED.into_iter().find(|size| *size >= asked.len()).unwrap_or(asked.len());
    asked.iter().chain(std::iter::repeat_n(&asked[asked.len() - 1], size - asked.len())).copied().collect()
}

/// All rows of a team.
pub(super) struct TeamQuery(pub(super) TeamId);

async fn all_of(tx: &mut Tx, table: &crate::db::Table, team: TeamId, order: &str) -> Result<Vec<Cells>, DbError> {
    let sql = format!("SELECT {} FROM {} WHERE team = ? ORDER BY {order}", table.names(), table.name);
    tx.rows(sql, vec![team.into()]).await
}

#[async_trait]
impl Query for TeamQuery {
    type Answer = Option<TeamRows>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<TeamRows>, DbError> {
        let team = self.0;
        let found = tx.select(&tables::TEAMS, vec![TeamRow::key_cells(team)]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let row = TeamRow::parse(row)?.1;
        let mut rows = TeamRows {
            team,
            domain: row.domain,
            name: row.name,
            shard: row.shard,
            created: row.created,
            last_ts: row.last_ts,
            people: Vec::new(),
            conversations: Vec::new(),
            members: Vec::new(),
            closed: Vec::new(),
            bots: Vec::new(),
            tokens: Vec::new(),
        };
        for row in all_of(tx, &tables::PEOPLE, team, "idx").await? {
            let person = PersonRow::parse(&row)?.1;
            rows.people.push((person.person, person.since));
        }
        for row in all_of(tx, &tables::CONVERSATIONS, team, "idx").await? {
            rows.conversations.push(Conversation::parse(&row)?.1.row);
        }
        for (table, pairs) in [(&tables::MEMBERS, &mut rows.members), (&tables::CLOSED, &mut rows.closed)] {
            for row in all_of(tx, table, team, "conversation, person").await? {
                pairs.push((conversation_of(&row[1])?, user_of(&row[2])?));
            }
        }
        for row in all_of(tx, &tables::BOTS, team, "bot").await? {
            let bot: BotId = bot_of(&row[1])?;
            let extra = row[3].present().map(Cell::as_text).transpose()?.map(Text::from);
            rows.bots.push(Bot { bot, name: row[2].as_text()?.into(), extra });
        }
        for row in all_of(tx, &tables::TOKENS, team, "hash").await? {
            let ((_, hash), state) = teamlog_state::TokenState::parse(&row)?;
            rows.tokens.push((hash, state));
        }
        Ok(Some(rows))
    }
}

/// Messages by name, each with its thread.
async fn messages_of(
    tx: &mut Tx,
    team: TeamId,
    names: &[(ConversationId, Ts)],
) -> Result<HashMap<(ConversationId, Ts), MessageFact>, DbError> {
    let keys = |names: &[(ConversationId, Ts)]| -> Vec<Cells> {
        names.iter().map(|(conversation, ts)| MessageRow::key_cells((team, *conversation, *ts))).collect()
    };
    let mut threads = HashMap::new();
    for row in tx.select(&tables::THREADS, keys(names)).await? {
        let ((_, conversation, root), thread) = Thread::parse(&row)?;
        threads.insert((conversation, root), thread);
    }
    let mut found = HashMap::new();
    for row in tx.select(&tables::MESSAGES, keys(names)).await? {
        let ((_, conversation, ts), message) = MessageRow::parse(&row)?;
        let thread = threads.remove(&(conversation, ts));
        found.extend(message.into_fact(thread).map(|fact| ((conversation, ts), fact)));
    }
    Ok(found)
}

/// Facts for several commands.
pub(super) struct FactsQuery {
    pub(super) team: TeamId,
    pub(super) wanted: Vec<FactsWanted>,
}

#[async_trait]
impl Query for FactsQuery {
    type Answer = Vec<Facts>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Facts>, DbError> {
        let team = self.team;
        let mut names: Vec<_> = self.wanted.iter().flat_map(|wanted| wanted.messages.iter().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let messages = messages_of(tx, team, &names).await?;
        let mut writes = HashMap::new();
        let digests = self.wanted.iter().filter_map(|wanted| wanted.key.as_ref().map(digest));
        let keys = digests.map(|digest| vec![team.into(), digest.as_slice().into()]).collect();
        for row in tx.select(&tables::WRITE_KEYS, keys).await? {
            let event = Event::decode(row[3].as_bytes()?).map_err(DbError::broken)?;
            writes.insert(row[1].as_bytes()?.to_vec(), Arc::new(event));
        }
        let mut facts = Vec::with_capacity(self.wanted.len());
        for wanted in &self.wanted {
            let mut replies = HashMap::new();
            for (conversation, root) in &wanted.replies {
                replies.insert((*conversation, *root), heads(tx, team, *conversation, *root).await?);
            }
            facts.push(Facts {
                messages: wanted.messages.iter().map(|name| (*name, messages.get(name).cloned())).collect(),
                replies,
                write: wanted.key.as_ref().and_then(|key| writes.get(digest(key).as_slice()).cloned()),
                key: wanted.key.clone(),
            });
        }
        Ok(facts)
    }
}

async fn heads(
    tx: &mut Tx,
    team: TeamId,
    conversation: ConversationId,
    root: Ts,
) -> Result<Vec<(Ts, Option<UserId>)>, DbError> {
    let sql = "SELECT ts, author FROM messages \
               WHERE team = ? AND conversation = ? AND root = ? AND state = 0 ORDER BY ts";
    let rows = tx.rows(sql, vec![team.into(), conversation.into(), root.into()]).await?;
    rows.iter().map(|row| Ok((ts_of(&row[0])?, row[1].present().map(user_of).transpose()?))).collect()
}

/// What belongs to one person.
pub(super) struct UserQuery(pub(super) TeamId, pub(super) UserId);

#[async_trait]
impl Query for UserQuery {
    type Answer = UserState;

    async fn run(&self, tx: &mut Tx) -> Result<UserState, DbError> {
        let sql = "SELECT conversation, ts FROM marks WHERE team = ? AND person = ?";
        let rows = tx.rows(sql, vec![self.0.into(), self.1.into()]).await?;
        let marks = rows.iter().map(|row| Ok((conversation_of(&row[0])?, ts_of(&row[1])?)));
        Ok(UserState { marks: marks.collect::<Result<_, DbError>>()? })
    }
}

/// A page of a conversation or of a thread.
pub(super) struct HistoryQuery {
    pub(super) team: TeamId,
    pub(super) conversation: ConversationId,
    pub(super) page: HistoryPage,
}

#[async_trait]
impl Query for HistoryQuery {
    type Answer = Vec<MessageFact>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<MessageFact>, DbError> {
        let (page, place) = (&self.page, [self.team.into(), self.conversation.into()]);
        let (above, below) = if page.inclusive { (">=", "<=") } else { (">", "<") };
        let mut limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        let mut rows = Vec::new();
        if let Some(root) = page.replies_of {
            // The root comes first on every page, whatever its bounds.
            rows =
                tx.select(&tables::MESSAGES, vec![MessageRow::key_cells((self.team, self.conversation, root))]).await?;
            limit -= i64::try_from(rows.len()).unwrap_or(0);
        }
        let (which, order) = match page.replies_of {
            Some(_) => ("root = ?", "ASC"),
            None if page.newest_first => ("shown = ?", "DESC"),
            None => ("shown = ?", "ASC"),
        };
        let sql = format!(
            "SELECT {} FROM messages WHERE team = ? AND conversation = ? AND {which} AND state < 2 \
             AND ts {above} ? AND ts {below} ? ORDER BY ts {order} LIMIT ?",
            tables::MESSAGES.names()
        );
        let which = page.replies_of.map_or(Cell::Int(1), Cell::from);
        let args = [place.as_slice(), &[which, page.oldest.into(), page.latest.into(), limit.max(0).into()]].concat();
        rows.extend(tx.rows(sql, args).await?);
        let parsed = rows.iter().map(|row| MessageRow::parse(row).map(|((_, _, ts), message)| (ts, message)));
        let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
        let mut threads = self.threads(tx, parsed.iter().map(|(ts, _)| *ts)).await?;
        Ok(parsed.into_iter().filter_map(|(ts, message)| message.into_fact(threads.remove(&ts))).collect())
    }
}

impl HistoryQuery {
    /// The threads between the oldest and the newest of these messages.
    async fn threads(&self, tx: &mut Tx, of: impl Iterator<Item = Ts> + Clone) -> Result<HashMap<Ts, Thread>, DbError> {
        let (Some(oldest), Some(newest)) = (of.clone().min(), of.max()) else { return Ok(HashMap::new()) };
        let sql = format!(
            "SELECT {} FROM threads WHERE team = ? AND conversation = ? AND root >= ? AND root <= ?",
            tables::THREADS.names()
        );
        let args = vec![self.team.into(), self.conversation.into(), oldest.into(), newest.into()];
        let rows = tx.rows(sql, args).await?;
        rows.iter().map(|row| Thread::parse(row).map(|((_, _, root), thread)| (root, thread))).collect()
    }
}

/// What is new behind marks.
pub(super) struct UnreadQuery {
    pub(super) team: TeamId,
    pub(super) user: UserId,
    pub(super) marks: Vec<(ConversationId, Ts)>,
}

#[async_trait]
impl Query for UnreadQuery {
    type Answer = Vec<Unread>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Unread>, DbError> {
        let mut all = vec![Unread::default(); self.marks.len()];
        for (marks, answers) in self.marks.chunks(COUNTED_MAX).zip(all.chunks_mut(COUNTED_MAX)) {
            let marks = filled(marks);
            let args = marks.iter().flat_map(|(conversation, mark)| -> [Cell; 7] {
                let mark = || Cell::from(*mark);
                [mark(), mark(), self.user.into(), mark(), self.team.into(), (*conversation).into(), mark()]
            });
            for row in tx.rows(unread_behind(marks.len()), args.collect()).await? {
                if let Some(answer) = answers.get_mut(number::<usize>(&row[0])?) {
                    *answer = Unread { count: number(&row[1])?, mentions: number(&row[2])? };
                }
            }
        }
        Ok(all)
    }
}

/// What is new behind so many marks: ordinals behind the mark less deletions; mentions one by one, for they are few.
///
/// SQLite keeps the order of a CROSS JOIN. Left to itself it would begin with all messages behind the mark.
fn unread_behind(marks: usize) -> String {
    let one = "c.ordinal \
        - COALESCE((SELECT m.ordinal FROM messages m WHERE m.team = c.team AND m.conversation = c.conversation \
          AND m.ts <= ? ORDER BY m.ts DESC LIMIT 1), 0) \
        - (SELECT COUNT(*) FROM deletions d WHERE d.team = c.team AND d.conversation = c.conversation AND d.ts > ?), \
        (SELECT COUNT(DISTINCT n.ts) FROM mentions n CROSS JOIN messages m \
          ON m.team = n.team AND m.conversation = n.conversation AND m.ts = n.ts AND m.state = 0 AND m.counted = 1 \
          WHERE n.team = c.team AND n.person IN (0, ?) AND n.conversation = c.conversation AND n.ts > ?) \
        FROM conversations c WHERE c.team = ? AND c.conversation = ? AND c.latest > ?";
    let selects: Vec<_> = (0..marks).map(|place| format!("SELECT {place}, {one}")).collect();
    selects.join(" UNION ALL ")
}

/// What messages count for, or counted for before they were deleted.
pub(super) struct CountedQuery {
    pub(super) team: TeamId,
    pub(super) user: UserId,
    pub(super) messages: Vec<(ConversationId, Ts)>,
}

#[async_trait]
impl Query for CountedQuery {
    type Answer = Vec<Unread>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Unread>, DbError> {
        let one = "(SELECT COUNT(DISTINCT n.ts) FROM mentions n WHERE n.team = m.team AND n.person IN (0, ?) \
              AND n.conversation = m.conversation AND n.ts = m.ts) \
            FROM messages m WHERE m.team = ? AND m.conversation = ? AND m.ts = ? AND m.counted = 1";
        let mut all = vec![Unread::default(); self.messages.len()];
        for (messages, answers) in self.messages.chunks(COUNTED_MAX).zip(all.chunks_mut(COUNTED_MAX)) {
            let messages = filled(messages);
            let selects: Vec<_> = (0..messages.len()).map(|place| format!("SELECT {place}, {one}")).collect();
            let args = messages.iter().flat_map(|(conversation, ts)| -> [Cell; 4] {
                [self.user.into(), self.team.into(), (*conversation).into(), (*ts).into()]
            });
            for row in tx.rows(selects.join(" UNION ALL "), args.collect()).await? {
                if let Some(answer) = answers.get_mut(number::<usize>(&row[0])?) {
                    *answer = Unread { count: 1, mentions: number(&row[1])? };
                }
            }
        }
        Ok(all)
    }
}

/// Which credential counts for somebody.
pub(super) struct PasswordQuery(pub(super) TeamId, pub(super) UserId);

#[async_trait]
impl Query for PasswordQuery {
    type Answer = Option<Uuid>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Answer, DbError> {
        let sql = "SELECT credential FROM passwords WHERE team = ? AND person = ?";
        let rows = tx.rows(sql, vec![self.0.into(), self.1.into()]).await?;
        rows.first().map(|row| Uuid::from_slice(row[0].as_bytes()?).map_err(DbError::broken)).transpose()
    }
}

/// A credential as it lies in its topic.
pub(super) struct SealedQuery(pub(super) TeamId, pub(super) Uuid);

#[async_trait]
impl Query for SealedQuery {
    type Answer = Option<String>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Answer, DbError> {
        let sql = "SELECT sealed FROM credentials WHERE team = ? AND credential = ?";
        let rows = tx.rows(sql, vec![self.0.into(), self.1.as_bytes().as_slice().into()]).await?;
        rows.first().map(|row| Ok(row[0].as_text()?.to_owned())).transpose()
    }
}

/// Every team of the shard.
pub(super) struct TeamsQuery;

#[async_trait]
impl Query for TeamsQuery {
    type Answer = Vec<TeamId>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<TeamId>, DbError> {
        let rows = tx.rows("SELECT team FROM teams ORDER BY team", Vec::new()).await?;
        rows.iter().map(|row| id_of(&row[0], TeamId::from_packed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Replica;

    #[tokio::test]
    async fn sqlite_counts_mentions_from_the_mentions_not_from_all_messages() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("s1.db").display());
        let mut tx = Replica::open(&url, &tables::SHARD).unwrap().read().await.unwrap();
        let marks = 2;
        let explain = format!("EXPLAIN QUERY PLAN {}", unread_behind(marks));
        let rows = tx.rows(explain, vec![Cell::Int(0); 7 * marks]).await.unwrap();
        let plan: Vec<&str> = rows.iter().map(|row| row[3].as_text().unwrap()).collect();
        let firsts: Vec<usize> = (0..plan.len()).filter(|at| plan[*at].starts_with("SEARCH n ")).collect();
        assert_eq!(firsts.len(), marks, "{plan:#?}");
        for first in firsts {
            assert!(plan[first + 1].starts_with("SEARCH m "), "{plan:#?}");
        }
    }
}
