//! Keys of records in compacted topics: the newest record of a key is the one that lasts.

use uuid::Uuid;

use crate::{ConversationId, TeamId, UserId};

/// The key of `marks`: how far one person has read one conversation.
pub fn mark_key(team: TeamId, user: UserId, conversation: ConversationId) -> String {
    format!("{team}/{user}/{conversation}")
}

/// The key of `credentials`: one sealed password of one person.
pub fn credential_key(team: TeamId, user: UserId, credential_id: Uuid) -> String {
    format!("{team}/{user}/{credential_id}")
}

/// Reads a key of `marks`.
pub fn parse_mark_key(key: &[u8]) -> Option<(TeamId, UserId, ConversationId)> {
    let (team, user, conversation) = parts(key)?;
    Some((team, user, conversation.parse().ok()?))
}

/// Reads a key of `credentials`.
pub fn parse_credential_key(key: &[u8]) -> Option<(TeamId, UserId, Uuid)> {
    let (team, user, credential_id) = parts(key)?;
    Some((team, user, credential_id.parse().ok()?))
}

fn parts(key: &[u8]) -> Option<(TeamId, UserId, &str)> {
    let mut parts = std::str::from_utf8(key).ok()?.splitn(3, '/');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let (team, user): (TeamId, UserId) = ("T1".parse().unwrap(), "UADA".parse().unwrap());
        let (conversation, credential) = ("C1".parse().unwrap(), Uuid::from_u128(7));
        assert_eq!(mark_key(team, user, conversation), "T1/UADA/C1");
        assert_eq!(parse_mark_key(b"T1/UADA/C1"), Some((team, user, conversation)));
        let key = credential_key(team, user, credential);
        assert_eq!(key, "T1/UADA/00000000-0000-0000-0000-000000000007");
        assert_eq!(parse_credential_key(key.as_bytes()), Some((team, user, credential)));
    }

    #[test]
    fn what_is_no_key_is_nobodys() {
        for key in [&b""[..], b"T1", b"T1/UADA", b"T1/UADA/", b"T1/UADA/C1/x", b"UADA/T1/C1", b"T1/UADA/\xff", b"//"] {
            assert_eq!((parse_mark_key(key), parse_credential_key(key)), (None, None), "{key:?}");
        }
        assert_eq!(parse_credential_key(b"T1/UADA/C1"), None);
    }
}
