//! Cursors: places in the log as clients carry them, signed and opaque.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use teamlog_cluster::Secrets;
use teamlog_log::Position;
use teamlog_schemas::TeamId;

/// Where a session stands: an event has several frames, and a socket may end between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Every visible event below was sent.
    pub(crate) position: Position,
    /// The number of frames of the next event that were passed too, whether or not they were for this session.
    pub(crate) skip: u32,
}

impl Place {
    /// Between two events.
    pub(crate) const fn at(position: Position) -> Place {
        Place { position, skip: 0 }
    }
}

/// A client's next position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) team: TeamId,
    pub(crate) place: Place,
}

impl Cursor {
    pub(crate) fn sign(&self, secrets: &Secrets) -> String {
        signed(secrets, CURSOR, self)
    }

    pub(crate) fn verify(secrets: &Secrets, text: &str) -> Option<Cursor> {
        verified(secrets, CURSOR, text)
    }
}

/// Cursors are signed as this. The number is the format of the position inside: a cursor of an older program is not good
/// any more, so its bytes are never read as something else, and its client starts over.
const CURSOR: &str = "cursor/2";
const _: () = assert!(Position::FORMAT == 2, "cursors are named after it");

/// Bytes of the authentication code.
const CODE_BYTES: usize = 16;

/// Signs a value that a client carries, for one purpose.
pub(crate) fn signed<T: Serialize>(secrets: &Secrets, purpose: &str, content: &T) -> String {
    let mut bytes = postcard::to_stdvec(content).expect("plain data encodes");
    let code = secrets.sign(purpose, &bytes);
    bytes.extend_from_slice(&code[..CODE_BYTES.min(code.len())]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the content that [`signed`] signed for the same purpose; none if the text was not made by it.
pub(crate) fn verified<T: DeserializeOwned>(secrets: &Secrets, purpose: &str, text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (content, code) = bytes.split_at_checked(bytes.len().checked_sub(CODE_BYTES)?)?;
    // The code was truncated: it is computed again and compared with what was kept.
    secrets.verify_cut(purpose, content, code).then(|| postcard::from_bytes(content).ok())?
}
