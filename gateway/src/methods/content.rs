//! The arguments of a message's content: those of every method that posts, now or later.

use serde_json::{Map, Value, json};
use teamlog_ingest::commands::Post;
use teamlog_schemas::{Ts, UnfurlFlags};

use crate::args::{JsonArray, args};

args! {
    pub(super) struct Content {
        /// The text.
        text: Option<String>,
        /// Blocks, at most 50.
        blocks: Option<JsonArray> [malformed "invalid_blocks"],
        /// Attachments, at most 100.
        attachments: Option<JsonArray> [malformed "invalid_attachments"],
        /// The root, for a reply.
        thread_ts: Option<Ts> [malformed "thread_not_found"],
        /// True to show a reply in the conversation too.
        reply_broadcast: bool,
        /// Whether links to pages of text are shown below the message. Without it they are in a person's message, and not
        /// in a bot's.
        unfurl_links: Option<bool>,
        /// Whether links to images, videos and sounds are shown below the message. Without it they are.
        unfurl_media: Option<bool>,
        /// A bot's name for this message.
        username: Option<String>,
        /// A bot's icon for this message: an emoji's name.
        icon_emoji: Option<String>,
        /// A bot's icon for this message: a picture's url.
        icon_url: Option<String>,
    }
}

impl Content {
    /// Returns the command that posts it, without a conversation.
    pub(super) fn into_post(self) -> Post {
        let flags = UnfurlFlags { links: self.unfurl_links, media: self.unfurl_media };
        Post {
            text: self.text.unwrap_or_default(),
            blocks: self.blocks.map(|JsonArray(text)| text),
            attachments: self.attachments.map(|JsonArray(text)| text),
            thread_ts: self.thread_ts,
            reply_broadcast: self.reply_broadcast,
            icons: icons(self.icon_emoji.as_deref(), self.icon_url.as_deref()),
            username: self.username,
            unfurl: (flags != UnfurlFlags::default()).then_some(flags),
            ..Post::default()
        }
    }
}

fn icons(emoji: Option<&str>, url: Option<&str>) -> Option<String> {
    let mut icons = Map::new();
    if let Some(emoji) = emoji {
        icons.insert("emoji".to_owned(), json!(format!(":{}:", emoji.trim_matches(':'))));
    }
    if let Some(url) = url {
        icons.insert("image_64".to_owned(), json!(url));
    }
    (!icons.is_empty()).then(|| Value::Object(icons).to_string())
}
