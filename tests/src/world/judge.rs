//! Derives the frames that each session must receive. The histories, all in one order by `ts`, are the order of the log,
//! and they also show who joined and left. From these follows, frame by frame, what each person must receive, no more.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use serde_json::Value;
use teamlog_schemas::Ts;

use super::motion::{END, EVERYBODY, Size, World, number, text, time};

/// The content of a frame: people by their number, messages and topics by the number in their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Said(usize),
    Changed(usize),
    Topic(usize),
    /// The message that a person has joined.
    Joined(usize),
    Left(usize),
    End,
    /// The membership frame that is sent beside that message.
    MemberJoined(usize),
    MemberLeft(usize),
    /// The frame with which a person's own sockets learn of a new conversation.
    Entered,
    Gone,
}

/// A frame, and the conversation and `ts` of its fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) ts: Ts,
    pub(super) place: usize,
    pub(super) what: What,
}

/// The frames of one session since an `rtm.connect` without a cursor, through all reconnects.
#[derive(Debug)]
pub struct Run {
    user: usize,
    pub(super) heard: Vec<Heard>,
    /// Topics of conversations that it was given when it came in: place and number.
    pub(super) topics: Vec<(usize, usize)>,
    /// The newest `ts` acknowledged before the call: no frame may be at or before it.
    after: Ts,
    /// Messages with this number or a higher one began after the answer: the session must receive them.
    answered: usize,
    pub(super) reached_end: bool,
}

impl Run {
    pub(super) fn new(user: usize, after: Ts, answered: usize) -> Run {
        Run { user, heard: Vec::new(), topics: Vec::new(), after, answered, reached_end: false }
    }
}

/// The frames that one person must receive, and the times when the person was in each conversation.
#[derive(Default)]
struct Owed {
    /// With the number of its event.
    frames: Vec<(usize, Heard)>,
    /// By place: from the first message that they could see to behind the last.
    inside: HashMap<usize, Vec<Range<Ts>>>,
}

/// The frames that every person must receive.
pub struct Judge {
    private: Vec<bool>,
    /// A fact for each message and for each edit, by `ts`.
    facts: Vec<Heard>,
    owed: Vec<Owed>,
}

impl Judge {
    pub(super) fn new(world: &World, histories: &[Vec<Value>]) -> Judge {
        let mut facts = Vec::new();
        for (place, history) in histories.iter().enumerate() {
            facts.extend(history.iter().flat_map(|message| facts_of(world, place, message)));
        }
        facts.sort_by_key(|fact| fact.ts);
        assert!(facts.is_sorted_by(|one, next| one.ts < next.ts), "a ts was given out twice");
        let first = facts.partition_point(|fact| fact.ts <= world.born);
        let private: Vec<bool> = world.places.iter().map(|place| place.is_private).collect();
        let of = |person| owed(&world.size, &facts, first, &private, person);
        let owed = (0..world.size.people).map(of).collect();
        Judge { private, facts, owed }
    }

    /// Returns the plain messages in the histories: number and `ts`, by number.
    pub fn posts(&self) -> Vec<(usize, Ts)> {
        let said = self.facts.iter().filter_map(|fact| match fact.what {
            What::Said(number) => Some((number, fact.ts)),
            _ => None,
        });
        let mut said: Vec<_> = said.collect();
        said.sort_unstable();
        said
    }

    /// Returns the number of all frames received.
    pub fn frames(&self, runs: &[Run]) -> usize {
        runs.iter().map(|run| run.heard.len()).sum()
    }

    /// Checks every run, and panics at the first that is wrong.
    pub fn check_all(&self, runs: &[Run]) {
        assert!(
            self.owed.iter().any(|owed| owed.frames.iter().any(|(_, frame)| frame.what == What::Gone)),
            "nobody left"
        );
        for run in runs {
            if let Err(why) = self.check(run) {
                let user = run.user;
                panic!("person {user}, who heard {} frames from {} on: {why}", run.heard.len(), run.after);
            }
        }
    }

    fn check(&self, run: &Run) -> Result<(), String> {
        let owed = &self.owed[run.user];
        let must_from = self.facts.iter().find(|fact| match fact.what {
            What::Said(number) | What::Topic(number) => number >= run.answered,
            What::End => true,
            _ => false,
        });
        compare(&owed.frames, &run.heard, run.after, must_from.map(|fact| fact.ts))?;
        if run.reached_end && run.heard.last().map(|frame| frame.what) != Some(What::End) {
            return Err("something was heard behind the end".to_owned());
        }
        // A public channel's topic is shown to everybody.
        for (place, number) in run.topics.iter().filter(|(place, _)| self.private[*place]) {
            let set = self.facts.iter().find(|fact| fact.what == What::Topic(*number) && fact.place == *place);
            let set = set.ok_or_else(|| format!("a topic {number} that place {place} never had"))?.ts;
            let inside = owed.inside.get(place).map_or(&[][..], Vec::as_slice);
            if !inside.iter().any(|range| range.end > set) {
                return Err(format!(
                    "was shown topic {number} of place {place}, set at {set}: was there in {inside:?}"
                ));
            }
        }
        Ok(())
    }
}

/// Checks that `heard` is a run of `owed` that begins at an event, after `after`, and misses nothing from `must_from` on.
fn compare(owed: &[(usize, Heard)], heard: &[Heard], after: Ts, must_from: Option<Ts>) -> Result<(), String> {
    let Some(first) = heard.first() else { return Ok(()) };
    let start = owed.iter().position(|(_, frame)| frame == first);
    let start = start.ok_or_else(|| format!("first heard {first:?}, which is not for them"))?;
    if first.ts <= after {
        return Err(format!("heard {first:?}, which is older than the session"));
    }
    if let Some((event, frame)) = start.checked_sub(1).map(|before| owed[before]) {
        if event == owed[start].0 {
            return Err(format!("began in the middle of an event, behind {frame:?}"));
        }
        if must_from.is_some_and(|must_from| frame.ts >= must_from) {
            return Err(format!("missed {frame:?} at the start of the session"));
        }
    }
    let run = &owed[start..];
    let same = run.iter().zip(heard).take_while(|((_, owed), heard)| owed == *heard).count();
    if same == heard.len() {
        return Ok(());
    }
    let around = same.saturating_sub(2);
    let owed: Vec<_> = run.iter().skip(around).take(5).map(|(_, frame)| frame).collect();
    let heard: Vec<_> = heard.iter().skip(around).take(5).collect();
    Err(format!("after {same} frames: heard {heard:#?} instead of {owed:#?}"))
}

/// Returns the facts that a message of a history shows.
fn facts_of(world: &World, place: usize, message: &Value) -> Vec<Heard> {
    let person = |value: &Value| world.by_id[text(value)];
    let shown = |of: &Value| number(text(of)).unwrap_or_else(|| panic!("no number in {message}"));
    let ts = time(&message["ts"]);
    let what = match message["subtype"].as_str() {
        None if message["text"] == END => What::End,
        None if ts == world.born => return Vec::new(),
        None => What::Said(shown(&message["text"])),
        Some("channel_topic" | "group_topic") => What::Topic(shown(&message["topic"])),
        Some("channel_join" | "group_join") => What::Joined(person(&message["user"])),
        Some("channel_leave" | "group_leave") => What::Left(person(&message["user"])),
        Some(_) => panic!("nobody did what {message} says"),
    };
    let mut facts = vec![Heard { ts, place, what }];
    if let (What::Said(number), Some(edited)) = (what, message.get("edited")) {
        facts.push(Heard { ts: time(&edited["ts"]), place, what: What::Changed(number) });
    }
    facts
}

/// Returns the frames due to a person by the facts from `first` on. A join counts from its event on, a leave up to its
/// event.
fn owed(size: &Size, facts: &[Heard], first: usize, private: &[bool], person: usize) -> Owed {
    let mut members: HashMap<usize, BTreeSet<usize>> = HashMap::new();
    let mut since: HashMap<usize, Ts> = HashMap::new();
    let mut owed = Owed::default();
    // The creator of a team or a channel is a member without a message that says so.
    if person == 0 {
        since.extend((EVERYBODY..=size.public + size.private).map(|place| (place, Ts::ZERO)));
    }
    let mut at = 0;
    while let Some(fact) = facts.get(at).copied() {
        let event = at;
        at += 1;
        let Heard { ts, place, what } = fact;
        let here = members.entry(place).or_default();
        let mut frames = Vec::new();
        match what {
            What::Joined(user) => {
                let mut joined = vec![fact];
                // Two who were both out are invited together: see `Size::mate`.
                if event >= first && private[place] && !here.contains(&size.mate(user)) {
                    let with = facts.get(at).filter(|f| f.place == place && f.what == What::Joined(size.mate(user)));
                    joined.push(*with.unwrap_or_else(|| panic!("{fact:?} without {}", size.mate(user))));
                    at += 1;
                }
                for one in &joined {
                    let What::Joined(user) = one.what else { continue };
                    here.insert(user);
                    if user == person {
                        since.entry(place).or_insert(ts);
                        frames.push(Heard { ts, place, what: What::Entered });
                    }
                }
                frames.extend(joined.iter().filter_map(|one| match one.what {
                    What::Joined(user) => Some(Heard { what: What::MemberJoined(user), ..*one }),
                    _ => None,
                }));
                frames.extend(joined);
            }
            What::Left(user) => {
                here.remove(&user);
                if user == person {
                    frames.push(Heard { ts, place, what: What::Gone });
                }
                frames.extend([Heard { ts, place, what: What::MemberLeft(user) }, fact]);
            }
            _ => frames.push(fact),
        }
        if event >= first && since.contains_key(&place) {
            owed.frames.extend(frames.into_iter().map(|frame| (event, frame)));
        }
        if what == What::Left(person)
            && let Some(from) = since.remove(&place)
        {
            owed.inside.entry(place).or_default().push(from..ts);
        }
    }
    for (place, from) in since {
        owed.inside.entry(place).or_default().push(from..Ts::MAX);
    }
    owed
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        people: 5,
        sessions: 0,
        slow: 0,
        writers: 1,
        movers: 1,
        outsiders: 0,
        public: 0,
        private: 1,
        messages: 0,
        pause: std::time::Duration::ZERO,
    };

    fn ts(at: usize) -> Ts {
        Ts::from_micros(at as i64 + 1)
    }

    /// Facts of the private place, a microsecond apart.
    fn facts(what: &[What]) -> Vec<Heard> {
        what.iter().enumerate().map(|(at, what)| Heard { ts: ts(at), place: 1, what: *what }).collect()
    }

    fn frames_of(owed: &Owed) -> Vec<Heard> {
        owed.frames.iter().map(|(_, frame)| *frame).collect()
    }

    #[test]
    fn who_comes_and_leaves_is_owed_what_lies_between() {
        use What::*;
        let facts = facts(&[Said(0), Joined(1), Joined(2), Said(1), Left(1), Said(2), Joined(1), Said(3)]);
        let of = |person| owed(&SIZE, &facts, 0, &[false, true], person);
        let words = |owed: &Owed| frames_of(owed).iter().map(|frame| frame.what).collect::<Vec<_>>();
        let together = [MemberJoined(1), MemberJoined(2), Joined(1), Joined(2), Said(1)];
        let mut expected = vec![Entered];
        expected.extend(together);
        expected.extend([Gone, MemberLeft(1), Left(1), Entered, MemberJoined(1), Joined(1), Said(3)]);
        let one = of(1);
        assert_eq!(words(&one), expected);
        assert_eq!(one.inside[&1], [ts(1)..ts(4), ts(6)..Ts::MAX]);
        let mut expected = vec![Said(0)];
        expected.extend(together);
        expected.extend([MemberLeft(1), Left(1), Said(2), MemberJoined(1), Joined(1), Said(3)]);
        assert_eq!(words(&of(0)), expected);
        assert_eq!(words(&of(3)), []);
    }

    #[test]
    fn only_a_run_of_what_is_owed_passes() {
        use What::*;
        let facts = facts(&[Said(0), Joined(1), Joined(2), Said(1), Said(2), Said(3)]);
        let owed = owed(&SIZE, &facts, 0, &[false, true], 0).frames;
        let all: Vec<Heard> = owed.iter().map(|(_, frame)| *frame).collect();
        let check = |heard: &[Heard]| compare(&owed, heard, Ts::ZERO, None);
        for start in [0, 1, 5, 6] {
            assert_eq!(check(&all[start..]), Ok(()), "{start}");
            assert_eq!(check(&all[start..all.len() - 1]), Ok(()), "{start}");
        }
        let (mut hole, mut double, mut swap, mut leak) = (all.clone(), all.clone(), all.clone(), all.clone());
        hole.remove(6);
        double.insert(6, all[6]);
        swap.swap(5, 6);
        leak.insert(6, Heard { place: 0, ..all[6] });
        for (what, heard) in [("a hole", hole), ("a double", double), ("a swap", swap), ("a leak", leak.clone())] {
            assert!(check(&heard).is_err(), "{what}");
        }
        assert!(check(&leak[6..]).is_err(), "a leak at the start");
        assert!(check(&all[2..]).is_err(), "a start in the middle of an event");
        assert!(compare(&owed, &all, ts(0), None).is_err(), "older than the session");
        assert!(compare(&owed, &all[6..], Ts::ZERO, Some(all[6].ts)).is_ok());
        assert!(compare(&owed, &all[6..], Ts::ZERO, Some(all[5].ts)).is_err(), "missed at the start");
        assert_eq!(check(&[]), Ok(()));
    }
}
