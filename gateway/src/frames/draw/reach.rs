//! Frames lie within what their event says of its reach, and keep their order for good.

use std::{collections::HashSet, fs};

use super::{tests::*, *};
use crate::frames::{Inside, may_reach};

/// The frames of an event that one person gets, as a live session and as one that catches up: by their places.
fn gets(event: &Event, before: &Team, after: &Team, user: UserId) -> (Vec<usize>, Vec<usize>) {
    let frames = frames(event, after);
    let addressed = |inside: &Inside| -> Vec<usize> {
        let all = frames.iter().enumerate();
        all.filter(|(_, frame)| inside.is_addressed(&frame.audience)).map(|(place, _)| place).collect()
    };
    let own = before.conversations_of(user).map(|c| c.conversation).collect::<HashSet<_>>();
    let mut inside = Inside::before(before.id(), user, own, &[]);
    inside.pass(event, |inside| {
        let is_public = |id| after.conversation(id).is_some_and(|c| c.kind == ConversationKind::PublicChannel);
        let leaves = event.memberships().iter().any(|change| change.user == user && !change.joined);
        let is_asked = may_reach(event, is_public, |id| after.is_member(user, id) || leaves);
        let live = if is_asked { addressed(inside) } else { Vec::new() };
        let replayed = if inside.may_concern(event) { addressed(inside) } else { Vec::new() };
        let all = addressed(inside);
        assert_eq!((&live, &replayed), (&all, &all), "{user} at {event:?}");
        (live, replayed)
    })
}

/// Makes a sample what decisions make: a new conversation is new and its maker is in it; those who leave or close one are in
/// it. None if that cannot be.
fn as_decided(mut event: Event, team: &Team) -> Option<Event> {
    let is_in = |user: UserId, conversation| team.is_member(user, conversation);
    if let Event::ConversationCreated(e) = &mut event {
        e.conversation = "C9".parse().unwrap();
        e.members.extend(e.meta.actor.filter(|actor| !e.members.contains(actor)));
    }
    if let Event::MessagePosted(e) = &mut event {
        e.opens_for.retain(|user| is_in(*user, e.conversation));
    }
    if let Event::MemberLeft(e) = &event
        && !is_in(e.user, e.conversation)
    {
        return None;
    }
    if let Event::ConversationOpened(_) | Event::ConversationClosed(_) = &event
        && !is_in(event.meta()?.actor?, event.conversation()?)
    {
        return None;
    }
    (event.topic() == EVENTS).then_some(event)
}

#[test]
fn live_and_replay_agree_on_every_frame_of_every_event() {
    let before = team();
    let (mut drawn, mut got) = (HashSet::new(), 0);
    for event in (0..64).flat_map(Event::samples) {
        let Some(event) = as_decided(event, &before) else { continue };
        let event = Arc::new(event);
        let mut after = before.clone();
        after.apply(&event);
        for user in ["UADA", "UBOB", "UCY"] {
            let (live, _) = gets(&event, &before, &after, user.parse().unwrap());
            got += live.len();
            if !live.is_empty() {
                drawn.insert(event.name());
            }
        }
    }
    assert!(got > 1000 && drawn.len() > 15, "{got} frames of {drawn:?}");
}

/// Returns an event of each kind and shape that has its own order of frames, by name.
fn shapes() -> Vec<(&'static str, Event)> {
    let meta = || meta("UADA", 40);
    let id = |conversation: &str| conversation.parse::<ConversationId>().unwrap();
    let user = |user: &str| user.parse::<UserId>().unwrap();
    let token = || Token { user: user("UADA"), kind: TokenKind::User, hash: "00".repeat(32) };
    let reply = || Message { thread_ts: Some(ts(20)), ..message("UADA", 30, "well") };
    let deleted =
        |before, thread| MessageDeleted { meta: meta(), conversation: id("C1"), before, tombstone: false, thread };
    let mut opening = posted("D1", message("UADA", 20, "hi"), None);
    opening.opens_for = vec![user("UBOB")];
    let mut robo = person("UROBO", "robo");
    robo.bot = Some("BROBO".parse().unwrap());
    let came = |person| UserCreated { meta: meta(), person, token: None, credential_id: None };
    let named = |kind, name: &str| conversation(name, kind, Some("new"), &["UADA", "UBOB"]);
    let mut imported = named(ConversationKind::PublicChannel, "C9");
    if let Event::ConversationCreated(created) = &mut imported {
        created.imported = true;
    }
    let joined = ["UBOB", "UCY"].map(|one| Joined { user: user(one), ts: ts(40) }).to_vec();
    let renamed = |conversation| ConversationRenamed {
        meta: meta(),
        conversation: id(conversation),
        old_name: "one".into(),
        name: "new".into(),
        ts: ts(40),
    };
    let reacted = || (meta(), id("C1"), ts(20), "tada".to_owned(), None);
    vec![
        (
            "a team begins",
            TeamCreated {
                meta: meta(),
                domain: "acme".into(),
                name: "Acme".into(),
                shard: "s1".into(),
                owner: person("UADA", "ada"),
                channels: Vec::new(),
                token: None,
                credential_id: None,
            }
            .into(),
        ),
        ("a person comes", came(person("UDEE", "dee")).into()),
        ("a bot's user comes", came(robo).into()),
        (
            "a bot without a user",
            BotAdded { meta: meta(), bot: "B1".parse().unwrap(), name: "b".into(), extra: None }.into(),
        ),
        ("a password", PasswordSet { meta: meta(), user: user("UADA"), credential_id: Uuid::nil() }.into()),
        ("a token", TokenIssued { meta: meta(), token: token() }.into()),
        ("a token's end", TokenRevoked { meta: meta(), user: user("UADA"), hash: "00".repeat(32) }.into()),
        ("a public channel", named(ConversationKind::PublicChannel, "C9")),
        ("a private channel", named(ConversationKind::PrivateChannel, "G9")),
        ("a group's direct message", named(ConversationKind::Mpim, "G8")),
        ("a direct message", named(ConversationKind::Im, "D9")),
        ("an imported channel", imported),
        ("a direct message opens", ConversationOpened { meta: meta(), conversation: id("D1") }.into()),
        ("a direct message closes", ConversationClosed { meta: meta(), conversation: id("D1") }.into()),
        ("two join", MembersJoined { meta: meta(), conversation: id("C1"), inviter: None, joined }.into()),
        (
            "one leaves",
            MemberLeft { meta: meta(), conversation: id("C1"), user: user("UBOB"), kicked_by: None, ts: ts(40) }.into(),
        ),
        ("a public channel's name", renamed("C1").into()),
        ("a private channel's name", renamed("G1").into()),
        ("a topic", TopicSet { meta: meta(), conversation: id("C1"), topic: "t".into(), ts: ts(40) }.into()),
        ("a purpose", PurposeSet { meta: meta(), conversation: id("C1"), purpose: "p".into(), ts: ts(40) }.into()),
        ("into the archive", ConversationArchived { meta: meta(), conversation: id("C1"), ts: ts(40) }.into()),
        ("out of the archive", ConversationUnarchived { meta: meta(), conversation: id("C1"), ts: ts(40) }.into()),
        ("a post", posted("C1", message("UADA", 20, "hi"), None).into()),
        ("a post that opens", opening.into()),
        ("a reply", posted("C1", reply(), Some(thread(1))).into()),
        (
            "an import",
            MessageImported { meta: meta(), conversation: id("C1"), message: reply(), reactions: Vec::new() }.into(),
        ),
        ("an edit", MessageEdited { meta: meta(), conversation: id("C1"), before: reply(), after: reply() }.into()),
        ("a deletion", deleted(message("UADA", 20, "hi"), None).into()),
        ("a reply's deletion", deleted(reply(), Some(thread(0))).into()),
        ("a reaction", {
            let (meta, conversation, ts, name, item_author) = reacted();
            ReactionAdded { meta, conversation, ts, name, item_author }.into()
        }),
        ("a reaction's end", {
            let (meta, conversation, ts, name, item_author) = reacted();
            ReactionRemoved { meta, conversation, ts, name, item_author }.into()
        }),
        ("a message for later", {
            let (message, schedule, due) = (message("UADA", 90, "hi"), "Q1".parse().unwrap(), ts(90));
            MessageScheduled { meta: meta(), conversation: id("C1"), schedule, due, message, unfurl: None }.into()
        }),
        ("a message for later is deleted", {
            let (schedule, failed) = ("Q1".parse().unwrap(), None);
            ScheduledMessageDeleted { meta: meta(), conversation: id("C1"), schedule, failed }.into()
        }),
        ("a pin", {
            let message = message("UADA", 20, "hi");
            MessagePinned { meta: meta(), conversation: id("C1"), message, pin_count: 1, ts: ts(40) }.into()
        }),
        ("a pin's end", {
            let (message, pinned_by, pinned_at) = (message("UADA", 20, "hi"), user("UBOB"), ts(30));
            let (meta, conversation) = (meta(), id("C1"));
            MessageUnpinned { meta, conversation, message, pinned_by, pinned_at, pin_count: 0 }.into()
        }),
    ]
}

/// A cursor counts the frames of its event, and may come back to a later version of the program: what was the second
/// frame stays the second one. With `TEAMLOG_BLESS=1` new shapes and appended frames are written, nothing else.
#[test]
fn frames_of_an_event_are_only_ever_appended() {
    let shapes = shapes();
    let shown: HashSet<&str> = shapes.iter().map(|(_, event)| event.name()).collect();
    let missing: Vec<_> =
        schemas().filter(|one| one.topic == EVENTS && one.id >= 10 && !shown.contains(one.name)).collect();
    assert!(missing.is_empty(), "events without a shape here: {missing:?}");

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/frames/draw/golden.txt");
    let golden = fs::read_to_string(file).unwrap_or_default();
    let mut now = String::new();
    for (what, event) in shapes {
        let kinds: Vec<_> = drawn(event.clone()).iter().map(|(_, frame)| kind(frame)).collect();
        let line = format!("{what} ({}): {}", event.name(), kinds.join(" "));
        let line = line.trim_end();
        let head = line.split_once(':').unwrap().0;
        let old = golden.lines().find(|old| old.split_once(':').is_some_and(|(old, _)| old == head));
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let is_kept = old.is_none_or(|old| words(line).starts_with(&words(old)));
        assert!(is_kept, "a frame moved, or is gone:\n{}\n{line}", old.unwrap_or_default());
        now += line;
        now.push('\n');
    }
    if golden != now {
        assert!(std::env::var_os("TEAMLOG_BLESS").is_some(), "{file} is out of date; TEAMLOG_BLESS=1 writes\n{now}");
        fs::write(file, now).unwrap();
    }
}

fn kind(frame: &Value) -> String {
    let subtype = frame["subtype"].as_str().map_or_else(String::new, |subtype| format!("/{subtype}"));
    format!("{}{subtype}", frame["type"].as_str().unwrap())
}
