//! Copies share what is equal, rows make the same team again, and keys are remembered for ten minutes.

use std::sync::Arc;

use teamlog_schemas::*;
use teamlog_state::{CONVERSATIONS_A_SEGMENT, Team, WriteKey};

use crate::events::*;

#[test]
fn a_copy_that_runs_ahead_leaves_the_counted_team_alone() {
    let counted = team();
    let was = rows(&counted);
    let mut ahead = counted.clone();
    fold(
        &mut ahead,
        [
            comes("U0DAN".parse().unwrap(), "dan", 10),
            joins(random(), &[bob(), cy()], 11),
            posts(general(), message(bob(), 13)).into(),
            TokenRevoked { meta: meta(ada(), 14), user: ada(), hash: HASH.into() }.into(),
            begins(direct(), ConversationKind::Im, &[ada(), bob()], 15).into(),
        ],
    );
    assert_eq!(rows(&counted), was);
    assert!(counted.person_named("dan").is_none() && counted.direct(&[ada(), bob()]).is_none());
    // The counted team that gets the same events is the same team.
    let mut counted = counted;
    for event in [
        comes("U0DAN".parse().unwrap(), "dan", 10),
        joins(random(), &[bob(), cy()], 11),
        posts(general(), message(bob(), 13)).into(),
        TokenRevoked { meta: meta(ada(), 14), user: ada(), hash: HASH.into() }.into(),
        begins(direct(), ConversationKind::Im, &[ada(), bob()], 15).into(),
    ] {
        counted.apply(&Arc::new(event));
    }
    assert_eq!(rows(&counted), rows(&ahead));
}

#[test]
fn a_post_copies_its_own_segment_only() {
    let mut counted = team();
    for n in 0..2 * CONVERSATIONS_A_SEGMENT {
        let id = format!("C{n:05}").parse().unwrap();
        fold(&mut counted, [begins(id, ConversationKind::PublicChannel, &[ada()], 100 + n as i64).into()]);
    }
    let mut ahead = counted.clone();
    let last: ConversationId = format!("C{:05}", 2 * CONVERSATIONS_A_SEGMENT - 1).parse().unwrap();
    fold(&mut ahead, [posts(last, message(ada(), 9_000)).into()]);
    let shared = |id| std::ptr::eq(counted.conversation(id).unwrap(), ahead.conversation(id).unwrap());
    assert!(shared(general()) && shared("C00300".parse().unwrap()));
    assert!(!shared(last));
    assert!(std::ptr::eq(counted.person(ada()).unwrap(), ahead.person(ada()).unwrap()));
    // A post that opens a direct message for somebody who has it open copies no more than the post itself.
    fold(&mut ahead, [MessagePosted { opens_for: vec![bob()], ..posts(last, message(ada(), 9_001)) }.into()]);
    assert!(std::ptr::eq(counted.conversation(general()).unwrap(), ahead.conversation(general()).unwrap()));
}

#[test]
fn rows_make_the_same_team() {
    let mut team = team();
    let renamed = ConversationRenamed {
        meta: meta(ada(), 20),
        conversation: random(),
        old_name: "random".into(),
        name: "luck".into(),
        ts: ts(20),
    };
    fold(
        &mut team,
        [
            begins(direct(), ConversationKind::Im, &[ada(), bob()], 10).into(),
            posts(general(), message(bob(), 11)).into(),
            BotAdded { meta: meta(ada(), 12), bot: "B0HOOK".parse().unwrap(), name: "hook".into(), extra: None }.into(),
            renamed.into(),
        ],
    );
    let mut again = Team::from_rows(team.to_rows());
    assert_eq!(rows(&again), rows(&team));
    assert_eq!(again.direct(&[bob(), ada()]).unwrap().conversation, direct());
    assert_eq!(again.general().unwrap().conversation, general());
    assert!(again.channel_named("random").is_none() && again.channel_named("luck").is_some());
    assert_eq!(again.person_index(cy()), team.person_index(cy()));
    assert_eq!(again.conversations_of(bob()).count(), team.conversations_of(bob()).count());
    // And go on alike.
    let next = [joins(random(), &[cy()], 30), posts(random(), message(cy(), 31)).into()];
    fold(&mut team, next.clone());
    fold(&mut again, next);
    assert_eq!(rows(&again), rows(&team));
}

fn keyed(key: &str, at: i64) -> Event {
    let mut event = posts(general(), message(bob(), at));
    event.meta.key = Some(key.into());
    event.meta.method = Some("chat.postMessage".into());
    event.into()
}

fn key_of(actor: UserId, method: &str, key: &str) -> WriteKey {
    WriteKey { actor: Some(actor), method: method.into(), key: key.into() }
}

#[test]
fn a_key_is_good_for_its_actor_and_method() {
    let mut team = team();
    fold(&mut team, [keyed("k", 10), posts(general(), message(bob(), 11)).into()]);
    let write = team.recent_write(&key_of(bob(), "chat.postMessage", "k")).unwrap();
    assert_eq!(write.given_ts(), ts(10));
    for other in [
        key_of(ada(), "chat.postMessage", "k"),
        key_of(bob(), "chat.update", "k"),
        key_of(bob(), "chat.postMessage", "l"),
        WriteKey { actor: None, method: "chat.postMessage".into(), key: "k".into() },
    ] {
        assert!(team.recent_write(&other).is_none(), "{other:?}");
    }
}

#[test]
fn a_key_is_remembered_for_ten_minutes_of_the_events_time() {
    const MINUTE: i64 = 60_000_000;
    let mut team = team();
    let key = |key| key_of(bob(), "chat.postMessage", key);
    fold(&mut team, [keyed("first", MINUTE), keyed("second", 2 * MINUTE), keyed("third", 11 * MINUTE)]);
    assert!(team.recent_write(&key("first")).is_some());
    let before = team.clone();
    fold(&mut team, [keyed("fourth", 11 * MINUTE + 1)]);
    assert!(team.recent_write(&key("first")).is_none());
    assert!(["second", "third", "fourth"].iter().all(|k| team.recent_write(&key(k)).is_some()));
    assert!(before.recent_write(&key("first")).is_some(), "a copy keeps its own");
}

#[test]
fn a_flood_of_keys_forgets_the_oldest() {
    let mut team = team();
    for n in 0..=4096 {
        fold(&mut team, [keyed(&format!("k{n}"), 10 + n)]);
    }
    assert!(team.recent_write(&key_of(bob(), "chat.postMessage", "k0")).is_none());
    assert!(team.recent_write(&key_of(bob(), "chat.postMessage", "k1")).is_some());
    assert!(team.recent_write(&key_of(bob(), "chat.postMessage", "k4096")).is_some());
}
