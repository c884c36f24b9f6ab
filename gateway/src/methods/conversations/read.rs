//! `conversations.*` and the like: those that read.

use serde_json::{Map, Value, json};
use teamlog_schemas::{ConversationId, ConversationKind, Ts, UserId};
use teamlog_state::{Conversation, Team};

use super::super::{Call, Reply, paging::Cursor};
use crate::{ApiError, limits, read, render};

const INVALID_LATEST: &str = "invalid_ts_latest";
const INVALID_OLDEST: &str = "invalid_ts_oldest";

/// `conversations.list`
pub(in super::super) async fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let kinds = kinds(call)?;
    let caller = call.caller()?;
    let user = caller.user;
    let visible = |team: &Team, c: &Conversation| {
        c.kind == ConversationKind::PublicChannel || team.is_member(user, c.conversation)
    };
    let limit = call.args.limit("limit")?.unwrap_or(limits::PAGE_DEFAULT);
    page(
        call,
        "channels",
        limit,
        |team, c| kinds.contains(&c.kind) && visible(team, c),
        |team, c| render::conversation(team, c, user, None),
    )
}

/// `users.conversations`
pub(in super::super) async fn of_user(call: &Call<'_>) -> Result<Reply, ApiError> {
    let kinds = kinds(call)?;
    let caller = call.caller()?;
    let viewer = caller.user;
    let user = if call.args.filled("user")?.is_some() { call.args.user("user")? } else { viewer };
    if caller.team.read().person(user).is_none() {
        return Err(ApiError::refused("user_not_found"));
    }
    let limit = call.args.limit("limit")?.unwrap_or(limits::PAGE_DEFAULT);
    let wanted = |team: &Team, c: &Conversation| {
        kinds.contains(&c.kind) && team.is_member(user, c.conversation) && team.may_read(viewer, c.conversation)
    };
    page(call, "channels", limit, wanted, |team, c| render::conversation(team, c, viewer, None))
}

/// A page of the conversations that are `wanted`.
pub(in super::super) fn page(
    call: &Call<'_>,
    key: &str,
    limit: usize,
    wanted: impl Fn(&Team, &Conversation) -> bool,
    rendered: impl Fn(&Team, &Conversation) -> Value,
) -> Result<Reply, ApiError> {
    let exclude_archived = call.args.flag("exclude_archived")?.unwrap_or(false);
    let from = Cursor::Conversation.of(call.args)?.unwrap_or(0);
    let team = call.caller()?.team.read();
    let mut found = (from..team.conversations_len() as u64)
        .filter_map(|index| Some((index, team.conversation_at(u32::try_from(index).ok()?)?)))
        .filter(|(_, c)| !(exclude_archived && c.is_archived) && wanted(&team, c));
    let items: Vec<Value> = found.by_ref().take(limit).map(|(_, c)| rendered(&team, c)).collect();
    let next = found.next().map(|(index, _)| index);
    let mut reply = Map::new();
    reply.insert(key.to_owned(), Value::Array(items));
    reply.insert("response_metadata".to_owned(), Cursor::Conversation.metadata(next));
    Ok(reply.into())
}

fn kinds(call: &Call<'_>) -> Result<Vec<ConversationKind>, ApiError> {
    let names = call.args.list("types")?;
    if names.is_empty() {
        return Ok(vec![ConversationKind::PublicChannel]);
    }
    let kind = |name: &String| match name.as_str() {
        "public_channel" => Ok(ConversationKind::PublicChannel),
        "private_channel" => Ok(ConversationKind::PrivateChannel),
        "mpim" => Ok(ConversationKind::Mpim),
        "im" => Ok(ConversationKind::Im),
        _ => Err(ApiError::refused("invalid_types")),
    };
    names.iter().map(kind).collect()
}

/// `conversations.info`
pub(in super::super) async fn info(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let reader = reader(call, conversation).await?;
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = visible(&team, caller.user, conversation)?;
    let mut channel = render::conversation(&team, found, caller.user, reader.as_ref());
    if call.args.flag("include_locale")?.unwrap_or(false) {
        channel["locale"] = json!("en-US");
    }
    Ok(Reply::from(json!({ "channel": channel })))
}

/// What a conversation says to the caller alone; nothing to who is not in it.
pub(in super::super) async fn reader(
    call: &Call<'_>,
    conversation: ConversationId,
) -> Result<Option<render::Reader>, ApiError> {
    let caller = call.caller()?;
    {
        let team = caller.team.read();
        visible(&team, caller.user, conversation)?;
        if !team.is_member(caller.user, conversation) {
            return Ok(None);
        }
    }
    let state = call.gateway.ingest().marks().user(caller.team.id(), caller.user).await?;
    let last_read = state.mark(conversation);
    let unread = read::unread(call.gateway, caller, &[(conversation, last_read)]).await?;
    Ok(Some(render::Reader { last_read, unread: unread.first().map(|counts| counts.count), latest: None }))
}

/// A conversation that somebody may know of.
pub(in super::super) fn visible(
    team: &Team,
    user: UserId,
    conversation: ConversationId,
) -> Result<&Conversation, ApiError> {
    team.conversation(conversation)
        .filter(|_| team.may_read(user, conversation))
        .ok_or(ApiError::refused("channel_not_found"))
}

/// `conversations.members`
pub(in super::super) async fn members(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let limit = call.args.limit("limit")?.unwrap_or(limits::PAGE_DEFAULT);
    let from = Cursor::Person.of(call.args)?.unwrap_or(0);
    let from = u32::try_from(from).map_err(|_| ApiError::refused("invalid_cursor"))?;
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = visible(&team, caller.user, conversation)?;
    let mut indexes = found.members.range(from..);
    let page: Vec<UserId> = indexes
        .by_ref()
        .take(limit)
        .filter_map(|index| team.person_at(index))
        .map(|member| member.person.user)
        .collect();
    let metadata = Cursor::Person.metadata(indexes.next().map(u64::from));
    Ok(Reply::from(json!({ "members": page, "response_metadata": metadata })))
}

/// `conversations.history`
pub(in super::super) async fn history(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    let conversation = args.conversation("channel")?;
    let asked = args.time("latest", INVALID_LATEST)?;
    let mut page = read::Page {
        oldest: args.time("oldest", INVALID_OLDEST)?.unwrap_or(Ts::ZERO),
        latest: asked.unwrap_or(Ts::MAX),
        inclusive: args.flag("inclusive")?.unwrap_or(false),
        limit: limit(call)?,
    };
    if let Some(next) = Cursor::Message.of(args)? {
        page.latest = page.latest.min(cursor_ts(next));
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
    reply.insert("pin_count".to_owned(), json!(0));
    reply.insert("channel_actions_ts".to_owned(), Value::Null);
    reply.insert("channel_actions_count".to_owned(), json!(0));
    reply.insert("response_metadata".to_owned(), Cursor::Message.metadata(paged.next.map(micros)));
    Ok(reply.into())
}

/// `conversations.replies`
pub(in super::super) async fn replies(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    let conversation = args.conversation("channel")?;
    let name = if args.filled("ts")?.is_some() { "ts" } else { "thread_ts" };
    let ts = args.ts(name, "thread_not_found", "thread_not_found")?;
    let mut page = read::Page {
        oldest: args.time("oldest", INVALID_OLDEST)?.unwrap_or(Ts::ZERO),
        latest: args.time("latest", INVALID_LATEST)?.unwrap_or(Ts::MAX),
        inclusive: args.flag("inclusive")?.unwrap_or(false),
        limit: limit(call)?,
    };
    let cursor = Cursor::Reply.of(args)?;
    if let Some(next) = cursor {
        page.oldest = page.oldest.max(cursor_ts(next));
        if page.inclusive {
            page.latest = page.latest.next();
            page.inclusive = false;
        }
    }
    let caller = call.caller()?;
    let found = read::message(call.gateway, caller, conversation, ts).await?;
    let root = found.ok_or(ApiError::refused("thread_not_found"))?;
    if root.message.is_reply() {
        // A reply's own name gives that reply alone.
        let reply = render::reply(&caller.team.read(), conversation, &root, None);
        let metadata = Cursor::Reply.metadata(None);
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
        "response_metadata": Cursor::Reply.metadata(paged.next.map(micros)),
    })))
}

/// A page of messages: `limit`, or what the old methods call `count`.
fn limit(call: &Call<'_>) -> Result<usize, ApiError> {
    let limit = call.args.limit("limit")?;
    Ok(limit.or(call.args.limit("count")?).unwrap_or(limits::PAGE_DEFAULT))
}

fn cursor_ts(micros: u64) -> Ts {
    Ts::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

fn micros(ts: Ts) -> u64 {
    ts.micros().unsigned_abs()
}
