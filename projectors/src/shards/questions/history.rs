//! History: a page of a conversation's messages or of a thread's.

use std::collections::HashMap;

use async_trait::async_trait;
use teamlog_log::{Position, Topic};
use teamlog_schemas::{ConversationId, TeamId, Ts};
use teamlog_state::{At, MessageFact, SourceError};

use crate::{
    db::{Cell, DbError, Query, Tx},
    shards::{
        Shards,
        changes::Row,
        tables::{MESSAGES, MessageRow, parse_message, threads_between},
    },
};

/// Which messages of a conversation are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Older ones are left out, and this one itself unless `inclusive`.
    pub oldest: Ts,
    /// Newer ones are left out, and this one itself unless `inclusive`.
    pub latest: Ts,
    /// Whether the bounds themselves are in.
    pub inclusive: bool,
    /// The maximum number to return.
    pub limit: usize,
    /// The order, and from which end the limit counts.
    pub newest_first: bool,
    /// A thread's root, then its replies, oldest first, instead of the conversation's own messages. The root is there
    /// whatever the bounds.
    pub replies_of: Option<Ts>,
}

impl Default for HistoryPage {
    fn default() -> Self {
        HistoryPage {
            oldest: Ts::ZERO,
            latest: Ts::MAX,
            inclusive: false,
            limit: 100,
            newest_first: true,
            replies_of: None,
        }
    }
}

/// A page of a conversation or of a thread.
struct HistoryQuery {
    team: TeamId,
    conversation: ConversationId,
    page: HistoryPage,
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
            // The root is first on every page, whatever the page's bounds.
            rows = tx.select(&MESSAGES, vec![MessageRow::key_cells((self.team, self.conversation, root))]).await?;
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
            MESSAGES.names()
        );
        let which = page.replies_of.map_or(Cell::Int(1), Cell::from);
        let args = [place.as_slice(), &[which, page.oldest.into(), page.latest.into(), limit.max(0).into()]].concat();
        rows.extend(tx.rows(sql, args).await?);
        let parsed = rows.iter().map(parse_message).collect::<Result<Vec<_>, _>>()?;
        let bounds = parsed.iter().map(|(ts, _)| *ts).min().zip(parsed.iter().map(|(ts, _)| *ts).max());
        let mut threads = match bounds {
            Some(bounds) => threads_between(tx, self.team, self.conversation, bounds).await?,
            None => HashMap::new(),
        };
        Ok(parsed.into_iter().filter_map(|(ts, message)| message.into_fact(threads.remove(&ts))).collect())
    }
}

impl Shards {
    /// A page of messages. History leaves out replies that stay in their thread, and what was deleted; a deleted root
    /// with replies is there as a tombstone.
    ///
    /// # Errors
    /// If no replica answers, or one holds what cannot be.
    pub async fn history(
        &self,
        shard: &str,
        team: TeamId,
        conversation: ConversationId,
        page: &HistoryPage,
    ) -> Result<At<Position, Vec<MessageFact>>, SourceError> {
        let query = HistoryQuery { team, conversation, page: page.clone() };
        self.ask(shard, team, Topic::Events, &query).await
    }
}
