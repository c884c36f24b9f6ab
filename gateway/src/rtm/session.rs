//! One session: catching up and going live are one loop.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use serde_json::{Map, Value, json};
use teamlog_ingest::{Answer, Command, LiveTeam, Post, Request};
use teamlog_log::{Entry, FeedError, Position, TopicPartition};
use teamlog_schemas::{ConversationId, Event, UserId};
use tokio::sync::mpsc;
use tracing::debug;

use super::{
    frames::encode,
    hub::Push,
    service::{Rtm, now_ms, presence_word},
    ticket::{Cursor, Ticket},
    visible::seen,
};
use crate::{Gateway, Incoming, Outgoing, SocketError, SocketSink, SocketStream};

/// Messages of one socket whose outcome is not known yet: past it nothing more is read from it.
const UNDER_WAY_MAX: usize = 64;
/// People whom one session may watch.
const WATCHED_MAX: usize = 1000;

/// Why a session ends.
enum End {
    /// The client closed, or the socket broke.
    Gone,
    /// To be resumed: the node stops, or the client reads too slowly for too long.
    Resume,
    /// Not to be resumed: its token is dead.
    Revoked,
    /// Its position cannot be served any more: start over.
    StartOver,
    /// A frame past the bound.
    TooLarge,
}

struct Session<'a> {
    rtm: &'a Arc<Rtm>,
    gateway: &'a Gateway,
    team: Arc<LiveTeam>,
    ticket: Ticket,
    session: u64,
    /// Every visible event below was sent.
    position: Position,
    sink: SocketSink,
    watched: HashSet<UserId>,
    sent_since_url: bool,
    url_sent: Instant,
    heard: Instant,
    /// Tokens of the bucket for messages, and when it was filled last.
    bucket: (f64, Instant),
    under_way: FuturesOrdered<BoxFuture<'static, Bytes>>,
}

/// Serves one socket to its end.
pub(super) async fn serve(
    rtm: &Arc<Rtm>,
    gateway: Gateway,
    ticket: &str,
    mut stream: SocketStream,
    mut sink: SocketSink,
) {
    let Some((ticket, team)) = redeem(rtm, &gateway, ticket).await else {
        let error = json!({ "type": "error", "error": { "code": 1, "msg": "Socket URL has expired" } });
        let _ = sink.feed(Outgoing::Text(encode(&error))).await;
        let _ = sink.feed(Outgoing::Close(1008, "Socket URL has expired")).await;
        let _ = sink.flush().await;
        return;
    };
    let joining = Joining::new(rtm, ticket.team);
    let messages = rtm.config.messages.map_or(0.0, |(_, burst)| f64::from(burst));
    let mut session = Session {
        rtm,
        gateway: &gateway,
        session: rtm.next_session.fetch_add(1, Ordering::Relaxed),
        position: ticket.position,
        team,
        sink,
        watched: HashSet::new(),
        sent_since_url: true,
        url_sent: Instant::now(),
        heard: Instant::now(),
        bucket: (messages, Instant::now()),
        under_way: FuturesOrdered::new(),
        ticket,
    };
    let (team, user) = (session.ticket.team, session.ticket.user);
    if rtm.arrived(team, user) {
        rtm.tell_presence(&session.team.read(), user);
    }
    let end = match session.run(&mut stream, joining).await {
        Ok(()) => End::Gone,
        Err(end) => end,
    };
    session.leave();
    session.say_goodbye(end).await;
    rtm.watch(team, user, &session.watched, &HashSet::new());
    rtm.departed(team, user);
    let (rtm, live) = (rtm.clone(), session.team.clone());
    tokio::spawn(async move {
        tokio::time::sleep(rtm.config.away_after).await;
        if rtm.gone(team, user) {
            rtm.tell_presence(&live.read(), user);
        }
    });
}

/// The ticket, if it is good, was not used, and its token still is one.
async fn redeem(rtm: &Rtm, gateway: &Gateway, text: &str) -> Option<(Ticket, Arc<LiveTeam>)> {
    let ticket = Ticket::verify(gateway.ingest().secrets(), text, now_ms())?;
    if let Some(nonce) = ticket.nonce
        && !rtm.used.entry(nonce).or_insert(()).is_fresh()
    {
        return None;
    }
    gateway.is_current(TopicPartition::DIRECTORY).await;
    let team = gateway.ingest().team(ticket.team).await.ok()?;
    gateway.is_current(TopicPartition::events(team.partition())).await;
    let good = team.read().token(&ticket.token).is_some_and(|state| !state.revoked && state.user == ticket.user);
    good.then_some((ticket, team))
}

/// Counts a session among those who are joining until it is dropped.
struct Joining<'a> {
    rtm: &'a Rtm,
    team: teamlog_schemas::TeamId,
}

impl<'a> Joining<'a> {
    fn new(rtm: &'a Rtm, team: teamlog_schemas::TeamId) -> Self {
        *rtm.joining.lock().entry(team).or_default() += 1;
        Joining { rtm, team }
    }
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        let mut joining = self.rtm.joining.lock();
        if let Some(count) = joining.get_mut(&self.team) {
            *count -= 1;
            if *count == 0 {
                joining.remove(&self.team);
            }
        }
    }
}

impl Session<'_> {
    async fn run(&mut self, stream: &mut SocketStream, joining: Joining<'_>) -> Result<(), End> {
        self.feed(encode(&json!({ "type": "hello", "fast_reconnect": false }))).await?;
        self.flush().await?;
        // The url may be of a process before this one, and this one not as far yet: what its client has is not sent again.
        let (teams, begins) = (self.gateway.ingest().teams(), self.ticket.position.offset);
        teams.wait_for(self.team.partition(), begins).await.map_err(|why| {
            debug!(team = %self.ticket.team, user = %self.ticket.user, %why, "a session begins past what is here");
            End::Resume
        })?;
        let mut joining = Some(joining);
        loop {
            self.catch_up().await?;
            let Some(pushes) = self.go_live()? else { continue };
            joining.take();
            self.live(stream, pushes).await?;
            metrics::counter!("teamlog_rtm_catch_ups_total").increment(1);
        }
    }

    /// Sends what lies between its position and where the team stands.
    async fn catch_up(&mut self) -> Result<(), End> {
        let source = TopicPartition::events(self.team.partition());
        let mut in_a_row = 0;
        let older = self.gateway.feed().scan(source, self.position).await.map_err(|why| self.refuse(&why))?;
        let (seen, reached) = {
            let team = self.team.read();
            let reached = team.position();
            // What passed since the scan; the ring has it, unless the scan took very long: then once more.
            let behind = older.last().map_or(self.position, |entry| entry.after);
            let Ok(Some(newer)) = self.gateway.feed().recent(source, &behind) else { return Ok(()) };
            let below = |entry: &&Arc<Entry<Event>>| entry.offset < reached.offset;
            let entries: Vec<_> = older.iter().chain(&newer).filter(below).cloned().collect();
            (seen(&team, self.ticket.user, &entries), reached)
        };
        for (after, frames) in seen {
            in_a_row += frames.len();
            self.feed_event(after, frames).await?;
            if in_a_row >= self.rtm.config.burst_frames {
                in_a_row = 0;
                self.flush().await?;
                tokio::time::sleep(self.rtm.config.burst_pause).await;
            }
        }
        self.position = reached;
        self.flush().await
    }

    fn refuse(&self, why: &FeedError) -> End {
        debug!(team = %self.ticket.team, user = %self.ticket.user, %why, "a session cannot be caught up");
        if why.may_pass() { End::Resume } else { End::StartOver }
    }

    /// The switch: registered at exactly its position, or not at all.
    fn go_live(&mut self) -> Result<Option<mpsc::Receiver<Push>>, End> {
        let (team, user, token) = (self.ticket.team, self.ticket.user, self.ticket.token);
        let person = {
            let state = self.team.read();
            if state.token(&token).is_none_or(|state| state.revoked) {
                return Err(End::Revoked);
            }
            state.person_index(user).ok_or(End::Revoked)?
        };
        let (hub, queue_max, at) = (&self.rtm.hub, self.rtm.config.queue_max, self.position);
        Ok(self.gateway.ingest().teams().join(self.team.partition(), |position| {
            let there = position.offset == at.offset;
            there.then(|| hub.register(team, (user, person), self.session, token, queue_max))
        }))
    }

    fn leave(&self) {
        let person = self.team.read().person_index(self.ticket.user);
        if let Some(person) = person {
            self.rtm.hub.leave(self.ticket.team, person, self.session);
        }
    }

    /// Live until the queue ends, which means that it overflowed.
    async fn live(&mut self, stream: &mut SocketStream, mut pushes: mpsc::Receiver<Push>) -> Result<(), End> {
        let mut tick = tokio::time::interval(self.rtm.config.dead_after / 3);
        tick.tick().await;
        loop {
            let room = self.under_way.len() < UNDER_WAY_MAX;
            let stop = self.rtm.stop.clone();
            tokio::select! {
                push = pushes.recv() => {
                    let Some(push) = push else { return Ok(()) };
                    self.take(push).await?;
                    // Feed what is queued, flush once.
                    while let Ok(push) = pushes.try_recv() {
                        self.take(push).await?;
                    }
                }
                Some(answer) = self.under_way.next(), if !self.under_way.is_empty() => self.feed(answer).await?,
                incoming = stream.next(), if room => self.hear(incoming).await?,
                _ = tick.tick() => {
                    if self.heard.elapsed() > self.rtm.config.dead_after {
                        return Err(End::Gone);
                    }
                    self.send(Outgoing::Ping(Bytes::new())).await?;
                }
                () = stop.cancelled() => return Err(End::Resume),
            }
            if self.sent_since_url && self.url_sent.elapsed() >= self.rtm.config.reconnect_url_every {
                self.feed_reconnect_url().await?;
            }
            self.flush().await?;
        }
    }

    async fn take(&mut self, push: Push) -> Result<(), End> {
        match push {
            Push::Frame(after, frame) => self.feed_event(after, vec![frame]).await,
            Push::Frames(after, frames) => self.feed_event(after, frames).await,
            Push::Passing(frame) => self.feed(frame).await,
            Push::ManualPresence(away) => {
                let user = self.ticket.user;
                self.rtm.tell_presence(&self.team.read(), user);
                let presence = presence_word(!away);
                self.feed(encode(&json!({ "type": "manual_presence_change", "presence": presence }))).await
            }
            Push::Revoked => Err(End::Revoked),
        }
    }

    // --- what goes out ----------------------------------------------------------------------------------------

    /// All frames of one event. Only the last one's cursor lies behind it.
    async fn feed_event(&mut self, after: Position, frames: Vec<Bytes>) -> Result<(), End> {
        let last = frames.len().saturating_sub(1);
        for (at, frame) in frames.into_iter().enumerate() {
            let frame = if self.ticket.cursors {
                self.with_cursor(&frame, if at == last { after } else { self.position })
            } else {
                frame
            };
            self.feed(frame).await?;
        }
        self.position = after;
        metrics::counter!("teamlog_rtm_events_sent_total").increment(1);
        Ok(())
    }

    fn with_cursor(&self, frame: &Bytes, position: Position) -> Bytes {
        let cursor = Cursor { team: self.ticket.team, position }.sign(self.gateway.ingest().secrets());
        let mut longer = Vec::with_capacity(frame.len() + cursor.len() + 16);
        longer.extend_from_slice(frame.strip_suffix(b"}").unwrap_or(frame));
        longer.extend_from_slice(b",\"cursor\":\"");
        longer.extend_from_slice(cursor.as_bytes());
        longer.extend_from_slice(b"\"}");
        longer.into()
    }

    async fn feed_reconnect_url(&mut self) -> Result<(), End> {
        let ticket = Ticket { position: self.position, issued_ms: now_ms(), nonce: None, ..self.ticket.clone() };
        let secrets = self.gateway.ingest().secrets();
        let url = format!("{}/ws/{}", self.gateway.config().websocket_url(), ticket.sign(secrets));
        self.feed(encode(&json!({ "type": "reconnect_url", "url": url }))).await?;
        self.url_sent = Instant::now();
        self.sent_since_url = false;
        Ok(())
    }

    async fn feed(&mut self, frame: Bytes) -> Result<(), End> {
        self.sent_since_url = true;
        self.send(Outgoing::Text(frame)).await
    }

    /// A client that takes nothing for half a minute is closed, to be resumed: its place in the log is known.
    async fn send(&mut self, message: Outgoing) -> Result<(), End> {
        match tokio::time::timeout(Duration::from_secs(30), self.sink.feed(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        match tokio::time::timeout(Duration::from_secs(30), self.sink.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn say_goodbye(&mut self, end: End) {
        let (code, reason) = match end {
            End::Gone => return,
            End::Resume => {
                let _ = self.feed_reconnect_url().await;
                (1001, "going away")
            }
            End::Revoked => (1008, "token revoked"),
            End::StartOver => (1008, "start over"),
            End::TooLarge => (1009, "frame too large"),
        };
        let _ = self.feed(encode(&json!({ "type": "goodbye" }))).await;
        let _ = self.send(Outgoing::Close(code, reason)).await;
        let _ = self.flush().await;
    }

    // --- what comes in ----------------------------------------------------------------------------------------

    async fn hear(&mut self, incoming: Option<Result<Incoming, SocketError>>) -> Result<(), End> {
        self.heard = Instant::now();
        match incoming {
            None | Some(Ok(Incoming::Close) | Err(SocketError::Broken(_))) => Err(End::Gone),
            Some(Err(SocketError::TooLarge)) => Err(End::TooLarge),
            Some(Ok(Incoming::Ping(_) | Incoming::Pong(_))) => Ok(()),
            Some(Ok(Incoming::Text(text))) => match serde_json::from_slice::<Value>(&text) {
                Ok(Value::Object(frame)) => self.obey(frame).await,
                _ => self.feed(encode(&error(None, 1, "not a JSON object"))).await,
            },
        }
    }

    async fn obey(&mut self, mut frame: Map<String, Value>) -> Result<(), End> {
        let kind = frame.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = frame.get("id").filter(|id| id.is_number()).cloned();
        match kind.as_str() {
            "ping" => {
                frame.insert("type".to_owned(), json!("pong"));
                frame.remove("id");
                if let Some(id) = id {
                    frame.insert("reply_to".to_owned(), id);
                }
                self.feed(encode(&Value::Object(frame))).await
            }
            "message" => self.post(&frame, id).await,
            "typing" => {
                self.typing(&frame);
                Ok(())
            }
            "presence_sub" => self.presence_sub(&frame).await,
            "presence_query" => {
                let users = users(&frame);
                self.feed_presences(&users).await
            }
            // Clients say more than there is to answer (`tickle` and the like).
            _ if !kind.is_empty() => Ok(()),
            _ => self.feed(encode(&error(id, 1, "a frame without a type"))).await,
        }
    }

    async fn post(&mut self, frame: &Map<String, Value>, id: Option<Value>) -> Result<(), End> {
        let text = |key: &str| frame.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(words) = text("text").filter(|words| !words.is_empty()) else {
            return self.feed(encode(&error(id, 2, "message text is missing"))).await;
        };
        let Some(conversation) = text("channel").and_then(|channel| channel.parse::<ConversationId>().ok()) else {
            return self.feed(encode(&error(id, 3, "channel_not_found"))).await;
        };
        if !self.may_send() {
            return self.feed(encode(&error(id, -1, "slow down, too many messages..."))).await;
        }
        let thread_ts = text("thread_ts").and_then(|ts| ts.parse().ok());
        let client_msg_id = text("client_msg_id");
        let post = Post {
            conversation: Some(conversation),
            text: words.clone(),
            thread_ts,
            reply_broadcast: frame.get("reply_broadcast").and_then(Value::as_bool).unwrap_or(false),
            client_msg_id: client_msg_id.clone(),
            ..Post::default()
        };
        let request = Request {
            team: self.ticket.team,
            actor: Some(self.ticket.user),
            method: "chat.postMessage",
            key: client_msg_id,
            deadline: Instant::now() + self.gateway.config().write_deadline,
            traceparent: None,
            command: Command::Post(Box::new(post)),
        };
        let ingest = self.gateway.ingest().clone();
        // In the order in which they came: the queue polls the oldest first, and a poll hands the command in.
        let mut submit = async move { acknowledged(ingest.submit(request).await, id, &words) }.boxed();
        match (&mut submit).now_or_never() {
            Some(answer) => self.under_way.push_back(futures::future::ready(answer).boxed()),
            None => self.under_way.push_back(submit),
        }
        Ok(())
    }

    /// Takes a token out of the bucket, if there is one.
    fn may_send(&mut self) -> bool {
        let Some((per_second, burst)) = self.rtm.config.messages else { return true };
        let (tokens, filled) = self.bucket;
        let tokens = (tokens + filled.elapsed().as_secs_f64() * f64::from(per_second)).min(f64::from(burst));
        self.bucket = (if tokens >= 1.0 { tokens - 1.0 } else { tokens }, Instant::now());
        tokens >= 1.0
    }

    fn typing(&self, frame: &Map<String, Value>) {
        let channel = frame.get("channel").and_then(Value::as_str).and_then(|channel| channel.parse().ok());
        let Some(conversation): Option<ConversationId> = channel else { return };
        let (user, team) = (self.ticket.user, self.team.read());
        if let (true, Some(person)) = (team.is_member(user, conversation), team.person_index(user)) {
            let frame = encode(&json!({ "type": "user_typing", "channel": conversation, "user": user }));
            self.rtm.hub.pass_to_members(&team, conversation, person, &frame);
        }
    }

    async fn presence_sub(&mut self, frame: &Map<String, Value>) -> Result<(), End> {
        let ids: HashSet<UserId> = users(frame).into_iter().take(WATCHED_MAX).collect();
        self.rtm.watch(self.ticket.team, self.ticket.user, &self.watched, &ids);
        let new: Vec<UserId> = ids.difference(&self.watched).copied().collect();
        self.watched = ids;
        self.feed_presences(&new).await
    }

    async fn feed_presences(&mut self, users: &[UserId]) -> Result<(), End> {
        let team = self.ticket.team;
        let (active, away): (Vec<UserId>, Vec<UserId>) =
            users.iter().partition(|user| self.rtm.is_active(team, **user));
        for (users, presence) in [(active, "active"), (away, "away")] {
            if self.ticket.batches && !users.is_empty() {
                let frame = json!({ "type": "presence_change", "users": users, "presence": presence });
                self.feed(encode(&frame)).await?;
            } else {
                for user in users {
                    let frame = json!({ "type": "presence_change", "user": user, "presence": presence });
                    self.feed(encode(&frame)).await?;
                }
            }
        }
        Ok(())
    }
}

fn users(frame: &Map<String, Value>) -> Vec<UserId> {
    let ids = frame.get("ids").and_then(Value::as_array);
    ids.into_iter().flatten().filter_map(Value::as_str).filter_map(|id| id.parse().ok()).take(WATCHED_MAX).collect()
}

fn error(reply_to: Option<Value>, code: i32, message: &str) -> Value {
    match reply_to {
        Some(id) => json!({ "ok": false, "reply_to": id, "error": { "code": code, "msg": message } }),
        None => json!({ "type": "error", "error": { "code": code, "msg": message } }),
    }
}

/// What a socket hears of its message.
fn acknowledged(answer: Answer, id: Option<Value>, text: &str) -> Bytes {
    let failed = |code, message: &str| encode(&error(id.clone(), code, message));
    match answer {
        Answer::Acked(acked) => {
            let ts = acked.event.given_ts().to_string();
            let mut frame = json!({ "ok": true, "ts": ts, "text": text });
            if let Some(id) = &id {
                frame["reply_to"] = id.clone();
            }
            encode(&frame)
        }
        Answer::Nothing(_) => failed(3, "nothing to do"),
        Answer::Refused(refusal) => failed(3, refusal.code()),
        Answer::NotAccepted { .. } => failed(4, "not_accepted"),
        Answer::Unknown => failed(5, "outcome_unknown"),
    }
}
