//! `teamlog.status`

use serde_json::json;
use teamlog_log::TopicPartition;

use super::super::{Call, Method, Reply, rows};
use crate::ApiError;

pub(in super::super) const METHODS: &[Method] = rows! {
    "teamlog.status" "" User Repeatable status;
};

/// `teamlog.status`
async fn status(call: &Call<'_>) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let partition = caller.team.partition();
    let counted = call.gateway.ingest().teams().position(partition);
    let read = call.gateway.feed().position(TopicPartition::events(partition));
    let sessions = call.gateway.realtime().sessions(caller.team.id());
    let report = call.gateway.health().report().await;
    let team = caller.team.read();
    Ok(Reply::from(json!({
        "team_id": team.id(),
        "domain": team.domain(),
        "shard": team.shard(),
        "partition": partition,
        "counted": { "offset": counted.offset, "epoch": counted.epoch, "log_id": counted.log_id },
        "read": { "offset": read.offset, "epoch": read.epoch },
        "lag": read.offset.0.saturating_sub(counted.offset.0),
        "sessions": sessions,
        "people": team.people_len(),
        "conversations": team.conversations_len(),
        "ready": report.ready,
        "parts": report.parts,
    })))
}
