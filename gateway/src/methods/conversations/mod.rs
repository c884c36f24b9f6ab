//! `conversations.*`

pub(super) mod change;
pub(super) mod history;
pub(super) mod members;
pub(super) mod read;
mod shared;

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, paging, takes};
use shared::{CHANNEL, Channel, channel_object, channel_reply};

pub(super) const METHODS: &[Method] = &[
    change::ARCHIVE,
    change::CREATE,
    change::RENAME,
    change::SET_PURPOSE,
    change::SET_TOPIC,
    change::UNARCHIVE,
    history::HISTORY,
    history::REPLIES,
    members::CLOSE,
    members::INVITE,
    members::JOIN,
    members::KICK,
    members::LEAVE,
    members::OPEN,
    read::INFO,
    read::LIST,
    read::MARK,
    read::MEMBERS,
];
