//! Threads: the rules for how one gains and loses a reply. `decide`, [`Facts`](crate::Facts) and the shard's rows call
//! these and have none of their own.

use teamlog_schemas::{Deletion, Thread, Ts, UserId};

use crate::MessageFact;

/// Users that a thread names: the first to reply.
const REPLY_USERS_MAX: usize = 5;

/// A reply's name and who wrote it.
pub type ReplyHead = (Ts, Option<UserId>);

/// Returns the thread of a root with one more reply.
pub fn thread_with(root: &MessageFact, reply: Ts, author: Option<UserId>) -> Thread {
    with_reply(root.thread.clone(), root.message.ts, root.message.user, (reply, author))
}

/// Returns a thread with one more reply, or the thread that begins with it. An imported reply may be older than those
/// that are there.
pub fn with_reply(thread: Option<Thread>, root: Ts, root_author: Option<UserId>, reply: ReplyHead) -> Thread {
    let mut thread = thread.unwrap_or_else(|| thread_of(root, root_author, &[]));
    thread.reply_count += 1;
    thread.latest_reply = thread.latest_reply.max(Some(reply.0));
    name_author(&mut thread.reply_users, reply.1);
    thread
}

/// Returns the thread that these replies make, oldest first.
pub fn thread_of(root: Ts, root_author: Option<UserId>, replies: &[ReplyHead]) -> Thread {
    let mut reply_users = Vec::new();
    replies.iter().for_each(|(_, author)| name_author(&mut reply_users, *author));
    Thread {
        root,
        root_author,
        reply_count: i32::try_from(replies.len()).unwrap_or(i32::MAX),
        latest_reply: replies.last().map(|(ts, _)| *ts),
        reply_users,
    }
}

/// Returns the root of the thread that a deletion takes a reply from, and that thread as it is left: none if that was the
/// last reply. A root may name itself as its root (an import's does); its thread is not its own to change.
pub fn thread_left(deletion: Deletion<'_>) -> Option<(Ts, Option<&Thread>)> {
    let root = deletion.before.thread_ts.filter(|_| deletion.before.is_reply())?;
    Some((root, deletion.thread))
}

fn name_author(reply_users: &mut Vec<UserId>, author: Option<UserId>) {
    if let Some(author) = author
        && reply_users.len() < REPLY_USERS_MAX
        && !reply_users.contains(&author)
    {
        reply_users.push(author);
    }
}
