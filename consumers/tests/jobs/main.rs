//! Consumers over a log: every effect inside it exactly once, whatever ends when; what fails for good is found, retried and
//! dropped; a flood moves nobody else.
#![allow(clippy::unwrap_used)]

mod beginning;
mod crashes;
mod dead;
mod fairness;
mod house;
