//! `conversations.*`

pub(super) mod change;
pub(super) mod read;

use super::{Method, rows};

pub(super) const METHODS: &[Method] = rows! {
    "conversations.archive" "channels:manage" User Once change::archive;
    "conversations.close" "im:write" User Once change::close;
    "conversations.create" "channels:manage" User Once change::create;
    "conversations.history" "channels:history" User Repeatable read::history;
    "conversations.info" "channels:read" User Repeatable read::info;
    "conversations.invite" "channels:manage" User Once change::invite;
    "conversations.join" "channels:join" User Once change::join;
    "conversations.kick" "channels:manage" User Once change::kick;
    "conversations.leave" "channels:manage" User Once change::leave;
    "conversations.list" "channels:read" User Repeatable read::list;
    "conversations.mark" "channels:write" User Repeatable change::mark;
    "conversations.members" "channels:read" User Repeatable read::members;
    "conversations.open" "im:write" User Once change::open;
    "conversations.rename" "channels:manage" User Once change::rename;
    "conversations.replies" "channels:history" User Repeatable read::replies;
    "conversations.setPurpose" "channels:manage" User Once change::set_purpose;
    "conversations.setTopic" "channels:manage" User Once change::set_topic;
    "conversations.unarchive" "channels:manage" User Once change::unarchive;
};
