//! Places of sessions: the content of a cursor and of a ticket, and the next frame after a place.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use teamlog_log::{Offset, Partition, Position};
use teamlog_schemas::{TeamId, UserId};

use super::{Counted, Shadow, Shown};

/// Bytes of the code behind what is signed.
const CODE_BYTES: usize = 16;

/// Every frame below was sent; and so many frames of the event that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Place {
    pub(crate) position: Position,
    pub(crate) skip: u32,
}

/// Where a cursor points. Clients cannot look into it; the model must.
pub(crate) fn cursor_place(text: &str) -> Option<Place> {
    let (_team, place): (TeamId, Place) = postcard::from_bytes(&content(text)?).ok()?;
    Some(place)
}

/// Where a session goes on that comes by this url.
pub(crate) fn ticket_place(url: &str) -> Option<Place> {
    let content = content(url.rsplit('/').next()?)?;
    let ticket: (TeamId, UserId, [u8; 32], Place) = postcard::from_bytes(&content).ok()?;
    Some(ticket.3)
}

fn content(text: &str) -> Option<Vec<u8>> {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes.truncate(bytes.len().checked_sub(CODE_BYTES)?);
    Some(bytes)
}

/// Between two frames: before the frame of this number of the event at (or behind) this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) offset: Offset,
    pub(crate) frame: usize,
}

impl From<Place> for At {
    fn from(place: Place) -> At {
        At { offset: place.position.offset, frame: place.skip as usize }
    }
}

/// The next frame for a person, and the person's place after it.
pub(crate) struct NextFrame<'a> {
    pub(crate) shown: &'a Shown,
    /// The place at which the frame begins.
    pub(crate) at: At,
    /// The place that the cursor after the frame must state.
    pub(crate) behind: Place,
}

impl Shadow {
    /// The next frame for a user from `at` on; none if there is none yet.
    pub(crate) fn next_frame(&self, partition: Partition, team: TeamId, user: UserId, at: At) -> Option<NextFrame<'_>> {
        let here = &self.partitions[partition.0 as usize];
        let first = here.counted.partition_point(|one| one.offset < at.offset);
        let of_team = here.counted[first..].iter().filter(|one| one.team == team);
        of_team.flat_map(frames).find_map(|(one, number, shown)| {
            let skipped = one.offset == at.offset && number < at.frame;
            if skipped || !shown.to.contains(&user) {
                return None;
            }
            let is_last = number + 1 == one.shown.len();
            let (offset, skip) = if is_last { (one.offset.next(), 0) } else { (one.offset, number as u32 + 1) };
            let behind = Place { position: here.positions[offset.0 as usize], skip };
            Some(NextFrame { shown, at: At { offset: one.offset, frame: number }, behind })
        })
    }
}

fn frames(one: &Counted) -> impl Iterator<Item = (&Counted, usize, &Shown)> {
    one.shown.iter().enumerate().map(move |(number, shown)| (one, number, shown))
}
