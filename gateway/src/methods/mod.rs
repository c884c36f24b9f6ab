//! The Web API's methods: a file a group, and the table that names them all.

mod chat;
mod conversations;
mod core;
mod import;
mod legacy;
mod listing;
mod paging;
mod passwords;
mod reactions;
mod search;
mod signup;
mod users;
mod write;

use std::net::IpAddr;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{ApiError, Args, Caller, Gateway};

/// The good answer of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Its keys but for `ok`.
    Object(Map<String, Value>),
    /// The whole body, `"ok":true` included: one line of JSON that was encoded before.
    Encoded(Bytes),
}

impl Reply {
    /// Nothing but `ok`.
    pub fn empty() -> Reply {
        Reply::Object(Map::new())
    }
}

impl From<Map<String, Value>> for Reply {
    fn from(object: Map<String, Value>) -> Reply {
        Reply::Object(object)
    }
}

impl From<Value> for Reply {
    /// # Panics
    /// If it is no object: an answer always is.
    fn from(value: Value) -> Reply {
        match value {
            Value::Object(object) => Reply::Object(object),
            other => panic!("an answer is an object, not {other}"),
        }
    }
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Also without a token.
    Anybody,
    /// With a user's or bot's token.
    User,
    /// With that or with the operators' key.
    UserOrAdmin,
    /// With the operators' key.
    Admin,
}

/// A method's line in the table.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    /// What `x-accepted-oauth-scopes` says; for show.
    pub(crate) scope: &'static str,
    pub(crate) access: Access,
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer {
    /// The address at the other end of the connection.
    pub(crate) address: Option<IpAddr>,
    /// On this machine, and not passed on for somebody else.
    pub(crate) is_local: bool,
}

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) method: &'static str,
    pub(crate) args: &'a Args,
    /// The idempotency key.
    pub(crate) key: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) peer: Peer,
    /// Set where the table asks for a user, but for operators' calls.
    pub(crate) caller: Option<Caller>,
    /// It carried the operators' key.
    pub(crate) admin: bool,
}

impl Call<'_> {
    /// Who calls.
    pub(crate) fn caller(&self) -> Result<&Caller, ApiError> {
        self.caller.as_ref().ok_or(ApiError::refused("not_authed"))
    }
}

macro_rules! methods {
    ($($name:literal $scope:literal $access:ident $handler:path;)*) => {
        static TABLE: &[Method] = &[$(Method { name: $name, scope: $scope, access: Access::$access }),*];

        /// Runs a call of a method of the table. Each future is boxed: together they would be a large one.
        pub(crate) async fn dispatch(call: &Call<'_>) -> Result<Reply, ApiError> {
            match call.method {
                $($name => Box::pin($handler(call)).await,)*
                _ => Err(ApiError::refused("unknown_method")),
            }
        }
    };
}

methods! {
    "api.test" "" Anybody core::api_test;
    "auth.test" "" User core::auth_test;
    "auth.revoke" "" User core::auth_revoke;
    "bots.info" "users:read" User core::bots_info;
    "chat.delete" "chat:write" User chat::delete;
    "chat.getPermalink" "" User chat::permalink;
    "chat.meMessage" "chat:write" User chat::me_message;
    "chat.postMessage" "chat:write" User chat::post_message;
    "chat.update" "chat:write" User chat::update;
    "conversations.archive" "channels:manage" User conversations::archive;
    "conversations.close" "im:write" User conversations::close;
    "conversations.create" "channels:manage" User conversations::create;
    "conversations.history" "channels:history" User listing::history;
    "conversations.info" "channels:read" User listing::info;
    "conversations.invite" "channels:manage" User conversations::invite;
    "conversations.join" "channels:join" User conversations::join;
    "conversations.kick" "channels:manage" User conversations::kick;
    "conversations.leave" "channels:manage" User conversations::leave;
    "conversations.list" "channels:read" User listing::list;
    "conversations.mark" "channels:write" User conversations::mark;
    "conversations.members" "channels:read" User listing::members;
    "conversations.open" "im:write" User conversations::open;
    "conversations.rename" "channels:manage" User conversations::rename;
    "conversations.replies" "channels:history" User listing::replies;
    "conversations.setPurpose" "channels:manage" User conversations::set_purpose;
    "conversations.setTopic" "channels:manage" User conversations::set_topic;
    "conversations.unarchive" "channels:manage" User conversations::unarchive;
    "emoji.list" "emoji:read" User core::emoji_list;
    "reactions.add" "reactions:write" User reactions::add;
    "reactions.get" "reactions:read" User reactions::get;
    "reactions.remove" "reactions:write" User reactions::remove;
    "rtm.connect" "rtm:stream" User core::rtm_connect;
    "rtm.start" "rtm:stream" User core::rtm_start;
    "search.messages" "search:read" User search::messages;
    "search.all" "search:read" User search::all;
    "team.info" "team:read" User core::team_info;
    "users.conversations" "channels:read" User listing::of_user;
    "users.getPresence" "users:read" User users::get_presence;
    "users.info" "users:read" User users::info;
    "users.list" "users:read" User users::list;
    "users.lookupByEmail" "users:read.email" User users::lookup_by_email;
    "users.prefs.get" "" User users::prefs_get;
    "users.profile.get" "users.profile:read" User users::profile_get;
    "users.setActive" "users:write" User users::set_active;
    "users.setPresence" "users:write" User users::set_presence;

    "channels.archive" "channels:write" User conversations::archive;
    "channels.create" "channels:write" User legacy::channel_create;
    "channels.history" "channels:history" User listing::history;
    "channels.info" "channels:read" User legacy::channel_info;
    "channels.invite" "channels:write" User legacy::channel_invite;
    "channels.join" "channels:write" User legacy::channel_join;
    "channels.kick" "channels:write" User conversations::kick;
    "channels.leave" "channels:write" User conversations::leave;
    "channels.list" "channels:read" User legacy::channels;
    "channels.mark" "channels:write" User conversations::mark;
    "channels.rename" "channels:write" User conversations::rename;
    "channels.replies" "channels:history" User listing::replies;
    "channels.setPurpose" "channels:write" User legacy::set_purpose;
    "channels.setTopic" "channels:write" User legacy::set_topic;
    "channels.unarchive" "channels:write" User conversations::unarchive;
    "groups.archive" "groups:write" User conversations::archive;
    "groups.create" "groups:write" User legacy::group_create;
    "groups.history" "groups:history" User listing::history;
    "groups.info" "groups:read" User legacy::group_info;
    "groups.invite" "groups:write" User legacy::group_invite;
    "groups.kick" "groups:write" User conversations::kick;
    "groups.leave" "groups:write" User conversations::leave;
    "groups.list" "groups:read" User legacy::groups;
    "groups.mark" "groups:write" User conversations::mark;
    "groups.rename" "groups:write" User conversations::rename;
    "groups.replies" "groups:history" User listing::replies;
    "groups.setPurpose" "groups:write" User legacy::set_purpose;
    "groups.setTopic" "groups:write" User legacy::set_topic;
    "groups.unarchive" "groups:write" User conversations::unarchive;
    "im.close" "im:write" User conversations::close;
    "im.history" "im:history" User listing::history;
    "im.list" "im:read" User legacy::ims;
    "im.mark" "im:write" User conversations::mark;
    "im.open" "im:write" User conversations::open;
    "im.replies" "im:history" User listing::replies;
    "mpim.close" "mpim:write" User conversations::close;
    "mpim.history" "mpim:history" User listing::history;
    "mpim.list" "mpim:read" User legacy::mpims;
    "mpim.mark" "mpim:write" User conversations::mark;
    "mpim.open" "mpim:write" User legacy::mpim_open;
    "mpim.replies" "mpim:history" User listing::replies;

    "teamlog.auth.signin" "" Anybody signup::signin;
    "teamlog.status" "" User signup::status;
    "teamlog.teams.create" "" Anybody signup::create_team;
    "teamlog.teams.list" "" Admin signup::list_teams;
    "teamlog.users.create" "admin" UserOrAdmin signup::create_user;
    "teamlog.users.list" "admin" Admin signup::list_users;
    "teamlog.import.begin" "admin" Admin import::begin;
    "teamlog.import.items" "admin" Admin import::items;
    "teamlog.users.token" "admin" Admin signup::issue_token;
}

/// A method by name.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    TABLE.iter().find(|method| method.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_the_table_once() {
        for method in TABLE {
            assert_eq!(TABLE.iter().filter(|other| other.name == method.name).count(), 1, "{}", method.name);
            assert_eq!(find(method.name).map(|found| found.access), Some(method.access));
        }
        assert!(find("no.suchMethod").is_none());
    }
}
