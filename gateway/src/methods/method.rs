//! `Method`: a row of the table of methods.

use futures::future::BoxFuture;
use serde_json::Value;

use super::{Call, Reply};
use crate::{
    ApiError,
    args::{Args, Argument},
    rates::Tier,
};

/// The credentials that a method asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
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
pub enum Retry {
    /// Safe to send again: the method appends no event. A read mark is no event; marking twice does no harm.
    Repeatable,
    /// Not safe to send again: the method appends events, and the lost call may have appended some.
    Once,
}

/// The type of an answer's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// An integer.
    Integer,
    /// A boolean.
    Flag,
    /// An object.
    Object,
    /// A list of objects or texts.
    List,
    /// Always `null`.
    Null,
}

impl Shape {
    /// Whether a value is of this type.
    pub fn fits(self, value: &Value) -> bool {
        match self {
            Shape::Text => value.is_string(),
            Shape::Integer => value.is_i64() || value.is_u64(),
            Shape::Flag => value.is_boolean(),
            Shape::Object => value.is_object(),
            Shape::List => value.is_array(),
            Shape::Null => value.is_null(),
        }
    }
}

/// A key of a good answer, beside `ok`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The type of its value.
    pub shape: Shape,
    /// Whether every good answer has it.
    pub always: bool,
    /// A sentence on what it says.
    pub about: &'static str,
}

impl Key {
    /// A key that every good answer has.
    pub(super) const fn always(name: &'static str, shape: Shape, about: &'static str) -> Key {
        Key { name, shape, always: true, about }
    }

    /// A key that some good answers have. One of the method's examples must show it.
    pub(super) const fn sometimes(name: &'static str, shape: Shape, about: &'static str) -> Key {
        Key { name, shape, always: false, about }
    }
}

/// The arguments of an example call. The ids and names in them are those of the examples' team (`docs/methods.md`).
pub type Example = fn() -> Value;

/// Parses the arguments of a call and runs its handler. The future is boxed, because a future with the states of all
/// methods would be a large one.
type Handler = for<'c> fn(&'c Call<'c>, &'c Args) -> BoxFuture<'c, Result<Reply, ApiError>>;

/// The declared arguments of a method, and its handler. Only [`takes!`] makes one, from one type of arguments, so the
/// declared arguments are the ones that are parsed.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    declared: &'static [Argument],
    run: Handler,
}

impl Takes {
    pub(super) const fn made(declared: &'static [Argument], run: Handler) -> Takes {
        Takes { declared, run }
    }
}

/// Makes a [`Takes`] of a type of arguments and a handler `async fn(&Call<'_>, arguments) -> Result<Reply, ApiError>`.
macro_rules! takes {
    ($args:ty => $handler:path) => {
        $crate::methods::Takes::made(<$args as $crate::args::Arguments>::DECLARED, |call, args| {
            Box::pin(async move { $handler(call, <$args as $crate::args::Arguments>::parse(args)?).await })
        })
    };
}
pub(super) use takes;

/// A row of the table of methods. All of it must be stated: routing, parsing, rates, `/openapi.json`, `docs/methods.md`
/// and the test of the whole table are made of it.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name in the URL: `chat.postMessage`.
    pub name: &'static str,
    /// The method whose old name this is.
    pub alias_of: Option<&'static str>,
    /// A sentence or two on what it does.
    pub about: &'static str,
    /// The value of the header `x-accepted-oauth-scopes`. Scopes are not checked.
    pub scope: &'static str,
    /// The credentials that it asks for.
    pub access: Access,
    /// Whether a lost call may be sent again without a key.
    pub retry: Retry,
    /// Its rate tier.
    pub tier: Tier,
    /// Its arguments and its handler.
    pub takes: Takes,
    /// The keys of its good answers, beside `ok`.
    pub answers: &'static [Key],
    /// The error codes that its handler may refuse with, beside those of its arguments and those that every method has
    /// ([`Method::may_refuse_with`]).
    pub errors: &'static [&'static str],
    /// Calls that succeed, one after another in one team; between them they show every key of `answers`.
    pub examples: &'static [Example],
}

/// The error codes that any call may end with.
pub const COMMON_ERRORS: &[&str] = &[
    "invalid_arguments",
    "invalid_array_arg",
    "invalid_charset",
    "invalid_form_data",
    "invalid_post_type",
    "missing_post_type",
    "invalid_json",
    "json_not_object",
    "request_too_large",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
    "internal_error",
];
/// The error codes of calls that ask for a token.
pub const TOKEN_ERRORS: &[&str] = &["not_authed", "invalid_auth", "token_revoked", "account_inactive"];
/// The error codes of calls that append events.
pub const WRITE_ERRORS: &[&str] = &["not_accepted", "outcome_unknown", "idempotency_key_reused"];

impl Method {
    /// Whether the method appends events.
    pub(crate) fn writes(&self) -> bool {
        self.retry == Retry::Once
    }

    /// Returns the declarations of its arguments.
    pub const fn arguments(&self) -> &'static [Argument] {
        self.takes.declared
    }

    /// Parses the arguments of a call and carries it out.
    pub(crate) fn run<'c>(&self, call: &'c Call<'c>, args: &'c Args) -> BoxFuture<'c, Result<Reply, ApiError>> {
        (self.takes.run)(call, args)
    }

    /// Returns the codes that are this method's own: of its arguments and of its handler, each once.
    pub fn own_errors(&self) -> Vec<&'static str> {
        let mut codes = Vec::new();
        let of_arguments = self.arguments().iter().flat_map(|argument| [argument.missing, Some(argument.malformed)]);
        for code in of_arguments.flatten().chain(self.errors.iter().copied()) {
            if !codes.contains(&code) && !COMMON_ERRORS.contains(&code) {
                codes.push(code);
            }
        }
        codes
    }

    /// Whether a call of this method may end with a code.
    pub fn may_refuse_with(&self, code: &str) -> bool {
        let asks_for_token = self.access != Access::Anybody;
        COMMON_ERRORS.contains(&code)
            || asks_for_token && TOKEN_ERRORS.contains(&code)
            || self.writes() && WRITE_ERRORS.contains(&code)
            || self.own_errors().contains(&code)
    }

    /// Another name for this method.
    pub(super) const fn named(self, name: &'static str, scope: &'static str, tier: Tier) -> Method {
        Method { name, scope, tier, alias_of: Some(self.name), ..self }
    }

    /// This method with other examples, for an alias that is about another kind of conversation.
    pub(super) const fn shown_by(self, examples: &'static [Example]) -> Method {
        Method { examples, ..self }
    }
}
