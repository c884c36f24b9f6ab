//! Outgoing HTTP and unfurling against servers and names that mean harm, over real sockets.
#![allow(clippy::unwrap_used)]

mod addresses;
mod bodies;
mod pages;
mod site;
mod tls;
