//! The changes that the tail makes to a page of messages.

use std::sync::Arc;

use teamlog_schemas::{ConversationId, Event, Message, Ts};
use teamlog_state::{Facts, MessageFact};

/// Rows of one conversation with the tail laid over them, by the one rule that facts follow too.
pub(super) struct Overlay {
    conversation: ConversationId,
    facts: Facts,
}

impl Overlay {
    pub(super) fn new(conversation: ConversationId, rows: Vec<MessageFact>) -> Overlay {
        let mut facts = Facts::default();
        facts.messages.extend(rows.into_iter().map(|fact| ((conversation, fact.message.ts), Some(fact))));
        Overlay { conversation, facts }
    }

    /// Applies the next event. Messages that it adds are kept if they are `wanted`.
    pub(super) fn apply(&mut self, event: &Arc<Event>, wanted: impl Fn(&Message) -> bool) {
        if event.conversation() != Some(self.conversation) {
            return;
        }
        for (conversation, message) in event.messages() {
            if conversation == self.conversation && wanted(&message) {
                self.facts.messages.entry((conversation, message.ts)).or_insert(None);
            }
        }
        self.facts.apply(event);
    }

    /// Returns the messages that remain, oldest first.
    pub(super) fn finish(self) -> Vec<MessageFact> {
        let mut facts: Vec<MessageFact> = self.facts.messages.into_values().flatten().collect();
        facts.sort_unstable_by_key(|fact| fact.message.ts);
        facts
    }
}

/// A window of `ts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) oldest: Ts,
    pub(super) latest: Ts,
    pub(super) inclusive: bool,
}

impl Window {
    pub(super) fn holds(&self, ts: Ts) -> bool {
        if self.inclusive { self.oldest <= ts && ts <= self.latest } else { self.oldest < ts && ts < self.latest }
    }
}

#[cfg(test)]
mod tests {
    use teamlog_schemas::{MessageDeleted, MessageEdited, MessagePosted, Meta, ReactionAdded, Thread, UserId};
    use uuid::Uuid;

    use super::*;

    fn here() -> ConversationId {
        "C1".parse().unwrap()
    }

    fn ada() -> UserId {
        "U1".parse().unwrap()
    }

    fn meta() -> Meta {
        Meta {
            event_id: Uuid::nil(),
            team: "T1".parse().unwrap(),
            actor: Some(ada()),
            at: Ts::ZERO,
            key: None,
            method: None,
        }
    }

    fn text_message(micros: i64, text: &str) -> Message {
        Message { ts: Ts::from_micros(micros), user: Some(ada()), text: text.into(), ..Message::default() }
    }

    fn row(message: Message) -> MessageFact {
        MessageFact { message, reactions: Vec::new(), thread: None, tombstone: false }
    }

    fn posted(message: Message, thread: Option<Thread>) -> Event {
        let (mentions, opens_for) = (Vec::new(), Vec::new());
        MessagePosted {
            meta: meta(),
            conversation: here(),
            message,
            thread,
            mentions,
            broadcast: None,
            opens_for,
            unfurl: None,
            schedule: None,
        }
        .into()
    }

    fn check(rows: Vec<Message>, events: Vec<Event>, expected: &[(i64, &str)]) -> Vec<MessageFact> {
        let mut overlay = Overlay::new(here(), rows.into_iter().map(row).collect());
        for event in events {
            overlay.apply(&Arc::new(event), |message| !message.is_reply() || message.reply_broadcast);
        }
        let facts = overlay.finish();
        let found: Vec<_> = facts.iter().map(|fact| (fact.message.ts.micros(), fact.message.text.as_str())).collect();
        assert_eq!(found, expected);
        facts
    }

    #[test]
    fn what_is_newer_is_there_and_what_changed_is_changed() {
        let (one, two) = (text_message(1, "one"), text_message(2, "two"));
        let after = text_message(1, "ONE");
        let facts = check(
            vec![one.clone(), two.clone()],
            vec![
                posted(text_message(3, "three"), None),
                MessageEdited { meta: meta(), conversation: here(), before: one, after }.into(),
                MessageDeleted { meta: meta(), conversation: here(), before: two, tombstone: false, thread: None }
                    .into(),
                ReactionAdded {
                    meta: meta(),
                    conversation: here(),
                    ts: Ts::from_micros(3),
                    name: "tada".to_owned(),
                    item_author: None,
                }
                .into(),
            ],
            &[(1, "ONE"), (3, "three")],
        );
        assert_eq!(facts[1].reactions[0].users, [ada()]);
    }

    #[test]
    fn a_reply_moves_its_root_and_stays_out_of_the_page() {
        let mut reply = text_message(5, "reply");
        reply.thread_ts = Some(Ts::from_micros(1));
        let thread = Thread {
            root: Ts::from_micros(1),
            root_author: Some(ada()),
            reply_count: 1,
            latest_reply: Some(reply.ts),
            reply_users: vec![ada()],
        };
        let facts = check(vec![text_message(1, "root")], vec![posted(reply, Some(thread.clone()))], &[(1, "root")]);
        assert_eq!(facts[0].thread, Some(thread));
    }

    #[test]
    fn a_window_has_its_ends_or_not() {
        let window = |inclusive| Window { oldest: Ts::from_micros(1), latest: Ts::from_micros(3), inclusive };
        let held =
            |inclusive| (0..5).filter(|micros| window(inclusive).holds(Ts::from_micros(*micros))).collect::<Vec<_>>();
        assert_eq!(held(false), [2]);
        assert_eq!(held(true), [1, 2, 3]);
    }
}
