//! The interface between the Web API half of the gateway and its websocket half.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Sink, Stream};
use std::pin::Pin;
use teamlog_schemas::{TeamId, UserId};

use crate::{ApiError, Caller, Gateway, Reply, args::args};

/// A message from a socket. Fragments are already joined, and pings are separate from the frames that clients send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text frame.
    Text(Bytes),
    /// A websocket ping. The transport answers it with the same payload; it is reported here as a sign of life.
    Ping(Bytes),
    /// The answer to an [`Outgoing::Ping`].
    Pong(Bytes),
    /// The client closes.
    Close,
}

/// A message to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A text frame; the bytes must be UTF-8 and may be shared by many sockets.
    Text(Bytes),
    /// A websocket ping.
    Ping(Bytes),
    /// An unsolicited pong: a sign of life.
    Pong(Bytes),
    /// A close frame with its code (RFC 6455, 7.4) and a reason of at most 123 bytes.
    Close(u16, &'static str),
}

/// Why a socket broke.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SocketError {
    /// A frame past the bound of [`crate::limits::SOCKET_FRAME_BYTES_MAX`]. The socket must be closed.
    #[error("a frame past the bound")]
    TooLarge,
    /// Anything else; the socket is gone.
    #[error("{0}")]
    Broken(String),
}

/// The messages from a socket.
pub type SocketStream = Pin<Box<dyn Stream<Item = Result<Incoming, SocketError>> + Send>>;
/// The messages to a socket. Feed all that are queued, then flush once.
pub type SocketSink = Pin<Box<dyn Sink<Outgoing, Error = SocketError> + Send>>;

/// A person's presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// `active` rather than `away`.
    pub active: bool,
    /// True if the person has set themselves away.
    pub manual_away: bool,
    /// Sockets open here.
    pub connections: usize,
}

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

/// The websocket half.
#[async_trait]
pub trait Realtime: Send + Sync + 'static {
    /// `rtm.connect`.
    async fn connect(&self, gateway: &Gateway, caller: &Caller, args: &ConnectArgs) -> Result<Reply, ApiError>;

    /// `rtm.start`.
    async fn start(&self, gateway: &Gateway, caller: &Caller, args: &StartArgs) -> Result<Reply, ApiError>;

    /// Serves a socket that came with `ticket` (the last part of the url's path), to its end.
    async fn serve(&self, gateway: Gateway, ticket: String, stream: SocketStream, sink: SocketSink);

    /// Returns a person's presence, as far as this gateway knows.
    fn presence(&self, team: TeamId, user: UserId) -> Presence;

    /// `users.setPresence`: sets a person away, or lets their sockets decide again.
    fn set_presence(&self, team: TeamId, user: UserId, away: bool);

    /// Sends a moved read mark to the sessions of its owner. The frame has no cursor and may be lost.
    fn marked(&self, gateway: &Gateway, team: TeamId, user: UserId, mark: Mark);

    /// Sessions open on a team here.
    fn sessions(&self, team: TeamId) -> usize;
}

/// A read mark that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The conversation.
    pub conversation: teamlog_schemas::ConversationId,
    /// The newest message that was read.
    pub ts: teamlog_schemas::Ts,
    /// Messages above it.
    pub unread: u64,
    /// Mentions above it.
    pub mentions: u64,
}
