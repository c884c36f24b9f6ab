//! What these tests share: the real binary, started, killed and started again; calls; sockets.

mod client;
mod server;

pub(crate) use client::{Client, Socket};
pub(crate) use server::{Engine, Server, engines};
