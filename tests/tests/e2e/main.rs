//! The real binary, end to end, through its two public protocols.
#![allow(clippy::unwrap_used)]

mod archive;
mod bench;
mod jobs;
mod loss;
mod no_gap;
mod nodes;
mod office;
mod older;
mod openapi;
mod pins;
mod refusals;
mod rtm;
mod rtm_edges;
mod scheduled;
mod sdk;
mod seed;
mod spine;
mod unfurl;
mod views;
