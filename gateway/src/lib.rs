//! The public edge: the Web API, RTM, and the reads behind them.
//!
//! The transport ([`router`]) turns a request into a call; a method turns the call into a command for the write path
//! or into a read (view at X plus tail); the renderers turn the result into the JSON that clients know. The websocket half
//! is behind the trait [`Realtime`].

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
mod realtime;
pub mod render;
mod rtm;
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
pub use realtime::{
    ConnectArgs, Incoming, Mark, Outgoing, Presence, Realtime, SocketError, SocketSink, SocketStream, StartArgs,
};
pub use rtm::{Rtm, RtmConfig};
pub use vault::Vault;
