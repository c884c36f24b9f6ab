//! Commands between nodes over real sockets: what comes of them when the other end answers, refuses, dies, hangs or changes.
#![allow(clippy::unwrap_used)]

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use teamlog_cluster::{Internal, Link, Membership, Peer, Role, Secrets};
use teamlog_ingest::{
    Acked, Answer, Command, DirectoryRequest, NewPerson, NewTeam, NotAccepted, Nothing, Refusal, Request, Writers,
    commands::Post,
    http::{RemoteWriters, commands},
};
use teamlog_log::{Offset, Partition, Position};
use teamlog_schemas::{Event, Meta, TeamId, TokenRevoked, Ts};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn secrets() -> Secrets {
    Secrets::new([KEY]).unwrap()
}

/// Writers that record their calls and give these answers in order, then `Busy`.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<(Option<Partition>, String)>>,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> Arc<Scripted> {
        Arc::new(Scripted { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() })
    }

    fn answer(&self, partition: Option<Partition>, asked: String) -> Answer {
        self.asked.lock().push((partition, asked));
        self.answers.lock().pop_front().unwrap_or(Answer::not_accepted(NotAccepted::Busy))
    }
}

#[async_trait]
impl Writers for Scripted {
    async fn submit(&self, partition: Partition, request: Request) -> Answer {
        let left = request.deadline.saturating_duration_since(Instant::now());
        assert!(left <= Duration::from_secs(10), "{left:?}");
        self.answer(Some(partition), format!("{:?} {:?} {:?}", request.method, request.key, request.command))
    }

    async fn register(&self, request: DirectoryRequest) -> Answer {
        self.answer(None, format!("{request:?}"))
    }
}

/// An ingest node at some address.
async fn listen(writers: Arc<dyn Writers>, secrets: Secrets) -> (String, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let internal = Internal::new(commands(writers), Default::default(), Arc::new(secrets));
    tokio::spawn(internal.serve(listener, stop.clone()));
    (address, stop.drop_guard())
}

fn table(owner: Option<&str>) -> Arc<Membership> {
    let peer = |address: &str| Peer { address: address.to_owned(), ..Peer::new(Uuid::from_u128(7), Role::Ingest) };
    Arc::new(Membership::of(Uuid::from_u128(1), owner.map(peer).into_iter().collect()))
}

/// Returns the forwarding side, and the sender of its membership table.
fn remote(owner: Option<&str>) -> (RemoteWriters, watch::Sender<Arc<Membership>>) {
    let (told, members) = watch::channel(table(owner));
    (RemoteWriters::new(members, Link::new(&secrets())), told)
}

fn team() -> TeamId {
    "T1".parse().unwrap()
}

fn request(key: Option<&str>, wait: Duration) -> Request {
    let post = Post { text: "hello".to_owned(), subtype: Some("me_message".into()), ..Post::default() };
    Request {
        team: team(),
        actor: None,
        method: "chat.postMessage".into(),
        key: key.map(str::to_owned),
        deadline: Instant::now() + wait,
        traceparent: None,
        command: Command::from(post),
    }
}

fn acked() -> Answer {
    let meta = Meta { event_id: Uuid::from_u128(3), team: team(), actor: None, at: Ts::ZERO, key: None, method: None };
    let event = Arc::new(Event::from(TokenRevoked { meta, user: "U1".parse().unwrap(), hash: "ab".to_owned() }));
    let seen_at = Position { offset: Offset(9), ..Position::START };
    Answer::Acked(Acked { event, partition: Partition(3), seen_at, repeated: true })
}

const WAIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn every_answer_comes_as_it_was_given() {
    let answers = [
        acked(),
        Answer::Nothing {
            why: Nothing::AlreadyIn("C1".parse().unwrap()),
            partition: Partition(3),
            seen_at: Position { offset: Offset(9), ..Position::START },
        },
        Answer::Refused(Refusal::NotInChannel),
        Answer::NotAccepted { why: NotAccepted::TeamAway, retry_after: Duration::from_millis(1_234) },
        Answer::Unknown,
    ];
    let scripted = Scripted::answering(answers.clone());
    let (address, _node) = listen(scripted.clone(), secrets()).await;
    let (remote, _told) = remote(Some(&address));
    for answer in answers {
        let came = remote.submit(Partition(3), request(Some("k"), WAIT)).await;
        assert_eq!(came, answer);
    }
    let command = request(None, WAIT).command;
    let asked = (Some(Partition(3)), format!("\"chat.postMessage\" Some(\"k\") {command:?}"));
    assert_eq!(scripted.asked.lock()[0], asked);
}

#[tokio::test]
async fn a_registration_goes_to_the_directorys_owner() {
    let scripted = Scripted::answering([acked()]);
    let (address, _node) = listen(scripted.clone(), secrets()).await;
    let (remote, _told) = remote(Some(&address));
    let owner = NewPerson { name: "ada".to_owned(), ..NewPerson::default() };
    let (domain, deadline) = ("acme".to_owned(), Instant::now() + WAIT);
    let new = NewTeam { domain, name: "Acme".to_owned(), owner, team: None, channels: None, key: None, deadline };
    assert!(matches!(remote.register(DirectoryRequest::Register(Box::new(new))).await, Answer::Acked(_)));
    let asked = scripted.asked.lock();
    assert!(asked[0].0.is_none() && asked[0].1.contains("\"acme\""), "{asked:?}");
}

#[tokio::test]
async fn another_clusters_node_is_not_answered() {
    let scripted = Scripted::answering([acked()]);
    let (address, _node) = listen(scripted.clone(), Secrets::new([b"another key another key another!"]).unwrap()).await;
    let (remote, _told) = remote(Some(&address));
    let answer = remote.submit(Partition(0), request(Some("k"), WAIT)).await;
    assert!(matches!(answer, Answer::NotAccepted { why: NotAccepted::OtherVersion, .. }), "{answer:?}");
    assert!(scripted.asked.lock().is_empty());
    // One that knows the old key and signs with a new one is.
    let both = Secrets::new([b"another key another key another!", KEY]).unwrap();
    let scripted = Scripted::answering([acked()]);
    let (address, _node) = listen(scripted, both).await;
    let (remote, _told) = self::remote(Some(&address));
    assert!(matches!(remote.submit(Partition(0), request(None, WAIT)).await, Answer::Acked(_)));
}

#[tokio::test]
async fn who_does_not_own_it_is_passed_over_for_who_does() {
    let not_owner = || Answer::not_accepted(NotAccepted::NotOwner);
    let (old, new) =
        (Scripted::answering(std::iter::repeat_with(not_owner).take(1_000)), Scripted::answering([acked()]));
    let (old_address, _old) = listen(old.clone(), secrets()).await;
    let (new_address, _new) = listen(new, secrets()).await;
    let (remote, told) = remote(Some(&old_address));
    let submitted = tokio::spawn(async move { remote.submit(Partition(0), request(None, WAIT)).await });
    while old.asked.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    told.send_replace(table(Some(&new_address)));
    assert!(matches!(submitted.await.unwrap(), Answer::Acked(_)), "an unkeyed one too: it surely was not done");
}

#[tokio::test]
async fn with_nobody_there_it_waits_to_the_deadline_and_was_not_accepted() {
    let nowhere = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    for owner in [None, Some(format!("http://{nowhere}"))] {
        let (remote, _told) = remote(owner.as_deref());
        let wait = Duration::from_millis(300);
        let since = Instant::now();
        let answer = remote.submit(Partition(0), request(None, wait)).await;
        assert!(matches!(answer, Answer::NotAccepted { why: NotAccepted::NotOwner, .. }), "{answer:?}");
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    }
}

/// A node that takes connections and, once something came, does with the first one as told; the rest it leaves open.
async fn broken(closes: bool) -> (String, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (came, heard) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 512];
        while stream.read(&mut bytes).await.unwrap() < 60 {}
        let _ = came.send(());
        if !closes {
            std::future::pending::<()>().await;
        }
    });
    (address, heard)
}

#[tokio::test]
async fn who_dies_or_hangs_in_the_middle_leaves_an_unknown_outcome() {
    for closes in [true, false] {
        let (address, _heard) = broken(closes).await;
        let (remote, _told) = remote(Some(&address));
        let since = Instant::now();
        let answer = remote.submit(Partition(0), request(None, WAIT)).await;
        assert!(matches!(answer, Answer::Unknown), "{answer:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "who hangs is found out: {:?}", since.elapsed());
    }
}

#[tokio::test]
async fn what_has_a_key_is_asked_again_of_the_next_owner() {
    for closes in [true, false] {
        let next = Scripted::answering([acked()]);
        let (next_address, _next) = listen(next, secrets()).await;
        let (address, heard) = broken(closes).await;
        let (remote, told) = remote(Some(&address));
        let submitted = tokio::spawn(async move { remote.submit(Partition(0), request(Some("k"), WAIT)).await });
        heard.await.unwrap();
        told.send_replace(table(Some(&next_address)));
        assert!(matches!(submitted.await.unwrap(), Answer::Acked(_)));
    }
}

#[tokio::test]
async fn who_is_among_the_nodes_no_longer_is_not_waited_for() {
    let (next_address, _next) = listen(Scripted::answering([acked()]), secrets()).await;
    let (address, heard) = broken(false).await;
    let (remote, told) = remote(Some(&address));
    let submitted = tokio::spawn(async move { remote.submit(Partition(0), request(Some("k"), WAIT)).await });
    heard.await.unwrap();
    let mut next = (*table(Some(&next_address)).peers()[0]).clone();
    next.life = Uuid::from_u128(8);
    let since = Instant::now();
    told.send_replace(Arc::new(Membership::of(Uuid::from_u128(1), vec![next])));
    assert!(matches!(submitted.await.unwrap(), Answer::Acked(_)));
    assert!(
        since.elapsed() < Duration::from_millis(1_400),
        "before its connection is found dead: {:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn after_a_loss_nothing_is_called_not_done() {
    // The next owner has too much to do, or may not do it now: that says nothing of the first try, which may yet be decided.
    let nothing = Answer::Nothing { why: Nothing::NotIn, partition: Partition(0), seen_at: Position::START };
    let answers = [None, Some(Answer::Refused(Refusal::NotInChannel)), Some(nothing)];
    for answer in answers {
        let (next_address, _next) = listen(Scripted::answering(answer), secrets()).await;
        let (address, heard) = broken(true).await;
        let (remote, told) = remote(Some(&address));
        let submitted = tokio::spawn(async move { remote.submit(Partition(0), request(Some("k"), WAIT)).await });
        heard.await.unwrap();
        told.send_replace(table(Some(&next_address)));
        let answer = submitted.await.unwrap();
        assert!(matches!(answer, Answer::Unknown), "{answer:?}");
    }
}

#[tokio::test]
async fn who_has_too_much_to_do_says_so_at_once() {
    let (address, _node) = listen(Scripted::answering([]), secrets()).await;
    let (remote, _told) = remote(Some(&address));
    let answer = remote.submit(Partition(0), request(Some("k"), WAIT)).await;
    assert!(matches!(answer, Answer::NotAccepted { why: NotAccepted::Busy, .. }), "{answer:?}");
}
