//! A plain client of the RTM protocol.

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, protocol::WebSocketConfig},
};

use crate::WAIT;

/// A frame that the server sends.
pub type Frame = Value;

/// An open RTM socket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The cursor of the last frame that carried one; at first that of `rtm.connect`.
    pub cursor: Option<String>,
    /// The code of the close frame, once it has arrived.
    pub closed: Option<u16>,
    /// Bytes of all frames so far.
    pub bytes: usize,
}

impl Socket {
    /// Opens a socket.
    ///
    /// # Errors
    /// The error of the handshake.
    pub async fn open(url: &str) -> Result<Socket, Error> {
        Socket::on(TcpSocket::new_v4()?, url).await
    }

    /// Opens a socket with the smallest receive buffer: frames that its client does not read stay with the server. Reads are
    /// slow, one small segment for each delayed acknowledgement.
    ///
    /// # Errors
    /// The error of the handshake.
    pub async fn open_narrow(url: &str) -> Result<Socket, Error> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(1)?;
        Socket::on(socket, url).await
    }

    async fn on(socket: TcpSocket, url: &str) -> Result<Socket, Error> {
        let rest = url.strip_prefix("ws://").expect("a url of a websocket");
        let address = rest.split('/').next().unwrap_or(rest);
        let stream = socket.connect(address.parse().expect("tests serve at an address and a port")).await?;
        stream.set_nodelay(true)?;
        // The default buffers are 128 KiB a socket, and tests open thousands.
        let config = WebSocketConfig::default().read_buffer_size(8192);
        let (stream, _) = client_async_with_config(url, stream, Some(config)).await?;
        Ok(Socket { stream, cursor: None, closed: None, bytes: 0 })
    }

    /// Returns the next frame; none once the socket is closed or the connection is cut.
    pub async fn frame(&mut self) -> Option<Frame> {
        // The server's pings do not count.
        let until = tokio::time::Instant::now() + WAIT;
        loop {
            let next = tokio::time::timeout_at(until, self.stream.next()).await;
            match next.unwrap_or_else(|_| panic!("no frame came in {WAIT:?}")) {
                Some(Ok(Message::Text(text))) => {
                    self.bytes += text.len();
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

    /// Returns the next frame for which `wanted` is true, and drops those before it.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            match self.frame().await {
                Some(frame) if wanted(&frame) => return frame,
                Some(_) => {}
                None => panic!("the socket ended ({:?}) before {what}", self.closed),
            }
        }
    }

    /// Returns the next message with this text.
    pub async fn message(&mut self, text: &str) -> Frame {
        self.until(text, |frame| frame["type"] == "message" && frame["text"] == text).await
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string()).await;
    }

    /// Sends a text that may be no frame.
    pub async fn send_text(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.expect("the socket takes a frame");
    }

    /// Writes bytes below the protocol.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.expect("the connection takes bytes");
    }

    /// Reads frames until the socket ends.
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
