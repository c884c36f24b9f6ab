//! What the real binary does when a part of it or below it dies, lies or comes back as something else.
#![allow(clippy::unwrap_used)]

mod load;
mod parts;
mod views;
