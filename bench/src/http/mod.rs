//! Servers of the bench's own: the stub, which does nothing but transport and so shows the limit that this machine and axum
//! set, and a site of pages to link to. No other module uses axum.

mod pages;
mod stub;

pub(crate) use pages::Pages;
pub(crate) use stub::{Flush, Publication, Stub};
