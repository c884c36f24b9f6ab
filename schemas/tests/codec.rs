//! Every event survives the wire.
#![allow(clippy::unwrap_used)]

use teamlog_schemas::*;
use uuid::Uuid;

fn meta() -> Meta {
    Meta {
        event_id: Uuid::from_u128(7),
        team: "T0ACME".parse().unwrap(),
        actor: Some("U0ADA".parse().unwrap()),
        at: Ts::from_micros(1_700_000_000_000_001),
        key: Some("k".into()),
        method: None,
    }
}

#[test]
fn a_post_survives_the_wire() {
    let event = Event::MessagePosted(MessagePosted {
        meta: meta(),
        conversation: "C0GENERAL".parse().unwrap(),
        message: Message {
            ts: Ts::from_micros(5),
            text: "hällo".into(),
            edited: Some(Edited { user: "U0ADA".parse().unwrap(), ts: Ts::ZERO }),
            ..Message::default()
        },
        thread: Some(Thread {
            root: Ts::from_micros(1),
            root_author: None,
            reply_count: 2,
            latest_reply: None,
            reply_users: vec!["U0ADA".parse().unwrap()],
        }),
        mentions: vec![],
        broadcast: Some(Broadcast::Here),
        opens_for: vec!["U0BOB".parse().unwrap()],
    });
    let bytes = event.encode().unwrap();
    assert_eq!(&bytes[..5], &[0, 0, 0, 0, 80]);
    assert_eq!(Event::decode(&bytes).unwrap(), event);
}
