//! `Method`: a row of the table of methods.

use futures::future::BoxFuture;

use super::{Call, Reply};
use crate::ApiError;

/// The credentials that a method asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// None.
    Anybody,
    /// A user's or bot's token.
    User,
    /// A user's or bot's token, or the operators' key.
    UserOrAdmin,
    /// The operators' key.
    Admin,
}

/// Whether a call whose answer got lost may be sent again without an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It may: the method appends no event. A read mark is no event; marking twice does no harm.
    Repeatable,
    /// It may not: the method appends events, and the lost call may have appended some.
    Once,
}

/// Runs a call. The future is boxed, because a future with the states of all methods would be a large one.
pub(crate) type Handler = for<'c> fn(&'c Call<'c>) -> BoxFuture<'c, Result<Reply, ApiError>>;

/// A row of the table of methods.
#[derive(Debug)]
pub(crate) struct Method {
    /// Its name in the URL: `chat.postMessage`.
    pub(crate) name: &'static str,
    /// The value of the header `x-accepted-oauth-scopes`. Scopes are not checked.
    pub(crate) scope: &'static str,
    pub(crate) access: Access,
    pub(crate) retry: Retry,
    pub(crate) run: Handler,
}

impl Method {
    /// Whether the method appends events.
    pub(crate) fn writes(&self) -> bool {
        self.retry == Retry::Once
    }
}

/// Makes the rows of a group: a name, a scope, an [`Access`], a [`Retry`] and a handler each.
macro_rules! rows {
    ($($name:literal $scope:literal $access:ident $retry:ident $handler:path;)*) => {
        &[$($crate::methods::Method {
            name: $name,
            scope: $scope,
            access: $crate::methods::Access::$access,
            retry: $crate::methods::Retry::$retry,
            run: |call| Box::pin($handler(call)),
        }),*]
    };
}
pub(super) use rows;
