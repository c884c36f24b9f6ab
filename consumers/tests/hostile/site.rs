//! Servers that answer with whatever bytes a test wants, and the ways to them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use teamlog_consumers::egress::{Egress, EgressConfig, EgressError, Reach, Resolve, Surroundings, reach};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// An address of this machine that the tests' judgement takes for a public one. All others are judged as ever.
/// Connections to it come from 127.0.0.1, so it does not look like the machine itself.
pub(crate) const PUBLIC: &str = "127.0.0.5";

pub(crate) fn judgement(address: IpAddr) -> Reach {
    if address == PUBLIC.parse::<IpAddr>().unwrap() { Reach::Public } else { reach(address) }
}

/// A listener that counts its connections and the requests on them.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Site {
    /// Listens at `host`. `answer` gets the path and the socket, once the head of a request has been read.
    pub(crate) async fn serve<F, Fut>(host: &str, answer: F) -> Self
    where
        F: Fn(String, TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, seen, answer) = (connections.clone(), requests.clone(), Arc::new(answer));
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    seen.lock().unwrap().push(head);
                    answer(path, stream).await;
                });
            }
        });
        Self { address, connections, requests, accepting }
    }

    /// Answers every request with `text`, whole, and closes.
    pub(crate) async fn fixed(host: &str, text: impl Into<Vec<u8>>) -> Self {
        let text = Arc::new(text.into());
        Self::serve(host, move |_, mut stream| {
            let text = text.clone();
            async move {
                let _ = stream.write_all(&text).await;
            }
        })
        .await
    }

    /// Reads every request and never answers: the connection stays until the client closes it.
    pub(crate) async fn silent(host: &str) -> Self {
        Self::serve(host, |_, mut stream| async move {
            let _ = stream.read_u8().await;
        })
        .await
    }

    /// Answers each path with a text of its own, and the others with 404.
    pub(crate) async fn pages(host: &str, pages: &[(&str, String)]) -> Self {
        let pages: HashMap<String, String> =
            pages.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
        Self::serve(host, move |path, mut stream| {
            let text = pages.get(&path).cloned().unwrap_or_else(|| "HTTP/1.1 404 Not Found\r\n\r\n".into());
            async move {
                let _ = stream.write_all(text.as_bytes()).await;
            }
        })
        .await
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    /// A URL of this site under another name or spelling of its address.
    pub(crate) fn url_as(&self, host: &str, path: &str) -> Url {
        Url::parse(&format!("http://{host}:{}{path}", self.address.port())).unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A whole response with a body.
pub(crate) fn ok(content_type: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn redirect_to(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
}

/// Names with the addresses that each lookup gives, in turn; the last one stays.
#[derive(Default)]
pub(crate) struct Names {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    lookups: Mutex<HashMap<String, usize>>,
}

impl Names {
    pub(crate) fn with(mut self, name: &str, answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect());
        self.answers.insert(name.to_owned(), answers.collect());
        self
    }

    pub(crate) fn lookups(&self, name: &str) -> usize {
        self.lookups.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, EgressError> {
        let mut lookups = self.lookups.lock().unwrap();
        let count = lookups.entry(name.to_owned()).or_default();
        *count += 1;
        let answers = self.answers.get(name).ok_or(EgressError::NoSuchHost)?;
        Ok(answers[(*count - 1).min(answers.len() - 1)].clone())
    }
}

/// Bounds that a test can wait for.
pub(crate) fn quick() -> EgressConfig {
    EgressConfig {
        connect_timeout: Duration::from_millis(1_500),
        total_timeout: Duration::from_secs(3),
        turn_timeout: Duration::from_secs(1),
        ..EgressConfig::default()
    }
}

/// As a server is configured by default, but that [`PUBLIC`] is public.
pub(crate) fn guarded(names: Arc<Names>) -> Egress {
    with_config(names, quick())
}

/// As on a closed network: private addresses are let in.
pub(crate) fn open() -> Egress {
    with_config(Arc::default(), EgressConfig { allow_private_urls: true, ..quick() })
}

pub(crate) fn with_config(names: Arc<Names>, config: EgressConfig) -> Egress {
    Egress::within(Surroundings { resolver: names, roots: Vec::new(), reach: judgement }, config)
}

/// Bytes of a body that the tests read at most.
pub(crate) const WANTED: usize = 100_000;

pub(crate) async fn get(egress: &Egress, url: &Url) -> Result<teamlog_consumers::egress::Fetched, EgressError> {
    egress.get(url, "*/*", |_| WANTED).await
}
