//! `team.*`

use serde_json::json;

use super::{Call, Method, Reply, rows};
use crate::{ApiError, render};

pub(super) const METHODS: &[Method] = rows! {
    "team.info" "team:read" User Repeatable team_info;
};

/// `team.info`
async fn team_info(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    if let Some(wanted) = call.args.filled("team")?
        && wanted != caller.team.id().to_string()
    {
        return Err(ApiError::refused("team_not_found"));
    }
    let mut team = render::team(&caller.team.read());
    team["url"] = json!(format!("{}/", call.gateway.config().public_url));
    Ok(Reply::from(json!({ "team": team })))
}
