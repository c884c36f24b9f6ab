//! The messages of a websocket, apart from the transport that carries them.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Sink, Stream};

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
