//! People who act: they post, join and leave, with keys and without, and retry when the outcome is unknown.

use std::{sync::Arc, time::Duration};

use rand::{Rng, rngs::StdRng};
use teamlog_ingest::{
    Answer, Command, NewPerson, NewTeam, NotAccepted, Nothing, Refusal, Request,
    commands::{
        CreateConversation, CreateUser, DeleteScheduled, Edit, Invite, Join, Kick, Leave, Pin, Post, React, Schedule,
    },
};
use teamlog_log::{Offset, Partition};
use teamlog_schemas::{ConversationId, ConversationKind, Event, ScheduleId, Ts, UserId, partition_of};
use tokio::time::Instant;

use crate::{
    plan::pick,
    wire::Lost,
    world::{Crew, Person, REST, World},
};

/// An act that a person attempts.
#[derive(Clone, Debug)]
enum Deed {
    Post {
        conversation: ConversationId,
        text: String,
    },
    Join {
        conversation: ConversationId,
    },
    Leave {
        conversation: ConversationId,
    },
    Invite {
        conversation: ConversationId,
        user: UserId,
    },
    Kick {
        conversation: ConversationId,
        user: UserId,
    },
    /// Of a message that is there for certain.
    Edit {
        conversation: ConversationId,
        ts: Ts,
        text: String,
    },
    /// To a message that is there for certain.
    React {
        conversation: ConversationId,
        ts: Ts,
        name: &'static str,
    },
    /// Of a message that is there for certain.
    Pin {
        conversation: ConversationId,
        ts: Ts,
    },
    Schedule {
        conversation: ConversationId,
        text: String,
        due: Ts,
    },
    /// Of a message that was scheduled for certain.
    Unschedule {
        conversation: ConversationId,
        schedule: ScheduleId,
    },
}

/// The known outcome of a deed after all attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The deed happened and counts.
    Done,
    /// The deed certainly did not happen.
    NotDone,
    /// The outcome is unknown.
    Open,
}

impl Deed {
    fn command(&self) -> Command {
        match self.clone() {
            Deed::Post { conversation, text } => {
                Command::from(Post { conversation: Some(conversation), text, ..Post::default() })
            }
            Deed::Join { conversation } => Command::from(Join { conversation }),
            Deed::Leave { conversation } => Command::from(Leave { conversation }),
            Deed::Invite { conversation, user } => Command::from(Invite { conversation, users: vec![user] }),
            Deed::Kick { conversation, user } => Command::from(Kick { conversation, user }),
            Deed::Edit { conversation, ts, text } => Command::from(Edit {
                conversation,
                ts,
                text: Some(text),
                blocks: None,
                attachments: None,
                expected_edited_ts: None,
            }),
            Deed::React { conversation, ts, name } => Command::from(React { conversation, ts, name: name.to_owned() }),
            Deed::Pin { conversation, ts } => Command::from(Pin { conversation, ts }),
            Deed::Schedule { conversation, text, due } => {
                let post = Post { conversation: Some(conversation), text, ..Post::default() };
                Command::from(Schedule { due, post })
            }
            Deed::Unschedule { conversation, schedule } => Command::from(DeleteScheduled { conversation, schedule }),
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Deed::Post { .. } => "chat.postMessage",
            Deed::Join { .. } => "conversations.join",
            Deed::Leave { .. } => "conversations.leave",
            Deed::Invite { .. } => "conversations.invite",
            Deed::Kick { .. } => "conversations.kick",
            Deed::Edit { .. } => "chat.update",
            Deed::React { .. } => "reactions.add",
            Deed::Pin { .. } => "pins.add",
            Deed::Schedule { .. } => "chat.scheduleMessage",
            Deed::Unschedule { .. } => "chat.deleteScheduledMessage",
        }
    }

    const fn conversation(&self) -> ConversationId {
        match self {
            Deed::Post { conversation, .. }
            | Deed::Join { conversation }
            | Deed::Leave { conversation }
            | Deed::Invite { conversation, .. }
            | Deed::Kick { conversation, .. }
            | Deed::Edit { conversation, .. }
            | Deed::React { conversation, .. }
            | Deed::Pin { conversation, .. }
            | Deed::Schedule { conversation, .. }
            | Deed::Unschedule { conversation, .. } => *conversation,
        }
    }
}

/// Makes a team with its people and channels, whatever faults occur meanwhile.
pub(crate) async fn settle_in(world: &World, number: usize) -> Crew {
    let mut rng = world.rng(&format!("crew {number}"));
    let owner = NewPerson { name: "p0".to_owned(), with_token: true, ..NewPerson::default() };
    let owner = NewPerson { email: Some("p0@example.com".to_owned()), ..owner };
    let made = until_done(world, &mut rng, async |world, rng| {
        let new = NewTeam {
            domain: format!("team{number}"),
            name: format!("Team {number}"),
            owner: owner.clone(),
            team: None,
            channels: None,
            key: Some("make".to_owned()),
            deadline: Instant::now() + Duration::from_secs(10),
        };
        world.any(rng).await.create_team(new).await
    })
    .await;
    let Event::TeamRegistered(registered) = &*made else { world.fail(&format!("no registration: {made:?}")) };
    let secrets = world.any(&mut rng).await.ingest.secrets().clone();
    let token = |event: &Event| secrets.token_of(event).unwrap_or_default();
    let team = registered.meta.team;
    let mut crew = Crew {
        team,
        partition: Partition(partition_of(team, world.plan().partitions)),
        people: vec![Person { user: registered.owner.user, token: token(&made) }],
        channels: registered.channels.iter().map(|channel| channel.conversation).collect(),
    };
    for person in 1..world.plan().people {
        let person = NewPerson { name: format!("p{person}"), with_token: true, ..NewPerson::default() };
        let event = as_owner(world, &mut rng, &crew, Command::from(CreateUser(person))).await;
        let Event::UserCreated(created) = &*event else { world.fail(&format!("no person: {event:?}")) };
        crew.people.push(Person { user: created.person.user, token: token(&event) });
    }
    let (public, private) = world.plan().channels;
    for channel in 0..public + private {
        let kind = if channel < public { ConversationKind::PublicChannel } else { ConversationKind::PrivateChannel };
        let members = crew.people[1..].iter().map(|person| person.user).filter(|_| rng.random_bool(0.5)).collect();
        let name = Some(format!("c{channel}"));
        let new = CreateConversation { conversation: None, kind, name, members, imported: None };
        let event = as_owner(world, &mut rng, &crew, Command::from(new)).await;
        crew.channels.extend(event.conversation());
    }
    crew
}

async fn as_owner(world: &World, rng: &mut StdRng, crew: &Crew, command: Command) -> Arc<Event> {
    let key = Some(format!("{:016x}", rng.random::<u64>()));
    until_done(world, rng, async |world, rng| {
        let request = Request {
            team: crew.team,
            actor: Some(crew.people[0].user),
            method: "settle.in".into(),
            key: key.clone(),
            deadline: Instant::now() + Duration::from_secs(10),
            traceparent: None,
            command: command.clone(),
        };
        world.any(rng).await.submit(request).await
    })
    .await
}

async fn until_done(
    world: &World,
    rng: &mut StdRng,
    ask: impl AsyncFn(&World, &mut StdRng) -> Result<Answer, Lost>,
) -> Arc<Event> {
    let deadline = Instant::now() + REST;
    while Instant::now() < deadline {
        match ask(world, rng).await {
            Ok(Answer::Acked(acked)) => return acked.event,
            Ok(Answer::NotAccepted { .. } | Answer::Unknown) | Err(Lost) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(other) => world.fail(&format!("settling in was refused: {other:?}")),
        }
    }
    world.fail("nobody could settle in")
}

/// Does one deed after the other until the world is ending.
pub(crate) async fn busy(world: World, crew: Arc<Crew>, number: usize) {
    let who = format!("{}/p{number}", crew.team);
    let mut doer = Doer {
        rng: world.rng(&format!("busy {who}")),
        world,
        crew,
        number,
        who,
        deeds: 0,
        said: Vec::new(),
        scheduled: Vec::new(),
    };
    while !doer.world.is_ending() {
        let idle = doer.rng.random_range(doer.world.plan().idle.clone());
        tokio::time::sleep(idle).await;
        let deed = doer.choose();
        doer.try_all(&deed).await;
    }
}

struct Doer {
    rng: StdRng,
    world: World,
    crew: Arc<Crew>,
    number: usize,
    who: String,
    deeds: u32,
    /// Messages of this person that count.
    said: Vec<(ConversationId, Ts)>,
    /// Scheduled messages that were certainly accepted.
    scheduled: Vec<(ConversationId, ScheduleId)>,
}

impl Doer {
    fn choose(&mut self) -> Deed {
        self.deeds += 1;
        let user = pick(&mut self.rng, &self.crew.people).user;
        let me = self.crew.people[self.number].user;
        let now = self.world.shadow().memberships(self.crew.partition, self.crew.team);
        let (own, others): (Vec<_>, Vec<_>) = self.crew.channels.iter().partition(|channel| now.is_in(**channel, me));
        // Mostly deeds that are allowed, sometimes others. The known memberships may be out of date in either case.
        let fitting = |rng: &mut StdRng, from: &[ConversationId]| {
            if from.is_empty() || rng.random_bool(0.1) { *pick(rng, &self.crew.channels) } else { *pick(rng, from) }
        };
        let deed = self.rng.random_range(0..12);
        let conversation = fitting(&mut self.rng, if deed < 2 { &others } else { &own });
        match deed {
            0 | 1 => Deed::Join { conversation },
            2 => Deed::Leave { conversation },
            3 | 4 => Deed::Invite { conversation, user },
            5 => Deed::Kick { conversation, user },
            6 if !self.said.is_empty() => {
                let (conversation, ts) = *pick(&mut self.rng, &self.said);
                match self.rng.random_range(0..3) {
                    0 => Deed::Edit { conversation, ts, text: format!("{} edits {}", self.who, self.deeds) },
                    1 => Deed::Pin { conversation, ts },
                    _ => {
                        let name = *pick(&mut self.rng, &["wave", "eyes", "tada"]);
                        Deed::React { conversation, ts, name }
                    }
                }
            }
            7 => self.for_later(conversation),
            _ => Deed::Post { conversation, text: format!("{} {}", self.who, self.deeds) },
        }
    }

    /// Returns a message that is due within seconds, or in a minute or two, so that there is time to delete it.
    fn for_later(&mut self, conversation: ConversationId) -> Deed {
        if self.rng.random_bool(0.3)
            && let Some((conversation, schedule)) = self.scheduled.pop()
        {
            return Deed::Unschedule { conversation, schedule };
        }
        let ahead_ms = if self.rng.random_bool(0.3) { 100_000 } else { self.rng.random_range(500..15_000) };
        let due = Ts::from_micros((self.world.log().clock_ms() + ahead_ms) * 1_000);
        Deed::Schedule { conversation, text: format!("{} for later {}", self.who, self.deeds), due }
    }

    /// Does a deed. With a key it is retried until it was decided, at most eight times; without one it is tried once.
    async fn try_all(&mut self, deed: &Deed) {
        let key = self.rng.random_bool(0.7).then(|| format!("k{}", self.deeds));
        let tries = if key.is_some() { 8 } else { 1 };
        let (mut known, mut first) = (Known::NotDone, None);
        for number in 0..tries {
            let one = self.try_once(deed, key.as_deref(), number).await;
            if let (Known::Done, Some(event), _) = &one {
                if first.as_ref().is_some_and(|first: &Arc<Event>| first != event) {
                    self.world.fail(&format!("{} was told two answers to {deed:?}: {first:?}, {event:?}", self.who));
                }
                if first.replace(event.clone()).is_none()
                    && let Event::MessagePosted(posted) = &**event
                {
                    self.said.push((posted.conversation, posted.message.ts));
                } else if let Event::MessageScheduled(e) = &**event {
                    self.scheduled.push((e.conversation, e.schedule));
                }
            }
            known = match (known, one.0) {
                (Known::Done, _) | (_, Known::Done) => Known::Done,
                (Known::Open, _) | (_, Known::Open) => Known::Open,
                _ => Known::NotDone,
            };
            self.check_denied(deed, known);
            if first.is_some() && one.0 == Known::NotDone && one.2 {
                self.world.fail(&format!("{} was acknowledged, and refused when asked again: {deed:?}", self.who));
            }
            // Sometimes a call with a known outcome is repeated.
            let again = if first.is_some() { self.rng.random_bool(0.1) } else { !one.2 };
            if !again {
                break;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(10..300))).await;
        }
        if let (Deed::Post { text, .. }, Known::NotDone) = (deed, known) {
            self.world.never(text.clone());
        }
    }

    /// Checks that a deed reported as not done does not count in the log so far.
    fn check_denied(&self, deed: &Deed, known: Known) {
        if let (Deed::Post { text, .. }, Known::NotDone) = (deed, known)
            && self.world.shadow().counts(text)
        {
            self.world.fail(&format!("invariant 1: {text:?} was said not to be done, and counts"));
        }
    }

    /// Tries the deed once. Returns the known outcome, its event, and whether it was decided.
    async fn try_once(&mut self, deed: &Deed, key: Option<&str>, number: u32) -> (Known, Option<Arc<Event>>, bool) {
        let life = self.world.any(&mut self.rng).await;
        let deadline = Duration::from_millis(self.rng.random_range(200..8_000));
        let request = Request {
            team: self.crew.team,
            actor: Some(self.crew.people[self.number].user),
            method: deed.method().into(),
            key: key.map(str::to_owned),
            deadline: Instant::now() + deadline,
            traceparent: None,
            command: deed.command(),
        };
        let from = self.world.shadow().end(self.crew.partition);
        let patience = deadline + Duration::from_secs(2);
        let answer = match tokio::time::timeout(patience, life.submit(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Lost)) | Err(_) => Answer::Unknown,
        };
        let brief = match &answer {
            Answer::Acked(acked) => format!("acked at {} {}", acked.seen_at.offset, acked.repeated),
            other => format!("{other:?}"),
        };
        self.world.say(&self.who, format_args!("{} {deed:?} #{number}: {brief}", life.name));
        match answer {
            Answer::Acked(acked) => {
                if let Err(why) = self.world.shadow().acknowledged(&acked.event, acked.seen_at) {
                    self.world.fail(&why);
                }
                (Known::Done, Some(acked.event), true)
            }
            Answer::Refused(Refusal::MessageNotFound) => {
                self.world.fail(&format!("invariant 1: {} was told that there is no such message: {deed:?}", self.who));
            }
            Answer::Refused(refusal) => {
                self.check(deed, &format!("{refusal:?}"), self.premises(deed, refusal), from);
                (Known::NotDone, None, true)
            }
            Answer::Nothing { why: nothing, .. } => {
                self.check(deed, &format!("{nothing:?}"), self.nothing(deed, nothing), from);
                (Known::NotDone, None, true)
            }
            Answer::NotAccepted { why: NotAccepted::Unreadable, .. } => self.world.fail("a partition is unreadable"),
            Answer::NotAccepted { .. } => (Known::NotDone, None, false),
            Answer::Unknown => (Known::Open, None, false),
        }
    }

    /// Returns the memberships of which at least one must have held for the refusal to be right.
    fn premises(&self, deed: &Deed, refusal: Refusal) -> Vec<(UserId, bool)> {
        let me = self.crew.people[self.number].user;
        match (refusal, deed) {
            (Refusal::NotInChannel, Deed::Kick { user, .. }) => vec![(me, false), (*user, false)],
            (Refusal::NotInChannel | Refusal::ChannelNotFound, _) => vec![(me, false)],
            (Refusal::AlreadyInChannel, Deed::Invite { user, .. }) => vec![(*user, true)],
            _ => Vec::new(),
        }
    }

    fn nothing(&self, deed: &Deed, nothing: Nothing) -> Vec<(UserId, bool)> {
        let me = self.crew.people[self.number].user;
        match (nothing, deed) {
            (Nothing::AlreadyIn(_), Deed::Join { .. }) => vec![(me, true)],
            (Nothing::NotIn, Deed::Leave { .. }) => vec![(me, false)],
            _ => Vec::new(),
        }
    }

    /// An answer that appends nothing is true as of some moment between the call and the answer.
    fn check(&self, deed: &Deed, answer: &str, premises: Vec<(UserId, bool)>, from: Offset) {
        let shadow = self.world.shadow();
        let (place, during) = ((self.crew.partition, self.crew.team), (from, shadow.end(self.crew.partition)));
        let was = |(user, is_in): &(UserId, bool)| shadow.was_in(place, (deed.conversation(), *user), *is_in, during);
        if !premises.is_empty() && !premises.iter().any(was) {
            drop(shadow);
            let Offset(from) = from;
            self.world.fail(&format!(
                "{} was told {answer} of {deed:?}, which was never so between offsets {from} and {}",
                self.who, during.1
            ));
        }
    }
}
