//! Servers of the bench's own: the stub, which does nothing but transport and so shows the limit that this machine and axum
//! set, and a site of pages to link to. No other module uses axum.

mod pages;
mod stub;

pub(crate) use pages::Pages;
pub(crate) use stub::{Flush, Publication, Stub};

/// Turns Nagle's algorithm off for a connection, as the real server does.
fn send_at_once(stream: &mut tokio::net::TcpStream) {
    let _ = stream.set_nodelay(true);
}
