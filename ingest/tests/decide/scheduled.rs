//! Scheduled messages: when they may be due, who may delete them, and that each is posted once.

use teamlog_ingest::{
    Command,
    commands::{Archive, Delete, DeleteScheduled, GiveUpScheduled, Leave, Post, PostScheduled, Schedule},
};
use teamlog_schemas::{ConversationId, ConversationKind, Event, MessagePosted, ScheduleId, Ts};

use crate::rig::*;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600 * SECOND;

fn schedule(rig: &Rig, conversation: ConversationId, after: i64) -> Command {
    let post = Post { conversation: Some(conversation), text: "tea".to_owned(), ..Post::default() };
    Command::from(Schedule { due: Ts::from_micros(rig.clock + after), post })
}

fn scheduled(rig: &mut Rig, actor: &str, conversation: ConversationId, after: i64) -> ScheduleId {
    let command = schedule(rig, conversation, after);
    let Event::MessageScheduled(event) = &*rig.does(actor, command) else { unreachable!() };
    event.schedule
}

fn fire(conversation: ConversationId, schedule: ScheduleId) -> Command {
    Command::from(PostScheduled { schedule, conversation, root: None })
}

fn delete(conversation: ConversationId, schedule: ScheduleId) -> Command {
    Command::from(DeleteScheduled { conversation, schedule })
}

#[test]
fn a_message_is_scheduled_ahead_and_where_it_could_be_posted_now() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    for (after, expected) in [
        (0, "time_in_past"),
        (-DAY, "time_in_past"),
        (2, "MessageScheduled"),
        (120 * DAY, "MessageScheduled"),
        (121 * DAY, "time_too_far"),
    ] {
        let command = schedule(&rig, general, after);
        rig.check(BOB, command, expected);
    }
    let private = rig.creates(BOB, "closed", ConversationKind::PrivateChannel);
    let command = schedule(&rig, private, DAY);
    rig.check(CYD, command, "channel_not_found");
    let post = Post { conversation: Some(general), ..Post::default() };
    let empty = Schedule { due: Ts::from_micros(rig.clock + DAY), post };
    rig.check(BOB, Command::from(empty), "no_text");
    rig.does(BOB, Archive { conversation: private });
    let command = schedule(&rig, private, DAY);
    rig.check(BOB, command, "is_archived");
}

#[test]
fn five_minutes_of_a_conversation_take_thirty() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    // The beginning of five minutes.
    rig.clock -= rig.clock % (300 * SECOND);
    let mut ids = Vec::new();
    for number in 0..30 {
        ids.push(scheduled(&mut rig, BOB, general, 600 * SECOND + number * SECOND));
    }
    let command = schedule(&rig, general, 600 * SECOND + 200 * SECOND);
    rig.check(CYD, command, "restricted_too_many");
    let command = schedule(&rig, general, 900 * SECOND);
    rig.check(CYD, command, "MessageScheduled");
    rig.check(BOB, delete(general, ids[7]), "ScheduledMessageDeleted");
    let command = schedule(&rig, general, 600 * SECOND + 200 * SECOND);
    rig.check(CYD, command, "MessageScheduled");
}

#[test]
fn it_is_posted_once_in_its_authors_name_and_not_before_it_is_due() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let id = scheduled(&mut rig, BOB, general, 90 * SECOND);
    rig.check(BOB, fire(general, id), "NotDue");
    rig.clock += 90 * SECOND;
    rig.check(CYD, fire(general, id), "NotScheduled");
    let Event::MessagePosted(MessagePosted { message, schedule, .. }) = &*rig.does(BOB, fire(general, id)) else {
        unreachable!()
    };
    assert_eq!((message.text.as_str(), message.user, *schedule), ("tea", Some(user(BOB)), Some(id)));
    assert!(message.ts.micros() >= rig.clock, "it has the time at which it was posted");
    rig.check(BOB, fire(general, id), "NotScheduled");
    rig.check(BOB, delete(general, id), "invalid_scheduled_message_id");
}

#[test]
fn its_author_deletes_it_until_the_last_minute() {
    let mut rig = Rig::new();
    let (general, random) = (rig.channel("general"), rig.channel("random"));
    let id = scheduled(&mut rig, BOB, general, 100 * SECOND);
    rig.check(CYD, delete(general, id), "invalid_scheduled_message_id");
    rig.check(BOB, delete(random, id), "invalid_scheduled_message_id");
    rig.check(BOB, delete(general, "Q0NONE".parse().unwrap()), "invalid_scheduled_message_id");
    rig.check(BOB, delete(general, id), "ScheduledMessageDeleted");
    rig.check(BOB, delete(general, id), "invalid_scheduled_message_id");
    rig.clock += 200 * SECOND;
    rig.check(BOB, fire(general, id), "NotScheduled");
    let late = scheduled(&mut rig, BOB, general, 59 * SECOND);
    rig.check(BOB, delete(general, late), "invalid_scheduled_message_id");
}

#[test]
fn one_that_cannot_be_posted_ends_with_the_reason() {
    let mut rig = Rig::new();
    let open = rig.creates(BOB, "open", ConversationKind::PublicChannel);
    let id = scheduled(&mut rig, BOB, open, 90 * SECOND);
    rig.does(BOB, Archive { conversation: open });
    rig.clock += 90 * SECOND;
    rig.check(BOB, fire(open, id), "is_archived");
    let give_up = || Command::from(GiveUpScheduled { conversation: open, schedule: id, why: "is_archived".to_owned() });
    rig.check(BOB, give_up(), "restricted_action");
    let Event::ScheduledMessageDeleted(ended) = &*rig.does(NOBODY, give_up()) else { unreachable!() };
    assert_eq!(ended.failed.as_deref(), Some("is_archived"));
    rig.check(NOBODY, give_up(), "NotScheduled");
    assert_eq!(rig.scheduled(), []);
}

#[test]
fn one_whose_author_left_is_refused_when_it_is_due() {
    let mut rig = Rig::new();
    let open = rig.creates(BOB, "open", ConversationKind::PublicChannel);
    let id = scheduled(&mut rig, BOB, open, 90 * SECOND);
    rig.does(BOB, Leave { conversation: open });
    rig.clock += 90 * SECOND;
    rig.check(BOB, fire(open, id), "not_in_channel");
}

#[test]
fn a_reply_is_refused_when_its_root_was_deleted_meanwhile_and_never_posted_outside_its_thread() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let kept = rig.posts(BOB, general, "a question");
    let gone = rig.posts(BOB, general, "another one");
    let mut ids = Vec::new();
    for root in [kept, gone] {
        let post = Post {
            conversation: Some(general),
            text: "an answer".to_owned(),
            thread_ts: Some(root),
            ..Post::default()
        };
        let command = Schedule { due: Ts::from_micros(rig.clock + 90 * SECOND), post };
        let Event::MessageScheduled(event) = &*rig.does(BOB, command) else { unreachable!() };
        ids.push(event.schedule);
    }
    rig.does(BOB, Delete { conversation: general, ts: gone });
    rig.clock += 90 * SECOND;
    let fire = |schedule, root| PostScheduled { schedule, conversation: general, root: Some(root) };
    rig.check(BOB, fire(ids[1], gone), "thread_not_found");
    let Event::MessagePosted(posted) = &*rig.does(BOB, fire(ids[0], kept)) else { unreachable!() };
    assert_eq!((posted.message.thread_ts, posted.thread.is_some()), (Some(kept), true));
}
