//! The fingerprint of a view's schema, and the error for a view that was built with another schema.
//!
//! A view is derived, so there is no migration of its rows: it is built again from the log, beside the old one
//! (`teamlog view rebuild`). Until then a process neither reads nor writes what another schema made.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sha2::{Digest, Sha256};

/// The number of characters of a fingerprint in messages.
const SHOWN: usize = 12;

/// Returns the fingerprint of a schema: SHA-256, in hex, of all that decides how its rows are laid out and encoded.
pub(crate) fn fingerprint<T: AsRef<str>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        // With its length, so that no two lists are one text.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A replica of a view that was built with another schema than this program's. It is neither read nor written.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{view} on {replica} was built by another version of teamlog (schema {}, this version's is {}): {}",
    shown(found.as_deref()),
    shown(Some(wanted)),
    self.advice()
)]
pub struct OtherSchema {
    /// The view.
    pub view: String,
    /// The replica, without credentials.
    pub replica: String,
    /// The fingerprint that was found; none if the replica was built before there were fingerprints.
    pub found: Option<String>,
    /// The fingerprint of this program's schema.
    pub wanted: String,
    /// Whether this process has logged it.
    pub(crate) reported: Reported,
}

impl PartialEq for OtherSchema {
    fn eq(&self, other: &OtherSchema) -> bool {
        let all = |one: &OtherSchema| (one.view.clone(), one.replica.clone(), one.found.clone(), one.wanted.clone());
        all(self) == all(other)
    }
}

impl Eq for OtherSchema {}

impl OtherSchema {
    /// Returns what a person has to do.
    pub fn advice(&self) -> String {
        format!("run `teamlog view rebuild \"{}\"`", self.view)
    }

    /// Logs the other schema. Once in this process for each replica and each time that it occurs.
    pub(crate) fn report(&self) {
        if !self.reported.0.swap(true, Ordering::Relaxed) {
            tracing::error!(view = self.view, replica = self.replica, why = %self, "a view is of another schema");
        }
    }
}

/// Whether a replica's other schema was logged already. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reported(Arc<AtomicBool>);

impl Reported {
    /// The schema fits now: the next other one is news again.
    pub(crate) fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn shown(fingerprint: Option<&str>) -> String {
    fingerprint.map_or_else(|| "of no known version".to_owned(), |text| text.chars().take(SHOWN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_tell_lists_apart() {
        let all = [vec![], vec![""], vec!["ab"], vec!["a", "b"], vec!["b", "a"], vec!["a", "b", ""]];
        let prints: Vec<String> = all.iter().map(fingerprint).collect();
        for (at, print) in prints.iter().enumerate() {
            assert_eq!(print.len(), 64);
            assert!(!prints[..at].contains(print), "{:?}", all[at]);
        }
    }

    #[test]
    fn the_text_says_which_view_why_and_what_to_do() {
        let other = |found: Option<&str>| OtherSchema {
            view: "shard s1".into(),
            replica: "db1/s1".into(),
            found: found.map(str::to_owned),
            wanted: "0123456789abcdef".into(),
            reported: Reported::default(),
        };
        assert_eq!(
            other(Some("fedcba9876543210")).to_string(),
            "shard s1 on db1/s1 was built by another version of teamlog (schema fedcba987654, this version's is \
             0123456789ab): run `teamlog view rebuild \"shard s1\"`"
        );
        assert!(other(None).to_string().contains("(schema of no known version, "), "{}", other(None));
    }
}
