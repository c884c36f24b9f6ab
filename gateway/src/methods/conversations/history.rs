//! `conversations.*`: the messages.

use serde_json::{Map, Value, json};
use teamlog_schemas::{ConversationId, Ts};

use super::{
    Access, Call, Key, Method, Reply, Retry, Shape, Tier,
    paging::{Cursor, Messages, PAGE, Replies},
    read::page_size,
    takes,
};
use crate::{
    ApiError,
    args::{Limit, Moment, args},
    read, render,
};

const MESSAGES: Key = Key::always("messages", Shape::List, "The messages.");
const HAS_MORE: Key = Key::always("has_more", Shape::Flag, "True if there is another page.");

pub(crate) const HISTORY: Method = Method {
    name: "conversations.history",
    alias_of: None,
    about: "Lists the messages of a conversation, newest first, without the replies of threads.",
    scope: "channels:history",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(History => history),
    answers: &[
        Key::sometimes("latest", Shape::Text, "`latest`, if the call named one."),
        MESSAGES,
        HAS_MORE,
        Key::always("pin_count", Shape::Integer, "How many messages are pinned to the conversation."),
        Key::always("channel_actions_ts", Shape::Null, "Always null."),
        Key::always("channel_actions_count", Shape::Integer, "0."),
        PAGE,
    ],
    errors: &[],
    examples: &[|| json!({ "channel": "C0ENGINES", "latest": "1700000000.000100", "inclusive": true, "limit": 10 })],
};

args! {
    struct History {
        /// The conversation.
        channel: ConversationId,
        /// The newest time; from the end on if it is left out.
        latest: Option<Moment> [malformed "invalid_ts_latest"],
        /// The oldest time.
        oldest: Option<Moment> [malformed "invalid_ts_oldest"],
        /// True if messages of those very times belong to it.
        inclusive: bool,
        /// The size of a page: 100 if it is left out, at most 1,000.
        limit: Option<Limit>,
        /// The size of a page, as old clients have it; `limit` goes before.
        count: Option<Limit>,
        /// The page's place.
        cursor: Option<Cursor<Messages>>,
    }
}

async fn history(call: &Call<'_>, args: History) -> Result<Reply, ApiError> {
    let conversation = args.channel;
    let asked = args.latest.map(|Moment(ts)| ts);
    let mut page = read::Page {
        oldest: args.oldest.map_or(Ts::ZERO, |Moment(ts)| ts),
        latest: asked.unwrap_or(Ts::MAX),
        inclusive: args.inclusive,
        limit: page_size(args.limit.or(args.count)),
    };
    if let Some(next) = args.cursor {
        page.latest = page.latest.min(cursor_ts(next.place()));
        // A cursor is exclusive, whatever the first page was.
        if page.inclusive {
            page.oldest = Ts::from_micros(page.oldest.micros() - 1);
            page.inclusive = false;
        }
    }
    let paged = read::history(call.gateway, call.caller()?, conversation, &page).await?;
    let team = call.caller()?.team.read();
    let messages: Vec<Value> =
        paged.messages.iter().map(|fact| render::message_fact(&team, conversation, fact)).collect();
    let mut reply = Map::new();
    if let Some(latest) = asked {
        reply.insert("latest".to_owned(), json!(latest.to_string()));
    }
    reply.insert("messages".to_owned(), Value::Array(messages));
    reply.insert("has_more".to_owned(), json!(paged.next.is_some()));
    reply.insert("pin_count".to_owned(), json!(team.conversation(conversation).map_or(0, |c| c.pins.len())));
    reply.insert("channel_actions_ts".to_owned(), Value::Null);
    reply.insert("channel_actions_count".to_owned(), json!(0));
    reply.insert("response_metadata".to_owned(), Cursor::<Messages>::metadata(paged.next.map(micros)));
    Ok(reply.into())
}

pub(crate) const REPLIES: Method = Method {
    name: "conversations.replies",
    alias_of: None,
    about: "Lists a thread, oldest first, with its root on the first page. A reply's own `ts` gives that reply alone.",
    scope: "channels:history",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(Thread => replies),
    answers: &[MESSAGES, HAS_MORE, PAGE],
    errors: &["thread_not_found"],
    examples: &[|| json!({ "channel": "C0ENGINES", "ts": "1700000000.000100" })],
};

args! {
    struct Thread {
        /// The conversation.
        channel: ConversationId,
        /// The root.
        ts: Option<Ts> [malformed "thread_not_found"],
        /// The root, as old clients have it; `ts` goes before.
        thread_ts: Option<Ts> [malformed "thread_not_found"],
        /// The newest time.
        latest: Option<Moment> [malformed "invalid_ts_latest"],
        /// The oldest time.
        oldest: Option<Moment> [malformed "invalid_ts_oldest"],
        /// True if messages of those very times belong to it.
        inclusive: bool,
        /// The size of a page: 100 if it is left out, at most 1,000.
        limit: Option<Limit>,
        /// The size of a page, as old clients have it; `limit` goes before.
        count: Option<Limit>,
        /// The page's place.
        cursor: Option<Cursor<Replies>>,
    }
}

async fn replies(call: &Call<'_>, args: Thread) -> Result<Reply, ApiError> {
    let conversation = args.channel;
    let not_found = || ApiError::refused("thread_not_found");
    let ts = args.ts.or(args.thread_ts).ok_or_else(not_found)?;
    let mut page = read::Page {
        oldest: args.oldest.map_or(Ts::ZERO, |Moment(ts)| ts),
        latest: args.latest.map_or(Ts::MAX, |Moment(ts)| ts),
        inclusive: args.inclusive,
        limit: page_size(args.limit.or(args.count)),
    };
    let cursor = args.cursor.map(Cursor::place);
    if let Some(next) = cursor {
        page.oldest = page.oldest.max(cursor_ts(next));
        if page.inclusive {
            page.latest = page.latest.next();
            page.inclusive = false;
        }
    }
    let caller = call.caller()?;
    let found = read::message(call.gateway, caller, conversation, ts).await?;
    let root = found.ok_or_else(not_found)?;
    if root.message.is_reply() {
        let reply = render::reply(&caller.team.read(), conversation, &root, None);
        let metadata = Cursor::<Replies>::metadata(None);
        return Ok(Reply::from(json!({ "messages": [reply], "has_more": false, "response_metadata": metadata })));
    }
    let author = root.message.user;
    let paged = read::replies(call.gateway, caller, conversation, ts, &page).await?;
    let team = caller.team.read();
    // The root leads the first page.
    let first = cursor.is_none().then(|| render::message_fact(&team, conversation, &root));
    let replies = paged.messages.iter().map(|fact| render::reply(&team, conversation, fact, author));
    let messages: Vec<Value> = first.into_iter().chain(replies).collect();
    Ok(Reply::from(json!({
        "messages": messages,
        "has_more": paged.next.is_some(),
        "response_metadata": Cursor::<Replies>::metadata(paged.next.map(micros)),
    })))
}

fn cursor_ts(micros: u64) -> Ts {
    Ts::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

fn micros(ts: Ts) -> u64 {
    ts.micros().unsigned_abs()
}
