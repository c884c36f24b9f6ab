//! The contract holds: schemas, Rust types, ids, golden bytes and docs/events.md agree.
//!
//! After a change to a schema that is not released, or a new one, one command writes golden bytes, `ids.toml` and
//! docs/events.md anew (look at the diff before it is committed; what is released is refused):
//!
//! ```sh
//! TEAMLOG_BLESS=1 cargo test -p teamlog-schemas
//! ```
#![allow(clippy::unwrap_used)]

mod avro;
mod bless;
mod compatible;
mod docs;
mod fields;
mod golden;
mod ids;
mod personal;
mod wire;
