//! Commands with an idempotency key whose outcome is open.
//!
//! A try is open if it ended as unknown, if its caller was cancelled before the answer, or if it is in flight: it may have
//! executed, or may still execute. A later try of the same key that is not accepted surely did not execute itself, but this
//! says nothing about the first try. The caller of a retry asks for the outcome of the key. So until a try of the key is
//! decided, "not accepted" is reported as unknown.
//!
//! This is the memory of one process. It does not survive a restart, and another gateway does not have it: there the answer
//! to a retry may be true of the retry alone.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Answer;

/// How long an open outcome is kept: as long as the shards' tables of keys can tell a retry from a new command.
const KEPT: Duration = Duration::from_secs(2 * 24 * 3_600);
/// The number of open outcomes that are kept, some 5 MB. Past it the oldest is dropped: most callers retry within seconds.
/// The answer to a later retry may then be true of the retry alone.
const OPEN_MAX: usize = 65_536;

/// The keys with an open try: one that may have executed, or may still execute.
#[derive(Default)]
pub(crate) struct UnresolvedWrites {
    hasher: RandomState,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// The place of each key in `order`.
    places: HashMap<Name, u64>,
    /// The open keys in the order in which a try began or ended as unknown, each with that time.
    order: BTreeMap<u64, (Name, Instant)>,
    next_place: u64,
}

/// A hash that identifies a keyed command, so that the keys themselves are not kept. If two hashes collide, a command that
/// was not accepted may be reported as unknown, which is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(u64);

/// A try that has begun. Its outcome stays open until [`UnresolvedWrites::resolve`] gets its answer.
pub(crate) struct Try {
    name: Name,
    place: u64,
    /// True if another try of the key was open when this one began.
    is_repeat: bool,
    /// True if that other try may be in flight at another node: then a refusal of this try may not be true of it.
    after_a_loss: bool,
}

impl UnresolvedWrites {
    /// Records the begin of a try. `keyed` is all that tells its key from other keys; `None` for a command without a key.
    pub(crate) fn begin(&self, keyed: Option<impl Hash>, after_a_loss: bool) -> Option<Try> {
        let name = Name(self.hasher.hash_one(keyed?));
        let mut open = self.open.lock();
        let is_repeat = after_a_loss || open.holds(name);
        Some(Try { name, place: open.add(name), is_repeat, after_a_loss })
    }

    /// Records how a try ended and returns the answer for its caller, which is true of every try of the key.
    pub(crate) fn resolve(&self, of: Option<Try>, answer: Answer) -> Answer {
        let Some(Try { name, place, is_repeat, after_a_loss }) = of else { return answer };
        let mut open = self.open.lock();
        match answer {
            Answer::Unknown => {
                open.add(name);
            }
            Answer::NotAccepted { .. } if is_repeat => return Answer::Unknown,
            // A try that began after this one is still open.
            Answer::NotAccepted { .. } if open.places.get(&name) != Some(&place) => {}
            Answer::Nothing { .. } | Answer::Refused(_) if after_a_loss => {}
            // The writer looked for an event of the key, and the epoch of every earlier try was over or was this writer's.
            // The one exception: a try that waits at a paused node, which is chosen again before the try's deadline.
            Answer::NotAccepted { .. } | Answer::Acked(_) | Answer::Nothing { .. } | Answer::Refused(_) => {
                open.remove(name);
            }
        }
        answer
    }
}

impl Open {
    /// Adds a key as the newest and returns its place. Drops the oldest keys past the bounds of number and age.
    fn add(&mut self, name: Name) -> u64 {
        self.remove(name);
        let now = Instant::now();
        while let Some(oldest) = self.order.first_entry() {
            let (name, since) = *oldest.get();
            if self.places.len() < OPEN_MAX && now.duration_since(since) < KEPT {
                break;
            }
            oldest.remove();
            self.places.remove(&name);
        }
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert(name, place);
        self.order.insert(place, (name, now));
        place
    }

    fn holds(&self, name: Name) -> bool {
        let of = self.places.get(&name).and_then(|place| self.order.get(place));
        of.is_some_and(|(_, since)| since.elapsed() < KEPT)
    }

    fn remove(&mut self, name: Name) {
        if let Some(place) = self.places.remove(&name) {
            self.order.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NotAccepted, Refusal};

    fn not_accepted() -> Answer {
        Answer::not_accepted(NotAccepted::LogAway)
    }

    fn ended(unresolved: &UnresolvedWrites, key: Option<&str>, answer: Answer) -> Answer {
        unresolved.resolve(unresolved.begin(key, false), answer)
    }

    fn is_unknown(unresolved: &UnresolvedWrites, key: Option<&str>) -> bool {
        matches!(ended(unresolved, key, not_accepted()), Answer::Unknown)
    }

    fn doubted(unresolved: &UnresolvedWrites, key: &str) {
        assert!(matches!(ended(unresolved, Some(key), Answer::Unknown), Answer::Unknown));
    }

    #[tokio::test]
    async fn what_is_not_accepted_behind_an_unknown_outcome_is_unknown_until_it_is_decided() {
        let unresolved = UnresolvedWrites::default();
        assert!(!is_unknown(&unresolved, Some("a")));
        doubted(&unresolved, "a");
        assert!(is_unknown(&unresolved, Some("a")) && is_unknown(&unresolved, Some("a")));
        assert!(!is_unknown(&unresolved, Some("b")));
        let refused = ended(&unresolved, Some("a"), Answer::Refused(Refusal::NotInChannel));
        assert!(matches!(refused, Answer::Refused(_)));
        assert!(!is_unknown(&unresolved, Some("a")));
    }

    #[tokio::test]
    async fn a_try_whose_end_nobody_heard_is_open() {
        let unresolved = UnresolvedWrites::default();
        let first = unresolved.begin(Some("a"), false);
        assert!(is_unknown(&unresolved, Some("a")), "it is under way");
        let first = unresolved.resolve(first, not_accepted());
        assert!(matches!(first, Answer::NotAccepted { .. }), "{first:?}");
        let _ = unresolved.begin(Some("b"), false);
        assert!(is_unknown(&unresolved, Some("b")) && !is_unknown(&unresolved, Some("c")));
    }

    #[tokio::test]
    async fn what_is_refused_behind_a_lost_try_says_nothing_of_that_one() {
        let unresolved = UnresolvedWrites::default();
        unresolved.resolve(unresolved.begin(Some("a"), true), Answer::Refused(Refusal::NotInChannel));
        assert!(is_unknown(&unresolved, Some("a")));
        assert!(matches!(unresolved.resolve(unresolved.begin(Some("b"), true), not_accepted()), Answer::Unknown));
    }

    #[tokio::test]
    async fn what_has_no_key_is_not_remembered() {
        let unresolved = UnresolvedWrites::default();
        ended(&unresolved, None, Answer::Unknown);
        assert!(!is_unknown(&unresolved, None));
        assert!(unresolved.open.lock().order.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_outcome_ends_when_nobody_can_tell_a_repeat_any_more() {
        let unresolved = UnresolvedWrites::default();
        doubted(&unresolved, "a");
        tokio::time::advance(KEPT / 2).await;
        doubted(&unresolved, "b");
        tokio::time::advance(KEPT / 2).await;
        assert!(!is_unknown(&unresolved, Some("a")) && is_unknown(&unresolved, Some("b")));
        doubted(&unresolved, "c");
        assert_eq!(unresolved.open.lock().order.len(), 2, "what has ended makes room");
    }

    #[tokio::test(start_paused = true)]
    async fn past_its_bound_the_oldest_one_is_forgotten() {
        let unresolved = UnresolvedWrites::default();
        for number in 0..OPEN_MAX {
            doubted(&unresolved, &number.to_string());
        }
        // The first one is tried again, and so it is not the oldest any more.
        doubted(&unresolved, "0");
        doubted(&unresolved, "one more");
        assert!(is_unknown(&unresolved, Some("0")) && is_unknown(&unresolved, Some("one more")));
        assert!(is_unknown(&unresolved, Some("2")) && !is_unknown(&unresolved, Some("1")));
        let open = unresolved.open.lock();
        assert!(open.places.len() == open.order.len() && open.places.len() <= OPEN_MAX);
    }
}
