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

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    admission::Joining,
    hub::{Note, Seat},
    outbox::{Gone, Outbox},
    own::{OwnMessages, Unanswered},
    pace::Pace,
    redeem::{Holder, NotRedeemed, close, reconnect_url, redeem, turn_away},
    replay::{Replay, ReplayError},
    state::{Rtm, SETTLE_MAX},
    upkeep,
};
use crate::{
    Gateway, Outgoing, SocketSink, SocketStream,
    frames::{Frame, Place, encode},
};

/// Notes (which are in no log) that wait for one session. Past it, they are dropped.
const NOTES_MAX: usize = 128;
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

impl From<Gone> for End {
    fn from(_: Gone) -> End {
        End::Gone
    }
}

pub(super) struct Session<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) holder: Holder,
    pub(super) number: u64,
    /// Every visible event below was sent.
    place: Place,
    outbox: Outbox,
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) pace: Pace,
    pub(super) own: OwnMessages,
    /// Its token was revoked, or the node stops.
    over: CancellationToken,
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

/// Serves a socket that came with `ticket` (the last part of the url's path), to its end.
pub async fn serve(gateway: Gateway, ticket: String, mut stream: SocketStream, sink: SocketSink) {
    upkeep::begin(&gateway);
    let rtm = gateway.rtm();
    let open = rtm.admission.open();
    let holder = match redeem(&gateway, &ticket).await {
        Ok(holder) => holder,
        Err(NotRedeemed::Expired) => {
            let error = json!({ "type": "error", "error": { "code": 1, "msg": "Socket URL has expired" } });
            return close(sink, vec![error], (1008, "Socket URL has expired")).await;
        }
        Err(NotRedeemed::Away(ticket)) => return turn_away(&gateway, &ticket, sink).await,
    };
    let Some(joining) = rtm.admission.admit_socket(&holder.ticket) else {
        return turn_away(&gateway, &holder.ticket, sink).await;
    };
    let (notes, mut heard_of) = mpsc::channel(NOTES_MAX);
    let over = rtm.stop.child_token();
    let (team, user, person, number) = (holder.ticket.team, holder.ticket.user, holder.person, open.session);
    let seat = Seat {
        session: number,
        user,
        token: holder.ticket.token,
        notes: notes.clone(),
        over: over.clone(),
        is_sent_home: false,
        queue: None,
    };
    rtm.hub.enter(team, person, seat);
    rtm.presences.arrived(team, user);
    // A token that was revoked before the session was registered ends no session. So check it once more after that.
    let is_good = holder.is_good();
    let mut served = Session {
        gateway: &gateway,
        number,
        place: holder.ticket.place,
        holder,
        outbox: Outbox::new(sink, rtm.config.reconnect_url_every, rtm.counts.frames.clone()),
        notes,
        pace: Pace::new(rtm.config.frames, Instant::now()),
        own: OwnMessages::new(gateway.ingest().writers().in_order()),
        over,
        leaves_by: None,
    };
    let end = match is_good {
        true => served.run(&mut stream, &mut heard_of, joining).await.err().unwrap_or(End::Gone),
        false => End::Revoked,
    };
    rtm.hub.leave(team, person, number);
    rtm.presences.departed(team, user, number, Instant::now());
    if matches!(end, End::Gone) {
        // A message counts even if the client closes right after it, and even if it still waits for its turn.
        let _ = tokio::time::timeout(SETTLE_MAX, served.own.finish()).await;
    }
    served.say_goodbye(end).await;
}

impl Session<'_> {
    pub(super) fn rtm(&self) -> &Arc<Rtm> {
        self.gateway.rtm()
    }

    async fn run(
        &mut self,
        stream: &mut SocketStream,
        heard_of: &mut mpsc::Receiver<Note>,
        joining: Joining<'_>,
    ) -> Result<(), End> {
        let mut joining = Some(joining);
        self.feed(encode(&json!({ "type": "hello", "fast_reconnect": false }))).await?;
        self.outbox.flush().await?;
        let mut over = pin!(self.over.clone().cancelled_owned());
        let mut tick = tokio::time::interval(self.rtm().config.dead_after / 3);
        tick.tick().await;
        let mut state = self.read();
        loop {
            let is_over = self.over.is_cancelled();
            if is_over {
                if !self.holder.is_good() {
                    return Err(End::Revoked);
                }
                self.leave();
            }
            if self.leaves_by.is_some() && self.own.are_settled() {
                return Err(End::Resume);
            }
            let room = self.own.has_room() && self.leaves_by.is_none();
            tokio::select! {
                step = state.step() => {
                    state = self.go_on(state, step, heard_of).await?;
                    if matches!(state, State::Live(_)) && joining.take().is_some() {
                        // A client that is disconnected before the next URL is due can resume with this one.
                        self.feed_reconnect_url().await?;
                    }
                }
                note = heard_of.recv() => self.pass_on(note).await?,
                outcome = self.own.outcome() => self.settle(outcome).await?,
                incoming = stream.next(), if room => self.hear(incoming).await?,
                () = self.outbox.url_is_due() => self.feed_reconnect_url().await?,
                _ = tick.tick() => {
                    // A session that leaves reads nothing more, and has its own deadline.
                    if self.leaves_by.is_none() && self.pace.silent_for() > self.rtm().config.dead_after {
                        return Err(End::Gone);
                    }
                    self.move_place(&state);
                    self.outbox.send(Outgoing::Ping(Bytes::new())).await?;
                }
                () = &mut over, if !is_over => continue,
                () = moment(self.leaves_by) => return Err(End::Resume),
            }
            self.outbox.flush().await?;
        }
    }

    /// Handles a step and returns the next state.
    async fn go_on(&mut self, state: State, step: Step, heard_of: &mut mpsc::Receiver<Note>) -> Result<State, End> {
        match (state, step) {
            (_, Step::Read(Ok(replay))) => Ok(State::Replaying(replay, tokio::time::Instant::now())),
            (_, Step::Read(Err(why))) => {
                debug!(team = %self.holder.ticket.team, user = %self.holder.ticket.user, %why, "a session cannot be caught up");
                Err(match why {
                    ReplayError::Away(_) => End::Resume,
                    ReplayError::Gone(_) => End::StartOver,
                })
            }
            (State::Replaying(mut replay, _), Step::Burst) => {
                if self.replay(&mut replay).await? {
                    let pause = tokio::time::Instant::now() + self.rtm().config.burst_pause;
                    return Ok(State::Replaying(replay, pause));
                }
                self.rtm().counts.catch_ups.increment(1);
                Ok(self.go_live().map_or_else(|| self.read(), State::Live))
            }
            (State::Live(mut frames), Step::Event(Some(frame))) => {
                self.rtm().counts.queue_depth.record(frames.len() as f64 + 1.0);
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
        let read = Replay::read(self.gateway.clone(), self.holder.team.clone(), self.holder.ticket.user, self.place);
        State::Reading(read.boxed())
    }

    /// Sends a burst of what was missed; true if there is more.
    async fn replay(&mut self, replay: &mut Replay) -> Result<bool, End> {
        let mut sent = 0;
        while sent < self.rtm().config.burst_frames {
            let next = replay.next(&self.holder.team.read(), self.rtm());
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
        let partition = self.holder.team.partition();
        let who = (self.holder.ticket.team, self.holder.person, self.number);
        let (hub, queue_max) = (&self.rtm().hub, self.rtm().config.queue_max);
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
            let place = self.gateway.ingest().teams().join(self.holder.team.partition(), |position| {
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
        if let Some(posted) = frame.posted.as_ref().filter(|posted| posted.user == self.holder.ticket.user) {
            let (came_here, unanswered) = self.own.read_back(&posted.client_msg_id);
            is_own = came_here;
            if let Some(unanswered) = unanswered {
                self.feed(acknowledged(&unanswered, posted.ts)).await?;
            }
        }
        if self.holder.ticket.cursors {
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

    async fn feed_reconnect_url(&mut self) -> Result<(), End> {
        let url = encode(&reconnect_url(self.gateway, &self.holder.ticket, self.place));
        Ok(self.outbox.feed_url(url).await?)
    }

    pub(super) async fn feed(&mut self, frame: Bytes) -> Result<(), End> {
        Ok(self.outbox.feed(frame).await?)
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
        let _ = self.outbox.send(Outgoing::Close(code, reason)).await;
        let _ = self.outbox.flush().await;
    }
}

/// Ends at a moment, if there is one.
async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
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
