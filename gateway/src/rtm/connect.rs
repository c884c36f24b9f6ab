//! `rtm.connect` and `rtm.start`: the place at which a session begins, and the state that its client is given.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use rand::Rng;
use serde_json::{Map, Value, json};
use teamlog_live::{LiveTeam, TeamGuard};
use teamlog_log::{Position, TopicPartition};
use teamlog_schemas::{ConversationId, ConversationKind, Ts};
use teamlog_state::{Team, UserState};
use tracing::debug;

use super::{
    people::{Encoded, Version},
    replay::{self, ReplayError},
    state::{Rtm, now_ms},
    ticket::{Once, Ticket},
};
use crate::{
    ApiError, Caller, Gateway, Reply,
    args::args,
    frames::{Cursor, Place},
    limits, read,
    render::{self, Reader},
};

args! {
    /// The arguments of `rtm.connect`.
    #[derive(Clone, Debug, Default)]
    pub struct ConnectArgs {
        /// The place from which the socket goes on: the cursor of a frame or of an earlier answer.
        cursor: Option<String> [malformed "cursor_invalid"],
        /// True if each frame should carry its cursor.
        cursors: bool,
        /// True for a client that takes presence changes of many people in one frame.
        batch_presence_aware: bool,
    }

    /// The arguments of `rtm.start`.
    #[derive(Clone, Debug, Default)]
    pub struct StartArgs {
        /// The place from which the socket goes on: the cursor of a frame or of an earlier answer.
        cursor: Option<String> [malformed "cursor_invalid"],
        /// True if each frame should carry its cursor.
        cursors: bool,
        /// True for a client that takes presence changes of many people in one frame.
        batch_presence_aware: bool,
        /// True to leave out how much is unread.
        no_unreads: bool,
        /// True to get a large team whole too.
        full: bool,
    }
}

impl StartArgs {
    /// Returns the arguments that say how the socket is opened.
    pub(crate) fn of_the_socket(&self) -> ConnectArgs {
        let StartArgs { cursor, cursors, batch_presence_aware, no_unreads: _, full: _ } = self;
        ConnectArgs { cursor: cursor.clone(), cursors: *cursors, batch_presence_aware: *batch_presence_aware }
    }
}

/// `rtm.connect`.
///
/// # Errors
/// `ratelimited` if too many clients are joining; `cursor_invalid` and `cursor_expired`; an error that may pass if the log
/// cannot be read now.
pub async fn connect(gateway: &Gateway, caller: &Caller, args: &ConnectArgs) -> Result<Reply, ApiError> {
    let _joining = gateway.rtm().admission.admit_call(caller.team.id())?;
    let resumed = resumed(gateway, &caller.team, args).await?;
    let team = caller.team.read();
    let place = resumed.unwrap_or(Place::at(team.position()));
    let mut answer = begin(gateway, caller, args, &team, place)?;
    let member = team.person(caller.user).ok_or(ApiError::refused("account_inactive"))?;
    answer.insert("self".to_owned(), json!({ "id": caller.user, "name": member.person.name.as_str() }));
    let brief = json!({ "id": team.id(), "name": team.name(), "domain": team.domain() });
    answer.insert("team".to_owned(), brief);
    Ok(answer.into())
}

/// `rtm.start`.
///
/// # Errors
/// As [`connect`].
pub async fn start(gateway: &Gateway, caller: &Caller, args: &StartArgs) -> Result<Reply, ApiError> {
    let rtm = gateway.rtm();
    let _joining = rtm.admission.admit_call(caller.team.id())?;
    let socket = args.of_the_socket();
    let resumed = resumed(gateway, &caller.team, &socket).await?;
    let own = gateway.ingest().marks().user(caller.team.id(), caller.user).await?;
    let with_unread = !args.no_unreads;
    // A client with a cursor counts from there itself: the current counts would include messages that are still to be sent.
    let (unread, seen) = match with_unread && resumed.is_none() {
        true => unread(gateway, caller, &own).await,
        false => (None, Seen::of(rtm, &caller.team.read())),
    };
    let Seen { team, position, people } = seen;
    let place = resumed.unwrap_or(Place::at(position));
    let mut answer = begin(gateway, caller, &socket, &team, place)?;
    let member = team.person(caller.user).ok_or(ApiError::refused("account_inactive"))?;
    let lazy = !args.full && team.people_len() > rtm.config.lazy_people;
    answer.insert("self".to_owned(), render::own_self(member));
    let mut rendered = render::team(&team);
    rendered["prefs"] = render::team_prefs(&team);
    answer.insert("team".to_owned(), rendered);
    conversations(&mut answer, &team, caller, &own, unread.as_ref(), lazy);
    let now = now_ms() / 1000;
    for (key, value) in [
        ("subteams", json!({ "self": [], "all": [] })),
        ("dnd", json!({ "dnd_enabled": false, "next_dnd_start_ts": 1, "next_dnd_end_ts": 1, "snooze_enabled": false })),
        ("cache_ts", json!(now)),
        ("cache_ts_version", json!("v2-bunny")),
        ("cache_version", json!("v16-giraffe")),
        ("latest_event_ts", json!(team.last_ts().to_string())),
        ("can_manage_shared_channels", json!(false)),
        ("read_only_channels", json!([])),
        ("non_threadable_channels", json!([])),
        ("thread_only_channels", json!([])),
        ("is_lazy", json!(lazy)),
    ] {
        answer.insert(key.to_owned(), value);
    }
    if lazy {
        close_people(&mut answer, &team, caller);
        return Ok(answer.into());
    }
    let people = rtm.people.of(people, &team);
    Ok(Reply::Encoded(put_together(&answer, &people)))
}

/// A copy of a team at a position. Rendering it takes long, and an event that waits for the team's lock delays every team
/// of the partition. So it is copied under the lock and rendered without it.
struct Seen {
    team: Team,
    position: Position,
    people: Version,
}

impl Seen {
    fn of(rtm: &Rtm, team: &TeamGuard<'_>) -> Seen {
        Seen { team: team.to_look_at(), position: team.position(), people: rtm.people.version(team) }
    }
}

/// Builds the answer's JSON object from this caller's own keys and the encoded pieces that all callers share.
fn put_together(answer: &Map<String, Value>, people: &Encoded) -> Bytes {
    let own = serde_json::to_vec(answer).expect("a JSON value has string keys");
    let own = own.strip_prefix(b"{").unwrap_or(&own);
    let own = own.strip_suffix(b"}").unwrap_or(own);
    let mut whole = Vec::with_capacity(own.len() + people.users.len() + people.bots.len() + 64);
    for piece in [&br#"{"ok":true,"#[..], own, br#","users":"#, &people.users, br#","bots":"#, &people.bots, b"}"] {
        whole.extend_from_slice(piece);
    }
    whole.into()
}

type Counts = HashMap<ConversationId, u64>;

/// Returns the caller's unread counts, and the team at the position of these counts. Events after that position are sent
/// over the socket. If the rows are unavailable, there are no counts, but the caller can still connect.
async fn unread(gateway: &Gateway, caller: &Caller, own: &UserState) -> (Option<Counts>, Seen) {
    let rtm = gateway.rtm();
    // Ask only for conversations that may have unread messages. If another one gets some meanwhile, ask for all.
    for all in [false, true] {
        let marks = marks(&caller.team.read(), caller, own, all);
        let look = |team: &TeamGuard<'_>| {
            let asked: HashSet<_> = marks.iter().map(|(conversation, _)| *conversation).collect();
            let behind = self::marks(team, caller, own, false);
            let is_whole = all || behind.iter().all(|(conversation, _)| asked.contains(conversation));
            is_whole.then(|| Seen::of(rtm, team))
        };
        let counted = match marks.is_empty() {
            true => Ok((Vec::new(), look(&caller.team.read()))),
            false => read::unread_and(gateway, caller, &marks, look).await,
        };
        match counted {
            Ok((counts, Some(seen))) => {
                let counts = marks.iter().zip(counts).map(|((conversation, _), unread)| (*conversation, unread.count));
                return (Some(counts.collect()), seen);
            }
            Ok((_, None)) => {}
            Err(why) => {
                debug!(team = %caller.team.id(), user = %caller.user, %why, "a client starts without counts of what is unread");
                break;
            }
        }
    }
    (None, Seen::of(rtm, &caller.team.read()))
}

/// Returns the caller's marks: those of conversations with messages after the mark, or of all.
fn marks(team: &Team, caller: &Caller, own: &UserState, all: bool) -> Vec<(ConversationId, Ts)> {
    let of = team.conversations_of(caller.user);
    let wanted = of.filter(|c| all || (c.ordinal > 0 && c.latest > own.mark(c.conversation)));
    wanted.map(|c| (c.conversation, own.mark(c.conversation))).collect()
}

/// Returns the place at which a client that sent a cursor resumes.
async fn resumed(gateway: &Gateway, team: &LiveTeam, args: &ConnectArgs) -> Result<Option<Place>, ApiError> {
    let Some(text) = &args.cursor else { return Ok(None) };
    let invalid = ApiError::refused("cursor_invalid");
    let expired = ApiError::refused("cursor_expired");
    let Some(cursor) = Cursor::verify(gateway.ingest().secrets(), text) else { return Err(invalid) };
    if cursor.team != team.id() {
        return Err(invalid);
    }
    let (events, position) = (TopicPartition::events(team.partition()), cursor.place.position);
    match replay::catch_up_to(gateway, team.partition(), cursor.place).await {
        Ok(()) => {}
        Err(ReplayError::Gone(_)) => return Err(expired),
        Err(ReplayError::Away(_)) => return Err(ApiError::away()),
    }
    // Check now, and not when the socket opens, that the cursor is of this log and that the replay is possible.
    match gateway.feed().scan(events, position).await {
        Ok(_) => Ok(Some(cursor.place)),
        Err(why) if why.may_pass() => Err(ApiError::away()),
        Err(_) => Err(expired),
    }
}

fn begin(
    gateway: &Gateway,
    caller: &Caller,
    args: &ConnectArgs,
    team: &Team,
    place: Place,
) -> Result<Map<String, Value>, ApiError> {
    let secrets = gateway.ingest().secrets();
    let ticket = Ticket {
        team: team.id(),
        user: caller.user,
        token: caller.token,
        place,
        issued_ms: now_ms(),
        once: Some(Once { gateway: gateway.config().node, nonce: rand::rng().random() }),
        cursors: args.cursors,
        batches: args.batch_presence_aware,
    };
    let url = format!("{}/ws/{}", gateway.config().websocket_url(), ticket.sign(secrets));
    let cursor = Cursor { team: team.id(), place }.sign(secrets);
    let mut answer = Map::new();
    answer.insert("url".to_owned(), json!(url));
    answer.insert("cursor".to_owned(), json!(cursor));
    Ok(answer)
}

fn conversations(
    answer: &mut Map<String, Value>,
    team: &Team,
    caller: &Caller,
    own: &UserState,
    unread: Option<&Counts>,
    lazy: bool,
) {
    let (mut channels, mut groups, mut ims, mut mpims) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let index = team.person_index(caller.user);
    for c in team.conversations() {
        let is_member = index.is_some_and(|index| c.members.contains(index));
        if !is_member && (c.kind != ConversationKind::PublicChannel || lazy) {
            continue;
        }
        let last_read = own.mark(c.conversation);
        let unread = unread.map(|unread| unread.get(&c.conversation).copied().unwrap_or(0));
        let reader = is_member.then_some(Reader { last_read, unread, latest: None });
        let members_max = if lazy { 0 } else { limits::LEGACY_MEMBERS_MAX };
        let rendered = render::legacy_conversation(team, c, caller.user, reader.as_ref(), members_max);
        match c.kind {
            ConversationKind::PublicChannel => channels.push(rendered),
            ConversationKind::PrivateChannel => groups.push(rendered),
            ConversationKind::Im => ims.push(rendered),
            ConversationKind::Mpim => {
                groups.push(rendered.clone());
                mpims.push(rendered);
            }
        }
    }
    for (key, list) in [("channels", channels), ("groups", groups), ("ims", ims), ("mpims", mpims)] {
        answer.insert(key.to_owned(), Value::Array(list));
    }
}

/// Oneself and those with whom one has a direct message: what a client of a large team begins with.
fn close_people(answer: &mut Map<String, Value>, team: &Team, caller: &Caller) {
    let close = team.conversations_of(caller.user).filter(|c| !c.kind.is_channel());
    let mut close = close.fold(roaring::RoaringBitmap::new(), |all, c| all | &c.members);
    close.extend(team.person_index(caller.user));
    let close: Vec<_> = close.iter().filter_map(|index| team.person_at(index)).collect();
    let users = close.iter().map(|member| render::user(team, member)).collect();
    let bots = close.iter().filter_map(|member| render::user_bot(team, member));
    let bots = bots.chain(team.bots().map(|bot| render::bot(team, bot))).collect();
    answer.insert("users".to_owned(), Value::Array(users));
    answer.insert("bots".to_owned(), Value::Array(bots));
}
