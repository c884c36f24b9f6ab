//! Unread counts: computed from conversations, messages, deletions and mentions.

use async_trait::async_trait;
use teamlog_log::{Position, Topic};
use teamlog_schemas::{ConversationId, TeamId, Ts, UserId};
use teamlog_state::{At, SourceError};

use crate::{
    db::{Cell, DbError, Query, Tx},
    shards::{Shards, values::number},
};

/// The sizes of the counting statements. There are few, so that few statements are ever prepared.
const COUNTED: [usize; 7] = [1, 2, 4, 8, 16, 32, COUNTED_MAX];
/// The maximum number of conversations or messages in one statement.
const COUNTED_MAX: usize = 50;

/// Pads the arguments to a statement's size by repeating the last one.
fn filled<T: Copy>(asked: &[T]) -> Vec<T> {
    let size = COUNTED.into_iter().find(|size| *size >= asked.len()).unwrap_or(asked.len());
    asked.iter().chain(std::iter::repeat_n(&asked[asked.len() - 1], size - asked.len())).copied().collect()
}

/// The unread counts of a person in one conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// The number of countable messages.
    pub count: u64,
    /// The number of those messages that mention the person or everybody.
    pub mentions: u64,
}

/// The query for the unread counts after marks.
struct UnreadQuery {
    team: TeamId,
    user: UserId,
    marks: Vec<(ConversationId, Ts)>,
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

/// Returns the SQL that counts what is unread after this number of marks. Messages: the ordinals after the mark, minus the
/// deletions after it. Mentions are counted one by one, as they are few.
///
/// SQLite keeps the order of a CROSS JOIN. With a plain join it would begin with all messages after the mark.
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

/// The query for what single messages add to the unread counts, or added before they were deleted.
struct CountedQuery {
    team: TeamId,
    user: UserId,
    messages: Vec<(ConversationId, Ts)>,
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

impl Shards {
    /// Returns a person's unread counts, one for each of `marks`, in order.
    ///
    /// # Errors
    /// If no replica answers, or one holds what cannot be.
    pub async fn unread(
        &self,
        shard: &str,
        team: TeamId,
        user: UserId,
        marks: &[(ConversationId, Ts)],
    ) -> Result<At<Position, Vec<Unread>>, SourceError> {
        let query = UnreadQuery { team, user, marks: marks.to_vec() };
        self.ask(shard, team, Topic::Events, &query).await
    }

    /// Returns what each message adds to a person's unread counts, or added before it was deleted, in order. Zero if it is
    /// not countable, was imported or does not exist.
    ///
    /// # Errors
    /// If no replica answers, or one holds what cannot be.
    pub async fn counted(
        &self,
        shard: &str,
        team: TeamId,
        user: UserId,
        messages: &[(ConversationId, Ts)],
    ) -> Result<At<Position, Vec<Unread>>, SourceError> {
        let query = CountedQuery { team, user, messages: messages.to_vec() };
        self.ask(shard, team, Topic::Events, &query).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{db::Replica, shards::SHARD};

    #[tokio::test]
    async fn sqlite_counts_mentions_from_the_mentions_not_from_all_messages() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("s1.db").display());
        let mut tx = Replica::open("shard s1", &url, &SHARD).unwrap().read().await.unwrap();
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
