//! `threads`: by root, whether or not the root is there (an import may bring it later).

use std::{collections::HashMap, sync::Arc};

use teamlog_schemas::{Changed, ConversationId, Event, MessageChange, MessageImported, TeamId, Thread, Ts};
use teamlog_state::{thread_left, with_reply};

use super::{Folded, Source, Tables};
use crate::{
    db::{Cell, Cells, DbError, Table, Tx, int, optional, text},
    shards::{
        changes::{ReadFirst, Row},
        values::{conversation_of, team_of, ts_of},
    },
};

impl Row for Thread {
    const TABLE: Table = Table {
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
    type Key = (TeamId, ConversationId, Ts);

    fn key_cells((team, conversation, root): Self::Key) -> Cells {
        vec![team.into(), conversation.into(), root.into()]
    }

    fn values(&self) -> Cells {
        vec![i64::from(self.reply_count).into(), self.latest_reply.into(), Cell::json(self)]
    }
}

impl ReadFirst for Thread {
    /// A posted reply and a deletion bring the thread as it is after them.
    fn wanted(team: TeamId, event: &Event) -> Vec<Self::Key> {
        let Event::MessageImported(e) = event else { return Vec::new() };
        let names = e.message.thread_ts.into_iter().chain([e.message.ts]);
        names.map(|ts| (team, e.conversation, ts)).collect()
    }

    fn parse(row: &[Cell]) -> Result<(Self::Key, Thread), DbError> {
        Ok(((team_of(&row[0])?, conversation_of(&row[1])?, ts_of(&row[2])?), row[5].as_json()?))
    }
}

impl Folded for Thread {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let Event::MessagePosted(e) = &**event {
            if let Some(thread) = &e.thread {
                on.threads.put((team, e.conversation, thread.root), thread.clone());
            }
        } else if let Event::MessageImported(e) = &**event {
            on_imported(on, team, e);
        } else if let Some(MessageChange { conversation, what: Changed::Deleted(deletion), .. }) = event.change()
            && let Some((root, left)) = thread_left(deletion)
        {
            let key = (team, conversation, root);
            match left {
                Some(thread) => on.threads.put(key, thread.clone()),
                None => on.threads.remove(key),
            }
        }
    }
}

/// An imported reply brings no thread with it, so it is counted here, unless it is there already. `messages` is below: its
/// rows are seen as they were before.
fn on_imported(on: &mut Tables, team: TeamId, event: &MessageImported) {
    let (message, conversation) = (&event.message, event.conversation);
    on.threads.change((team, conversation, message.ts), |thread| thread.root_author = message.user);
    let Some(root) = message.thread_ts.filter(|_| message.is_reply()) else { return };
    if on.messages.get((team, conversation, message.ts)).is_some_and(|known| known.is_there()) {
        return;
    }
    let key = (team, conversation, root);
    let root_author = on.messages.get(key).and_then(|root| root.author());
    let thread = with_reply(on.threads.get(key).cloned(), root, root_author, (message.ts, message.user));
    on.threads.put(key, thread);
}

/// Reads the threads of these roots.
pub(in crate::shards) async fn threads_at(
    tx: &mut Tx,
    team: TeamId,
    roots: &[(ConversationId, Ts)],
) -> Result<HashMap<(ConversationId, Ts), Thread>, DbError> {
    let keys = roots.iter().map(|(conversation, root)| Thread::key_cells((team, *conversation, *root)));
    let rows = tx.select(&Thread::TABLE, keys.collect()).await?;
    let parse =
        |row: &Cells| Thread::parse(row).map(|((_, conversation, root), thread)| ((conversation, root), thread));
    rows.iter().map(parse).collect()
}

/// Reads the threads of a conversation whose roots are between two (both inclusive).
pub(in crate::shards) async fn threads_between(
    tx: &mut Tx,
    team: TeamId,
    conversation: ConversationId,
    (oldest, newest): (Ts, Ts),
) -> Result<HashMap<Ts, Thread>, DbError> {
    let sql = format!(
        "SELECT {} FROM threads WHERE team = ? AND conversation = ? AND root >= ? AND root <= ?",
        Thread::TABLE.names()
    );
    let rows = tx.rows(sql, vec![team.into(), conversation.into(), oldest.into(), newest.into()]).await?;
    rows.iter().map(|row| Thread::parse(row).map(|((_, _, root), thread)| (root, thread))).collect()
}
