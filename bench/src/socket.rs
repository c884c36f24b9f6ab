//! A websocket like that of an RTM client, with small buffers.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, Utf8Bytes, protocol::WebSocketConfig},
};

use crate::{
    BenchError,
    caller::{Caller, connect},
};

/// The bytes of each buffer. With the default of 128 KiB a socket, the bench would measure the client's memory.
const BUFFER_BYTES: usize = 4096;
/// Sockets that are opened concurrently where a bench does not need all at once.
const OPENING: usize = 64;

/// An open socket.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Opens a socket and waits for its `hello`.
    ///
    /// # Errors
    /// [`BenchError::Away`], [`BenchError::Socket`].
    pub(crate) async fn open(url: &str) -> Result<Socket, BenchError> {
        let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
        let stream = connect(url).await?;
        let (stream, _) = client_async_with_config(url, stream, Some(config)).await.map_err(|why| broken(&why))?;
        let mut socket = Socket { stream };
        let hello = socket.frame().await?;
        if !hello.contains(r#""type":"hello""#) {
            return Err(BenchError::Socket(format!("a session that begins with {}", hello.as_str())));
        }
        Ok(socket)
    }

    /// Returns the next text frame. Answers pings meanwhile.
    ///
    /// # Errors
    /// [`BenchError::Socket`] if the socket ends.
    pub(crate) async fn frame(&mut self) -> Result<Utf8Bytes, BenchError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(close))) => {
                    let why = close.map_or_else(|| "no reason".to_owned(), |close| close.reason.to_string());
                    return Err(BenchError::Socket(format!("the server closed a socket: {why}")));
                }
                Some(Ok(_)) => {}
                Some(Err(why)) => return Err(broken(&why)),
                None => return Err(BenchError::Socket("a socket was cut".to_owned())),
            }
        }
    }
}

/// Calls `rtm.connect` and opens the socket that it names.
pub(crate) async fn join(url: &str, token: &str) -> Result<Socket, BenchError> {
    let answer = Caller::open(url).await?.ask("rtm.connect", token, &json!({})).await?;
    let missing = || BenchError::Refused { method: "rtm.connect".to_owned(), error: "no url".to_owned() };
    Socket::open(answer["url"].as_str().ok_or_else(missing)?).await
}

/// Opens sockets, at most [`OPENING`] at a time.
pub(crate) async fn open<F, T>(sockets: impl Iterator<Item = F>) -> Result<Vec<T>, BenchError>
where
    F: Future<Output = Result<T, BenchError>>,
{
    stream::iter(sockets).buffer_unordered(OPENING).try_collect().await
}

fn broken(why: &Error) -> BenchError {
    BenchError::Socket(format!("a websocket: {why}"))
}
