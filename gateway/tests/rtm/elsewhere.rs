//! Sessions whose messages are written by another node.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;
use teamlog_cluster::{Link, Membership, Peer, Role};
use teamlog_gateway::Homes;
use teamlog_ingest::{Answer, Command, DirectoryRequest, Request, Writers};
use teamlog_log::Partition;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{config, house::*};

/// Writers behind a door. What comes while it is closed is handed in once it opens, the newest first.
pub(crate) struct Held {
    writers: OnceLock<Arc<dyn Writers>>,
    /// How many messages came, and those that wait.
    came: watch::Sender<usize>,
    waiting: Mutex<Vec<usize>>,
    is_open: watch::Sender<bool>,
    handed_in: watch::Sender<usize>,
}

impl Held {
    /// With an open door.
    pub(crate) fn new() -> Arc<Held> {
        Arc::new(Held {
            writers: OnceLock::new(),
            came: watch::Sender::new(0),
            waiting: Mutex::default(),
            is_open: watch::Sender::new(true),
            handed_in: watch::Sender::new(0),
        })
    }

    pub(crate) fn stand_before(&self, writers: Arc<dyn Writers>) {
        assert!(self.writers.set(writers).is_ok(), "once");
    }

    pub(crate) fn close(&self) {
        self.came.send_replace(0);
        self.is_open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// How many came since it was closed.
    pub(crate) fn came(&self) -> usize {
        *self.came.borrow()
    }

    /// Ends once so many have come since it was closed.
    pub(crate) async fn have_come(&self, count: usize) {
        self.came.subscribe().wait_for(|came| *came >= count).await.unwrap();
    }
}

#[async_trait]
impl Writers for Held {
    async fn submit(&self, partition: Partition, request: Request) -> Answer {
        let writers = self.writers.get().unwrap();
        if *self.is_open.borrow() || !matches!(request.command, Command::Post(_)) {
            return writers.submit(partition, request).await;
        }
        let mut number = 0;
        self.came.send_modify(|came| {
            *came += 1;
            number = *came;
        });
        self.waiting.lock().push(number);
        self.is_open.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        let is_next = |_: &usize| self.waiting.lock().last() == Some(&number);
        self.handed_in.subscribe().wait_for(is_next).await.unwrap();
        let answer = writers.submit(partition, request).await;
        self.waiting.lock().pop();
        self.handed_in.send_modify(|count| *count += 1);
        answer
    }

    async fn register(&self, request: DirectoryRequest) -> Answer {
        self.writers.get().unwrap().register(request).await
    }
}

fn no_other() -> Arc<Membership> {
    Arc::new(Membership::of(Uuid::nil(), Vec::new()))
}

/// A table of no other node, and what changes it.
fn homes() -> (watch::Sender<Arc<Membership>>, Homes) {
    let (told, members) = watch::channel(no_other());
    (told, Homes::new(members, Link::new(&secrets())))
}

#[tokio::test]
async fn two_messages_of_a_socket_keep_their_order_though_the_writer_would_take_the_second_first() {
    let (held, (_told, homes)) = (Held::new(), homes());
    let house = House::elsewhere(config(), &held, homes).await;
    let mut socket = house.session(&house.bob, json!({})).await;
    socket.live().await;
    held.close();
    for (id, text) in [(1, "first"), (2, "second"), (3, "third")] {
        socket.send(&json!({ "id": id, "type": "message", "channel": house.here, "text": text }));
    }
    socket.send(&json!({ "id": 4, "type": "ping" }));
    // Behind the messages, and answered while they are under way.
    assert_eq!(socket.frame().await.unwrap()["reply_to"], 4);
    held.have_come(1).await;
    assert_eq!(held.came(), 1, "one is under way");
    held.open();
    let frames = socket.up_to(|frame| frame["reply_to"] == 3).await;
    let replies: Vec<_> = frames.iter().filter(|frame| frame["reply_to"].is_number()).collect();
    assert_eq!(replies.iter().map(|reply| &reply["text"]).collect::<Vec<_>>(), ["first", "second", "third"]);
    assert!(replies.windows(2).all(|two| two[0]["ts"].as_str() < two[1]["ts"].as_str()), "{replies:?}");
}

#[tokio::test]
async fn who_closes_right_behind_their_messages_has_said_them_all() {
    let (held, (_told, homes)) = (Held::new(), homes());
    let house = House::elsewhere(config(), &held, homes).await;
    let mut of_ada = house.session(&house.ada, json!({})).await;
    let mut socket = house.session(&house.bob, json!({})).await;
    of_ada.live().await;
    socket.live().await;
    held.close();
    for text in ["first", "second"] {
        socket.send(&json!({ "type": "message", "channel": house.here, "text": text }));
    }
    socket.close();
    held.have_come(1).await;
    held.open();
    let frames = of_ada.up_to(|frame| frame["text"] == "second").await;
    assert_eq!(texts(&frames), ["first", "second"]);
}

#[tokio::test]
async fn who_is_told_to_go_hears_first_what_became_of_their_messages() {
    for is_sent_home in [false, true] {
        let (held, (told, homes)) = (Held::new(), homes());
        let house = House::elsewhere(config(), &held, homes).await;
        let mut socket = house.session(&house.bob, json!({})).await;
        let mut second = house.session(&house.bob, json!({})).await;
        socket.live().await;
        second.live().await;
        held.close();
        for (id, text) in [(1, "first"), (2, "second")] {
            socket.send(&json!({ "id": id, "type": "message", "channel": house.here, "text": text }));
        }
        held.have_come(1).await;
        let stops = async {
            if is_sent_home {
                told.send_replace(home_elsewhere());
            } else {
                house.rtm.shutdown().await;
            }
        };
        let goes = async {
            // All are told at once. One that has nothing under way goes at once.
            second.rest().await;
            assert_eq!(second.closed, Some(1001));
            socket.send(&json!({ "id": 3, "type": "ping" }));
            held.open();
            socket.rest().await
        };
        let ((), frames) = tokio::join!(stops, goes);
        let heard: Vec<_> = frames.iter().map(|frame| (&frame["type"], &frame["reply_to"], &frame["text"])).collect();
        let (none, goodbye, url) = (json!(null), json!("goodbye"), json!("reconnect_url"));
        let expected = [
            (&none, &json!(1), &json!("first")),
            (&none, &json!(2), &json!("second")),
            (&url, &none, &none),
            (&goodbye, &none, &none),
        ];
        assert_eq!((heard, socket.closed), (expected.to_vec(), Some(1001)));
        if is_sent_home {
            // Where it goes on is behind them: their own words do not come back.
            told.send_replace(no_other());
            let mut again = house.open(frames[2]["url"].as_str().unwrap());
            house.say(&house.ada, "then").await;
            let frames = again.up_to(|frame| frame["text"] == "then").await;
            assert_eq!(texts(&frames), ["then"]);
        }
    }
}

/// A table by which every team is at home at another gateway.
fn home_elsewhere() -> Arc<Membership> {
    let peer = Peer {
        address: "http://127.0.0.1:1".to_owned(),
        url: Some("http://other.example".to_owned()),
        ..Peer::new(Uuid::from_u128(7), Role::Gateway)
    };
    Arc::new(Membership::of(Uuid::nil(), vec![peer]))
}
