//! A team with its rows, on which commands are decided and at once applied.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use teamlog_cluster::Secrets;
use teamlog_ingest::{
    Command, Decision, NewPerson, NewTeam, Now, Refusal, Request,
    commands::{CreateConversation, CreateUser, Join, OpenDirect, Post},
    decide, decide_team, facts_wanted, team_begun,
};
use teamlog_schemas::{BotId, ConversationId, ConversationKind, Event, ScheduleId, Ts, UserId};
use teamlog_state::{Facts, FactsWanted, MessageFact, Scheduled, Team, schedule_window, scheduled_by};
use tokio::time::Instant;
use uuid::Uuid;

/// The owner, an admin.
pub(crate) const ADA: &str = "UADA";
/// A person.
pub(crate) const BOB: &str = "UBOB";
/// A person.
pub(crate) const CYD: &str = "UCYD";
/// A bot's user; its bot is `BROBO`.
pub(crate) const ROBO: &str = "UROBO";
/// A person whom an import brought deactivated.
pub(crate) const OLD: &str = "UOLD";
/// The operator's tools.
pub(crate) const NOBODY: &str = "";

pub(crate) fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

pub(crate) fn secrets() -> Secrets {
    Secrets::new(["a key that only tests have"]).unwrap()
}

pub(crate) struct Rig {
    pub(crate) team: Team,
    /// Every message and thread there ever was, by the one rule that facts have.
    pub(crate) rows: Facts,
    pub(crate) events: Vec<Arc<Event>>,
    /// The members of each conversation, derived from the events alone.
    pub(crate) members: BTreeSet<(ConversationId, UserId)>,
    /// Microseconds since 1970.
    pub(crate) clock: i64,
    dice: u64,
    secrets: Secrets,
}

pub(crate) fn new_team(domain: &str) -> NewTeam {
    let owner = NewPerson {
        user: Some(user(ADA)),
        name: "ada".to_owned(),
        email: Some("ada@example.com".to_owned()),
        with_token: true,
        ..NewPerson::default()
    };
    NewTeam {
        domain: domain.to_owned(),
        name: String::new(),
        owner,
        team: None,
        channels: None,
        key: None,
        deadline: Instant::now(),
    }
}

/// Begins a team's registration, with one domain taken.
pub(crate) fn register(new: &NewTeam) -> Result<Event, Refusal> {
    let mut dice = 0;
    let now = Now {
        at: Ts::from_micros(1_700_000_000_000_000),
        event_id: Uuid::from_u128(1),
        random: &mut || {
            dice += 1;
            dice
        },
        secrets: &secrets(),
    };
    decide_team(new, |domain| domain == "taken", |_| false, 16, |partition| format!("s{}", partition % 2), now)
}

impl Rig {
    /// `ada` (the owner), `bob`, `cyd`, the bot `robo`, and `old`, who is deactivated. `bob` and `cyd` are in the
    /// general channel.
    pub(crate) fn new() -> Rig {
        let Event::TeamRegistered(registered) = register(&new_team("acme")).unwrap() else { unreachable!() };
        let begun = Arc::new(Event::from(team_begun(&registered, Uuid::from_u128(2), registered.meta.at)));
        let mut rig = Rig {
            team: Team::begin(&begun).unwrap(),
            rows: Facts::default(),
            events: vec![begun.clone()],
            members: BTreeSet::new(),
            clock: registered.meta.at.micros(),
            dice: 1000,
            secrets: secrets(),
        };
        rig.note(&begun);
        for (id, name) in [(BOB, "bob"), (CYD, "cyd"), (ROBO, "robo"), (OLD, "old")] {
            let is_bot = id == ROBO;
            rig.does(
                NOBODY,
                CreateUser(NewPerson {
                    user: Some(user(id)),
                    name: name.to_owned(),
                    is_bot,
                    bot: is_bot.then(|| "BROBO".parse::<BotId>().unwrap()),
                    deleted: id == OLD,
                    ..NewPerson::default()
                }),
            );
        }
        let general = rig.channel("general");
        rig.does(BOB, Join { conversation: general });
        rig.does(CYD, Join { conversation: general });
        rig
    }

    pub(crate) fn channel(&self, name: &str) -> ConversationId {
        self.team.channel_named(name).unwrap().conversation
    }

    /// Decides as the writer does: facts first, a second read for the thread of a reply that is to be deleted.
    pub(crate) fn ask(&mut self, actor: &str, command: impl Into<Command>) -> Result<Decision, Refusal> {
        let request = Request {
            team: self.team.id(),
            actor: actor.parse().ok(),
            method: "test".into(),
            key: None,
            deadline: Instant::now(),
            traceparent: None,
            command: command.into(),
        };
        let mut wanted = facts_wanted(&self.team, &request);
        for (conversation, ts) in wanted.replies.clone() {
            let root = self.rows.message(conversation, ts).filter(|fact| fact.message.is_reply());
            if let Some(root) = root.and_then(|fact| fact.message.thread_ts) {
                wanted.messages.push((conversation, root));
                wanted.replies.push((conversation, root));
            }
        }
        let facts = self.facts(&wanted);
        let dice = &mut self.dice;
        let mut random = || {
            *dice += 1;
            *dice
        };
        let now = Now {
            at: Ts::from_micros(self.clock),
            event_id: Uuid::from_u128(self.events.len() as u128 + 100),
            random: &mut random,
            secrets: &self.secrets,
        };
        decide(Some(&self.team), &facts, &request, now)
    }

    /// Only what was wanted, so that a decision that looks further is noticed.
    fn facts(&self, wanted: &FactsWanted) -> Facts {
        let message = |name: &(ConversationId, Ts)| (*name, self.rows.messages.get(name).cloned().flatten());
        let replies = |name: &(ConversationId, Ts)| (*name, self.rows.replies.get(name).cloned().unwrap_or_default());
        let scheduled = |id: &ScheduleId| (*id, self.rows.scheduled.get(id).cloned().flatten());
        let window = |name: &(ConversationId, Ts)| (*name, self.rows.windows.get(name).cloned().unwrap_or_default());
        Facts {
            messages: wanted.messages.iter().map(message).collect(),
            replies: wanted.replies.iter().map(replies).collect(),
            scheduled: wanted.scheduled.iter().map(scheduled).collect(),
            windows: wanted.windows.iter().map(window).collect(),
            write: None,
            key: None,
        }
    }

    /// Decides, applies, and says what came of it: an event's name, a refusal's code, or why there was nothing to do.
    pub(crate) fn outcome(&mut self, actor: &str, command: impl Into<Command>) -> String {
        self.clock += 1;
        match self.ask(actor, command) {
            Ok(Decision::Event(event)) => {
                let name = event.name().to_owned();
                self.apply(event);
                name
            }
            Ok(Decision::Nothing(nothing)) => format!("{nothing:?}").split('(').next().unwrap().to_owned(),
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn check(&mut self, actor: &str, command: impl Into<Command>, expected: &str) {
        let command = command.into();
        let shown = format!("{command:?}");
        assert_eq!(self.outcome(actor, command), expected, "{actor}: {:.300}", shown);
    }

    /// Decides a command that must make an event, and returns the event.
    #[track_caller]
    pub(crate) fn does(&mut self, actor: &str, command: impl Into<Command>) -> Arc<Event> {
        self.clock += 1;
        let command = command.into();
        let shown = format!("{command:?}");
        match self.ask(actor, command) {
            Ok(Decision::Event(event)) => self.apply(event),
            other => panic!("{actor}: {shown:.300} came to {other:?}"),
        }
    }

    /// The laws that hold at every event.
    fn apply(&mut self, event: Event) -> Arc<Event> {
        let encoded = event.encode().expect("a decided event is within the limit");
        assert_eq!(Event::decode(&encoded).as_ref(), Ok(&event), "an event survives the log");
        let given = event.given_ts();
        assert!(given == Ts::ZERO || given > self.team.last_ts(), "{given} is not above {}", self.team.last_ts());
        let event = Arc::new(event);
        self.team.apply(&event);
        self.note(&event);
        self.events.push(event.clone());
        event
    }

    fn note(&mut self, event: &Arc<Event>) {
        for change in event.memberships() {
            let pair = (change.conversation, change.user);
            if change.joined {
                self.members.insert(pair)
            } else {
                self.members.remove(&pair)
            };
        }
        for (conversation, message) in event.messages() {
            let before = self.rows.messages.insert((conversation, message.ts), None);
            assert!(before.flatten().is_none(), "{conversation} {} names two messages", message.ts);
            self.rows.replies.entry((conversation, message.ts)).or_default();
        }
        if let Some((id, scheduled)) = scheduled_by(event) {
            assert!(self.rows.scheduled.insert(id, None).is_none(), "{id} names two scheduled messages");
            self.rows.windows.entry((scheduled.conversation, schedule_window(scheduled.due))).or_default();
        }
        self.rows.apply(event);
    }

    /// The scheduled messages that wait, in no order that means anything.
    pub(crate) fn scheduled(&self) -> Vec<(ScheduleId, &Scheduled)> {
        let mut waiting: Vec<_> =
            self.rows.scheduled.iter().filter_map(|(id, scheduled)| Some((*id, scheduled.as_ref()?))).collect();
        waiting.sort_unstable_by_key(|(id, _)| *id);
        waiting
    }

    pub(crate) fn fact(&self, conversation: ConversationId, ts: Ts) -> Option<&MessageFact> {
        self.rows.message(conversation, ts)
    }

    /// Messages by conversation, oldest first.
    pub(crate) fn names(&self) -> HashMap<ConversationId, Vec<Ts>> {
        let mut names: HashMap<ConversationId, Vec<Ts>> = HashMap::new();
        for (conversation, ts) in self.rows.messages.keys() {
            names.entry(*conversation).or_default().push(*ts);
        }
        names.values_mut().for_each(|all| all.sort_unstable());
        names
    }

    /// Posts a text and gives its event.
    #[track_caller]
    pub(crate) fn posts(&mut self, actor: &str, conversation: ConversationId, text: &str) -> Ts {
        let Event::MessagePosted(posted) = &*self.does(actor, post(conversation, text)) else { unreachable!() };
        posted.message.ts
    }

    #[track_caller]
    pub(crate) fn replies(&mut self, actor: &str, conversation: ConversationId, root: Ts) -> Ts {
        let Event::MessagePosted(posted) = &*self.does(actor, reply(conversation, root)) else { unreachable!() };
        posted.message.ts
    }

    #[track_caller]
    pub(crate) fn creates(&mut self, actor: &str, name: &str, kind: ConversationKind) -> ConversationId {
        self.does(actor, create(name, kind)).conversation().unwrap()
    }

    #[track_caller]
    pub(crate) fn opens(&mut self, actor: &str, users: &[&str]) -> ConversationId {
        let users = users.iter().map(|id| user(id)).collect();
        self.does(actor, OpenDirect { users }).conversation().unwrap()
    }
}

pub(crate) fn post(conversation: ConversationId, text: &str) -> Command {
    Command::from(Post { conversation: Some(conversation), text: text.to_owned(), ..Post::default() })
}

pub(crate) fn reply(conversation: ConversationId, root: Ts) -> Command {
    Command::from(Post {
        conversation: Some(conversation),
        text: "a reply".to_owned(),
        thread_ts: Some(root),
        ..Post::default()
    })
}

pub(crate) fn create(name: &str, kind: ConversationKind) -> Command {
    Command::from(CreateConversation {
        conversation: None,
        kind,
        name: Some(name.to_owned()),
        members: Vec::new(),
        imported: None,
    })
}
