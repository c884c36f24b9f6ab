//! The record of a post, byte for byte as the server's writer makes it.

use bytes::Bytes;
use teamlog_log::{NewRecord, Stamp};
use teamlog_schemas::{Event, Message, MessagePosted, Meta, Ts};
use uuid::Uuid;

use crate::BenchError;

pub(super) fn record(text: &str) -> Result<NewRecord, BenchError> {
    let broken = |why: &dyn std::error::Error| BenchError::Usage(format!("no event can be made of this text: {why}"));
    let (team, user) = ("T0BENCH0000".parse(), "U0BENCH0000".parse());
    let (team, user) = (team.map_err(|why| broken(&why))?, user.map_err(|why| broken(&why))?);
    let conversation = "C0BENCH0000".parse().map_err(|why| broken(&why))?;
    let at = Ts::from_micros(1_700_000_000_000_000);
    let event = Event::from(MessagePosted {
        meta: Meta { event_id: Uuid::now_v7(), team, actor: Some(user), at, key: None, method: None },
        conversation,
        message: Message {
            ts: at,
            user: Some(user),
            bot: None,
            subtype: None,
            text: text.into(),
            blocks: None,
            attachments: None,
            thread_ts: None,
            reply_broadcast: false,
            edited: None,
            username: None,
            icons: None,
            client_msg_id: None,
            extra: None,
        },
        thread: None,
        mentions: Vec::new(),
        broadcast: None,
        opens_for: Vec::new(),
        unfurl: None,
        schedule: None,
    });
    Ok(NewRecord {
        key: Some(Bytes::from(team.to_string())),
        value: Some(event.encode().map_err(|why| broken(&why))?),
        stamp: Stamp::Seq { epoch: 1, seq: 0 },
        writer: Some(Bytes::from(Uuid::new_v4().to_string())),
        traceparent: None,
    })
}
