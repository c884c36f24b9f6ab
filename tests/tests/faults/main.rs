//! Tests of the real binary when a part of it or below it dies, gives wrong answers, or returns as something else.
#![allow(clippy::unwrap_used)]

mod alien;
mod away;
mod begun;
mod behind;
mod databases;
mod load;
mod parts;
mod readable;
mod reading;
mod replicas;
mod roles;
mod rows;
mod views;
