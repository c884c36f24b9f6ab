//! A client with one connection and one call at a time. It uses little of the cores that it shares with the server.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Uri,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::BenchError;

/// An open connection.
pub(crate) struct Caller {
    sender: SendRequest<Full<Bytes>>,
    url: String,
}

/// A call that is made many times: built once.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    method: String,
    request: Request<Full<Bytes>>,
}

impl Prepared {
    /// A call of a method with a token and a JSON object.
    ///
    /// # Errors
    /// [`BenchError::Usage`] if the address is none.
    pub(crate) fn new(url: &str, method: &str, token: &str, args: &Value) -> Result<Prepared, BenchError> {
        let (uri, host) = address(url)?;
        let mut request = Request::post(format!("{}/api/{method}", uri.path().trim_end_matches('/')))
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json");
        if !token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from(args.to_string())));
        let request = request.map_err(|why| BenchError::Usage(format!("{url} is no address: {why}")))?;
        Ok(Prepared { method: method.to_owned(), request })
    }
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    /// [`BenchError::Away`]; [`BenchError::Usage`] for an address that is none.
    pub(crate) async fn open(url: &str) -> Result<Caller, BenchError> {
        let stream = connect(url).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|why| away(url, &why))?;
        // If the connection breaks, the call in flight fails with the reason.
        tokio::spawn(connection);
        Ok(Caller { sender, url: url.to_owned() })
    }

    /// Makes the call and returns the bytes of the answer, which says `ok`.
    ///
    /// # Errors
    /// [`BenchError::Limited`], [`BenchError::Refused`], [`BenchError::Away`].
    pub(crate) async fn call(&mut self, call: &Prepared) -> Result<Bytes, BenchError> {
        let gone = |why: hyper::Error| away(&self.url, &why);
        self.sender.ready().await.map_err(gone)?;
        let answer = self.sender.send_request(call.request.clone()).await.map_err(gone)?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(gone)?.to_bytes();
        if status == 429 {
            return Err(BenchError::Limited { method: call.method.clone() });
        }
        if status != 200 || !body.starts_with(br#"{"ok":true"#) {
            let code =
                serde_json::from_slice(&body).ok().and_then(|body: Value| Some(body["error"].as_str()?.to_owned()));
            let error = code.unwrap_or_else(|| format!("an answer with status {status} that is not the Web API's"));
            return Err(BenchError::Refused { method: call.method.clone(), error });
        }
        Ok(body)
    }

    /// Makes one call and returns the answer as an object.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub(crate) async fn ask(&mut self, method: &str, token: &str, args: &Value) -> Result<Value, BenchError> {
        let call = Prepared::new(&self.url, method, token, args)?;
        let body = self.call(&call).await?;
        let broken = |why: serde_json::Error| BenchError::Refused { method: method.to_owned(), error: why.to_string() };
        serde_json::from_slice(&body).map_err(broken)
    }
}

/// A connection to the host of a `http://` or `ws://` address.
pub(crate) async fn connect(url: &str) -> Result<TcpStream, BenchError> {
    let (uri, host) = address(url)?;
    let port = uri.port_u16().unwrap_or(80);
    let name = uri.host().unwrap_or(&host).trim_matches(['[', ']']);
    let stream = TcpStream::connect((name, port)).await.map_err(|why| away(url, &why))?;
    stream.set_nodelay(true).map_err(|why| away(url, &why))?;
    Ok(stream)
}

fn address(url: &str) -> Result<(Uri, String), BenchError> {
    let none = |why: &str| BenchError::Usage(format!("{url} is no address for a bench: {why}"));
    let uri: Uri = url.parse().map_err(|_| none("it does not parse"))?;
    if !matches!(uri.scheme_str(), Some("http" | "ws")) {
        return Err(none("only http:// and ws://, so that no proxy's or TLS's cost is measured"));
    }
    let host = uri.authority().ok_or_else(|| none("it names no host"))?.to_string();
    Ok((uri, host))
}

fn away(url: &str, why: &dyn std::error::Error) -> BenchError {
    BenchError::Away { at: url.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_taken() {
        assert_eq!(address("http://127.0.0.1:8080").unwrap().1, "127.0.0.1:8080");
        assert_eq!(address("ws://[::1]:80/ws/x").unwrap().0.path(), "/ws/x");
        for wrong in ["https://chat.example.com", "127.0.0.1:8080", "chat", ""] {
            assert!(matches!(address(wrong), Err(BenchError::Usage(_))), "{wrong}");
        }
    }
}
