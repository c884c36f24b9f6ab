//! A client of the RTM protocol, as plain as possible.

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message},
};

use crate::WAIT;

/// What the server sends.
pub type Frame = Value;

/// One socket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The cursor behind the last frame that carried one; at first that of `rtm.connect`.
    pub cursor: Option<String>,
    /// The code of the close frame, once it came.
    pub closed: Option<u16>,
}

impl Socket {
    /// Opens one.
    ///
    /// # Errors
    /// What the handshake came to.
    pub async fn open(url: &str) -> Result<Socket, Error> {
        let (stream, _) = tokio_tungstenite::connect_async(url).await?;
        Ok(Socket { stream, cursor: None, closed: None })
    }

    /// The next frame; none once the socket is closed or cut.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            let next = tokio::time::timeout(WAIT, self.stream.next()).await;
            match next.unwrap_or_else(|_| panic!("no frame came in {WAIT:?}")) {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                    assert!(!text.contains('\n'), "a frame of several lines: {text}");
                    if let Some(cursor) = frame["cursor"].as_str() {
                        self.cursor = Some(cursor.to_owned());
                    }
                    return Some(frame);
                }
                Some(Ok(Message::Close(close))) => {
                    self.closed = close.map(|close| close.code.into());
                    return None;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next frame of which this is true; those before it are dropped.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            match self.frame().await {
                Some(frame) if wanted(&frame) => return frame,
                Some(_) => {}
                None => panic!("the socket ended ({:?}) before {what}", self.closed),
            }
        }
    }

    /// The next message with this text.
    pub async fn message(&mut self, text: &str) -> Frame {
        self.until(text, |frame| frame["type"] == "message" && frame["text"] == text).await
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.expect("the socket takes a frame");
    }

    /// Reads to the socket's end.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }

    /// Cuts the connection below the protocol, as a lost network does.
    pub fn cut(self) {
        drop(self.stream);
    }
}
