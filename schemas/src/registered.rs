//! The idempotency key of a team's first event: it names the registration that the event follows from.

use uuid::Uuid;

/// The key's prefix. The id of the registration's event follows it.
const REGISTERED: &str = "registered/";

/// The key of the `TeamCreated` that follows from the `TeamRegistered` of this id.
pub fn key_of_registration(event_id: Uuid) -> String {
    format!("{REGISTERED}{event_id}")
}

/// The id of the `TeamRegistered` that such a key names; none if the key is another one.
pub fn registration_of_key(key: &str) -> Option<Uuid> {
    key.strip_prefix(REGISTERED)?.parse().ok()
}
