//! `Facts::apply`: rows that were read, brought to the end of the log.

use std::sync::Arc;

use teamlog_schemas::*;
use teamlog_state::{Facts, MessageFact, Reactions, WriteKey};

use crate::events::*;

fn fact(message: Message) -> MessageFact {
    MessageFact { message, reactions: vec![], thread: None, tombstone: false }
}

/// Facts about messages of general: those that are there, by themselves, and `absent` ones by their `ts`.
fn facts(there: &[MessageFact], absent: &[i64]) -> Facts {
    let mut facts = Facts::default();
    facts.messages.extend(there.iter().map(|fact| ((general(), fact.message.ts), Some(fact.clone()))));
    facts.messages.extend(absent.iter().map(|at| ((general(), ts(*at)), None)));
    facts
}

fn fold(facts: &mut Facts, events: impl IntoIterator<Item = Event>) {
    events.into_iter().for_each(|event| facts.apply(&Arc::new(event)));
}

fn deletes(before: Message, tombstone: bool, thread: Option<Thread>) -> Event {
    MessageDeleted { meta: meta(ada(), 90), conversation: general(), before, tombstone, thread }.into()
}

fn thread(root: i64, replies: &[(i64, UserId)]) -> Thread {
    Thread {
        root: ts(root),
        root_author: Some(ada()),
        reply_count: replies.len() as i32,
        latest_reply: replies.last().map(|(at, _)| ts(*at)),
        reply_users: replies.iter().map(|(_, user)| *user).collect(),
    }
}

fn reacts(user: UserId, at: i64, name: &str) -> Event {
    let (meta, name) = (meta(user, 80), name.to_owned());
    ReactionAdded { meta, conversation: general(), ts: ts(at), name, item_author: Some(ada()) }.into()
}

fn unreacts(user: UserId, at: i64, name: &str) -> Event {
    let (meta, name) = (meta(user, 81), name.to_owned());
    ReactionRemoved { meta, conversation: general(), ts: ts(at), name, item_author: Some(ada()) }.into()
}

#[test]
fn a_message_is_edited_and_keeps_what_hangs_on_it() {
    let before = fact(message(ada(), 10));
    let mut facts = facts(std::slice::from_ref(&before), &[11]);
    fold(&mut facts, [reacts(bob(), 10, "tada")]);
    let after = Message { text: "new".into(), edited: Some(Edited { user: ada(), ts: ts(20) }), ..message(ada(), 10) };
    let edit = |conversation, before: &Message, after: &Message| {
        let (before, after) = (before.clone(), after.clone());
        Event::from(MessageEdited { meta: meta(ada(), 20), conversation, before, after })
    };
    // The same ts elsewhere is another message.
    fold(&mut facts, [edit(random(), &before.message, &after)]);
    assert_eq!(facts.message(general(), ts(10)).unwrap().message, before.message);
    fold(&mut facts, [edit(general(), &before.message, &after)]);
    let now = facts.message(general(), ts(10)).unwrap();
    assert_eq!((&now.message, now.reactions.len()), (&after, 1));
    // A message that is not there is not made by an edit.
    fold(&mut facts, [edit(general(), &message(ada(), 11), &message(ada(), 11))]);
    assert!(facts.message(general(), ts(11)).is_none());
}

#[test]
fn a_message_that_was_asked_for_appears() {
    let mut facts = facts(&[], &[10, 20, 30]);
    let imported = MessageImported {
        reactions: vec![Reaction { name: "tada".into(), users: vec![bob()] }],
        ..imports(general(), message(bob(), 20))
    };
    fold(&mut facts, [posts(general(), message(ada(), 10)).into(), imported.into(), leaves(general(), cy(), 30)]);
    assert_eq!(facts.message(general(), ts(10)), Some(&fact(message(ada(), 10))));
    assert_eq!(facts.message(general(), ts(20)).unwrap().reactions[0].users, [bob()]);
    let left = &facts.message(general(), ts(30)).unwrap().message;
    assert_eq!((left.subtype.as_deref(), left.user), (Some("channel_leave"), Some(cy())));
    // Nobody asked for this one.
    fold(&mut facts, [posts(general(), message(ada(), 40)).into()]);
    assert!(facts.message(general(), ts(40)).is_none());
}

#[test]
fn a_deleted_message_is_gone() {
    let mut facts = facts(&[fact(message(ada(), 10)), fact(message(bob(), 11))], &[]);
    fold(&mut facts, [deletes(message(ada(), 10), false, None)]);
    assert!(facts.message(general(), ts(10)).is_none());
    assert!(facts.message(general(), ts(11)).is_some());
    fold(&mut facts, [reacts(bob(), 10, "tada")]);
    assert!(facts.message(general(), ts(10)).is_none());
}

#[test]
fn reactions_come_and_go() {
    let mut facts = facts(&[fact(message(ada(), 10))], &[]);
    let of = |facts: &Facts| {
        let reactions = &facts.message(general(), ts(10)).unwrap().reactions;
        reactions.iter().map(|one| (one.name.clone(), one.users.clone())).collect::<Vec<_>>()
    };
    fold(&mut facts, [reacts(bob(), 10, "tada"), reacts(cy(), 10, "tada"), reacts(cy(), 10, "eyes")]);
    assert_eq!(of(&facts), [("tada".into(), vec![bob(), cy()]), ("eyes".into(), vec![cy()])]);
    fold(&mut facts, [reacts(bob(), 10, "tada"), unreacts(ada(), 10, "tada"), unreacts(ada(), 10, "none")]);
    assert_eq!(of(&facts), [("tada".into(), vec![bob(), cy()]), ("eyes".into(), vec![cy()])]);
    fold(&mut facts, [unreacts(bob(), 10, "tada"), unreacts(cy(), 10, "eyes"), reacts(cy(), 11, "eyes")]);
    assert_eq!(of(&facts), [("tada".into(), vec![cy()])]);
}

#[test]
fn adding_and_taking_say_whether_they_did() {
    let mut reactions = Vec::new();
    assert!(reactions.add_reaction("tada", bob()));
    assert!(!reactions.add_reaction("tada", bob()));
    assert!(!reactions.remove_reaction("tada", ada()));
    assert!(!reactions.remove_reaction("eyes", bob()));
    assert!(reactions.remove_reaction("tada", bob()));
    assert!(reactions.is_empty());
}

#[test]
fn a_roots_thread_follows_its_replies() {
    let mut facts = facts(&[fact(message(ada(), 10))], &[]);
    facts.replies.insert((general(), ts(10)), vec![]);
    let replied = |at, user, thread| MessagePosted { thread: Some(thread), ..posts(general(), reply(user, at, 10)) };
    let (one, two) = (thread(10, &[(11, bob())]), thread(10, &[(11, bob()), (12, cy())]));
    fold(&mut facts, [replied(11, bob(), one.clone()).into(), replied(12, cy(), two.clone()).into()]);
    assert_eq!(facts.message(general(), ts(10)).unwrap().thread, Some(two));
    assert_eq!(facts.replies[&(general(), ts(10))], [(ts(11), Some(bob())), (ts(12), Some(cy()))]);
    // A reply in another thread is another thread's.
    fold(&mut facts, [posts(general(), reply(bob(), 13, 9)).into()]);
    assert_eq!(facts.replies[&(general(), ts(10))].len(), 2);
    fold(&mut facts, [deletes(reply(cy(), 12, 10), false, Some(one.clone()))]);
    assert_eq!(facts.message(general(), ts(10)).unwrap().thread, Some(one));
    assert_eq!(facts.replies[&(general(), ts(10))], [(ts(11), Some(bob()))]);
    fold(&mut facts, [deletes(reply(bob(), 11, 10), false, None)]);
    assert_eq!(facts.message(general(), ts(10)).unwrap().thread, None);
    assert!(facts.replies[&(general(), ts(10))].is_empty());
}

#[test]
fn replies_stand_oldest_first_whenever_they_came() {
    let mut facts = facts(&[], &[]);
    facts.replies.insert((general(), ts(1)), vec![(ts(3), Some(bob()))]);
    fold(&mut facts, [imports(general(), reply(cy(), 4, 1)).into(), imports(general(), reply(ada(), 2, 1)).into()]);
    let order: Vec<_> = facts.replies[&(general(), ts(1))].iter().map(|(at, _)| *at).collect();
    assert_eq!(order, [ts(2), ts(3), ts(4)]);
}

/// A root says its own `ts` as `thread_ts` if an import brought it so.
#[test]
fn a_deleted_root_leaves_its_thread_standing() {
    for root in [message(ada(), 10), reply(ada(), 10, 10)] {
        let replies = thread(10, &[(11, bob())]);
        let mut facts = facts(&[MessageFact { thread: Some(replies.clone()), ..fact(root.clone()) }], &[]);
        facts.replies.insert((general(), ts(10)), vec![(ts(11), Some(bob()))]);
        fold(&mut facts, [deletes(root, true, None)]);
        let left = facts.message(general(), ts(10)).unwrap();
        assert!(left.tombstone);
        assert_eq!(left.thread, Some(replies));
        assert_eq!(facts.replies[&(general(), ts(10))], [(ts(11), Some(bob()))]);
    }
}

#[test]
fn a_key_finds_its_first_write() {
    let keyed = |actor, at, key: &str| {
        let mut event = posts(general(), message(actor, at));
        event.meta.key = Some(key.into());
        event.meta.method = Some("chat.postMessage".into());
        Event::from(event)
    };
    let key = WriteKey { actor: Some(ada()), method: "chat.postMessage".into(), key: "k".into() };
    let mut facts = Facts { key: Some(key), ..Facts::default() };
    fold(&mut facts, [keyed(bob(), 10, "k"), keyed(ada(), 11, "l"), posts(general(), message(ada(), 12)).into()]);
    assert!(facts.write.is_none());
    fold(&mut facts, [keyed(ada(), 13, "k"), keyed(ada(), 14, "k")]);
    assert_eq!(facts.write.unwrap().given_ts(), ts(13));
    let mut nothing_wanted = Facts::default();
    fold(&mut nothing_wanted, [keyed(ada(), 13, "k"), posts(general(), message(ada(), 14)).into()]);
    assert!(nothing_wanted.write.is_none() && nothing_wanted.messages.is_empty());
}
