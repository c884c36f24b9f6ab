//! Unfurled links: attached by no user, removed by the author, gone with the link.

use serde_json::{Value, json};
use teamlog_ingest::commands::{Archive, Delete, Edit, RemoveAttachment, Unfurl};
use teamlog_schemas::{ConversationId, Event, MessageEdited, Ts};

use crate::rig::{ADA, BOB, CYD, NOBODY, Rig};

const ONE: &str = "https://one.example/?a=1&b=2";
const TWO: &str = "https://two.example";
const TEXT: &str = "<https://one.example/?a=1&amp;b=2> and https://two.example";

fn unfurl(conversation: ConversationId, ts: Ts, link: &str) -> Unfurl {
    let attachment = json!({ "from_url": link, "title": "A page" }).to_string();
    Unfurl { conversation, ts, link: link.to_owned(), attachment }
}

fn edit(conversation: ConversationId, ts: Ts, text: Option<&str>, attachments: Option<&str>) -> Edit {
    let owned = |part: Option<&str>| part.map(str::to_owned);
    let (text, attachments) = (owned(text), owned(attachments));
    Edit { conversation, ts, text, blocks: None, attachments, expected_edited_ts: None }
}

fn shown(rig: &Rig, conversation: ConversationId, ts: Ts) -> Vec<(String, u64)> {
    let message = &rig.fact(conversation, ts).unwrap().message;
    let json = message.attachments.as_ref().map_or("[]", |attachments| attachments.as_str());
    let all: Vec<Value> = serde_json::from_str(json).unwrap();
    let one = |one: &Value| (one["from_url"].as_str().unwrap_or_default().to_owned(), one["id"].as_u64().unwrap());
    all.iter().map(one).collect()
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(link, id)| ((*link).to_owned(), *id)).collect()
}

#[test]
fn a_link_is_shown_once_and_without_an_edit() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let ts = rig.posts(BOB, general, TEXT);
    // No person's act, not even an admin's.
    rig.check(ADA, unfurl(general, ts, ONE), "restricted_action");
    let Event::MessageEdited(MessageEdited { meta, before, after, .. }) = &*rig.does(NOBODY, unfurl(general, ts, TWO))
    else {
        unreachable!()
    };
    assert_eq!((meta.actor, after.edited, &after.text), (None, None, &before.text));
    rig.check(NOBODY, unfurl(general, ts, ONE), "MessageEdited");
    assert_eq!(shown(&rig, general, ts), pairs(&[(ONE, 2), (TWO, 1)]), "in the links' order");
    for link in [ONE, TWO, "https://one.example", "https://one.example/?a=1&amp;b=2", ""] {
        rig.check(NOBODY, unfurl(general, ts, link), "NotShown");
    }
    rig.check(NOBODY, unfurl(general, Ts::from_micros(1), ONE), "NotShown");
    let broken = Unfurl { attachment: "[]".to_owned(), ..unfurl(general, ts, ONE) };
    rig.check(NOBODY, broken, "invalid_attachments");
    // An edit keeps the version that it names.
    rig.does(BOB, edit(general, ts, Some(&format!("{TEXT} edited")), None));
    let edited = rig.fact(general, ts).unwrap().message.edited;
    rig.does(BOB, RemoveAttachment { conversation: general, ts, number: 2 });
    assert_eq!(rig.fact(general, ts).unwrap().message.edited, edited);
}

#[test]
fn the_author_removes_one_and_the_others_keep_their_numbers() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let ts = rig.posts(BOB, general, TEXT);
    rig.does(BOB, edit(general, ts, None, Some(r#"[{"text":"own"}]"#)));
    rig.does(NOBODY, unfurl(general, ts, ONE));
    rig.does(NOBODY, unfurl(general, ts, TWO));
    assert_eq!(shown(&rig, general, ts), pairs(&[("", 1), (ONE, 2), (TWO, 3)]));
    let remove = |number| RemoveAttachment { conversation: general, ts, number };
    rig.check(CYD, remove(1), "cant_update_message");
    rig.check(BOB, remove(0), "attachment_not_found");
    rig.check(BOB, remove(1), "MessageEdited");
    rig.check(BOB, remove(1), "attachment_not_found");
    assert_eq!(shown(&rig, general, ts), pairs(&[(ONE, 2), (TWO, 3)]));
    rig.check(ADA, remove(3), "MessageEdited");
    rig.check(BOB, remove(2), "MessageEdited");
    assert_eq!(rig.fact(general, ts).unwrap().message.attachments, None);
    rig.check(BOB, RemoveAttachment { conversation: general, ts: Ts::from_micros(1), number: 1 }, "message_not_found");
    // The last part of a message stays.
    let bare = rig.posts(BOB, general, "words");
    rig.does(BOB, edit(general, bare, Some(""), Some("[{}]")));
    rig.check(BOB, RemoveAttachment { conversation: general, ts: bare, number: 1 }, "no_text");
}

#[test]
fn a_message_that_changed_meanwhile_is_left_alone() {
    let mut rig = Rig::new();
    let general = rig.channel("general");
    let ts = rig.posts(BOB, general, TEXT);
    rig.does(NOBODY, unfurl(general, ts, ONE));
    rig.does(NOBODY, unfurl(general, ts, TWO));
    // The text loses a link, and with it what was shown of it.
    rig.does(BOB, edit(general, ts, Some("only https://two.example"), None));
    assert_eq!(shown(&rig, general, ts), pairs(&[(TWO, 2)]));
    rig.check(NOBODY, unfurl(general, ts, ONE), "NotShown");
    rig.does(BOB, edit(general, ts, Some("none"), None));
    assert_eq!(rig.fact(general, ts).unwrap().message.attachments, None);
    let full = rig.posts(BOB, general, TEXT);
    rig.does(BOB, edit(general, full, None, Some(&format!("[{}]", vec!["{}"; 100].join(",")))));
    rig.check(NOBODY, unfurl(general, full, ONE), "NotShown");
    let deleted = rig.posts(BOB, general, TEXT);
    rig.does(BOB, Delete { conversation: general, ts: deleted });
    rig.check(NOBODY, unfurl(general, deleted, ONE), "NotShown");
    let random = rig.channel("random");
    let archived = rig.posts(ADA, random, TEXT);
    rig.does(NOBODY, unfurl(random, archived, ONE));
    rig.does(ADA, Archive { conversation: random });
    rig.check(NOBODY, unfurl(random, archived, TWO), "NotShown");
    rig.check(ADA, RemoveAttachment { conversation: random, ts: archived, number: 1 }, "is_archived");
}
