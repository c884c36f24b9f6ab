//! Checks that people can post, and measures how long they could not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::timeout};

use crate::{PATIENCE, faults::Fault};

/// The longest time between two acknowledgements of a team, by the fault before it.
pub(crate) struct Stalls {
    posted: watch::Receiver<usize>,
    now: Arc<Mutex<Option<(Fault, Duration)>>>,
    all: BTreeMap<Fault, Vec<Duration>>,
}

impl Stalls {
    pub(crate) fn watch(posted: watch::Receiver<usize>) -> Stalls {
        let now: Arc<Mutex<Option<(Fault, Duration)>>> = Arc::default();
        let (mut seen, told) = (posted.clone(), now.clone());
        tokio::spawn(async move {
            let mut last = Instant::now();
            while seen.changed().await.is_ok() {
                let gap = last.elapsed();
                last = Instant::now();
                if let Some((_, longest)) = &mut *told.lock().unwrap() {
                    *longest = gap.max(*longest);
                }
            }
        });
        Stalls { posted, now, all: BTreeMap::new() }
    }

    pub(crate) fn begin(&mut self, fault: Fault) {
        *self.now.lock().unwrap() = Some((fault, Duration::ZERO));
    }

    /// Waits until everybody has posted about twice more.
    pub(crate) async fn goes_on(&mut self) {
        self.posted_more(16).await;
    }

    /// Waits for so many more acknowledged messages.
    pub(crate) async fn posted_more(&mut self, messages: usize) {
        let wanted = *self.posted.borrow() + messages;
        let posted = timeout(PATIENCE, self.posted.wait_for(|posted| *posted >= wanted)).await;
        drop(posted.unwrap_or_else(|_| panic!("nobody could post for {PATIENCE:?}")).unwrap());
    }

    pub(crate) fn end(&mut self) {
        if let Some((fault, longest)) = self.now.lock().unwrap().take() {
            eprintln!("{fault:?}: posting stalled for {longest:?}");
            self.all.entry(fault).or_default().push(longest);
        }
    }

    pub(crate) fn tell(&self) {
        for (fault, stalls) in &self.all {
            let (count, longest) = (stalls.len(), stalls.iter().max());
            eprintln!("{fault:?}, {count} times: posting stalled for {longest:?} at the most");
        }
    }
}
