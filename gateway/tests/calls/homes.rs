//! Calls that are passed on to their team's home, and homes that fail them.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, body::Body, http::Request, routing::any};
use serde_json::{Value, json};
use teamlog_cluster::{Internal, Link, Membership, Peer, Role};
use teamlog_gateway::{GatewayConfig, Homes};
use teamlog_ingest::{Answer, DirectoryRequest, NotAccepted, Request as Command, Writers};
use teamlog_log::Partition;
use tokio::{io::AsyncReadExt, net::TcpListener, sync::watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::house::*;

/// This house's node, which is nobody's home.
const HERE: Uuid = Uuid::from_u128(1);

/// Writers that have too much to do when told to.
#[derive(Default)]
pub(crate) struct Burdened {
    writers: OnceLock<Arc<dyn Writers>>,
    is_busy: AtomicBool,
}

impl Burdened {
    pub(crate) fn stand_before(&self, writers: Arc<dyn Writers>) {
        assert!(self.writers.set(writers).is_ok(), "once");
    }
}

#[async_trait]
impl Writers for Burdened {
    async fn submit(&self, partition: Partition, request: Command) -> Answer {
        if self.is_busy.load(Ordering::Relaxed) {
            return Answer::not_accepted(NotAccepted::Busy);
        }
        self.writers.get().unwrap().submit(partition, request).await
    }

    async fn register(&self, request: DirectoryRequest) -> Answer {
        self.writers.get().unwrap().register(request).await
    }
}

/// A house among other gateways, with a team, and the table that says which.
struct Town {
    house: House,
    team: Team,
    channel: Value,
    writers: Arc<Burdened>,
    told: watch::Sender<Arc<Membership>>,
}

impl Town {
    async fn new(config: GatewayConfig) -> Town {
        let (told, members) = watch::channel(Arc::new(Membership::of(HERE, Vec::new())));
        let writers = Arc::new(Burdened::default());
        let homes = Homes::new(members, Link::new(&secrets()));
        let house = House::among(config, writers.clone(), homes).await;
        let team = Team::new(&house).await;
        let channel =
            house.good("conversations.list", &team.ada, json!({"limit": 1})).await["channels"][0]["id"].clone();
        Town { house, team, channel, writers, told }
    }

    /// From now on the team is at home at this address, or here.
    fn at_home(&self, address: Option<&str>) {
        let peer = |address: &str| Peer { address: address.to_owned(), ..Peer::new(Uuid::from_u128(7), Role::Gateway) };
        self.told.send_replace(Arc::new(Membership::of(HERE, address.map(peer).into_iter().collect())));
    }

    /// Ada says something; the status and the body of the answer.
    async fn post(&self, key: Option<&str>) -> (u16, Value) {
        let mut built = Request::post("/api/chat.postMessage")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.team.ada));
        if let Some(key) = key {
            built = built.header("idempotency-key", key);
        }
        let args = json!({"channel": self.channel, "text": "hello"});
        let answer = self.house.send(built.body(Body::from(args.to_string())).unwrap()).await;
        (answer.status().as_u16(), body(answer).await)
    }
}

fn unknown() -> (u16, Value) {
    (503, json!({"ok": false, "error": "outcome_unknown"}))
}

/// A home whose connections break once a call has come by them.
async fn breaking() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The client's preface, then frames of HTTP/2 (RFC 9113, 4.1) up to one with headers.
            stream.read_exact(&mut [0; 24]).await.unwrap();
            let mut head = [0; 9];
            while head[3] != 1 {
                stream.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
            }
        }
    });
    address
}

/// A home that answers everything but calls. How many came, and what ends it.
async fn silent() -> (String, watch::Receiver<usize>, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (came, calls) = watch::channel(0);
    let call = any(move || {
        came.send_modify(|came| *came += 1);
        std::future::pending::<()>()
    });
    let calls_here = Router::new().route("/internal/api/{method}", call);
    let stop = CancellationToken::new();
    let internal = Internal::new(calls_here, Router::new(), Arc::new(secrets()));
    tokio::spawn(internal.serve(listener, stop.clone()));
    (address, calls, stop.drop_guard())
}

#[tokio::test]
async fn a_home_that_is_among_the_nodes_no_longer_is_not_waited_for() {
    // Longer than these tests wait.
    let config = GatewayConfig { call_deadline: Duration::from_secs(3600), ..GatewayConfig::default() };
    let town = Town::new(config).await;
    let (address, mut calls, _home) = silent().await;
    let mut leaves = async |number: usize| {
        calls.wait_for(|calls| *calls == number).await.unwrap();
        town.at_home(None);
    };
    town.at_home(Some(&address));
    let (answer, ()) = tokio::join!(town.post(None), leaves(1));
    assert_eq!(answer, unknown());
    // With a key, and what reads, is served here.
    town.at_home(Some(&address));
    let ((status, answer), ()) = tokio::join!(town.post(Some("k")), leaves(2));
    assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
    town.at_home(Some(&address));
    tokio::join!(town.house.good("auth.test", &town.team.ada, json!({})), leaves(3));
}

#[tokio::test]
async fn what_a_lost_home_may_have_written_is_not_called_undone() {
    let town = Town::new(GatewayConfig { admin_key: Some(ADMIN_KEY.to_owned()), ..GatewayConfig::default() }).await;
    town.at_home(Some(&breaking().await));
    assert_eq!(town.post(None).await, unknown());
    // With a key it is served here, where that ends well.
    let (status, first) = town.post(Some("k")).await;
    assert_eq!((status, &first["ok"]), (200, &json!(true)), "{first}");
    town.writers.is_busy.store(true, Ordering::Relaxed);
    assert_eq!(town.post(Some("k")).await, unknown());
    town.writers.is_busy.store(false, Ordering::Relaxed);
    // Nor undone because it may not be done now: at the lost home it may yet be.
    let nowhere = json!({"channel": "C0NOWHERE", "text": "hello", "client_msg_id": "k2"});
    town.house.bad("chat.postMessage", &town.team.ada, nowhere, "outcome_unknown").await;
    town.house.good("auth.test", &town.team.ada, json!({})).await;
    // What surely did not come to the home is not in doubt.
    town.writers.is_busy.store(true, Ordering::Relaxed);
    for home in [Some("http://127.0.0.1:1"), None] {
        town.at_home(home);
        for key in [None, Some("k3")] {
            let (status, answer) = town.post(key).await;
            assert_eq!((status, &answer["error"]), (503, &json!("not_accepted")), "{home:?}");
        }
        // What was lost before still is.
        assert_eq!(town.post(Some("k")).await, unknown());
    }
    town.writers.is_busy.store(false, Ordering::Relaxed);
    assert_eq!(town.post(Some("k")).await.1["ts"], first["ts"]);
}
