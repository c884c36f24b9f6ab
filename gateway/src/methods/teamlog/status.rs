//! `teamlog.status`

use serde_json::json;
use teamlog_log::TopicPartition;

use super::super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, takes};
use crate::{ApiError, args::NoArgs};

pub(crate) const METHODS: &[Method] = &[STATUS];

const STATUS: Method = Method {
    name: "teamlog.status",
    alias_of: None,
    about: "Tells how this node and the caller's team are doing.",
    scope: "",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(NoArgs => status),
    answers: &[
        Key::always("team_id", Shape::Text, "The team."),
        Key::always("domain", Shape::Text, "The team's domain."),
        Key::always("shard", Shape::Text, "The shard of its rows."),
        Key::always("partition", Shape::Integer, "The partition of its events."),
        Key::always("counted", Shape::Object, "The position of the live team."),
        Key::always("read", Shape::Object, "The position up to which this node has read."),
        Key::always("lag", Shape::Integer, "The records between `counted` and `read`."),
        Key::always("sessions", Shape::Integer, "The team's sockets here."),
        Key::always("people", Shape::Integer, "The team's people."),
        Key::always("conversations", Shape::Integer, "The team's conversations."),
        Key::always("ready", Shape::Flag, "Whether this node can serve."),
        Key::always("parts", Shape::Object, "The state of each part, as `/readyz` has it."),
    ],
    errors: &[],
    examples: &[|| json!({})],
};

async fn status(call: &Call<'_>, _: NoArgs) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let partition = caller.team.partition();
    let counted = call.gateway.ingest().teams().position(partition);
    let read = call.gateway.feed().position(TopicPartition::events(partition));
    let sessions = call.gateway.rtm().sessions(caller.team.id());
    let report = call.gateway.health().report().await;
    let team = caller.team.read();
    Ok(Reply::from(json!({
        "team_id": team.id(),
        "domain": team.domain(),
        "shard": team.shard(),
        "partition": partition,
        "counted": {
            "offset": counted.offset, "epoch": counted.epoch, "log_id": counted.log_id, "claim_id": counted.claim_id,
        },
        "read": { "offset": read.offset, "epoch": read.epoch },
        "lag": read.offset.0.saturating_sub(counted.offset.0),
        "sessions": sessions,
        "people": team.people_len(),
        "conversations": team.conversations_len(),
        "ready": report.ready,
        "parts": report.parts,
    })))
}
