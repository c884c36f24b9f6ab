//! Frames: what an event looks like to a client, and to which members of its team it goes.
//!
//! Nothing here knows how a frame travels: a websocket is one way of several. `draw.rs` makes the frames of an event, each
//! with its [`Audience`]; `frame.rs` encodes each once for all who get it; `visible.rs` says which of them one person may
//! see when events are read from the log; `cursor.rs` is the place after a frame as a client carries it.

mod cursor;
mod draw;
mod frame;
mod visible;

pub(crate) use cursor::{Cursor, Place, signed, verified};
pub(crate) use draw::{Audience, encode};
pub(crate) use frame::{Addressed, Frame};
pub(crate) use visible::{Inside, may_reach};
