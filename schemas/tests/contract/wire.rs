//! The wire format, ids and `ts`, by laws.

use proptest::{collection::vec, option, prelude::*};
use teamlog_schemas::*;
use uuid::Uuid;

use crate::avro::Sampler;

fn user() -> impl Strategy<Value = UserId> {
    "[UW][0-9A-Z]{1,11}".prop_map(|id| id.parse().unwrap())
}

fn ts() -> impl Strategy<Value = Ts> {
    prop_oneof![(0..=Ts::MAX.micros()).prop_map(Ts::from_micros), Just(Ts::ZERO), Just(Ts::MAX)]
}

fn text() -> impl Strategy<Value = Text> {
    any::<String>().prop_map(Text::from)
}

prop_compose! {
    fn meta()(event_id in any::<u128>(), team in "[TE][0-9A-Z]{1,11}", actor in option::of(user()), at in ts(),
              key in option::of(any::<String>()), method in option::of("[a-z.]{1,20}")) -> Meta {
        Meta { event_id: Uuid::from_u128(event_id), team: team.parse().unwrap(), actor, at, key, method }
    }
}

prop_compose! {
    fn message()(
        (ts, user, thread_ts, reply_broadcast) in (ts(), option::of(user()), option::of(ts()), any::<bool>()),
        bot in option::of("B[0-9A-Z]{1,11}"),
        (text, blocks, attachments) in (text(), option::of(text()), option::of(text())),
        (username, icons, extra) in (option::of(text()), option::of(text()), option::of(text())),
        (subtype, client_msg_id) in (option::of("[a-z_]{1,20}"), option::of(any::<String>())),
        edited in option::of((user(), ts()).prop_map(|(user, ts)| Edited { user, ts })),
    ) -> Message {
        let bot = bot.map(|bot| bot.parse().unwrap());
        Message {
            ts, user, bot, subtype, text, blocks, attachments, thread_ts, reply_broadcast, edited, username, icons,
            client_msg_id, extra,
        }
    }
}

prop_compose! {
    fn thread()(root in ts(), root_author in option::of(user()), reply_count in any::<i32>(),
                latest_reply in option::of(ts()), reply_users in vec(user(), 0..5)) -> Thread {
        Thread { root, root_author, reply_count, latest_reply, reply_users }
    }
}

prop_compose! {
    fn posted()(meta in meta(), conversation in "[CGD][0-9A-Z]{1,11}", message in message(),
                thread in option::of(thread()), mentions in vec(user(), 0..4), opens_for in vec(user(), 0..4),
                broadcast in option::of(prop_oneof![
                    Just(Broadcast::Here), Just(Broadcast::Channel), Just(Broadcast::Everyone)])) -> MessagePosted {
        let conversation = conversation.parse().unwrap();
        MessagePosted { meta, conversation, message, thread, mentions, broadcast, opens_for, unfurl: None, schedule: None }
    }
}

proptest! {
    #[test]
    fn a_post_survives_the_wire(posted in posted()) {
        let event = Event::from(posted);
        let bytes = event.encode().unwrap();
        prop_assert_eq!(&bytes[..5], &[0, 0, 0, 0, 80]);
        prop_assert_eq!(Event::decode(&bytes).unwrap(), event);
    }

    #[test]
    fn an_id_is_its_number(text in "[UW][0-9A-Z]{1,11}", other in "[UW][0-9A-Z]{1,11}") {
        let id: UserId = text.parse().unwrap();
        prop_assert_eq!(id.to_string(), text.as_str());
        prop_assert!(id.packed() <= i64::MAX as u64);
        prop_assert_eq!(UserId::from_packed(id.packed()), Ok(id));
        let other_id: UserId = other.parse().unwrap();
        prop_assert_eq!(id == other_id, text == other);
    }

    #[test]
    fn a_number_of_no_id_is_refused(packed in any::<u64>()) {
        if let Ok(id) = ConversationId::from_packed(packed) {
            prop_assert_eq!(id.packed(), packed);
            prop_assert!(id.to_string().starts_with(['C', 'G', 'D']));
        }
    }

    #[test]
    fn a_new_id_is_of_its_kind(random in any::<u64>()) {
        let id = ConversationId::random('D', random).to_string();
        prop_assert!(id.starts_with("D0") && id.len() == 11, "{}", id);
    }

    #[test]
    fn a_ts_is_its_text_and_sorts_like_it(a in ts(), b in ts()) {
        prop_assert_eq!(a.to_string().parse(), Ok(a));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        prop_assert!(a.next() > a || a == Ts::MAX);
    }

    #[test]
    fn any_number_makes_a_ts_of_seventeen_characters(micros in any::<i64>()) {
        prop_assert_eq!(Ts::from_micros(micros).to_string().len(), 17);
    }

    /// A record that was damaged or written by somebody else is an error or another event, never a panic.
    #[test]
    fn damage_is_an_error(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let all: Vec<_> = schemas().collect();
        let mut bytes = Sampler::bytes(all[which.index(all.len())]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Event::decode(&bytes);
        prop_assert!(Event::decode(&bytes[..at]).is_err());
    }
}

#[test]
fn what_is_not_the_wire_format_is_refused() {
    for bytes in [&[][..], &[0], &[0, 0, 0, 0], &[1, 0, 0, 0, 80, 1]] {
        assert_eq!(Event::decode(bytes), Err(CodecError::NotFramed));
    }
    assert_eq!(Event::decode(&[0, 0, 1, 0, 0, 1]), Err(CodecError::UnknownSchema { schema_id: 65_536 }));
    // log/'s own records are no events.
    assert_eq!(Event::decode(&[0, 0, 0, 0, 1, 2, 65, 0]), Err(CodecError::UnknownSchema { schema_id: 1 }));
}

#[test]
fn bytes_behind_an_event_are_refused() {
    let version = schemas().find(|version| version.name == "TopicSet").unwrap();
    let mut bytes = Sampler::bytes(version);
    assert!(Event::decode(&bytes).is_ok());
    bytes.push(0);
    assert!(matches!(Event::decode(&bytes), Err(CodecError::Malformed { name: "TopicSet", .. })));
}

#[test]
fn an_event_has_a_limit() {
    let mut event = Event::decode(&Sampler::bytes(schemas().find(|v| v.name == "MessagePosted").unwrap())).unwrap();
    let Event::MessagePosted(posted) = &mut event else { panic!("a post") };
    posted.message.text = "".into();
    let rest = event.encode().unwrap().len();
    // An Avro string's length takes three bytes here instead of one.
    let fits = EVENT_BYTES_MAX - rest - 2;
    let with = |len: usize| {
        let mut event = event.clone();
        let Event::MessagePosted(posted) = &mut event else { panic!("a post") };
        posted.message.text = "x".repeat(len).into();
        event.encode()
    };
    assert_eq!(with(fits).unwrap().len(), EVENT_BYTES_MAX);
    // The first version is too small for one more character, and so is the newest, whose size is told: it has a byte more for
    // each of the two fields that came with it.
    assert_eq!(with(fits + 1), Err(CodecError::TooLarge { bytes: EVENT_BYTES_MAX + 3 }));
}
