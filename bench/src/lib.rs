//! Load generators against a running server. Each measures, in the same run and under the same client, the limits that
//! the machine sets, and gives the server's figure as a ratio to them.
//!
//! A bench is an options struct ([`Post`], [`Fanout`], [`Boot`]) whose `run` takes a server's address and returns a
//! [`Report`]. What they share: [`load`](crate::load) (who calls when, and what is timed), the clients (`caller`,
//! `socket`), and the limits: stubs that do nothing but transport (`http`) and appends that do nothing but disk (`raw`).

mod boot;
mod caller;
mod error;
mod fanout;
mod figures;
mod heard;
mod http;
mod load;
mod options;
mod post;
mod raw;
mod report;
mod socket;
mod team;

pub use boot::Boot;
pub use error::BenchError;
pub use fanout::Fanout;
pub use options::Common;
pub use post::Post;
pub use report::Report;
