//! A frame, encoded once and shared by all sessions that receive it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use teamlog_cluster::Secrets;
use teamlog_log::Position;
use teamlog_schemas::{Event, TeamId, Ts, UserId};
use teamlog_state::Team;

use super::{
    cursor::{Cursor, Place},
    draw::{Audience, frames},
};

/// A message as the socket that it was sent over knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posted {
    /// The sender.
    pub(crate) user: UserId,
    /// The name that its sender gave it.
    pub(crate) client_msg_id: String,
    /// Its name.
    pub(crate) ts: Ts,
}

/// A frame of an event.
#[derive(Debug)]
pub(crate) struct Frame {
    team: TeamId,
    json: Bytes,
    with_cursor: OnceLock<Bytes>,
    /// Where a session stands once it has it.
    pub(crate) place: Place,
    /// Set on the frame of a message that its sender named.
    pub(crate) posted: Option<Posted>,
}

/// All frames of an event, with those whom they are for.
pub(crate) type Addressed = Vec<(Audience, Arc<Frame>)>;

impl Frame {
    /// The frames of an event that lies between two positions.
    pub(crate) fn all(event: &Event, team: &Team, before: Position, after: Position) -> Addressed {
        let frames = frames(event, team);
        let last = frames.len().saturating_sub(1);
        let posted = posted(event);
        let frames = frames.into_iter().zip(0u32..).map(|(drawn, at)| {
            let place = if at as usize == last { Place::at(after) } else { Place { position: before, skip: at + 1 } };
            let posted = if drawn.is_message { posted.clone() } else { None };
            let with_cursor = OnceLock::new();
            (drawn.audience, Arc::new(Frame { team: team.id(), json: drawn.json, with_cursor, place, posted }))
        });
        frames.collect()
    }

    /// Returns the frame without a cursor.
    pub(crate) fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// Returns the frame with the cursor of the place after it. It is signed once for all sessions.
    pub(crate) fn with_cursor(&self, secrets: &Secrets) -> Bytes {
        let with = || {
            let cursor = Cursor { team: self.team, place: self.place }.sign(secrets);
            let mut longer = Vec::with_capacity(self.json.len() + cursor.len() + 16);
            longer.extend_from_slice(self.json.strip_suffix(b"}").unwrap_or(&self.json));
            longer.extend_from_slice(b",\"cursor\":\"");
            longer.extend_from_slice(cursor.as_bytes());
            longer.extend_from_slice(b"\"}");
            longer.into()
        };
        self.with_cursor.get_or_init(with).clone()
    }

    /// A rough number of bytes in memory.
    pub(crate) fn cost(&self) -> usize {
        2 * self.json.len() + 512
    }
}

fn posted(event: &Event) -> Option<Posted> {
    let Event::MessagePosted(event) = event else { return None };
    let client_msg_id = event.message.client_msg_id.clone()?;
    Some(Posted { user: event.meta.actor?, client_msg_id, ts: event.message.ts })
}
