//! Pins: what may be pinned, by whom, and what becomes of a pin.

use teamlog_ingest::{
    Command,
    commands::{Archive, Delete, Edit, Pin, Unpin},
};
use teamlog_schemas::{ConversationId, ConversationKind, Event, MessagePinned, MessageUnpinned, Ts};

use crate::rig::*;

fn pin(conversation: ConversationId, ts: Ts) -> Command {
    Command::from(Pin { conversation, ts })
}

fn unpin(conversation: ConversationId, ts: Ts) -> Command {
    Command::from(Unpin { conversation, ts })
}

#[test]
fn a_message_is_pinned_once_and_by_members() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let said = rig.posts(BOB, general, "read me");
    let Event::MessagePinned(MessagePinned { message, pin_count, .. }) =
        &*rig.does(CYD, Pin { conversation: general, ts: said })
    else {
        unreachable!()
    };
    assert_eq!((message.ts, *pin_count), (said, 1));
    rig.check(BOB, pin(general, said), "already_pinned");
    // Nothing of the conversation's own: the line that says who pinned, and who came.
    let system: Vec<Ts> = rig.names()[&general].iter().copied().filter(|ts| *ts != said).collect();
    for ts in system {
        rig.check(BOB, pin(general, ts), "not_pinnable");
    }
    rig.check(BOB, pin(general, Ts::from_micros(1)), "message_not_found");
    rig.check(BOB, unpin(general, Ts::from_micros(1)), "message_not_found");
    rig.check(NOBODY, pin(general, said), "user_not_found");

    let Event::MessageUnpinned(MessageUnpinned { pinned_by, pin_count, .. }) =
        &*rig.does(BOB, Unpin { conversation: general, ts: said })
    else {
        unreachable!()
    };
    assert_eq!((*pinned_by, *pin_count), (user(CYD), 0));
    rig.check(BOB, unpin(general, said), "no_pin");
    rig.check(BOB, pin(general, said), "MessagePinned");

    let private = rig.creates(BOB, "closed", ConversationKind::PrivateChannel);
    let secret = rig.posts(BOB, private, "secret");
    rig.check(CYD, pin(private, secret), "channel_not_found");
    let open = rig.creates(BOB, "open", ConversationKind::PublicChannel);
    let words = rig.posts(BOB, open, "words");
    rig.check(CYD, pin(open, words), "not_in_channel");
    rig.check(BOB, pin(open, words), "MessagePinned");
    rig.does(BOB, Archive { conversation: open });
    rig.check(BOB, unpin(open, words), "is_archived");
    rig.check(BOB, pin(open, words), "is_archived");
}

#[test]
fn a_reply_can_be_pinned_and_a_deleted_message_loses_its_pin() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let pins = |rig: &Rig| rig.team.conversation(general).unwrap().pins.iter().map(|pin| pin.ts).collect::<Vec<_>>();
    let root = rig.posts(BOB, general, "root");
    let reply = rig.replies(CYD, general, root);
    for ts in [root, reply] {
        rig.check(BOB, pin(general, ts), "MessagePinned");
    }
    let text = Some("better".to_owned());
    let (blocks, attachments, expected_edited_ts) = (None, None, None);
    rig.does(CYD, Edit { conversation: general, ts: reply, text, blocks, attachments, expected_edited_ts });
    assert_eq!(pins(&rig), [root, reply]);
    // The root leaves a tombstone, which is not pinned and cannot be.
    rig.does(BOB, Delete { conversation: general, ts: root });
    assert_eq!(pins(&rig), [reply]);
    rig.check(BOB, pin(general, root), "message_not_found");
    rig.check(BOB, unpin(general, root), "message_not_found");
    rig.does(CYD, Delete { conversation: general, ts: reply });
    assert_eq!(pins(&rig), []);
}

#[test]
fn a_conversation_has_a_hundred_pins_at_most() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let said: Vec<Ts> = (0..101).map(|number| rig.posts(BOB, general, &format!("{number}"))).collect();
    for ts in &said[..100] {
        rig.check(BOB, pin(general, *ts), "MessagePinned");
    }
    rig.check(BOB, pin(general, said[100]), "too_many_pins");
    rig.check(BOB, pin(general, said[0]), "already_pinned");
    rig.check(BOB, unpin(general, said[0]), "MessageUnpinned");
    rig.check(BOB, pin(general, said[100]), "MessagePinned");
}
