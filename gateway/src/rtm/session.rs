//! A session: catching up and going live are one loop.
//!
//! ```text
//!          +--------------------- its queue overflowed, and is drained ----------------------+
//!          v                                                                                 |
//!       reading --- what lies between its place and the team's ---> replaying              live
//!          ^                                                            |                    ^
//!          |                                                            v                    |
//!          +----- no: events passed meanwhile ----- at its end: registered at its place? yes +
//! ```
//!
//! In each state the socket is read and answered, and notes (which are in no log) are sent. A session that is told to
//! resume on another node reads no more frames, and ends once its own messages are settled.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use serde_json::{Value, json};
use teamlog_ingest::Answer;
use teamlog_live::LiveTeam;
use teamlog_state::PersonIndex;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    admission::Joining,
    hub::{Note, Seat},
    pace::Pace,
    redeem::{NotRedeemed, close, person, reconnect_url, redeem, turn_away},
    replay::{Replay, ReplayError},
    service::Rtm,
    ticket::Ticket,
};
use crate::{
    Gateway, Outgoing, SocketError, SocketSink, SocketStream,
    frames::{Frame, Place, encode},
};

/// Messages of one socket that are in flight. Past it, no more frames are read from the socket.
const UNDER_WAY_MAX: usize = 64;
/// Notes (which are in no log) that wait for one session. Past it, they are dropped.
const NOTES_MAX: usize = 128;
/// The time after which a client that reads nothing is disconnected. It loses nothing: it knows its place in the log.
pub(super) const WRITE_MAX: Duration = Duration::from_secs(30);

/// How long a session that ends waits for the outcomes of its messages. If a writer takes longer, the outcome is unknown
/// anyway: the log or the partition's owner is unavailable; the latter is noticed sooner.
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(4);

/// Why a session ends.
pub(super) enum End {
    /// The client closed, or the socket broke.
    Gone,
    /// The client must resume: the node stops, a part is unavailable, or the team has another home.
    Resume,
    /// The token was revoked: the client must not resume.
    Revoked,
    /// The place cannot be served any more: the client starts over.
    StartOver,
    /// The client sent a frame past the bound. It may resume from its place.
    TooLarge,
}

/// A message of this socket whose answer has not been sent.
pub(super) struct Unanswered {
    /// The client's number for it.
    pub(super) id: Option<Value>,
    pub(super) text: String,
}

/// A message's own name, and what became of it.
pub(super) type Outcome = (String, Answer);

pub(super) struct Session<'a> {
    pub(super) rtm: &'a Arc<Rtm>,
    pub(super) gateway: &'a Gateway,
    pub(super) team: Arc<LiveTeam>,
    pub(super) ticket: Ticket,
    pub(super) session: u64,
    person: PersonIndex,
    /// Every visible event below was sent.
    place: Place,
    sink: SocketSink,
    pub(super) notes: mpsc::Sender<Note>,
    /// Its token was revoked, or the node stops.
    over: CancellationToken,
    /// Fed since the last flush.
    frames: u64,
    sent_since_url: bool,
    /// When the next url is due, if anything was sent since the last one.
    url_due: Interval,
    pub(super) heard: Instant,
    pub(super) pace: Pace,
    /// Messages of this socket that were not answered yet, by name. The name is the `client_msg_id` in the log, or a fresh
    /// one if another message in flight has the same.
    pub(super) unanswered: HashMap<String, Unanswered>,
    /// The names of messages that were not read back from the log yet.
    pub(super) own: HashSet<String>,
    pub(super) under_way: FuturesOrdered<BoxFuture<'static, Outcome>>,
    /// Set if the writers do not keep the order of commands in flight. Then one message of this socket is in flight at a
    /// time, and the others wait here. The lock is fair.
    pub(super) turns: Option<Arc<tokio::sync::Mutex<()>>>,
    /// The latest end of the session, set once it is told to resume on another node.
    leaves_by: Option<Instant>,
}

/// Where a session is in its loop.
enum State {
    Reading(BoxFuture<'static, Result<Box<Replay>, ReplayError>>),
    Replaying(Box<Replay>, tokio::time::Instant),
    Live(mpsc::Receiver<Arc<Frame>>),
}

/// The next step of a state.
enum Step {
    Read(Result<Box<Replay>, ReplayError>),
    Burst,
    Event(Option<Arc<Frame>>),
}

impl State {
    /// Returns the next step. Cancel safe: it may be dropped at any time and called again.
    async fn step(&mut self) -> Step {
        match self {
            State::Reading(read) => Step::Read(read.await),
            State::Replaying(_, not_before) => {
                tokio::time::sleep_until(*not_before).await;
                Step::Burst
            }
            State::Live(frames) => Step::Event(frames.recv().await),
        }
    }
}

/// Serves one socket to its end.
pub(super) async fn serve(rtm: &Arc<Rtm>, gateway: Gateway, ticket: &str, mut stream: SocketStream, sink: SocketSink) {
    let (ticket, team, index) = match redeem(rtm, &gateway, ticket).await {
        Ok(redeemed) => redeemed,
        Err(NotRedeemed::Expired) => {
            let error = json!({ "type": "error", "error": { "code": 1, "msg": "Socket URL has expired" } });
            return close(sink, vec![error], (1008, "Socket URL has expired")).await;
        }
        Err(NotRedeemed::Away(ticket)) => return turn_away(rtm, &gateway, &ticket, sink).await,
    };
    let Some(joining) = Joining::of_socket(rtm, &ticket) else {
        return turn_away(rtm, &gateway, &ticket, sink).await;
    };
    let session = rtm.next_session.fetch_add(1, Ordering::Relaxed);
    let (notes, mut heard_of) = mpsc::channel(NOTES_MAX);
    let over = rtm.stop.child_token();
    let (team_id, user) = (ticket.team, ticket.user);
    let seat = Seat {
        session,
        user,
        token: ticket.token,
        notes: notes.clone(),
        over: over.clone(),
        is_sent_home: false,
        queue: None,
    };
    rtm.hub.enter(team_id, index, seat);
    rtm.presences.arrived(team_id, user);
    // A token that was revoked before the session was registered ends no session. So check it once more after that.
    let is_good = person(&team, &ticket).is_some();
    let now = Instant::now();
    let mut served = Session {
        rtm,
        gateway: &gateway,
        team,
        session,
        person: index,
        place: ticket.place,
        sink,
        notes,
        over,
        frames: 0,
        sent_since_url: true,
        url_due: interval_at(now + rtm.config.reconnect_url_every, rtm.config.reconnect_url_every),
        heard: now,
        pace: Pace::new(rtm.config.frames),
        unanswered: HashMap::new(),
        own: HashSet::new(),
        under_way: FuturesOrdered::new(),
        leaves_by: None,
        turns: (!gateway.ingest().writers().in_order()).then(Arc::default),
        ticket,
    };
    let end = match is_good {
        true => served.run(&mut stream, &mut heard_of, joining).await.err().unwrap_or(End::Gone),
        false => End::Revoked,
    };
    rtm.hub.leave(team_id, index, session);
    rtm.presences.departed(team_id, user, session, Instant::now());
    if matches!(end, End::Gone) {
        // A message counts even if the client closes right after it, and even if it still waits for its turn.
        let _ = tokio::time::timeout(SETTLE_MAX, served.under_way.by_ref().for_each(|_| async {})).await;
    }
    served.say_goodbye(end).await;
}

impl Session<'_> {
    async fn run(
        &mut self,
        stream: &mut SocketStream,
        heard_of: &mut mpsc::Receiver<Note>,
        joining: Joining<'_>,
    ) -> Result<(), End> {
        let mut joining = Some(joining);
        self.feed(encode(&json!({ "type": "hello", "fast_reconnect": false }))).await?;
        self.flush().await?;
        let mut over = pin!(self.over.clone().cancelled_owned());
        let mut tick = tokio::time::interval(self.rtm.config.dead_after / 3);
        tick.tick().await;
        let mut state = self.read();
        loop {
            let is_over = self.over.is_cancelled();
            if is_over {
                if person(&self.team, &self.ticket).is_none() {
                    return Err(End::Revoked);
                }
                self.leave();
            }
            if self.leaves_by.is_some() && self.is_settled() {
                return Err(End::Resume);
            }
            let room = self.under_way.len() < UNDER_WAY_MAX && self.leaves_by.is_none();
            tokio::select! {
                step = state.step() => {
                    state = self.go_on(state, step, heard_of).await?;
                    if matches!(state, State::Live(_)) && joining.take().is_some() {
                        // A client that is disconnected before the next URL is due can resume with this one.
                        self.feed_reconnect_url().await?;
                    }
                }
                note = heard_of.recv() => self.pass_on(note).await?,
                Some(outcome) = self.under_way.next(), if !self.under_way.is_empty() => self.settle(outcome).await?,
                incoming = stream.next(), if room => self.hear(incoming).await?,
                _ = self.url_due.tick(), if self.sent_since_url => self.feed_reconnect_url().await?,
                _ = tick.tick() => {
                    // A session that leaves reads nothing more, and has its own deadline.
                    if self.leaves_by.is_none() && self.heard.elapsed() > self.rtm.config.dead_after {
                        return Err(End::Gone);
                    }
                    self.move_place(&state);
                    self.send(Outgoing::Ping(Bytes::new())).await?;
                }
                () = &mut over, if !is_over => continue,
                () = moment(self.leaves_by) => return Err(End::Resume),
            }
            self.flush().await?;
        }
    }

    /// Handles a step and returns the next state.
    async fn go_on(&mut self, state: State, step: Step, heard_of: &mut mpsc::Receiver<Note>) -> Result<State, End> {
        match (state, step) {
            (_, Step::Read(Ok(replay))) => Ok(State::Replaying(replay, tokio::time::Instant::now())),
            (_, Step::Read(Err(why))) => {
                debug!(team = %self.ticket.team, user = %self.ticket.user, %why, "a session cannot be caught up");
                Err(match why {
                    ReplayError::Away(_) => End::Resume,
                    ReplayError::Gone(_) => End::StartOver,
                })
            }
            (State::Replaying(mut replay, _), Step::Burst) => {
                if self.replay(&mut replay).await? {
                    let pause = tokio::time::Instant::now() + self.rtm.config.burst_pause;
                    return Ok(State::Replaying(replay, pause));
                }
                self.rtm.counts.catch_ups.increment(1);
                Ok(self.go_live().map_or_else(|| self.read(), State::Live))
            }
            (State::Live(mut frames), Step::Event(Some(frame))) => {
                self.rtm.counts.queue_depth.record(frames.len() as f64 + 1.0);
                self.feed_event(&frame).await?;
                // Feed what is queued, flush once.
                while let Ok(frame) = frames.try_recv() {
                    self.feed_event(&frame).await?;
                }
                while let Ok(note) = heard_of.try_recv() {
                    self.pass_on(Some(note)).await?;
                }
                Ok(State::Live(frames))
            }
            // The queue overflowed and is drained, so the place is after everything that was in it.
            (_, Step::Event(None)) => Ok(self.read()),
            (state, Step::Burst | Step::Event(Some(_))) => Ok(state),
        }
    }

    /// Begins to read the events between its place and the team's position.
    fn read(&self) -> State {
        let read =
            Replay::read(self.rtm.clone(), self.gateway.clone(), self.team.clone(), self.ticket.user, self.place);
        State::Reading(read.boxed())
    }

    /// Sends a burst of what was missed; true if there is more.
    async fn replay(&mut self, replay: &mut Replay) -> Result<bool, End> {
        let mut sent = 0;
        while sent < self.rtm.config.burst_frames {
            let next = replay.next(&self.team.read(), self.rtm);
            let Some(frames) = next else {
                self.place = replay.place();
                return Ok(false);
            };
            sent += frames.len();
            for frame in &frames {
                self.feed_event(frame).await?;
            }
            self.place = replay.place();
            if frames.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        Ok(true)
    }

    /// The switch, in one step: registered at exactly its place, or not at all.
    fn go_live(&self) -> Option<mpsc::Receiver<Arc<Frame>>> {
        let partition = self.team.partition();
        let who = (self.ticket.team, self.person, self.session);
        let (hub, queue_max) = (&self.rtm.hub, self.rtm.config.queue_max);
        self.gateway.ingest().teams().join(partition, |position| {
            let is_there = self.place.skip == 0 && position.offset == self.place.position.offset;
            is_there.then(|| hub.go_live(who, (partition, position), queue_max)).flatten()
        })
    }

    /// A live session whose queue is empty has been sent all that was for it: so its place moves on, and neither its
    /// next url nor a fall back to the log begins further back than need be.
    fn move_place(&mut self, state: &State) {
        if let State::Live(frames) = state
            && !frames.is_closed()
        {
            let place = self.gateway.ingest().teams().join(self.team.partition(), |position| {
                // No event passes here, so nothing is on its way into the queue.
                (frames.is_empty() && !frames.is_closed()).then_some(Place::at(position))
            });
            self.place = place.unwrap_or(self.place);
        }
    }

    // --- what goes out ----------------------------------------------------------------------------------------

    /// The next frame of the log that is for this user. A message that came over this socket is acknowledged here, in
    /// its place in the order. Its frame goes to the socket only where every frame is asked for (`cursors=true`): others
    /// do not expect their own words back, and a bot that answers what it hears would talk to itself.
    async fn feed_event(&mut self, frame: &Frame) -> Result<(), End> {
        let mut is_own = false;
        if let Some(posted) = frame.posted.as_ref().filter(|posted| posted.user == self.ticket.user) {
            is_own = self.own.remove(&posted.client_msg_id);
            if let Some(unanswered) = self.unanswered.remove(&posted.client_msg_id) {
                self.feed(acknowledged(&unanswered, posted.ts)).await?;
            }
        }
        if self.ticket.cursors {
            self.feed(frame.with_cursor(self.gateway.ingest().secrets())).await?;
        } else if !is_own {
            self.feed(frame.json()).await?;
        }
        self.place = frame.place;
        Ok(())
    }

    async fn pass_on(&mut self, note: Option<Note>) -> Result<(), End> {
        match note {
            Some(Note::Frame(frame)) => self.feed(frame).await,
            Some(Note::Home) => {
                self.leave();
                Ok(())
            }
            // This session holds a sender, so that never is.
            None => Ok(()),
        }
    }

    /// Makes the session move to another node once the outcomes of its messages are known, or after [`SETTLE_MAX`].
    fn leave(&mut self) {
        self.leaves_by.get_or_insert_with(|| Instant::now() + SETTLE_MAX);
    }

    /// Returns true if all messages of this socket are answered, and those in the log were read back, so that its place is
    /// after them.
    fn is_settled(&self) -> bool {
        self.under_way.is_empty() && self.own.is_empty()
    }

    async fn feed_reconnect_url(&mut self) -> Result<(), End> {
        self.feed(encode(&reconnect_url(self.gateway, &self.ticket, self.place))).await?;
        self.url_due.reset();
        self.sent_since_url = false;
        Ok(())
    }

    pub(super) async fn feed(&mut self, frame: Bytes) -> Result<(), End> {
        self.sent_since_url = true;
        self.frames += 1;
        self.send(Outgoing::Text(frame)).await
    }

    async fn send(&mut self, message: Outgoing) -> Result<(), End> {
        in_time(self.sink.feed(message)).await
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.frames > 0 {
            self.rtm.counts.frames.increment(std::mem::take(&mut self.frames));
        }
        in_time(self.sink.flush()).await
    }

    async fn say_goodbye(&mut self, end: End) {
        let (may_resume, code, reason) = match end {
            End::Gone => return,
            End::Resume => (true, 1001, "going away"),
            End::Revoked => (false, 1008, "token revoked"),
            End::StartOver => (false, 1008, "start over"),
            End::TooLarge => (true, 1009, "frame too large"),
        };
        if may_resume {
            let _ = self.feed_reconnect_url().await;
        }
        let _ = self.feed(encode(&json!({ "type": "goodbye" }))).await;
        let _ = self.send(Outgoing::Close(code, reason)).await;
        let _ = self.flush().await;
    }
}

/// Ends at a moment, if there is one.
async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits until the client takes what is sent. What it takes at once, as it nearly always does, needs no timer.
async fn in_time(taken: impl Future<Output = Result<(), SocketError>>) -> Result<(), End> {
    let mut taken = pin!(taken);
    let ended = match futures::poll!(&mut taken) {
        Poll::Ready(ended) => ended,
        Poll::Pending => tokio::time::timeout(WRITE_MAX, taken).await.map_err(|_| End::Gone)?,
    };
    ended.map_err(|_| End::Gone)
}

/// Builds the frame that tells a socket that its message is in the log.
pub(super) fn acknowledged(message: &Unanswered, ts: teamlog_schemas::Ts) -> Bytes {
    let mut frame = json!({ "ok": true });
    if let Some(id) = &message.id {
        frame["reply_to"] = id.clone();
    }
    frame["ts"] = json!(ts.to_string());
    frame["text"] = json!(message.text);
    encode(&frame)
}
