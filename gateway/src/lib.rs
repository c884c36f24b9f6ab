//! The public edge: the Web API, RTM, and the reads behind them.
//!
//! The transport ([`router`]) turns a request into a call; a method turns the call into a command for the write path
//! or into a read (view at X plus tail); the renderers turn the result into the JSON that clients know. [`rtm`] is the
//! websocket half.

pub mod args;
mod auth;
mod config;
mod error;
mod frames;
mod gateway;
mod homes;
mod http;
mod jobs;
pub mod limits;
pub mod methods;
mod rates;
pub mod read;
pub mod render;
pub mod rtm;
mod sockets;
mod vault;

pub use args::Args;
pub use auth::Caller;
pub use config::{GatewayConfig, Rates, Signup};
pub use error::{ApiError, Done, settle};
pub use gateway::{Credentials, Gateway, GatewayParts, Health, HealthReport};
pub use homes::Homes;
pub use http::{internal, ops, router, search_service, serve, serve_waiting};
pub use jobs::{DeadJob, Jobs, JobsError};
pub use methods::Reply;
pub use rtm::{Rtm, RtmConfig};
pub use sockets::{Incoming, Outgoing, SocketError, SocketSink, SocketStream};
pub use vault::Vault;
