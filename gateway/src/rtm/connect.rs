//! `rtm.connect` and `rtm.start`: where a session begins, and what its client knows by then.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use serde_json::{Map, Value, json};
use teamlog_ingest::LiveTeam;
use teamlog_log::{Position, TopicPartition};
use teamlog_schemas::{ConversationKind, TeamId};
use teamlog_state::{Team, UserState};

use super::{
    service::{Rtm, now_ms},
    ticket::{Cursor, Ticket},
};
use crate::{
    ApiError, Args, Caller, Gateway, Reply, limits,
    render::{self, Reader},
};

pub(super) async fn connect(
    rtm: &Arc<Rtm>,
    gateway: &Gateway,
    caller: &Caller,
    args: &Args,
) -> Result<Reply, ApiError> {
    admit(rtm, caller.team.id())?;
    let resumed = resumed(gateway, &caller.team, args).await?;
    let team = caller.team.read();
    let position = resumed.unwrap_or(team.position());
    let mut answer = begin(gateway, caller, args, &team, position)?;
    let member = team.person(caller.user).ok_or(ApiError::refused("account_inactive"))?;
    answer.insert("self".to_owned(), json!({ "id": caller.user, "name": member.person.name.as_str() }));
    let brief = json!({ "id": team.id(), "name": team.name(), "domain": team.domain() });
    answer.insert("team".to_owned(), brief);
    Ok(answer.into())
}

pub(super) async fn start(rtm: &Arc<Rtm>, gateway: &Gateway, caller: &Caller, args: &Args) -> Result<Reply, ApiError> {
    admit(rtm, caller.team.id())?;
    let resumed = resumed(gateway, &caller.team, args).await?;
    let own = gateway.ingest().marks().user(caller.team.id(), caller.user).await?;
    let full = args.flag("full")?.unwrap_or(false);
    let team = caller.team.read();
    let position = resumed.unwrap_or(team.position());
    let mut answer = begin(gateway, caller, args, &team, position)?;
    let member = team.person(caller.user).ok_or(ApiError::refused("account_inactive"))?;
    let lazy = !full && team.people_len() > rtm.config.lazy_people;
    answer.insert("self".to_owned(), render::own_self(member));
    answer.insert("team".to_owned(), render::team(&team));
    conversations(&mut answer, &team, caller, &own, lazy);
    people(&mut answer, &team, caller, lazy);
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
    Ok(answer.into())
}

/// Bounds on those who are joining, so that a reconnecting office cannot starve the others. The wait is jittered, so
/// that they do not come back all at once.
fn admit(rtm: &Rtm, team: TeamId) -> Result<(), ApiError> {
    let joining = rtm.joining.lock();
    let (own, all) = (joining.get(&team).copied().unwrap_or(0), joining.values().sum::<usize>());
    let open = rtm.open.load(std::sync::atomic::Ordering::Relaxed);
    let config = &rtm.config;
    if own < config.joining_team_max && all < config.joining_max && open < config.sessions_max {
        return Ok(());
    }
    metrics::counter!("teamlog_rtm_not_admitted_total").increment(1);
    Err(ApiError::rate_limited(Duration::from_secs(rand::rng().random_range(1..=10))))
}

/// Where a client goes on that sent its cursor.
async fn resumed(gateway: &Gateway, team: &LiveTeam, args: &Args) -> Result<Option<Position>, ApiError> {
    let Some(text) = args.filled("cursor")? else { return Ok(None) };
    let invalid = ApiError::refused("cursor_invalid");
    let expired = ApiError::refused("cursor_expired");
    let Some(cursor) = Cursor::verify(gateway.ingest().secrets(), &text) else { return Err(invalid) };
    if cursor.team != team.id() {
        return Err(invalid);
    }
    let (teams, events) = (gateway.ingest().teams(), TopicPartition::events(team.partition()));
    if cursor.position.offset > teams.position(team.partition()).offset {
        // A process that has just come may not have read so far yet; past the end, the cursor is of another log.
        match gateway.feed().log().end(events).await {
            Ok(end) if cursor.position.offset <= end => {
                teams.wait_for(team.partition(), cursor.position.offset).await?;
            }
            Ok(_) => return Err(expired),
            Err(_) => return Err(ApiError::away()),
        }
    }
    if cursor.position.log_id != teams.position(team.partition()).log_id {
        return Err(expired);
    }
    // Whether so much can still be replayed is known now, not when the socket comes.
    match gateway.feed().scan(events, cursor.position).await {
        Ok(_) => Ok(Some(cursor.position)),
        Err(why) if why.may_pass() => Err(ApiError::away()),
        Err(_) => Err(expired),
    }
}

fn begin(
    gateway: &Gateway,
    caller: &Caller,
    args: &Args,
    team: &Team,
    position: Position,
) -> Result<Map<String, Value>, ApiError> {
    let secrets = gateway.ingest().secrets();
    let ticket = Ticket {
        team: team.id(),
        user: caller.user,
        token: caller.token,
        position,
        issued_ms: now_ms(),
        nonce: Some(rand::rng().random()),
        cursors: args.flag("cursors")?.unwrap_or(false),
        batches: args.flag("batch_presence_aware")?.unwrap_or(false),
    };
    let url = format!("{}/ws/{}", gateway.config().websocket_url(), ticket.sign(secrets));
    let cursor = Cursor { team: team.id(), position }.sign(secrets);
    let mut answer = Map::new();
    answer.insert("url".to_owned(), json!(url));
    answer.insert("cursor".to_owned(), json!(cursor));
    Ok(answer)
}

fn conversations(answer: &mut Map<String, Value>, team: &Team, caller: &Caller, own: &UserState, lazy: bool) {
    let (mut channels, mut groups, mut ims, mut mpims) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let index = team.person_index(caller.user);
    for c in team.conversations() {
        let is_member = index.is_some_and(|index| c.members.contains(index));
        if !is_member && (c.kind != ConversationKind::PublicChannel || lazy) {
            continue;
        }
        let last_read = own.mark(c.conversation);
        let reader = is_member.then_some(Reader { last_read, unread: None, latest: None });
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

/// Everybody; lazily only oneself and those with whom one has a direct message.
fn people(answer: &mut Map<String, Value>, team: &Team, caller: &Caller, lazy: bool) {
    let close = team.conversations_of(caller.user).filter(|c| !c.kind.is_channel());
    let close = close.fold(roaring::RoaringBitmap::new(), |all, c| all | &c.members);
    let shown = |index: u32| !lazy || close.contains(index) || team.person_index(caller.user) == Some(index);
    let shown: Vec<_> = team.people().zip(0..).filter(|(_, index)| shown(*index)).map(|(member, _)| member).collect();
    let users = shown.iter().map(|member| render::user(team, member)).collect();
    let bots = shown.iter().filter_map(|member| render::user_bot(team, member));
    let bots = bots.chain(team.bots().map(|bot| render::bot(team, bot))).collect();
    answer.insert("users".to_owned(), Value::Array(users));
    answer.insert("bots".to_owned(), Value::Array(bots));
}
