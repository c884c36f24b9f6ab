//! Runs a world to its end and judges what its sessions heard.

use std::sync::{Arc, atomic::Ordering};

use futures::{StreamExt, stream};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{
    judge::{Judge, Run},
    listeners,
    motion::{END, EVERYBODY, World},
};
use crate::WAIT;

impl World {
    /// Starts all actors and returns what the sessions received. `meanwhile` ends before the last message is posted.
    pub async fn run(self: &Arc<Self>, seed: u64, meanwhile: impl Future<Output = ()>) -> Vec<Run> {
        let rng = |stream: usize| StdRng::seed_from_u64(seed.wrapping_mul(1 << 20).wrapping_add(stream as u64));
        let size = self.size;
        let listeners: Vec<_> = (0..size.sessions + size.slow)
            .map(|number| {
                let (world, rng) = (self.clone(), rng(number));
                let is_slow = number >= size.sessions;
                tokio::spawn(async move { listeners::listen(&world, number % size.people, is_slow, rng).await })
            })
            .collect();
        let mut doers = tokio::task::JoinSet::new();
        for writer in 0..size.writers {
            let (world, rng) = (self.clone(), rng(1 << 18 | writer));
            doers.spawn(async move { world.write(writer, rng).await });
        }
        for mover in 0..size.movers {
            let (world, rng) = (self.clone(), rng(1 << 19 | mover));
            doers.spawn(async move { world.keep_moving(mover, rng).await });
        }
        meanwhile.await;
        self.is_busy.store(false, Ordering::SeqCst);
        while let Some(done) = doers.join_next().await {
            done.unwrap();
        }
        let mut settled = self.settled.subscribe();
        let waiting = settled.wait_for(|settled| *settled == listeners.len());
        drop(tokio::time::timeout(WAIT, waiting).await.expect("every session settles").unwrap());
        let end = json!({ "channel": self.places[EVERYBODY].id, "text": END });
        self.insist(0, "chat.postMessage", end).await;
        let mut runs = Vec::new();
        for listener in listeners {
            runs.extend(listener.await.unwrap());
        }
        runs
    }

    /// Builds the judge from the histories.
    pub async fn judge(&self) -> Judge {
        let mut histories = Vec::new();
        for place in &self.places {
            histories.push(self.api(0).history(&place.id).await);
        }
        Judge::new(self, &histories)
    }

    /// Checks that every message that was acknowledged is there, once, under its `ts`, and nothing else; that each session
    /// heard what it had to; and that a repeat of a call gives the first answer. How many messages there are.
    pub async fn check(&self, runs: &[Run], what: &str) -> usize {
        let judge = self.judge().await;
        let mut told = self.acknowledged();
        told.sort_by_key(|one| one.number);
        let acknowledged: Vec<_> = told.iter().map(|one| (one.number, one.ts)).collect();
        assert_eq!(judge.posts(), acknowledged, "{what}: what is there, and what the writers were told");
        judge.check_all(runs);
        let again = stream::iter(&told).map(|one| async move {
            let again = self.api(one.writer).good("chat.postMessage", one.post.clone()).await;
            assert_eq!(again["ts"], json!(one.ts.to_string()), "{what}: a retry of {one:?}");
        });
        again.buffer_unordered(16).collect::<()>().await;
        assert_eq!(self.judge().await.posts(), acknowledged, "{what}: a retry posted again");
        told.len()
    }
}
