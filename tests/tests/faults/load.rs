//! Clients at work that must not notice any fault.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use teamlog_tests::{Api, WAIT};
use tokio::{sync::watch, task::JoinSet};

/// A poster, a reader, and a client that opens sockets.
const KINDS: usize = 3;

/// Clients that work until they are stopped. An answer that differs from the usual one is a panic, which [`Load::rounds`]
/// and [`Load::stop`] pass on.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    rounds: watch::Receiver<[usize; KINDS]>,
    tasks: JoinSet<()>,
    posted: Arc<Mutex<Vec<String>>>,
}

impl Load {
    /// Starts the clients as `api`, who is a member of `channel`.
    pub(crate) fn start(api: &Api, channel: &str) -> Load {
        let (stop, stopped) = watch::channel(false);
        let (count, rounds) = watch::channel([0; KINDS]);
        let posted = Arc::default();
        let (api, channel) = (api.clone(), channel.to_owned());
        let work = Arc::new(Work { api, channel, posted: Arc::clone(&posted), count, stopped });
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&work).post());
        tasks.spawn(Arc::clone(&work).read());
        tasks.spawn(work.connect());
        Load { stop, rounds, tasks, posted }
    }

    /// Waits until each client has received `more` further answers.
    pub(crate) async fn rounds(&mut self, more: usize) {
        let wanted = self.rounds.borrow_and_update().map(|done| done + more);
        let reached = self.rounds.wait_for(|done| done.iter().zip(wanted).all(|(done, wanted)| *done >= wanted));
        tokio::select! {
            reached = tokio::time::timeout(WAIT, reached) => { reached.expect("clients get answers in time").unwrap(); }
            Some(ended) = self.tasks.join_next() => panic!("a client ended: {ended:?}"),
        }
    }

    /// Stops the clients. Returns the `ts` of every acknowledged message.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.posted.lock().unwrap())
    }
}

struct Work {
    api: Api,
    channel: String,
    posted: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<[usize; KINDS]>,
    stopped: watch::Receiver<bool>,
}

impl Work {
    fn done(&self, kind: usize) {
        self.count.send_modify(|rounds| rounds[kind] += 1);
    }

    fn goes_on(&self) -> bool {
        !*self.stopped.borrow()
    }

    /// With a key and without, and now and then a reply, which needs to know an older message.
    async fn post(self: Arc<Self>) {
        let mut root = None;
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let mut args = json!({ "channel": self.channel, "text": format!("load {number}") });
            if number % 2 == 0 {
                args["client_msg_id"] = json!(uuid::Uuid::new_v4().to_string());
            }
            if let Some(root) = root.take_if(|_| number % 4 == 3) {
                args["thread_ts"] = json!(root);
            }
            let ts = self.api.good("chat.postMessage", args.clone()).await["ts"].as_str().unwrap().to_owned();
            if args["thread_ts"].is_null() {
                self.posted.lock().unwrap().push(ts.clone());
                root = Some(ts);
            }
            self.done(0);
            // One client must not use the whole machine.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reads the newest page. It must hold the messages that were acknowledged before the read.
    async fn read(self: Arc<Self>) {
        while self.goes_on() {
            let last = self.posted.lock().unwrap().last().cloned();
            let page = self.api.good("conversations.history", json!({ "channel": self.channel, "limit": 999 })).await;
            let there: Vec<&str> =
                page["messages"].as_array().unwrap().iter().map(|message| message["ts"].as_str().unwrap()).collect();
            assert!(there.is_sorted_by(|newer, older| newer > older), "{there:?}");
            if let Some(last) = last {
                assert!(there.contains(&&*last), "{last} was acknowledged and is not in {there:?}");
            }
            self.done(1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Opens a socket and waits for the client's own message on it.
    async fn connect(self: Arc<Self>) {
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let mut socket = self.api.connect(json!({})).await;
            let text = format!("socket {number}");
            let ts = self.api.say(&self.channel, &text).await;
            self.posted.lock().unwrap().push(ts);
            socket.message(&text).await;
            self.done(2);
        }
    }
}
