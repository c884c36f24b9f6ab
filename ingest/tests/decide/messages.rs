//! Messages, threads, reactions, imports.

use teamlog_ingest::{
    Command,
    commands::{Delete, Edit, ImportMessage, Join, Post, React, Unreact},
};
use teamlog_schemas::{Broadcast, ConversationId, ConversationKind, Event, Message, MessagePosted, Reaction, Text, Ts};

use crate::rig::{ADA, BOB, CYD, NOBODY, OLD, ROBO, Rig, post, reply, user};

fn posting(conversation: ConversationId, change: impl Fn(&mut Post)) -> Command {
    let mut post = Post { conversation: Some(conversation), ..Post::default() };
    change(&mut post);
    Command::from(post)
}

fn editing(conversation: ConversationId, ts: Ts, change: impl Fn(&mut Edit)) -> Command {
    let mut edit = Edit { conversation, ts, text: None, blocks: None, attachments: None, expected_edited_ts: None };
    change(&mut edit);
    Command::from(edit)
}

fn objects(count: usize) -> Option<String> {
    Some(format!("[{}]", vec!["{}"; count].join(",")))
}

#[track_caller]
fn posted(rig: &mut Rig, actor: &str, command: Command) -> MessagePosted {
    match &*rig.does(actor, command) {
        Event::MessagePosted(posted) => posted.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_may_be_posted() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let secret = rig.creates(ADA, "secret", ConversationKind::PrivateChannel);
    rig.check(BOB, post("CNOWHERE".parse().unwrap(), "x"), "channel_not_found");
    rig.check(BOB, post(secret, "x"), "channel_not_found");
    rig.check(ROBO, post(general, "x"), "not_in_channel");
    rig.check(OLD, post(general, "x"), "account_inactive");
    rig.check(BOB, post(general, ""), "no_text");
    rig.check(BOB, post(general, " \n"), "no_text");
    rig.check(BOB, post(general, &"ü".repeat(40_001)), "msg_too_long");
    rig.check(BOB, post(general, &"ü".repeat(40_000)), "MessagePosted");
    rig.check(BOB, post(general, &"𝄞".repeat(30_000)), "msg_too_long");
    let blocks = |json: Option<String>| posting(general, move |post| post.blocks.clone_from(&json));
    let attachments = |json: Option<String>| posting(general, move |post| post.attachments.clone_from(&json));
    rig.check(BOB, blocks(objects(50)), "MessagePosted");
    rig.check(BOB, blocks(objects(51)), "invalid_blocks");
    rig.check(BOB, blocks(Some("{}".to_owned())), "invalid_blocks");
    rig.check(BOB, blocks(Some("[1]".to_owned())), "invalid_blocks");
    rig.check(BOB, blocks(Some("[".to_owned())), "invalid_blocks");
    rig.check(BOB, blocks(objects(0)), "no_text");
    rig.check(BOB, attachments(objects(100)), "MessagePosted");
    rig.check(BOB, attachments(objects(101)), "too_many_attachments");
    rig.check(BOB, attachments(Some("nonsense".to_owned())), "invalid_attachments");
    rig.check(BOB, blocks(Some(format!("{}{}", "[".repeat(200), "]".repeat(200)))), "invalid_blocks");
    rig.check(BOB, blocks(Some(r#"[{"a":"\ud83d"}]"#.to_owned())), "invalid_blocks");
    // Spaces do not count against a message's size, but are not read without end.
    rig.check(BOB, blocks(Some(format!("[{}{{}}]", " ".repeat(300_000)))), "MessagePosted");
    rig.check(BOB, blocks(Some(format!("[{}{{}}]", " ".repeat(500_000)))), "msg_too_long");
}

#[test]
fn a_list_is_kept_without_spaces_and_with_one_value_a_key() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let written = r#" [ { "b" : 1.0, "a": "\u00fc", "b": 2 } ] "#;
    let posted = posted(&mut rig, BOB, posting(general, |post| post.blocks = Some(written.to_owned())));
    assert_eq!(posted.message.blocks.unwrap().as_str(), r#"[{"b":2,"a":"ü"}]"#);
}

#[test]
fn who_is_called() {
    let mut rig = Rig::new();
    let (general, secret) = (rig.channel("general"), rig.creates(ADA, "secret", ConversationKind::PrivateChannel));
    let text = "<@UBOB> <@UCYD|cyd> <@UBOB> <@UNONE> <@UOLD> <@UADA <@> <!here> <!channel|all>";
    let called = posted(&mut rig, ADA, post(general, text));
    assert_eq!(called.mentions, [user(BOB), user(CYD)]);
    assert_eq!(called.broadcast, Some(Broadcast::Channel));
    let called = posted(&mut rig, ADA, post(general, "<!everyone> <!here>"));
    assert_eq!(called.broadcast, Some(Broadcast::Everyone));
    // Only those may be called who can read it.
    let called = posted(&mut rig, ADA, post(secret, "<@UBOB> <@UADA> <!everyone>"));
    assert_eq!((called.mentions, called.broadcast), (vec![user(ADA)], Some(Broadcast::Channel)));
    let blocks = r#"[{"type":"section","text":{"type":"mrkdwn","text":"\u003c@UBOB>"}},
        {"type":"rich_text","elements":[{"type":"user","user_id":"UCYD"},{"type":"broadcast","range":"here"}]}]"#;
    let called = posted(&mut rig, ADA, posting(general, |post| post.blocks = Some(blocks.to_owned())));
    assert_eq!((called.mentions, called.broadcast), (vec![user(BOB), user(CYD)], Some(Broadcast::Here)));
}

#[test]
fn a_bot_may_dress_up_and_a_person_may_not() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    rig.does(ROBO, Join { conversation: general });
    let dressed = posting(general, |post| {
        post.text = "x".to_owned();
        post.username = Some("ada".to_owned());
        post.icons = Some("{}".to_owned());
    });
    let message = posted(&mut rig, BOB, dressed.clone()).message;
    assert_eq!((message.username, message.icons, message.bot), (None, None, None));
    let message = posted(&mut rig, ROBO, dressed).message;
    assert_eq!((message.username, message.bot), (Some(Text::from("ada")), Some("BROBO".parse().unwrap())));
}

#[test]
fn a_thread_knows_its_replies() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let root = rig.posts(ADA, general, "root");
    rig.check(BOB, reply(general, Ts::from_micros(1)), "thread_not_found");
    let first = posted(&mut rig, BOB, reply(general, root));
    let thread = first.thread.unwrap();
    assert_eq!((thread.root, thread.root_author, thread.reply_count), (root, Some(user(ADA)), 1));
    assert_eq!((thread.latest_reply, thread.reply_users), (Some(first.message.ts), vec![user(BOB)]));
    rig.check(BOB, reply(general, first.message.ts), "thread_not_found");
    let second = rig.replies(CYD, general, root);
    let thread = posted(&mut rig, BOB, reply(general, root)).thread.unwrap();
    assert_eq!((thread.reply_count, thread.reply_users), (3, vec![user(BOB), user(CYD)]));

    let delete = |ts| Command::from(Delete { conversation: general, ts });
    let Event::MessageDeleted(deleted) = &*rig.does(BOB, delete(first.message.ts)) else { unreachable!() };
    let thread = deleted.thread.as_ref().unwrap();
    assert_eq!((thread.reply_count, &*thread.reply_users), (2, &[user(CYD), user(BOB)][..]));
    assert!(!deleted.tombstone);
    let Event::MessageDeleted(deleted) = &*rig.does(ADA, delete(root)) else { unreachable!() };
    assert!(deleted.tombstone && deleted.thread.is_none());
    rig.check(ADA, delete(root), "message_not_found");
    rig.check(ADA, editing(general, root, |edit| edit.text = Some("x".to_owned())), "message_not_found");
    // The thread of a tombstone goes on.
    rig.replies(CYD, general, root);
    let last = rig.fact(general, root).unwrap().thread.as_ref().unwrap().reply_count;
    assert_eq!(last, 3);
    rig.does(CYD, delete(second));
}

#[test]
fn editing_is_the_authors_alone() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let ts = rig.posts(BOB, general, "one");
    let text = |new: &'static str| move |edit: &mut Edit| edit.text = Some(new.to_owned());
    rig.check(ADA, editing(general, ts, text("mine")), "cant_update_message");
    rig.check(BOB, editing(general, Ts::from_micros(1), text("x")), "message_not_found");
    rig.check(BOB, editing(general, ts, text("")), "no_text");
    rig.check(BOB, editing(general, ts, |edit| edit.text = Some("x".repeat(40_001))), "msg_too_long");
    let expecting = |expected| {
        move |edit: &mut Edit| {
            edit.text = Some("two".to_owned());
            edit.expected_edited_ts = Some(expected);
        }
    };
    rig.check(BOB, editing(general, ts, expecting(Ts::from_micros(7))), "edit_conflict");
    let Event::MessageEdited(edited) = &*rig.does(BOB, editing(general, ts, expecting(Ts::ZERO))) else {
        unreachable!()
    };
    assert_eq!((edited.before.text.as_str(), edited.after.text.as_str()), ("one", "two"));
    let version = edited.after.edited.unwrap();
    assert_eq!((edited.after.ts, version.user), (ts, user(BOB)));
    rig.check(BOB, editing(general, ts, expecting(Ts::ZERO)), "edit_conflict");
    rig.check(BOB, editing(general, ts, expecting(version.ts)), "MessageEdited");
    // What is not given stays; an empty list goes.
    rig.does(BOB, editing(general, ts, |edit| edit.blocks = objects(1)));
    rig.does(BOB, editing(general, ts, text("three")));
    assert!(rig.fact(general, ts).unwrap().message.blocks.is_some());
    rig.does(BOB, editing(general, ts, |edit| edit.blocks = objects(0)));
    assert_eq!(rig.fact(general, ts).unwrap().message.blocks, None);

    let joined = rig.names()[&general][0];
    let author = rig.fact(general, joined).unwrap().message.user.unwrap().to_string();
    rig.check(&author, editing(general, joined, text("x")), "cant_update_message");
}

#[test]
fn deleting_is_the_authors_and_the_admins() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let (one, two) = (rig.posts(BOB, general, "one"), rig.posts(BOB, general, "two"));
    let delete = |ts| Command::from(Delete { conversation: general, ts });
    rig.check(CYD, delete(one), "cant_delete_message");
    rig.check(BOB, delete(one), "MessageDeleted");
    rig.check(BOB, delete(one), "message_not_found");
    rig.check(ADA, delete(two), "MessageDeleted");
    let secret = rig.creates(BOB, "secret", ConversationKind::PrivateChannel);
    let hidden = rig.posts(BOB, secret, "x");
    rig.check(ADA, Delete { conversation: secret, ts: hidden }, "channel_not_found");
}

#[test]
fn reactions() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let ts = rig.posts(BOB, general, "one");
    let react = |name: &str| Command::from(React { conversation: general, ts, name: name.to_owned() });
    let unreact = |name: &str| Command::from(Unreact { conversation: general, ts, name: name.to_owned() });
    for name in ["", "no such emoji", ":tada:", "TADA", "a:b", "wave::skin-tone-7", "wave::tone"] {
        rig.check(CYD, react(name), "invalid_name");
    }
    let Event::ReactionAdded(added) = &*rig.does(CYD, react("tada")) else { unreachable!() };
    assert_eq!(added.item_author, Some(user(BOB)));
    rig.check(CYD, react("tada"), "already_reacted");
    rig.check(BOB, unreact("tada"), "no_reaction");
    rig.check(BOB, react("tada"), "ReactionAdded");
    rig.check(CYD, react("wave::skin-tone-3"), "ReactionAdded");
    for i in 0..21 {
        rig.check(CYD, react(&format!("emoji_{i}")), "ReactionAdded");
    }
    rig.check(CYD, react("one_more"), "too_many_emoji");
    rig.check(BOB, react("emoji_3"), "ReactionAdded");
    rig.check(CYD, unreact("emoji_0"), "ReactionRemoved");
    rig.check(CYD, react("one_more"), "ReactionAdded");
    let missing = Command::from(React { conversation: general, ts: Ts::from_micros(1), name: "tada".to_owned() });
    rig.check(CYD, missing, "message_not_found");
}

fn import(conversation: ConversationId, ts: Ts, change: impl Fn(&mut ImportMessage)) -> Command {
    let message = Message { ts, user: Some(user(OLD)), text: Text::from("then"), ..Message::default() };
    let mut import = ImportMessage { conversation, message, reactions: Vec::new() };
    change(&mut import);
    Command::from(import)
}

#[test]
fn an_import_is_older_than_all_that_was_posted_and_comes_once() {
    let mut rig = Rig::new();
    let open = rig.creates(NOBODY, "open", ConversationKind::PublicChannel);
    let then = |micros: i64| Ts::from_micros(1_400_000_000_000_000 + micros);
    rig.check(BOB, import(open, then(5), |_| {}), "restricted_action");
    rig.check(NOBODY, import(open, then(5), |_| {}), "MessageImported");
    rig.check(NOBODY, import(open, then(5), |_| {}), "AlreadyImported");
    // In any order, with a reply that counts in its thread.
    rig.check(NOBODY, import(open, then(3), |_| {}), "MessageImported");
    rig.check(NOBODY, import(open, then(4), |one| one.message.thread_ts = Some(then(3))), "MessageImported");
    assert_eq!(rig.fact(open, then(3)).unwrap().thread.as_ref().unwrap().reply_count, 1);
    rig.check(NOBODY, import(open, Ts::MAX, |_| {}), "import_too_new");
    let huge = |one: &mut ImportMessage| one.message.extra = Some(Text::from("x".repeat(101 * 1024)));
    rig.check(NOBODY, import(open, then(6), huge), "msg_too_long");
    let many = |one: &mut ImportMessage| {
        one.reactions = vec![Reaction { name: "tada".to_owned(), users: vec![user(BOB); 10_000] }];
    };
    rig.check(NOBODY, import(open, then(6), many), "msg_too_long");

    rig.does(BOB, Join { conversation: open });
    let posted = rig.replies(BOB, open, then(3));
    assert_eq!(rig.fact(open, then(3)).unwrap().thread.as_ref().unwrap().reply_count, 2);
    rig.check(NOBODY, import(open, posted, |_| {}), "AlreadyImported");
    rig.check(NOBODY, import(open, posted.next(), |_| {}), "import_too_new");
    rig.check(NOBODY, import(open, then(7), |_| {}), "MessageImported");
}

#[test]
fn a_clock_that_goes_back_does_not_take_the_order_with_it() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let one = rig.posts(BOB, general, "one");
    rig.clock -= 3_600_000_000;
    assert_eq!(rig.posts(BOB, general, "two"), one.next());
    rig.clock += 7_200_000_000;
    assert_eq!(rig.posts(BOB, general, "three").micros(), rig.clock);
}
