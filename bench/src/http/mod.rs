//! Servers that do nothing but transport: the limit that this machine and axum set. No other module uses axum.

mod stub;

pub(crate) use stub::{Flush, Publication, Stub};
