//! Bounds how many hold one key at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A semaphore a key, kept only while somebody holds or waits for it. Waiting is in order of arrival and can be
/// cancelled by dropping the future.
pub(super) struct Gates<K: Eq + Hash + Clone> {
    per_key_max: usize,
    open: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// Leave to go on, given back on drop.
pub(super) struct Passage<K: Eq + Hash + Clone> {
    gates: Arc<Gates<K>>,
    key: K,
    // An option, so that on drop it goes before the map is looked at.
    held: Option<(Arc<Semaphore>, Option<OwnedSemaphorePermit>)>,
}

impl<K: Eq + Hash + Clone> Gates<K> {
    pub(super) fn new(per_key_max: usize) -> Arc<Self> {
        Arc::new(Self { per_key_max: per_key_max.max(1), open: Mutex::default() })
    }

    /// Waits until fewer than the bound hold `key`.
    pub(super) async fn enter(self: &Arc<Self>, key: K) -> Passage<K> {
        let gate = {
            let mut open = self.open.lock();
            open.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
                let gate = Arc::new(Semaphore::new(self.per_key_max));
                open.insert(key.clone(), Arc::downgrade(&gate));
                gate
            })
        };
        // Made before waiting, so that the key is forgotten also when the wait is cancelled.
        let mut passage = Passage { gates: self.clone(), key, held: Some((gate.clone(), None)) };
        let permit = gate.acquire_owned().await.ok();
        if let Some((_, held)) = &mut passage.held {
            *held = permit;
        }
        passage
    }
}

impl<K: Eq + Hash + Clone> Drop for Passage<K> {
    fn drop(&mut self) {
        let mut open = self.gates.open.lock();
        drop(self.held.take());
        if open.get(&self.key).is_some_and(|gate| gate.strong_count() == 0) {
            open.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_key_is_held_by_a_bounded_number_and_forgotten_afterwards() {
        let gates = Gates::new(2);
        let first = gates.enter("a").await;
        let second = gates.enter("a").await;
        let other = gates.enter("b").await;
        let late = tokio::time::timeout(Duration::from_millis(20), gates.enter("a")).await;
        assert!(late.is_err());
        drop(first);
        let third = tokio::time::timeout(Duration::from_secs(5), gates.enter("a")).await.unwrap();
        assert_eq!(gates.open.lock().len(), 2);
        drop((second, third, other));
        assert_eq!(gates.open.lock().len(), 0);
        // Cancelled while it waits, after the holders are gone.
        let holders = (gates.enter("a").await, gates.enter("a").await);
        let mut waiting = Box::pin(gates.enter("a"));
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut waiting).await.is_err());
        drop(holders);
        drop(waiting);
        assert_eq!(gates.open.lock().len(), 0);
    }
}
