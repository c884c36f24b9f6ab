//! The Web API's methods: a file a group, and the table of them all.

mod api;
mod auth;
mod bots;
mod call;
mod chat;
mod content;
mod conversations;
mod emoji;
mod legacy;
mod method;
mod openapi;
mod paging;
mod pins;
mod reactions;
mod reply;
mod rtm;
mod scheduled;
mod search;
mod team;
mod teamlog;
mod users;
mod write;

use std::{collections::HashMap, sync::LazyLock};

pub use crate::rates::Tier;
pub(crate) use call::{Call, ClientAddr};
use method::takes;
pub use method::{Access, COMMON_ERRORS, Example, Key, Method, Retry, Shape, TOKEN_ERRORS, Takes, WRITE_ERRORS};
pub(crate) use openapi::openapi;
pub use reply::Reply;

/// The groups of the table, a line each.
static GROUPS: &[&[Method]] = &[
    api::METHODS,
    auth::METHODS,
    bots::METHODS,
    chat::METHODS,
    conversations::METHODS,
    emoji::METHODS,
    pins::METHODS,
    reactions::METHODS,
    rtm::METHODS,
    scheduled::METHODS,
    search::METHODS,
    team::METHODS,
    users::METHODS,
    legacy::channels::METHODS,
    legacy::groups::METHODS,
    legacy::im::METHODS,
    legacy::mpim::METHODS,
    teamlog::auth::METHODS,
    teamlog::import::METHODS,
    teamlog::jobs::METHODS,
    teamlog::status::METHODS,
    teamlog::teams::METHODS,
    teamlog::users::METHODS,
];

/// Returns the rows of all groups.
pub fn all() -> impl Iterator<Item = &'static Method> {
    GROUPS.iter().copied().flatten()
}

/// Returns the method of a name.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    static BY_NAME: LazyLock<HashMap<&str, &Method>> =
        LazyLock::new(|| all().map(|method| (method.name, method)).collect());
    BY_NAME.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_in_the_table_once_and_is_found() {
        for method in all() {
            assert_eq!(all().filter(|other| other.name == method.name).count(), 1, "{}", method.name);
            assert!(find(method.name).is_some_and(|found| std::ptr::eq(found, method)), "{}", method.name);
        }
        assert!(find("no.suchMethod").is_none());
    }
}
