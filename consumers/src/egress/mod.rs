//! Outgoing HTTP to places that users name: nothing internal is reached, and everything is bounded.
//!
//! - A URL is http or https, without credentials, on an ordinary port (`target.rs`).
//! - Its host is looked up once; every address is checked (`address.rs`); the connection is made to one of exactly
//!   those (`dial.rs`), so a name whose addresses change in between gains nothing. Each redirect begins anew.
//! - Time, redirects, heads, bodies before and after decompression, turns at a host, at an address and in the process
//!   are bounded (`config.rs`, `body.rs`, `gates.rs`).
//!
//! `[apps] allow_private_urls` lets private addresses in, for tests and closed networks. Metadata services, link-local,
//! multicast and reserved addresses are refused with it too.

mod address;
mod body;
mod client;
mod config;
mod dial;
mod error;
mod gates;
mod resolve;
mod target;

pub use address::{Reach, reach};
pub use client::{Egress, Fetched, Head};
pub use config::EgressConfig;
pub use dial::Surroundings;
pub use error::EgressError;
pub use resolve::{Resolve, SystemResolver};
