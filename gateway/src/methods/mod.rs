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
use serde::Serialize;
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

/// A good answer that is written straight from what it is made of.
#[derive(Serialize)]
struct Good<T> {
    ok: bool,
    #[serde(flatten)]
    answer: T,
}

impl Reply {
    /// The keys of `answer` behind `ok`.
    pub(crate) fn written(answer: impl Serialize) -> Reply {
        // Objects with strings as keys: they cannot fail.
        let body = serde_json::to_vec(&Good { ok: true, answer }).expect("an answer is plain JSON");
        Reply::Encoded(body.into())
    }

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

/// What a call may leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing in the log, or a mark, which is kept in memory first: it may be called again.
    Reads,
    /// Events: one that ends without an answer may have made some.
    Writes,
}

/// A method's line in the table.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    /// What `x-accepted-oauth-scopes` says; for show.
    pub(crate) scope: &'static str,
    pub(crate) access: Access,
    pub(crate) effect: Effect,
}

impl Method {
    pub(crate) fn writes(&self) -> bool {
        self.effect == Effect::Writes
    }
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
    /// It was passed on, and lost on its way: it may yet be carried out elsewhere.
    pub(crate) after_a_loss: bool,
}

impl Call<'_> {
    /// Who calls.
    pub(crate) fn caller(&self) -> Result<&Caller, ApiError> {
        self.caller.as_ref().ok_or(ApiError::refused("not_authed"))
    }
}

macro_rules! methods {
    ($($name:literal $scope:literal $access:ident $effect:ident $handler:path;)*) => {
        static TABLE: &[Method] = &[$(
            Method { name: $name, scope: $scope, access: Access::$access, effect: methods!(@ $effect) }
        ),*];

        /// Runs a call of a method of the table. Each future is boxed: together they would be a large one.
        pub(crate) async fn dispatch(call: &Call<'_>) -> Result<Reply, ApiError> {
            match call.method {
                $($name => Box::pin($handler(call)).await,)*
                _ => Err(ApiError::refused("unknown_method")),
            }
        }
    };
    (@ reads) => { Effect::Reads };
    (@ writes) => { Effect::Writes };
}

methods! {
    "api.test" "" Anybody reads core::api_test;
    "auth.test" "" User reads core::auth_test;
    "auth.revoke" "" User writes core::auth_revoke;
    "bots.info" "users:read" User reads core::bots_info;
    "chat.delete" "chat:write" User writes chat::delete;
    "chat.getPermalink" "" User reads chat::permalink;
    "chat.meMessage" "chat:write" User writes chat::me_message;
    "chat.postMessage" "chat:write" User writes chat::post_message;
    "chat.update" "chat:write" User writes chat::update;
    "conversations.archive" "channels:manage" User writes conversations::archive;
    "conversations.close" "im:write" User writes conversations::close;
    "conversations.create" "channels:manage" User writes conversations::create;
    "conversations.history" "channels:history" User reads listing::history;
    "conversations.info" "channels:read" User reads listing::info;
    "conversations.invite" "channels:manage" User writes conversations::invite;
    "conversations.join" "channels:join" User writes conversations::join;
    "conversations.kick" "channels:manage" User writes conversations::kick;
    "conversations.leave" "channels:manage" User writes conversations::leave;
    "conversations.list" "channels:read" User reads listing::list;
    "conversations.mark" "channels:write" User reads conversations::mark;
    "conversations.members" "channels:read" User reads listing::members;
    "conversations.open" "im:write" User writes conversations::open;
    "conversations.rename" "channels:manage" User writes conversations::rename;
    "conversations.replies" "channels:history" User reads listing::replies;
    "conversations.setPurpose" "channels:manage" User writes conversations::set_purpose;
    "conversations.setTopic" "channels:manage" User writes conversations::set_topic;
    "conversations.unarchive" "channels:manage" User writes conversations::unarchive;
    "emoji.list" "emoji:read" User reads core::emoji_list;
    "reactions.add" "reactions:write" User writes reactions::add;
    "reactions.get" "reactions:read" User reads reactions::get;
    "reactions.remove" "reactions:write" User writes reactions::remove;
    "rtm.connect" "rtm:stream" User reads core::rtm_connect;
    "rtm.start" "rtm:stream" User reads core::rtm_start;
    "search.messages" "search:read" User reads search::messages;
    "search.all" "search:read" User reads search::all;
    "team.info" "team:read" User reads core::team_info;
    "users.conversations" "channels:read" User reads listing::of_user;
    "users.getPresence" "users:read" User reads users::get_presence;
    "users.info" "users:read" User reads users::info;
    "users.list" "users:read" User reads users::list;
    "users.lookupByEmail" "users:read.email" User reads users::lookup_by_email;
    "users.prefs.get" "" User reads users::prefs_get;
    "users.profile.get" "users.profile:read" User reads users::profile_get;
    "users.setActive" "users:write" User reads users::set_active;
    "users.setPresence" "users:write" User reads users::set_presence;

    "channels.archive" "channels:write" User writes conversations::archive;
    "channels.create" "channels:write" User writes legacy::channel_create;
    "channels.history" "channels:history" User reads listing::history;
    "channels.info" "channels:read" User reads legacy::channel_info;
    "channels.invite" "channels:write" User writes legacy::channel_invite;
    "channels.join" "channels:write" User writes legacy::channel_join;
    "channels.kick" "channels:write" User writes conversations::kick;
    "channels.leave" "channels:write" User writes conversations::leave;
    "channels.list" "channels:read" User reads legacy::channels;
    "channels.mark" "channels:write" User reads conversations::mark;
    "channels.rename" "channels:write" User writes conversations::rename;
    "channels.replies" "channels:history" User reads listing::replies;
    "channels.setPurpose" "channels:write" User writes legacy::set_purpose;
    "channels.setTopic" "channels:write" User writes legacy::set_topic;
    "channels.unarchive" "channels:write" User writes conversations::unarchive;
    "groups.archive" "groups:write" User writes conversations::archive;
    "groups.create" "groups:write" User writes legacy::group_create;
    "groups.history" "groups:history" User reads listing::history;
    "groups.info" "groups:read" User reads legacy::group_info;
    "groups.invite" "groups:write" User writes legacy::group_invite;
    "groups.kick" "groups:write" User writes conversations::kick;
    "groups.leave" "groups:write" User writes conversations::leave;
    "groups.list" "groups:read" User reads legacy::groups;
    "groups.mark" "groups:write" User reads conversations::mark;
    "groups.rename" "groups:write" User writes conversations::rename;
    "groups.replies" "groups:history" User reads listing::replies;
    "groups.setPurpose" "groups:write" User writes legacy::set_purpose;
    "groups.setTopic" "groups:write" User writes legacy::set_topic;
    "groups.unarchive" "groups:write" User writes conversations::unarchive;
    "im.close" "im:write" User writes conversations::close;
    "im.history" "im:history" User reads listing::history;
    "im.list" "im:read" User reads legacy::ims;
    "im.mark" "im:write" User reads conversations::mark;
    "im.open" "im:write" User writes conversations::open;
    "im.replies" "im:history" User reads listing::replies;
    "mpim.close" "mpim:write" User writes conversations::close;
    "mpim.history" "mpim:history" User reads listing::history;
    "mpim.list" "mpim:read" User reads legacy::mpims;
    "mpim.mark" "mpim:write" User reads conversations::mark;
    "mpim.open" "mpim:write" User writes legacy::mpim_open;
    "mpim.replies" "mpim:history" User reads listing::replies;

    "teamlog.auth.signin" "" Anybody writes signup::signin;
    "teamlog.status" "" User reads signup::status;
    "teamlog.teams.create" "" Anybody writes signup::create_team;
    "teamlog.teams.list" "" Admin reads signup::list_teams;
    "teamlog.users.create" "admin" UserOrAdmin writes signup::create_user;
    "teamlog.users.list" "admin" Admin reads signup::list_users;
    "teamlog.import.begin" "admin" Admin writes import::begin;
    "teamlog.import.items" "admin" Admin writes import::items;
    "teamlog.users.token" "admin" Admin writes signup::issue_token;
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
