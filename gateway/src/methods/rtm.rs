//! `rtm.*`: the websocket half answers them.

use serde_json::json;

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes, teamlog::enter_general};
use crate::{
    ApiError,
    rtm::{self, ConnectArgs, StartArgs},
};

pub(super) const METHODS: &[Method] = &[CONNECT, START];

const URL: Key = Key::always("url", Shape::Text, "Where the websocket is opened, once and within 30 seconds.");
const CURSOR: Key = Key::always("cursor", Shape::Text, "The place from which the socket goes on.");
const SELF: Key = Key::always("self", Shape::Object, "The caller.");
const TEAM: Key = Key::always("team", Shape::Object, "The caller's team.");
/// The errors of a cursor that is not this team's, and of one from which no session can go on.
const CURSOR_ERRORS: &[&str] = &["cursor_invalid", "cursor_expired"];

const CONNECT: Method = Method {
    name: "rtm.connect",
    alias_of: None,
    about: "Gives the url of a websocket.",
    scope: "rtm:stream",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::One,
    takes: takes!(ConnectArgs => connect),
    answers: &[URL, CURSOR, SELF, TEAM],
    errors: CURSOR_ERRORS,
    examples: &[|| json!({})],
};

async fn connect(call: &Call<'_>, args: ConnectArgs) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    enter_general(call, &caller.team, caller.user).await;
    rtm::connect(call.gateway, caller, &args).await
}

const START: Method = Method {
    name: "rtm.start",
    alias_of: None,
    about: "Gives the url of a websocket and the whole state of the team as of the socket's first event.",
    scope: "rtm:stream",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::One,
    takes: takes!(StartArgs => start),
    answers: &[
        URL,
        CURSOR,
        SELF,
        TEAM,
        Key::always("channels", Shape::List, "The public channels."),
        Key::always("groups", Shape::List, "The caller's private channels and groups."),
        Key::always("ims", Shape::List, "The caller's direct messages."),
        Key::always("mpims", Shape::List, "The caller's direct messages of more than two."),
        Key::always("users", Shape::List, "The people; of a large team only those that the caller writes with."),
        Key::always("bots", Shape::List, "The bots, as `users`."),
        Key::always("is_lazy", Shape::Flag, "True if `users`, `bots` and `channels` are not whole."),
        Key::always("subteams", Shape::Object, "User groups: none."),
        Key::always("dnd", Shape::Object, "Do not disturb: never."),
        Key::always("cache_ts", Shape::Integer, "The time of the answer."),
        Key::always("cache_ts_version", Shape::Text, "A constant that old clients look for."),
        Key::always("cache_version", Shape::Text, "A constant that old clients look for."),
        Key::always("latest_event_ts", Shape::Text, "The newest `ts` of the team."),
        Key::always("can_manage_shared_channels", Shape::Flag, "False."),
        Key::always("read_only_channels", Shape::List, "Empty."),
        Key::always("non_threadable_channels", Shape::List, "Empty."),
        Key::always("thread_only_channels", Shape::List, "Empty."),
    ],
    errors: CURSOR_ERRORS,
    examples: &[|| json!({ "no_unreads": true })],
};

async fn start(call: &Call<'_>, args: StartArgs) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    enter_general(call, &caller.team, caller.user).await;
    rtm::start(call.gateway, caller, &args).await
}
