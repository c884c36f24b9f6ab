//! The people of a team, by their dense indexes, and the ways to find one.

use std::{collections::HashMap, sync::Arc};

use roaring::RoaringBitmap;
use teamlog_schemas::{Person, Ts, UserId};

use crate::segments::Segments;

/// People a segment holds at most.
pub const PEOPLE_A_SEGMENT: usize = 512;

/// A person's dense index in their team, given out in the order in which people came.
pub type PersonIndex = u32;

/// A person of the team.
#[derive(Clone, Debug)]
pub struct Member {
    /// The person, as events described them.
    pub person: Person,
    /// The time at which they were added.
    pub since: Ts,
    /// The conversations that they are in, by index.
    pub conversations: RoaringBitmap,
}

/// Everybody of a team. A clone shares what does not change.
#[derive(Clone, Debug, Default)]
pub(crate) struct People {
    all: Segments<Member, PEOPLE_A_SEGMENT>,
    by_id: Arc<HashMap<UserId, PersonIndex>>,
    by_name: Arc<HashMap<String, PersonIndex>>,
    /// By their address in lower case.
    by_email: Arc<HashMap<String, PersonIndex>>,
}

impl People {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Member> {
        self.all.iter()
    }

    pub(crate) fn get(&self, index: PersonIndex) -> Option<&Member> {
        self.all.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: PersonIndex) -> Option<&mut Member> {
        self.all.get_mut(index)
    }

    pub(crate) fn index(&self, user: UserId) -> Option<PersonIndex> {
        self.by_id.get(&user).copied()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Member> {
        self.all.get(*self.by_name.get(name)?)
    }

    pub(crate) fn by_email(&self, email: &str) -> Option<&Member> {
        self.all.get(*self.by_email.get(&email.to_lowercase())?)
    }

    /// Adds a person. One who is known already stays as they are; the first with a handle or an address keeps it.
    pub(crate) fn add(&mut self, person: Person, since: Ts) {
        if self.by_id.contains_key(&person.user) {
            return;
        }
        let (user, name) = (person.user, person.name.plain.clone());
        let email = person.email.as_ref().map(|email| email.plain.to_lowercase());
        let index = self.all.push(Member { person, since, conversations: RoaringBitmap::new() });
        Arc::make_mut(&mut self.by_id).insert(user, index);
        Arc::make_mut(&mut self.by_name).entry(name).or_insert(index);
        if let Some(email) = email {
            Arc::make_mut(&mut self.by_email).entry(email).or_insert(index);
        }
    }
}
