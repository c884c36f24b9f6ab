//! `chat.scheduleMessage`, `chat.deleteScheduledMessage` and `chat.scheduledMessages.*`

use serde_json::{Map, Value, json};
use teamlog_ingest::commands::{DeleteScheduled, Post, Schedule};
use teamlog_schemas::{ConversationId, ScheduleId, Ts};
use teamlog_state::Scheduled;

use super::{
    Access, Call, Key, Method, Reply, Retry, Shape, Tier,
    chat::target,
    content::Content,
    conversations::read::page_size,
    paging::{Cursor, PAGE, Timers},
    takes,
};
use crate::{
    ApiError,
    args::{Limit, Moment, args},
    read, render,
};

pub(super) const METHODS: &[Method] = &[DELETE, LIST, SCHEDULE];

const SCHEDULE: Method = Method {
    name: "chat.scheduleMessage",
    alias_of: None,
    about: "Schedules a message of the caller's, which is posted when it is due.",
    scope: "chat:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(ScheduleMessage => schedule),
    answers: &[
        Key::always("channel", Shape::Text, "The conversation."),
        Key::always("scheduled_message_id", Shape::Text, "The scheduled message's id."),
        Key::always("post_at", Shape::Integer, "When it is due, in seconds."),
        Key::always("message", Shape::Object, "The message, of type `delayed_message` and without a `ts`."),
    ],
    errors: &[
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "no_text",
        "msg_too_long",
        "too_many_attachments",
        "time_in_past",
        "time_too_far",
        "restricted_too_many",
        "user_disabled",
    ],
    examples: &[|| json!({ "channel": "C0ENGINES", "text": "Tea is ready", "post_at": "1800000000" })],
};

args! {
    struct ScheduleMessage {
        /// Where to, as `chat.postMessage` has it.
        channel: String [missing "channel_not_found"],
        /// When to post it, in seconds since 1970: after now, and within 120 days. A conversation takes 30 messages in five
        /// minutes.
        post_at: Moment [missing "invalid_time", malformed "invalid_time"];
        content: Content
    }
}

async fn schedule(call: &Call<'_>, args: ScheduleMessage) -> Result<Reply, ApiError> {
    let conversation = Some(target(call, &args.channel).await?);
    let post = Post { conversation, ..args.content.into_post() };
    let Moment(due) = args.post_at;
    // Whole seconds, as a list of them says.
    let due = Ts::from_micros(due.seconds() * 1_000_000);
    let scheduled = call.make(Schedule { due, post }).await?;
    let mut message = render::message(&call.caller()?.team.read(), scheduled.conversation, &scheduled.message);
    if let Value::Object(message) = &mut message {
        message.insert("type".to_owned(), json!("delayed_message"));
        message.remove("ts");
    }
    Ok(Reply::from(json!({
        "channel": scheduled.conversation, "scheduled_message_id": scheduled.schedule,
        "post_at": scheduled.due.seconds(), "message": message,
    })))
}

const DELETE: Method = Method {
    name: "chat.deleteScheduledMessage",
    alias_of: None,
    about: "Deletes a scheduled message of the caller's. One that is due within a minute stays.",
    scope: "chat:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(DeleteScheduledMessage => delete),
    answers: &[],
    errors: &["invalid_scheduled_message_id"],
    examples: &[|| json!({ "channel": "C0ENGINES", "scheduled_message_id": "Q0LATER" })],
};

args! {
    struct DeleteScheduledMessage {
        /// The conversation where it would be posted.
        channel: ConversationId,
        /// The scheduled message's id.
        scheduled_message_id: ScheduleId,
    }
}

async fn delete(call: &Call<'_>, args: DeleteScheduledMessage) -> Result<Reply, ApiError> {
    call.make(DeleteScheduled { conversation: args.channel, schedule: args.scheduled_message_id }).await?;
    Ok(Reply::empty())
}

const LIST: Method = Method {
    name: "chat.scheduledMessages.list",
    alias_of: None,
    about: "Lists the caller's scheduled messages that wait, the next one first.",
    scope: "",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(List => list),
    answers: &[
        Key::always(
            "scheduled_messages",
            Shape::List,
            "The messages: `id`, `channel_id`, `post_at`, `date_created` and `text`.",
        ),
        PAGE,
    ],
    errors: &["channel_not_found"],
    examples: &[|| json!({}), || json!({ "channel": "C0ENGINES", "limit": 10 })],
};

args! {
    struct List {
        /// Only those of this conversation.
        channel: Option<ConversationId> [malformed "invalid_channel"],
        /// None that is due after.
        latest: Option<Moment> [malformed "invalid_ts_latest"],
        /// None that is due before.
        oldest: Option<Moment> [malformed "invalid_ts_oldest"],
        /// The size of a page: 100 if it is left out, at most 1,000.
        limit: Option<Limit>,
        /// The page's place.
        cursor: Option<Cursor<Timers>>,
    }
}

async fn list(call: &Call<'_>, args: List) -> Result<Reply, ApiError> {
    let after = match args.cursor {
        Some(cursor) => Some(place_of(cursor).ok_or(ApiError::refused("invalid_cursor"))?),
        None => None,
    };
    let caller = call.caller()?;
    let page = read::ScheduledPage {
        user: caller.user,
        conversation: args.channel,
        oldest: args.oldest.map_or(Ts::ZERO, |Moment(ts)| ts),
        latest: args.latest.map_or(Ts::MAX, |Moment(ts)| ts),
        after,
        limit: page_size(args.limit),
    };
    let (found, next) = read::scheduled(call.gateway, caller, page).await?;
    let mut reply = Map::new();
    let messages: Vec<Value> = found.iter().map(|(id, scheduled)| listed(*id, scheduled)).collect();
    reply.insert("scheduled_messages".to_owned(), Value::Array(messages));
    let next = next.map(|(due, id)| (due.micros().unsigned_abs(), id.packed()));
    reply.insert("response_metadata".to_owned(), Cursor::<Timers>::metadata_of_pair(next));
    Ok(reply.into())
}

fn listed(id: ScheduleId, scheduled: &Scheduled) -> Value {
    json!({
        "id": id, "channel_id": scheduled.conversation, "post_at": scheduled.due.seconds(),
        "date_created": scheduled.created.seconds(), "text": scheduled.message.text.as_str(),
    })
}

fn place_of(cursor: Cursor<Timers>) -> Option<(Ts, ScheduleId)> {
    let (due, id) = cursor.pair();
    Some((Ts::from_micros(i64::try_from(due).ok()?), ScheduleId::from_packed(id).ok()?))
}
