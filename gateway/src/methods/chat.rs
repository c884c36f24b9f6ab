//! `chat.*`

use serde::Serialize;
use serde_json::{Map, Value, json};
use teamlog_ingest::commands::{Delete, Edit, OpenDirect, Post};
use teamlog_schemas::{ConversationId, Ts, UserId};

use super::{Call, Method, Reply, conversations::change::direct, rows};
use crate::{
    ApiError, read,
    render::{AsText, Rendered},
};

pub(super) const METHODS: &[Method] = rows! {
    "chat.delete" "chat:write" User Once delete;
    "chat.getPermalink" "" User Repeatable permalink;
    "chat.meMessage" "chat:write" User Once me_message;
    "chat.postMessage" "chat:write" User Once post_message;
    "chat.update" "chat:write" User Once update;
};

/// What is told of a message that was posted.
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
    /// Who wrote the root, of a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_user_id: Option<UserId>,
}

/// What is told of a message that was changed.
#[derive(Serialize)]
struct Changed<'a> {
    channel: ConversationId,
    ts: AsText<Ts>,
    text: &'a str,
    message: Rendered<'a>,
}

/// `chat.postMessage`
async fn post_message(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    let post = Post {
        text: args.text("text")?.unwrap_or_default().into_owned(),
        blocks: part(call, "blocks", "invalid_blocks")?,
        attachments: part(call, "attachments", "invalid_attachments")?,
        thread_ts: args.filled("thread_ts")?.map(|ts| thread_of(&ts)).transpose()?,
        reply_broadcast: args.flag("reply_broadcast")?.unwrap_or(false),
        username: args.filled("username")?.map(|name| name.into_owned()),
        icons: icons(call)?,
        client_msg_id: args.filled("client_msg_id")?.map(|id| id.into_owned()),
        ..Post::default()
    };
    posted(call, post).await
}

/// `chat.meMessage`
async fn me_message(call: &Call<'_>) -> Result<Reply, ApiError> {
    let text = call.args.text("text")?.unwrap_or_default().into_owned();
    posted(call, Post { text, subtype: Some("me_message".into()), ..Post::default() }).await
}

/// `chat.update`
async fn update(call: &Call<'_>) -> Result<Reply, ApiError> {
    let args = call.args;
    let conversation = args.conversation("channel")?;
    let ts = message_of(call, "ts")?;
    let text = args.text("text")?.map(|text| text.into_owned());
    let blocks = part(call, "blocks", "invalid_blocks")?;
    let attachments = part(call, "attachments", "invalid_attachments")?;
    if text.is_none() && blocks.is_none() && attachments.is_none() {
        return Err(ApiError::refused("no_text"));
    }
    let edit = Edit { conversation, ts, text, blocks, attachments, expected_edited_ts: None };
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

/// `chat.delete`
async fn delete(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let ts = message_of(call, "ts")?;
    call.make(Delete { conversation, ts }).await?;
    Ok(Reply::from(json!({ "channel": conversation, "ts": ts.to_string() })))
}

/// `chat.getPermalink`
async fn permalink(call: &Call<'_>) -> Result<Reply, ApiError> {
    let conversation = call.args.conversation("channel")?;
    let ts = message_of(call, "message_ts")?;
    let found = read::message(call.gateway, call.caller()?, conversation, ts).await?;
    let fact = found.ok_or(ApiError::refused("message_not_found"))?;
    let link = link_to(&call.gateway.config().public_url, conversation, ts, fact.message.thread_ts);
    Ok(Reply::from(json!({ "channel": conversation, "permalink": link })))
}

/// Where a message can be pointed at.
pub(super) fn link_to(public_url: &str, conversation: ConversationId, ts: Ts, root: Option<Ts>) -> String {
    let mut link = format!("{public_url}/archives/{conversation}/p{}", ts.to_string().replace('.', ""));
    if let Some(root) = root.filter(|root| *root != ts) {
        link.push_str(&format!("?thread_ts={root}&cid={conversation}"));
    }
    link
}

/// A message's name in an argument.
fn message_of(call: &Call<'_>, name: &str) -> Result<Ts, ApiError> {
    call.args.ts(name, "message_not_found", "message_not_found")
}

fn thread_of(ts: &str) -> Result<Ts, ApiError> {
    ts.parse().map_err(|_| ApiError::refused("thread_not_found"))
}

/// Blocks or attachments as the text that a command wants. That they are a good list is decided with the post.
fn part(call: &Call<'_>, name: &str, code: &'static str) -> Result<Option<String>, ApiError> {
    Ok(call.args.json(name, code)?.map(|value| value.to_string()))
}

fn icons(call: &Call<'_>) -> Result<Option<String>, ApiError> {
    let mut icons = Map::new();
    if let Some(emoji) = call.args.filled("icon_emoji")? {
        icons.insert("emoji".to_owned(), json!(format!(":{}:", emoji.trim_matches(':'))));
    }
    if let Some(url) = call.args.filled("icon_url")? {
        icons.insert("image_64".to_owned(), json!(url));
    }
    Ok((!icons.is_empty()).then(|| Value::Object(icons).to_string()))
}

async fn posted(call: &Call<'_>, mut post: Post) -> Result<Reply, ApiError> {
    post.conversation = Some(target(call).await?);
    let posted = call.make(post).await?;
    let (team, conversation, message) = (call.caller()?.team.read(), posted.conversation, &posted.message);
    let message = AsPosted {
        message: Rendered { team: &team, conversation, message },
        parent_user_id: posted.thread.as_ref().and_then(|thread| thread.root_author),
    };
    Ok(Reply::written(Posted { channel: conversation, ts: AsText(posted.message.ts), message }))
}

/// Where a post goes: `channel` is a conversation's id, a channel's name, or a person, with whom a direct message is
/// opened first.
async fn target(call: &Call<'_>) -> Result<ConversationId, ApiError> {
    let channel = call.args.required("channel", "channel_not_found")?;
    let person = match named(call, &channel)? {
        Target::Conversation(conversation) => return Ok(conversation),
        Target::Person(person) => person,
    };
    let (conversation, _) = direct(call.write_step(1, OpenDirect { users: vec![person] }).await?)?;
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
