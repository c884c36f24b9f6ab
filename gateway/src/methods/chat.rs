//! `chat.*`

use serde::Serialize;
use serde_json::json;
use teamlog_ingest::commands::{self, Edit, OpenDirect, Post, RemoveAttachment};
use teamlog_schemas::{ConversationId, Ts, UserId};

use super::{
    Access, Call, Key, Method, Reply, Retry, Shape, Tier, content::Content, conversations::members::direct, takes,
};
use crate::{
    ApiError,
    args::{JsonArray, Moment, Verbatim, args},
    read,
    render::{AsText, Rendered},
};

pub(super) const METHODS: &[Method] = &[DELETE, DELETE_ATTACHMENT, GET_PERMALINK, ME_MESSAGE, POST_MESSAGE, UPDATE];

const CHANNEL: Key = Key::always("channel", Shape::Text, "The conversation.");
const TS: Key = Key::always("ts", Shape::Text, "The message's `ts`.");
const MESSAGE: Key = Key::always("message", Shape::Object, "The message.");

/// The answer to a message that was posted.
#[derive(Serialize)]
struct Posted<'a> {
    channel: ConversationId,
    ts: AsText<Ts>,
    message: AsPosted<'a>,
}

#[derive(Serialize)]
struct AsPosted<'a> {
    #[serde(flatten)]
    message: Rendered<'a>,
    /// The author of the root, for a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_user_id: Option<UserId>,
}

/// The answer to a message that was changed.
#[derive(Serialize)]
struct Changed<'a> {
    channel: ConversationId,
    ts: AsText<Ts>,
    text: &'a str,
    message: Rendered<'a>,
}

const POST_MESSAGE: Method = Method {
    name: "chat.postMessage",
    alias_of: None,
    about: "Posts a message.",
    scope: "chat:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Special,
    takes: takes!(PostMessage => post_message),
    answers: &[CHANNEL, TS, MESSAGE],
    errors: &[
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "no_text",
        "msg_too_long",
        "too_many_attachments",
        "user_disabled",
    ],
    examples: &[
        || json!({ "channel": "C0ENGINES", "text": "Hello, *engines*" }),
        || json!({ "channel": "C0ENGINES", "text": "A reply", "thread_ts": "1700000000.000100", "reply_broadcast": true }),
        || json!({ "channel": "C0ENGINES", "text": "<https://example.com/>", "unfurl_links": false, "unfurl_media": false }),
        || json!({ "channel": "U0BOB", "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": "Hello" } }] }),
    ],
};

args! {
    struct PostMessage {
        /// A conversation, a channel's name with or without `#`, or a person or their `@handle`: with a person a direct
        /// message is opened.
        channel: String [missing "channel_not_found"],
        /// The client's own name for the message. It is the idempotency key too, unless the header gives one.
        client_msg_id: Option<String>;
        content: Content
    }
}

async fn post_message(call: &Call<'_>, args: PostMessage) -> Result<Reply, ApiError> {
    let post = Post { client_msg_id: args.client_msg_id, ..args.content.into_post() };
    posted(call, &args.channel, post).await
}

const ME_MESSAGE: Method = Method {
    name: "chat.meMessage",
    alias_of: None,
    about: "Posts a message about the caller, as `/me` does.",
    scope: "chat:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(MeMessage => me_message),
    answers: &[CHANNEL, TS, MESSAGE],
    errors: &["channel_not_found", "not_in_channel", "is_archived", "no_text", "msg_too_long", "user_disabled"],
    examples: &[|| json!({ "channel": "C0ENGINES", "text": "waves" })],
};

args! {
    struct MeMessage {
        /// Where to, as `chat.postMessage` has it.
        channel: String [missing "channel_not_found"],
        /// The text.
        text: Option<String>,
    }
}

async fn me_message(call: &Call<'_>, args: MeMessage) -> Result<Reply, ApiError> {
    let text = args.text.unwrap_or_default();
    posted(call, &args.channel, Post { text, subtype: Some("me_message".into()), ..Post::default() }).await
}

const UPDATE: Method = Method {
    name: "chat.update",
    alias_of: None,
    about: "Changes a message of the caller's. What is left out stays as it is.",
    scope: "chat:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Update => update),
    answers: &[CHANNEL, TS, Key::always("text", Shape::Text, "The new text."), MESSAGE],
    errors: &["cant_update_message", "edit_conflict", "is_archived", "msg_too_long", "no_text", "too_many_attachments"],
    examples: &[|| json!({ "channel": "C0ENGINES", "ts": "1700000000.000100", "text": "Hello again" })],
};

args! {
    struct Update {
        /// The message's conversation.
        channel: ConversationId,
        /// The message's `ts`.
        ts: Ts,
        /// The new text. An empty one takes the text away.
        text: Option<Verbatim>,
        /// The new blocks.
        blocks: Option<JsonArray> [malformed "invalid_blocks"],
        /// The new attachments.
        attachments: Option<JsonArray> [malformed "invalid_attachments"],
        /// The version that is edited, by its `edited.ts`; 0 for a message that was never edited. The call is refused if the
        /// message was edited since. Without it the last edit wins.
        expected_edited_ts: Option<Moment> [malformed "bad_timestamp"],
    }
}

async fn update(call: &Call<'_>, args: Update) -> Result<Reply, ApiError> {
    let (conversation, ts) = (args.channel, args.ts);
    let text = args.text.map(|Verbatim(text)| text);
    let [blocks, attachments] = [args.blocks, args.attachments].map(|json| json.map(|JsonArray(text)| text));
    if text.is_none() && blocks.is_none() && attachments.is_none() {
        return Err(ApiError::refused("no_text"));
    }
    let expected_edited_ts = args.expected_edited_ts.map(|Moment(ts)| ts);
    let edit = Edit { conversation, ts, text, blocks, attachments, expected_edited_ts };
    let edited = call.make(edit).await?;
    let (team, conversation, message) = (call.caller()?.team.read(), edited.conversation, &edited.after);
    let message = Rendered { team: &team, conversation, message };
    Ok(Reply::written(Changed {
        channel: conversation,
        ts: AsText(edited.after.ts),
        text: edited.after.text.as_str(),
        message,
    }))
}

const DELETE: Method = Method {
    name: "chat.delete",
    alias_of: None,
    about: "Deletes a message of the caller's. An admin may delete any.",
    scope: "chat:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(Delete => delete),
    answers: &[CHANNEL, TS],
    errors: &["cant_delete_message"],
    examples: &[|| json!({ "channel": "C0ENGINES", "ts": "1700000000.000100" })],
};

args! {
    struct Delete {
        /// The message's conversation.
        channel: ConversationId,
        /// The message's `ts`.
        ts: Ts,
    }
}

async fn delete(call: &Call<'_>, args: Delete) -> Result<Reply, ApiError> {
    let (conversation, ts) = (args.channel, args.ts);
    call.make(commands::Delete { conversation, ts }).await?;
    Ok(Reply::from(json!({ "channel": conversation, "ts": ts.to_string() })))
}

const DELETE_ATTACHMENT: Method = Method {
    name: "chat.deleteAttachment",
    alias_of: None,
    about: "Removes an attachment, such as what is shown of a link, from a message of the caller's. An admin may remove any. \
            The message does not count as edited.",
    scope: "chat:write",
    access: Access::User,
    retry: Retry::Once,
    tier: Tier::Three,
    takes: takes!(DeleteAttachment => delete_attachment),
    answers: &[CHANNEL, TS],
    errors: &["attachment_not_found", "cant_update_message", "is_archived", "no_text"],
    examples: &[|| json!({ "channel": "C0ENGINES", "ts": "1700000000.000100", "attachment": 1 })],
};

args! {
    struct DeleteAttachment {
        /// The message's conversation.
        channel: ConversationId,
        /// The message's `ts`.
        ts: Ts,
        /// The attachment's `id`.
        attachment: u64 [malformed "attachment_not_found"],
    }
}

async fn delete_attachment(call: &Call<'_>, args: DeleteAttachment) -> Result<Reply, ApiError> {
    let (conversation, ts) = (args.channel, args.ts);
    call.make(RemoveAttachment { conversation, ts, number: args.attachment }).await?;
    Ok(Reply::from(json!({ "channel": conversation, "ts": ts.to_string() })))
}

const GET_PERMALINK: Method = Method {
    name: "chat.getPermalink",
    alias_of: None,
    about: "Gives the url of a message.",
    scope: "",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Special,
    takes: takes!(GetPermalink => get_permalink),
    answers: &[CHANNEL, Key::always("permalink", Shape::Text, "The url.")],
    errors: &[],
    examples: &[|| json!({ "channel": "C0ENGINES", "message_ts": "1700000000.000100" })],
};

args! {
    struct GetPermalink {
        /// The message's conversation.
        channel: ConversationId,
        /// The message's `ts`.
        message_ts: Ts,
    }
}

async fn get_permalink(call: &Call<'_>, args: GetPermalink) -> Result<Reply, ApiError> {
    let (conversation, ts) = (args.channel, args.message_ts);
    let found = read::message(call.gateway, call.caller()?, conversation, ts).await?;
    let fact = found.ok_or(ApiError::refused("message_not_found"))?;
    let link = link_to(&call.gateway.config().public_url, conversation, ts, fact.message.thread_ts);
    Ok(Reply::from(json!({ "channel": conversation, "permalink": link })))
}

/// Returns the url of a message.
pub(super) fn link_to(public_url: &str, conversation: ConversationId, ts: Ts, root: Option<Ts>) -> String {
    let mut link = format!("{public_url}/archives/{conversation}/p{}", ts.to_string().replace('.', ""));
    if let Some(root) = root.filter(|root| *root != ts) {
        link.push_str(&format!("?thread_ts={root}&cid={conversation}"));
    }
    link
}

async fn posted(call: &Call<'_>, channel: &str, mut post: Post) -> Result<Reply, ApiError> {
    post.conversation = Some(target(call, channel).await?);
    let posted = call.make(post).await?;
    let (team, conversation, message) = (call.caller()?.team.read(), posted.conversation, &posted.message);
    let message = AsPosted {
        message: Rendered { team: &team, conversation, message },
        parent_user_id: posted.thread.as_ref().and_then(|thread| thread.root_author),
    };
    Ok(Reply::written(Posted { channel: conversation, ts: AsText(posted.message.ts), message }))
}

/// Returns the conversation that a post goes to. For a person it is the direct message with them, which is opened first.
pub(super) async fn target(call: &Call<'_>, channel: &str) -> Result<ConversationId, ApiError> {
    let person = match named(call, channel)? {
        Target::Conversation(conversation) => return Ok(conversation),
        Target::Person(person) => person,
    };
    let (conversation, _) = direct(Box::pin(call.write_step(1, OpenDirect { users: vec![person] })).await?)?;
    Ok(conversation)
}

enum Target {
    Conversation(ConversationId),
    Person(UserId),
}

fn named(call: &Call<'_>, channel: &str) -> Result<Target, ApiError> {
    if let Ok(conversation) = channel.parse() {
        return Ok(Target::Conversation(conversation));
    }
    let caller = call.caller()?;
    let team = caller.team.read();
    if let Ok(user) = channel.parse::<UserId>() {
        return match team.person(user) {
            Some(_) => Ok(Target::Person(user)),
            None => Err(ApiError::refused("channel_not_found")),
        };
    }
    if let Some(member) = channel.strip_prefix('@').and_then(|handle| team.person_named(handle)) {
        return Ok(Target::Person(member.person.user));
    }
    let name = channel.strip_prefix('#').unwrap_or(channel);
    match team.channel_named(name) {
        Some(found) if team.may_read(caller.user, found.conversation) => Ok(Target::Conversation(found.conversation)),
        _ => Err(ApiError::refused("channel_not_found")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permalink_names_the_message_and_its_thread() {
        let (here, ts): (ConversationId, Ts) = ("C1".parse().unwrap(), "1444959632.000002".parse().unwrap());
        let plain = "https://x.example/archives/C1/p1444959632000002";
        assert_eq!(link_to("https://x.example", here, ts, None), plain);
        assert_eq!(link_to("https://x.example", here, ts, Some(ts)), plain);
        let root = "1444959000.000001".parse().unwrap();
        let reply = format!("{plain}?thread_ts=1444959000.000001&cid=C1");
        assert_eq!(link_to("https://x.example", here, ts, Some(root)), reply);
    }
}
