//! The public edge: the Web API, RTM, and the reads behind them.

pub mod render;
