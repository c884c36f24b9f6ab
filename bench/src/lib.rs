//! Load generators against a running server. Each measures, in the same run and under the same client, the limits that
//! the machine sets, and gives the server's figure as a ratio to them.
//!
//! A bench is an options struct whose `run` takes a server's address and returns a [`Report`]: [`Post`], [`Fanout`],
//! [`Boot`], [`Reconnect`], [`Idle`], [`Search`], [`Flood`]. Two need no server: [`Rebuild`] takes a log and views, [`Start`] runs
//! servers of its own. What they share: [`load`](crate::load) (who calls when, and what is timed), the clients (`caller`,
//! `socket`), and the limits: stubs that do nothing but transport (`http`) and appends that do nothing but disk (`raw`).

mod boot;
mod caller;
mod error;
mod fanout;
mod figures;
mod flood;
mod heard;
mod http;
mod idle;
mod load;
mod options;
mod post;
mod process;
mod raw;
mod rebuild;
mod reconnect;
mod report;
mod search;
mod socket;
mod start;
mod team;

pub use boot::Boot;
pub use error::BenchError;
pub use fanout::Fanout;
pub use flood::Flood;
pub use idle::Idle;
pub use options::{Common, Cpus};
pub use post::Post;
pub use process::serve_stub;
pub use rebuild::Rebuild;
pub use reconnect::Reconnect;
pub use report::Report;
pub use search::Search;
pub use start::Start;
