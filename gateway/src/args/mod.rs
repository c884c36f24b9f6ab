//! Arguments: how a call brings them, how a method declares them, and what they are parsed into.
//!
//! A method declares its arguments as the fields of a struct ([`args!`]). The struct's declaration ([`Argument`]) is what
//! the documentation and the tests read, and its parser hands the fields to the handler. Both come from the same lines, and
//! the handler gets nothing else, so a handler cannot read an argument that is not declared; a field that no handler reads
//! is a warning of the compiler.

mod argument;
mod raw;
#[cfg(test)]
mod tests;
mod types;

pub use argument::{Argument, Arguments, Kind, NoArgs, Parse};
pub(crate) use argument::{args, joined};
pub use raw::{Args, Given};
pub(crate) use types::{Everything, JsonArray, JsonObject, Limit, Moment, Single, Verbatim, one_of, text};
