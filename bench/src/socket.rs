//! A websocket as a client of RTM has it, with small buffers.

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

/// The default of 128 KiB a socket would make the client's memory what is measured.
const BUFFER_BYTES: usize = 4096;
/// Sockets that are opened at once, where all are not to come at once.
const OPENING: usize = 64;

/// One open socket.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Opens one and waits for its `hello`.
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

    /// The next frame. Pings are answered on the way.
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

/// `rtm.connect`, and the socket that it names.
pub(crate) async fn join(url: &str, token: &str) -> Result<Socket, BenchError> {
    let answer = Caller::open(url).await?.ask("rtm.connect", token, &json!({})).await?;
    let missing = || BenchError::Refused { method: "rtm.connect".to_owned(), error: "no url".to_owned() };
    Socket::open(answer["url"].as_str().ok_or_else(missing)?).await
}

/// Opens sockets, some at once.
pub(crate) async fn open<F, T>(sockets: impl Iterator<Item = F>) -> Result<Vec<T>, BenchError>
where
    F: Future<Output = Result<T, BenchError>>,
{
    stream::iter(sockets).buffer_unordered(OPENING).try_collect().await
}

fn broken(why: &Error) -> BenchError {
    BenchError::Socket(format!("a websocket: {why}"))
}
