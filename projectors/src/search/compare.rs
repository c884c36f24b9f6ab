//! Comparing two indexes, message by message.

use tantivy::TantivyError;
use teamlog_schemas::TeamId;

use super::{
    OpenIndex, SearchError,
    document::{Document, Name},
    index::{Committed, SearchIndex},
};
use crate::verify::{Comparison, Difference};

/// Attempts to check the files of an index: a server may remove some of them during a check.
const LOOKS: usize = 3;

/// Compares every document of `found` (only a team's, if one is given) with those of `expected`, a fold of the log up to
/// the positions of `found`. Equal stored documents give equal search results, as the tokenizer is this program's own.
/// Blocks.
pub(crate) fn compare(
    expected: &OpenIndex,
    found: &OpenIndex,
    team: Option<TeamId>,
    comparison: &mut Comparison,
) -> Result<(), SearchError> {
    let (expected, found) = (expected.known()?, found.known()?);
    let found = &*found;
    let damaged = damaged(found)?;
    for file in &damaged {
        let (expected, found) = (Some("what was written".to_owned()), Some("other bytes".to_owned()));
        comparison.tell(Difference { table: "files", key: file.clone(), expected, found });
    }
    if !damaged.is_empty() {
        return Ok(());
    }
    let sides = Sides { expected: &expected.committed(), found: &found.committed(), index: found, team };
    sides.compare(comparison).map_err(|why| found.wrong(&why))
}

fn damaged(index: &SearchIndex) -> Result<Vec<String>, SearchError> {
    let mut looked = index.damaged();
    for _ in 1..LOOKS {
        if looked.is_ok() {
            break;
        }
        looked = index.damaged();
    }
    looked.map_err(|why| index.wrong(&why))
}

struct Sides<'a> {
    expected: &'a Committed,
    found: &'a Committed,
    index: &'a SearchIndex,
    team: Option<TeamId>,
}

impl Sides<'_> {
    fn compare(&self, comparison: &mut Comparison) -> Result<(), TantivyError> {
        let fields = &self.index.fields;
        let mut named = 0;
        self.found.each(fields, |name, found, place| {
            named += 1;
            let Some(name) = name else {
                comparison.looked();
                comparison.tell(difference("no message's", None, Some(String::new())));
                return Ok(());
            };
            if self.team.is_some_and(|team| team != name.team) {
                return Ok(());
            }
            comparison.looked();
            let Some(expected) = self.expected.document(fields, &name)? else {
                comparison.tell(difference(&key_of(&name), None, Some(String::new())));
                return Ok(());
            };
            let count = self.found.count(fields, &name)?;
            if count > 1 {
                let (once, often) = (Some("one document".to_owned()), Some(format!("{count} documents")));
                comparison.tell(difference(&key_of(&name), once, often));
            } else if expected != found {
                let (expected, found) = differing(&expected, &found);
                comparison.tell(difference(&key_of(&name), Some(expected), Some(found)));
            } else if place != (name.conversation.packed(), name.ts.micros().unsigned_abs()) {
                let (expected, found) = (Some("its own place".to_owned()), Some("another's".to_owned()));
                comparison.tell(difference(&key_of(&name), expected, found));
            }
            Ok(())
        })?;
        for _ in named..self.found.searcher.num_docs() {
            comparison.looked();
            comparison.tell(difference("no name", None, Some(String::new())));
        }
        self.expected.each(fields, |name, _, _| {
            let Some(name) = name.filter(|name| self.team.is_none_or(|team| team == name.team)) else { return Ok(()) };
            if self.found.count(fields, &name)? == 0 {
                comparison.looked();
                comparison.tell(difference(&key_of(&name), Some(String::new()), None));
            }
            Ok(())
        })
    }
}

fn key_of(name: &Name) -> String {
    format!("team = {}, conversation = {}, ts = {}", name.team, name.conversation, name.ts)
}

fn difference(key: &str, expected: Option<String>, found: Option<String>) -> Difference {
    Difference { table: "messages", key: key.to_owned(), expected, found }
}

/// Returns the fields in which two documents differ, as text: those of `expected` and those of `found`.
fn differing(expected: &Document, found: &Document) -> (String, String) {
    let parts = |one: &Document| {
        [
            ("user", format!("{:?}", one.user.map(|user| user.to_string()))),
            ("pieces", format!("{:?}", one.pieces)),
            ("has_link", one.has_link.to_string()),
            ("is_reply", one.is_reply.to_string()),
            ("reactions", format!("{:?}", one.reactions)),
        ]
    };
    let (expected, found) = (parts(expected), parts(found));
    let mut both = (Vec::new(), Vec::new());
    for ((name, one), (_, other)) in expected.iter().zip(&found).filter(|(one, other)| one.1 != other.1) {
        both.0.push(format!("{name} = {}", crate::verify::cut(one)));
        both.1.push(format!("{name} = {}", crate::verify::cut(other)));
    }
    (both.0.join(", "), both.1.join(", "))
}
