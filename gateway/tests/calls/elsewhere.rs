//! A search node behind a socket, and a dead one before it.

use std::sync::Arc;

use axum::body::Bytes;
use teamlog_cluster::{Carrier, LinkError, StatusCode};
use teamlog_gateway::{
    read::{LocalIndex, RemoteIndex},
    search_service,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

/// HTTP/1.1 of one question a connection.
struct Plain;

#[async_trait::async_trait]
impl Carrier for Plain {
    async fn ask(&self, address: &str, path: &str, body: Bytes, _: Instant) -> Result<(StatusCode, Bytes), LinkError> {
        let host = address.trim_start_matches("http://");
        let asked = async {
            let mut socket = TcpStream::connect(host).await?;
            let length = body.len();
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            socket.write_all(head.as_bytes()).await?;
            socket.write_all(&body).await?;
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = asked.await.map_err(|why| LinkError::NotSent(why.to_string()))?;
        let behind = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(LinkError::Broken(String::from_utf8_lossy(&answer).into_owned()));
        }
        Ok((StatusCode::OK, Bytes::copy_from_slice(&answer[behind..])))
    }
}

/// Serves an index on a socket, in a task that ends with the test.
pub(crate) async fn searched_by(index: LocalIndex) -> RemoteIndex {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let living = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, search_service(Arc::new(index))).await });
    // Nobody listens there.
    let searchers = vec!["http://127.0.0.1:1".to_owned(), living];
    RemoteIndex::new(Arc::new(Plain), Arc::new(move |_| searchers.clone()))
}
