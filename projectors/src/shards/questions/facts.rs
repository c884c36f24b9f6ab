//! Facts for several commands: messages with their threads, replies, and the events of keyed writes.

use std::collections::HashMap;

use async_trait::async_trait;
use teamlog_schemas::TeamId;
use teamlog_state::{Facts, FactsWanted};

use crate::{
    db::{DbError, Query, Tx},
    shards::tables::{digest, messages_at, reply_heads, scheduled_at, scheduled_in_window, writes_of},
};

/// The query for the facts that commands of one team need.
pub(in crate::shards) struct FactsQuery {
    pub(in crate::shards) team: TeamId,
    pub(in crate::shards) wanted: Vec<FactsWanted>,
}

#[async_trait]
impl Query for FactsQuery {
    type Answer = Vec<Facts>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Facts>, DbError> {
        let team = self.team;
        let mut names: Vec<_> = self.wanted.iter().flat_map(|wanted| wanted.messages.iter().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let messages = messages_at(tx, team, &names).await?;
        let digests = self.wanted.iter().filter_map(|wanted| wanted.key.as_ref().map(digest));
        let writes = writes_of(tx, team, digests).await?;
        let scheduled =
            scheduled_at(tx, team, self.wanted.iter().flat_map(|wanted| wanted.scheduled.iter().copied())).await?;
        let mut facts = Vec::with_capacity(self.wanted.len());
        for wanted in &self.wanted {
            let mut replies = HashMap::new();
            for (conversation, root) in &wanted.replies {
                replies.insert((*conversation, *root), reply_heads(tx, team, *conversation, *root).await?);
            }
            let mut windows = HashMap::new();
            for window in &wanted.windows {
                windows.insert(*window, scheduled_in_window(tx, team, *window).await?);
            }
            facts.push(Facts {
                messages: wanted.messages.iter().map(|name| (*name, messages.get(name).cloned())).collect(),
                replies,
                scheduled: wanted.scheduled.iter().map(|id| (*id, scheduled.get(id).cloned())).collect(),
                windows,
                write: wanted.key.as_ref().and_then(|key| writes.get(digest(key).as_slice()).cloned()),
                key: wanted.key.clone(),
            });
        }
        Ok(facts)
    }
}
