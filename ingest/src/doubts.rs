//! Keyed commands whose outcome is open.
//!
//! A try that ended as unknown may have done what was asked, or may yet; so may one whose caller went away before its end, and
//! one that is under way. A later try of the same key that was not accepted surely did nothing itself, but says nothing of the
//! first one: whoever repeats a command asks after what becomes of its key. So until a try of the key is decided, "not
//! accepted" is unknown as well.
//!
//! This is one process's memory. It does not outlast a restart, and another gateway does not have it: there, whoever repeats
//! a key may be told of the repeat alone.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Answer;

/// As long as the shards' tables of keys tell a repeat from a new command; behind that nobody can.
const KEPT: Duration = Duration::from_secs(2 * 24 * 3_600);
/// Open outcomes that are remembered, some 5 MB of them. With more, the oldest is forgotten: most callers repeat within
/// seconds, and one who comes late may then be told of the repeat alone.
const OPEN_MAX: usize = 65_536;

/// Keys of which a try may have done something.
#[derive(Default)]
pub(crate) struct Doubts {
    hasher: RandomState,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Where each stands in the order.
    places: HashMap<Name, u64>,
    /// In the order in which they began, or ended as unknown, with when.
    order: BTreeMap<u64, (Name, Instant)>,
    next_place: u64,
}

/// What a keyed command is known by: a hash, so that nobody's key need be kept. Where two are alike, one may be called
/// unknown that was not accepted, which does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(u64);

/// A try that has begun. Where nobody tells how it ended, its outcome stays open.
pub(crate) struct Try {
    name: Name,
    place: u64,
    /// Another one was open when it began.
    is_repeat: bool,
    /// That one is on its way elsewhere, so whatever this one is refused for may not hold for it.
    after_a_loss: bool,
}

impl Doubts {
    /// A try begins of what is known by all that tells its key from others'; none without a key.
    pub(crate) fn begin(&self, keyed: Option<impl Hash>, after_a_loss: bool) -> Option<Try> {
        let name = Name(self.hasher.hash_one(keyed?));
        let mut open = self.open.lock();
        let is_repeat = after_a_loss || open.holds(name);
        Some(Try { name, place: open.add(name), is_repeat, after_a_loss })
    }

    /// How a try ended, as its caller may hear it: true of every try of its key.
    pub(crate) fn told(&self, of: Option<Try>, answer: Answer) -> Answer {
        let Some(Try { name, place, is_repeat, after_a_loss }) = of else { return answer };
        let mut open = self.open.lock();
        match answer {
            Answer::Unknown => {
                open.add(name);
            }
            Answer::NotAccepted { .. } if is_repeat => return Answer::Unknown,
            // One that began behind it is open still.
            Answer::NotAccepted { .. } if open.places.get(&name) != Some(&place) => {}
            Answer::Nothing { .. } | Answer::Refused(_) if after_a_loss => {}
            // The writer looked for an event of the key, and the epoch of every earlier try was over or its own; but for a try that
            // waits at a node that was paused, and which is chosen again before the try's deadline.
            Answer::NotAccepted { .. } | Answer::Acked(_) | Answer::Nothing { .. } | Answer::Refused(_) => {
                open.remove(name);
            }
        }
        answer
    }
}

impl Open {
    /// Gives its place.
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

    fn ended(doubts: &Doubts, key: Option<&str>, answer: Answer) -> Answer {
        doubts.told(doubts.begin(key, false), answer)
    }

    fn is_unknown(doubts: &Doubts, key: Option<&str>) -> bool {
        matches!(ended(doubts, key, not_accepted()), Answer::Unknown)
    }

    fn doubted(doubts: &Doubts, key: &str) {
        assert!(matches!(ended(doubts, Some(key), Answer::Unknown), Answer::Unknown));
    }

    #[tokio::test]
    async fn what_is_not_accepted_behind_an_unknown_outcome_is_unknown_until_it_is_decided() {
        let doubts = Doubts::default();
        assert!(!is_unknown(&doubts, Some("a")));
        doubted(&doubts, "a");
        assert!(is_unknown(&doubts, Some("a")) && is_unknown(&doubts, Some("a")));
        assert!(!is_unknown(&doubts, Some("b")));
        let refused = ended(&doubts, Some("a"), Answer::Refused(Refusal::NotInChannel));
        assert!(matches!(refused, Answer::Refused(_)));
        assert!(!is_unknown(&doubts, Some("a")));
    }

    #[tokio::test]
    async fn a_try_whose_end_nobody_heard_is_open() {
        let doubts = Doubts::default();
        let first = doubts.begin(Some("a"), false);
        assert!(is_unknown(&doubts, Some("a")), "it is under way");
        let first = doubts.told(first, not_accepted());
        assert!(matches!(first, Answer::NotAccepted { .. }), "{first:?}");
        let _ = doubts.begin(Some("b"), false);
        assert!(is_unknown(&doubts, Some("b")) && !is_unknown(&doubts, Some("c")));
    }

    #[tokio::test]
    async fn what_is_refused_behind_a_lost_try_says_nothing_of_that_one() {
        let doubts = Doubts::default();
        doubts.told(doubts.begin(Some("a"), true), Answer::Refused(Refusal::NotInChannel));
        assert!(is_unknown(&doubts, Some("a")));
        assert!(matches!(doubts.told(doubts.begin(Some("b"), true), not_accepted()), Answer::Unknown));
    }

    #[tokio::test]
    async fn what_has_no_key_is_not_remembered() {
        let doubts = Doubts::default();
        ended(&doubts, None, Answer::Unknown);
        assert!(!is_unknown(&doubts, None));
        assert!(doubts.open.lock().order.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_outcome_ends_when_nobody_can_tell_a_repeat_any_more() {
        let doubts = Doubts::default();
        doubted(&doubts, "a");
        tokio::time::advance(KEPT / 2).await;
        doubted(&doubts, "b");
        tokio::time::advance(KEPT / 2).await;
        assert!(!is_unknown(&doubts, Some("a")) && is_unknown(&doubts, Some("b")));
        doubted(&doubts, "c");
        assert_eq!(doubts.open.lock().order.len(), 2, "what has ended makes room");
    }

    #[tokio::test(start_paused = true)]
    async fn past_its_bound_the_oldest_one_is_forgotten() {
        let doubts = Doubts::default();
        for number in 0..OPEN_MAX {
            doubted(&doubts, &number.to_string());
        }
        // The first one is tried again, and so it is not the oldest any more.
        doubted(&doubts, "0");
        doubted(&doubts, "one more");
        assert!(is_unknown(&doubts, Some("0")) && is_unknown(&doubts, Some("one more")));
        assert!(is_unknown(&doubts, Some("2")) && !is_unknown(&doubts, Some("1")));
        let open = doubts.open.lock();
        assert!(open.places.len() == open.order.len() && open.places.len() <= OPEN_MAX);
    }
}
