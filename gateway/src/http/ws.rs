//! `/ws/<ticket>`: converts axum's socket to the message types of the websocket half.

use axum::{
    body::Bytes,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
    response::Response,
};
use futures::{Sink, SinkExt, Stream, StreamExt, future};
use tokio_tungstenite::tungstenite;
use tracing::debug;

use crate::{
    Gateway, limits, rtm,
    sockets::{Incoming, Outgoing, SocketError},
};

/// Upgrades any ticket. A bad one is rejected in a frame, as clients expect.
pub(super) async fn upgrade(
    State(gateway): State<Gateway>,
    Path(ticket): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade
        .read_buffer_size(limits::SOCKET_READ_BUFFER_BYTES)
        // Frames are fed and then flushed once; a larger buffer would only be memory.
        .write_buffer_size(limits::SOCKET_READ_BUFFER_BYTES)
        .max_message_size(limits::SOCKET_FRAME_BYTES_MAX)
        .max_frame_size(limits::SOCKET_FRAME_BYTES_MAX)
        .on_failed_upgrade(|why| debug!(%why, "a websocket could not be upgraded"))
        .on_upgrade(move |socket| async move {
            let (sink, stream) = split(socket);
            rtm::serve(gateway, ticket, Box::pin(stream), Box::pin(sink)).await;
        })
}

type Split = (
    Box<dyn Sink<Outgoing, Error = SocketError> + Send + Unpin>,
    Box<dyn Stream<Item = Result<Incoming, SocketError>> + Send + Unpin>,
);

fn split(socket: WebSocket) -> Split {
    let (sink, stream) = socket.split();
    let stream = stream.map(|message| match message {
        Ok(Message::Text(text)) => Ok(Incoming::Text(text.into())),
        // No client of this protocol sends binary frames. If one does, its content is read as text.
        Ok(Message::Binary(bytes)) => Ok(Incoming::Text(bytes)),
        Ok(Message::Ping(payload)) => Ok(Incoming::Ping(payload)),
        Ok(Message::Pong(payload)) => Ok(Incoming::Pong(payload)),
        Ok(Message::Close(_)) => Ok(Incoming::Close),
        Err(why) => Err(broken(why)),
    });
    let sink = sink.sink_map_err(broken).with(|message| future::ready(outgoing(message)));
    (Box::new(sink), Box::new(stream))
}

fn outgoing(message: Outgoing) -> Result<Message, SocketError> {
    Ok(match message {
        Outgoing::Text(bytes) => Message::Text(text(bytes)?),
        Outgoing::Ping(payload) => Message::Ping(payload),
        Outgoing::Pong(payload) => Message::Pong(payload),
        Outgoing::Close(code, reason) => {
            Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
        }
    })
}

/// Converts a frame without a copy. Its UTF-8 is checked, because a bad frame would make the client close the socket.
fn text(bytes: Bytes) -> Result<Utf8Bytes, SocketError> {
    Utf8Bytes::try_from(bytes).map_err(|why| SocketError::Broken(why.to_string()))
}

fn broken(why: axum::Error) -> SocketError {
    match why.into_inner().downcast::<tungstenite::Error>() {
        Ok(why) if matches!(*why, tungstenite::Error::Capacity(_)) => SocketError::TooLarge,
        Ok(why) => SocketError::Broken(why.to_string()),
        Err(why) => SocketError::Broken(why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_past_the_bound_is_told_apart() {
        let capacity = tungstenite::error::CapacityError::MessageTooLong { size: 20_000, max_size: 16_384 };
        let large = axum::Error::new(tungstenite::Error::Capacity(capacity));
        assert!(matches!(broken(large), SocketError::TooLarge));
        let gone = axum::Error::new(tungstenite::Error::ConnectionClosed);
        assert!(matches!(broken(gone), SocketError::Broken(_)));
    }

    #[test]
    fn text_is_shared_and_checked() {
        assert!(
            matches!(outgoing(Outgoing::Text(Bytes::from_static(b"{}"))), Ok(Message::Text(text)) if text.as_str() == "{}")
        );
        assert!(outgoing(Outgoing::Text(Bytes::from_static(b"\xff"))).is_err());
    }
}
