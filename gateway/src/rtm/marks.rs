//! Read marks: the sessions of their owner are told when one moves.

use serde_json::{Value, json};
use teamlog_schemas::{ConversationId, ConversationKind, TeamId, Ts, UserId};
use teamlog_state::Team;

use super::state::now_ms;
use crate::{Gateway, frames::encode};

/// A read mark that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The conversation.
    pub(crate) conversation: ConversationId,
    /// The newest message that was read.
    pub(crate) ts: Ts,
    /// Messages above it.
    pub(crate) unread: u64,
    /// Mentions above it.
    pub(crate) mentions: u64,
}

/// Sends a moved read mark to the sessions of its owner. The frame has no cursor and may be lost.
pub(crate) fn marked(gateway: &Gateway, team: TeamId, user: UserId, mark: Mark) {
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let Ok(live) = gateway.ingest().team(team).await else { return };
        let frame = marked_frame(&live.read(), &mark);
        if let Some(frame) = frame {
            gateway.rtm().hub.tell(team, user, &encode(&frame));
        }
    });
}

fn marked_frame(team: &Team, mark: &Mark) -> Option<Value> {
    let kind = team.conversation(mark.conversation)?.kind;
    let name = match kind {
        ConversationKind::PublicChannel => "channel_marked",
        ConversationKind::PrivateChannel => "group_marked",
        ConversationKind::Mpim => "mpim_marked",
        ConversationKind::Im => "im_marked",
    };
    let mut frame = json!({
        "type": name, "channel": mark.conversation, "ts": mark.ts.to_string(),
        "unread_count": mark.unread, "unread_count_display": mark.unread,
        "num_mentions": mark.mentions, "num_mentions_display": mark.mentions,
        "mention_count": mark.mentions, "mention_count_display": mark.mentions,
        "event_ts": Ts::from_micros(now_ms() * 1000).to_string(),
    });
    if kind == ConversationKind::Im {
        frame["dm_count"] = json!(mark.unread);
    }
    Some(frame)
}
