//! Servers that do nothing but transport: what this machine and axum can do at best. axum lives here and nowhere else.

mod stub;

pub(crate) use stub::{Flush, Publication, Stub};
