use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{trouble::DELAY, *};
use crate::WAIT;

/// Long enough for what is not held up, most of the time; what is held up never comes so early.
const SILENCE: Duration = Duration::from_millis(200);

/// This process is `ingest1`, and calls `kafka1`.
struct Line {
    network: Network,
    part: TcpListener,
    link: u16,
    _pids: TempDir,
}

impl Line {
    async fn new() -> Line {
        let pids = tempfile::tempdir().unwrap();
        std::fs::write(pids.path().join("ingest1"), format!("{}\n", std::process::id())).unwrap();
        let part = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = part.local_addr().unwrap().port();
        let link = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let places = vec![Place { part: "kafka1".to_owned(), link, port }];
        Line { network: Network::open(&Handle::current(), pids.path(), &["ingest1"], places), part, link, _pids: pids }
    }

    fn disturb(&self, trouble: Trouble) -> Disturbed<'_> {
        self.network.disturb(&["ingest1".to_owned()], &["kafka1".to_owned()], trouble)
    }

    async fn call(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.link)).await.unwrap()
    }

    /// Both ends of a connection that works.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let mut near = self.call().await;
        let mut far = timeout(WAIT, self.part.accept()).await.unwrap().unwrap().0;
        both_ways(&mut near, &mut far).await;
        (near, far)
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn hears(stream: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(WAIT, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

async fn hears_nothing(stream: &mut TcpStream) {
    let heard = timeout(SILENCE, stream.read(&mut [0; 8])).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn is_reset(mut stream: TcpStream) {
    let ended = timeout(WAIT, stream.read(&mut [0; 8])).await.unwrap();
    assert!(ended.is_err(), "{ended:?}");
}

async fn both_ways(near: &mut TcpStream, far: &mut TcpStream) {
    say(near, "ask").await;
    hears(far, "ask").await;
    say(far, "answer").await;
    hears(near, "answer").await;
}

#[tokio::test]
async fn a_cut_line_resets_who_is_there_and_who_comes() {
    let line = Line::new().await;
    let (near, far) = line.connect().await;
    let cut = line.disturb(Trouble::Cut);
    is_reset(near).await;
    is_reset(far).await;
    assert!(cut.was_met());
    is_reset(line.call().await).await;
    drop(cut);
    // Those that came meanwhile may have come through to the part, and ended.
    let mut near = line.call().await;
    say(&mut near, "ask").await;
    loop {
        let mut far = timeout(WAIT, line.part.accept()).await.unwrap().unwrap().0;
        let mut heard = [0; 3];
        if timeout(WAIT, far.read_exact(&mut heard)).await.unwrap().is_ok() {
            return both_ways(&mut near, &mut far).await;
        }
    }
}

#[tokio::test]
async fn on_a_slow_line_everything_comes_and_comes_late() {
    let line = Line::new().await;
    let (mut near, mut far) = line.connect().await;
    let slow = line.disturb(Trouble::Delayed);
    let began = Instant::now();
    both_ways(&mut near, &mut far).await;
    let took = began.elapsed();
    assert!(took >= 2 * DELAY, "{took:?}");
    assert!(slow.was_met());
    say(&mut near, "one").await;
    drop(slow);
    say(&mut near, "two").await;
    hears(&mut far, "onetwo").await;
    drop(near);
    assert_eq!(timeout(WAIT, far.read(&mut [0; 8])).await.unwrap().unwrap(), 0, "an end is an end, not a reset");
}

#[tokio::test]
async fn one_way_is_lost_and_the_connection_with_it_once_that_is_over() {
    for lost in [Direction::Calls, Direction::Answers] {
        let line = Line::new().await;
        let (mut near, mut far) = line.connect().await;
        let one_way = line.disturb(Trouble::OneWay(lost));
        let (deaf, mute) = if lost == Direction::Calls { (&mut far, &mut near) } else { (&mut near, &mut far) };
        say(mute, "lost").await;
        hears_nothing(deaf).await;
        say(deaf, "not lost").await;
        hears(mute, "not lost").await;
        assert!(one_way.was_met());
        drop(one_way);
        is_reset(near).await;
        is_reset(far).await;
        line.connect().await;
    }
}

#[tokio::test]
async fn on_a_half_open_line_nothing_comes_before_it_is_over_and_then_everything() {
    let line = Line::new().await;
    let (mut near, mut far) = line.connect().await;
    let half_open = line.disturb(Trouble::HalfOpen);
    say(&mut near, "ask").await;
    say(&mut far, "tell").await;
    let mut newcomer = line.call().await;
    say(&mut newcomer, "hello").await;
    for stream in [&mut near, &mut far, &mut newcomer] {
        hears_nothing(stream).await;
    }
    assert!(half_open.was_met());
    drop(half_open);
    hears(&mut far, "ask").await;
    hears(&mut near, "tell").await;
    let mut second = timeout(WAIT, line.part.accept()).await.unwrap().unwrap().0;
    hears(&mut second, "hello").await;
    both_ways(&mut newcomer, &mut second).await;
}

#[tokio::test]
async fn trouble_of_others_concerns_nobody_else() {
    let line = Line::new().await;
    let (mut near, mut far) = line.connect().await;
    for (caller, part) in [("ingest2", "kafka1"), ("ingest1", "kafka2")] {
        let elsewhere = line.network.disturb(&[caller.to_owned()], &[part.to_owned()], Trouble::Cut);
        both_ways(&mut near, &mut far).await;
        assert!(!elsewhere.was_met());
    }
}
