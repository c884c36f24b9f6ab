//! `rtm.*`: the websocket half answers them.

use super::{Call, Method, Reply, rows, teamlog::enter_general};
use crate::ApiError;

pub(super) const METHODS: &[Method] = rows! {
    "rtm.connect" "rtm:stream" User Repeatable rtm_connect;
    "rtm.start" "rtm:stream" User Repeatable rtm_start;
};

/// `rtm.connect`
async fn rtm_connect(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    enter_general(call, &caller.team, caller.user).await;
    call.gateway.realtime().connect(call.gateway, caller, call.args).await
}

/// `rtm.start`
async fn rtm_start(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    enter_general(call, &caller.team, caller.user).await;
    call.gateway.realtime().start(call.gateway, caller, call.args).await
}
