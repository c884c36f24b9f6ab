//! Tickets: what the url of a socket ends with, signed and opaque to clients.

use serde::{Deserialize, Serialize};
use teamlog_cluster::Secrets;
use teamlog_log::Position;
use teamlog_schemas::{TeamId, UserId};
use uuid::Uuid;

use crate::frames::{Place, signed, verified};

/// The last part of a socket's url.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) team: TeamId,
    pub(super) user: UserId,
    /// SHA-256 of the token that it was given for: a revoked token's url is dead.
    pub(super) token: [u8; 32],
    /// The place at which the session begins.
    pub(super) place: Place,
    /// Milliseconds since 1970.
    pub(super) issued_ms: i64,
    /// Set if it is good once; none if it may be used again until it expires (a `reconnect_url`).
    pub(super) once: Option<Once>,
    /// True if each frame carries the cursor of the place after it.
    pub(super) cursors: bool,
    /// Presence comes in batches.
    pub(super) batches: bool,
}

/// Makes a ticket single. Whether it was used only the gateway knows that gave it out, so it is good at no other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Once {
    pub(super) gateway: Uuid,
    pub(super) nonce: u64,
}

/// How long a url of `rtm.connect` is good, in milliseconds.
pub(super) const TICKET_MS: i64 = 30_000;
/// How long a `reconnect_url` is good, in milliseconds.
pub(super) const RECONNECT_MS: i64 = 300_000;
/// Tickets are signed as this. The number is the format of the position inside: a ticket of an older program is not good
/// any more, so its bytes are never read as something else.
const TICKET: &str = "ticket/2";
const _: () = assert!(Position::FORMAT == 2, "tickets are named after it");

impl Ticket {
    pub(super) fn sign(&self, secrets: &Secrets) -> String {
        signed(secrets, TICKET, self)
    }

    /// The ticket, if it was signed here and has not expired. Whether it was used is for the caller to ask.
    pub(super) fn verify(secrets: &Secrets, text: &str, now_ms: i64) -> Option<Ticket> {
        let ticket: Ticket = verified(secrets, TICKET, text)?;
        let good_for = if ticket.once.is_some() { TICKET_MS } else { RECONNECT_MS };
        (0..good_for).contains(&(now_ms - ticket.issued_ms).max(0)).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Cursor;

    fn ticket(once: Option<Once>) -> Ticket {
        Ticket {
            team: "T0ACME".parse().unwrap(),
            user: "U0ADA".parse().unwrap(),
            token: [7; 32],
            place: Place { position: Position::START, skip: 3 },
            issued_ms: 1_000_000,
            once,
            cursors: true,
            batches: false,
        }
    }

    #[test]
    fn a_ticket_is_good_until_it_expires_and_only_as_it_was_signed() {
        let secrets = Secrets::new([b"0123456789abcdef0123456789abcdef"]).unwrap();
        let others = Secrets::new([b"another key another key another!"]).unwrap();
        for (ticket, good_for) in
            [(ticket(Some(Once { gateway: Uuid::nil(), nonce: 1 })), TICKET_MS), (ticket(None), RECONNECT_MS)]
        {
            let text = ticket.sign(&secrets);
            assert_eq!(Ticket::verify(&secrets, &text, 1_000_000), Some(ticket.clone()));
            assert_eq!(Ticket::verify(&secrets, &text, 1_000_000 + good_for - 1), Some(ticket));
            assert_eq!(Ticket::verify(&secrets, &text, 1_000_000 + good_for), None);
            assert_eq!(Ticket::verify(&others, &text, 1_000_000), None);
            for at in 0..text.len() {
                let mut forged = text.clone().into_bytes();
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                let forged = String::from_utf8(forged).unwrap();
                assert_eq!(Ticket::verify(&secrets, &forged, 1_000_000), None, "{at}");
            }
        }
    }

    /// Before positions named their claim. The client gets `cursor_invalid` and starts over.
    #[test]
    fn a_cursor_of_an_older_program_is_not_good() {
        let secrets = Secrets::new([b"0123456789abcdef0123456789abcdef"]).unwrap();
        let team: TeamId = "T0ACME".parse().unwrap();
        let log_id = Uuid::from_u128(u128::MAX / 3);
        for next_seq in [None, Some(7_u64), Some(u64::MAX)] {
            // `(log_id, offset, epoch, next_seq)`, then the number of frames.
            let old = (team, (log_id, u64::MAX, 16_u64, next_seq), 0_u32);
            assert_eq!(Cursor::verify(&secrets, &signed(&secrets, "cursor", &old)), None);
        }
    }

    #[test]
    fn a_cursor_is_no_ticket_and_nonsense_is_neither() {
        let secrets = Secrets::new([b"0123456789abcdef0123456789abcdef"]).unwrap();
        let cursor = Cursor { team: "T0ACME".parse().unwrap(), place: Place::at(Position::START) };
        let text = cursor.sign(&secrets);
        assert_eq!(Cursor::verify(&secrets, &text), Some(cursor));
        assert_eq!(Ticket::verify(&secrets, &text, 0), None);
        for text in ["", "nonsense", "AAAA", "%%%"] {
            assert_eq!(Cursor::verify(&secrets, text), None, "{text}");
        }
    }
}
