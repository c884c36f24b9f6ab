//! The cluster's secrets: everything that is derived from `[cluster] keys`.

use std::fmt;

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use teamlog_schemas::{Event, TeamId, Token, TokenKind, registration_of_key};
use uuid::Uuid;

/// The fewest bytes of a cluster's key.
pub(crate) const KEY_BYTES_MIN: usize = 16;
/// Bytes of a token's secret: 160 bits.
const TOKEN_BYTES: usize = 20;
const NONCE_BYTES: usize = 24;

/// Keys that cannot serve.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidKeys {
    /// The list of keys is empty.
    #[error("a cluster needs a key")]
    None,
    /// A key is so short that it could be guessed.
    #[error("cluster key {index} is shorter than {KEY_BYTES_MIN} bytes")]
    TooShort {
        /// The index of the key in the list, from 0.
        index: usize,
    },
}

/// The cluster's keys. The first one signs. The others only verify what was signed before they were replaced.
///
/// Each purpose has its own key, derived (HKDF-SHA256, RFC 5869) with the purpose as `info`. A signature made for one
/// purpose is therefore invalid for every other.
#[derive(Clone)]
pub struct Secrets {
    keys: Vec<Hkdf<Sha256>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Derives the secrets from the configured keys, the signing key first.
    ///
    /// # Errors
    /// If there is no key, or a key is too short.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Secrets, InvalidKeys> {
        let mut derived = Vec::new();
        for (index, key) in keys.into_iter().enumerate() {
            let key = key.as_ref();
            if key.len() < KEY_BYTES_MIN {
                return Err(InvalidKeys::TooShort { index });
            }
            derived.push(Hkdf::new(Some(b"teamlog"), key));
        }
        if derived.is_empty() { Err(InvalidKeys::None) } else { Ok(Secrets { keys: derived }) }
    }

    /// Returns the text of the token that the event with this id issued: `xoxp-` or `xoxb-`, the team's id, `-`, a secret.
    /// Deterministic: a retry of the call that issued the token can show it again.
    pub fn token_for(&self, event_id: Uuid, team: TeamId, kind: TokenKind) -> String {
        token(&self.keys[0], event_id, team, kind)
    }

    /// Returns the text of the token that an event issued. None if it issued no token, or if the key that derived the token
    /// is no longer configured.
    pub fn token_of(&self, event: &Event) -> Option<String> {
        let (event_id, team, given) = given_token(event)?;
        let wanted = hex::decode(&given.hash).ok()?;
        self.keys.iter().map(|key| token(key, event_id, team, given.kind)).find(|text| hash(text)[..] == wanted)
    }

    /// Returns a message authentication code (HMAC-SHA256) of `bytes` for one purpose.
    pub fn sign(&self, purpose: &str, bytes: &[u8]) -> Vec<u8> {
        mac(&self.keys[0], purpose, bytes)
    }

    /// Returns true if [`Secrets::sign`] made `code` with any of the keys. The time it takes does not depend on the bytes of
    /// `code`.
    pub fn verify(&self, purpose: &str, bytes: &[u8], code: &[u8]) -> bool {
        let fits = |key| mac(key, purpose, bytes).ct_eq(code);
        self.keys.iter().map(fits).fold(subtle::Choice::from(0), |any, one| any | one).into()
    }

    /// Returns true if `code` is a prefix, of at least 16 bytes, of what [`Secrets::sign`] returns with any of the keys.
    pub fn verify_cut(&self, purpose: &str, bytes: &[u8], code: &[u8]) -> bool {
        code.len() >= 16
            && self.keys.iter().any(|key| {
                let whole = mac(key, purpose, bytes);
                whole.len() >= code.len() && bool::from(whole[..code.len()].ct_eq(code))
            })
    }

    /// Encrypts a text (an argon2id string) so that only this cluster can decrypt it, and only with the same `name` (that of
    /// its owner). Returns, in hex, the nonce of 24 bytes and the XChaCha20-Poly1305 ciphertext. The nonce must be random.
    pub fn seal(&self, name: &str, plain: &str, nonce: [u8; NONCE_BYTES]) -> String {
        let payload = Payload { msg: plain.as_bytes(), aad: name.as_bytes() };
        let sealed = cipher(&self.keys[0]).encrypt(&XNonce::from(nonce), payload);
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed.expect("a text that fits into memory can be sealed"));
        hex::encode(bytes)
    }

    /// Decrypts what [`Secrets::seal`] returned for the same name. None if `sealed` was changed or was sealed with another
    /// name, or if its key is no longer configured.
    pub fn open(&self, name: &str, sealed: &str) -> Option<String> {
        let bytes = hex::decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let open = |key| {
            let payload = Payload { msg: sealed, aad: name.as_bytes() };
            cipher(key).decrypt(&XNonce::from(*nonce), payload).ok()
        };
        self.keys.iter().find_map(open).and_then(|plain| String::from_utf8(plain).ok())
    }

    /// Returns, in hex, the key that authenticates a call between nodes.
    pub(crate) fn internal_key(&self) -> String {
        hex::encode(self.sign("internal-call", b""))
    }

    /// Returns true if `key` is the [`Secrets::internal_key`] of a node whose signing key is one of these keys.
    pub(crate) fn is_internal_key(&self, key: &[u8]) -> bool {
        hex::decode(key).is_ok_and(|code| self.verify("internal-call", b"", &code))
    }

    /// Returns, in hex, the operators' key to every process of the cluster.
    pub fn admin_key(&self) -> String {
        hex::encode(self.sign("admin-call", b""))
    }

    /// Returns, in hex, the code by which the directory's first event identifies the cluster's key.
    pub fn key_check(&self, cluster_id: Uuid) -> String {
        hex::encode(self.sign("key-check", cluster_id.as_bytes()))
    }

    /// Returns true if one of the keys is the one that founded the cluster.
    pub fn founded(&self, cluster_id: Uuid, key_check: &str) -> bool {
        hex::decode(key_check).is_ok_and(|code| self.verify("key-check", cluster_id.as_bytes(), &code))
    }
}

/// Returns the SHA-256 of a token's text. The log and the shards hold this hash only, never the text.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Returns the team that a token names, whether or not the token is valid.
pub fn team_named_by(token: &str) -> Option<TeamId> {
    let rest = token.strip_prefix("xoxp-").or_else(|| token.strip_prefix("xoxb-"))?;
    rest.split_once('-')?.0.parse().ok()
}

/// Returns the token that an event issued, with the id from which the token's secret is derived.
fn given_token(event: &Event) -> Option<(Uuid, TeamId, &Token)> {
    let (given, meta) = (event.token()?, event.meta()?);
    let event_id = if let Event::TeamCreated(_) = event {
        // Derived from `TeamRegistered`, whose id is part of this event's key.
        registration_of_key(meta.key.as_deref()?)?
    } else {
        meta.event_id
    };
    Some((event_id, meta.team, given))
}

fn token(key: &Hkdf<Sha256>, event_id: Uuid, team: TeamId, kind: TokenKind) -> String {
    let prefix = match kind {
        TokenKind::User => "xoxp",
        TokenKind::Bot => "xoxb",
    };
    // An event issues at most one token. The ordinal leaves room for more.
    let ordinal = 0u32.to_be_bytes();
    let secret: [u8; TOKEN_BYTES] = derive(key, &[b"token/", event_id.as_bytes(), &ordinal]);
    format!("{prefix}-{team}-{}", hex::encode(secret))
}

fn mac(key: &Hkdf<Sha256>, purpose: &str, bytes: &[u8]) -> Vec<u8> {
    let derived: [u8; 32] = derive(key, &[b"mac/", purpose.as_bytes()]);
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&derived).expect("any length of key will do");
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

fn cipher(key: &Hkdf<Sha256>) -> XChaCha20Poly1305 {
    let derived: [u8; 32] = derive(key, &[b"seal"]);
    XChaCha20Poly1305::new(&derived.into())
}

fn derive<const N: usize>(key: &Hkdf<Sha256>, info: &[&[u8]]) -> [u8; N] {
    let mut derived = [0; N];
    key.expand_multi_info(info, &mut derived).expect("less than 255 hashes of bytes are wanted");
    derived
}

#[cfg(test)]
mod tests {
    use teamlog_schemas::{Meta, TokenIssued, Ts};

    use super::*;

    fn secrets(keys: &[&str]) -> Secrets {
        Secrets::new(keys).unwrap()
    }

    const OLD: &str = "an old key of the cluster";
    const NEW: &str = "the new key of the cluster";

    #[test]
    fn keys_that_cannot_serve_are_refused() {
        assert_eq!(Secrets::new::<&str>([]).unwrap_err(), InvalidKeys::None);
        assert_eq!(Secrets::new([OLD, "short"]).unwrap_err(), InvalidKeys::TooShort { index: 1 });
    }

    #[test]
    fn nothing_is_printed() {
        let printed = format!("{:?}", secrets(&[OLD]));
        assert_eq!(printed, "Secrets { keys: 1, .. }");
    }

    #[test]
    fn a_token_names_its_team_and_is_shown_again_after_a_change_of_keys() {
        let (event_id, team) = (Uuid::from_u128(7), "T0TEAM".parse::<TeamId>().unwrap());
        let text = secrets(&[OLD]).token_for(event_id, team, TokenKind::Bot);
        assert!(text.starts_with("xoxb-T0TEAM-") && text.len() == "xoxb-T0TEAM-".len() + 40, "{text}");
        assert_eq!(team_named_by(&text), Some(team));
        assert_eq!(team_named_by("xoxp-nonsense"), None);
        assert_ne!(text, secrets(&[OLD]).token_for(Uuid::from_u128(8), team, TokenKind::Bot));

        let token = Token { user: "U1".parse().unwrap(), kind: TokenKind::Bot, hash: hex::encode(hash(&text)) };
        let meta = Meta { event_id, team, actor: None, at: Ts::ZERO, key: None, method: None };
        let event = Event::from(TokenIssued { meta, token });
        assert_eq!(secrets(&[NEW, OLD]).token_of(&event), Some(text));
        assert_eq!(secrets(&[NEW]).token_of(&event), None);
    }

    #[test]
    fn a_code_is_good_for_its_purpose_and_bytes_only() {
        let code = secrets(&[OLD]).sign("ticket", b"bytes");
        let both = secrets(&[NEW, OLD]);
        assert!(both.verify("ticket", b"bytes", &code));
        assert!(!both.verify("cursor", b"bytes", &code));
        assert!(!both.verify("ticket", b"byteS", &code));
        assert!(!both.verify("ticket", b"bytes", &code[1..]));
        assert!(!secrets(&[NEW]).verify("ticket", b"bytes", &code));
    }

    #[test]
    fn what_is_sealed_opens_under_its_name_only() {
        let sealed = secrets(&[OLD]).seal("T1/U1", "$argon2id$...", [9; 24]);
        let both = secrets(&[NEW, OLD]);
        assert_eq!(both.open("T1/U1", &sealed).as_deref(), Some("$argon2id$..."));
        assert_eq!(both.open("T1/U2", &sealed), None);
        assert_eq!(both.open("T1/U1", &sealed[2..]), None);
        assert_eq!(both.open("T1/U1", "nonsense"), None);
        assert_eq!(secrets(&[NEW]).open("T1/U1", &sealed), None);
    }

    #[test]
    fn another_cluster_is_noticed() {
        let cluster = Uuid::from_u128(1);
        let check = secrets(&[OLD]).key_check(cluster);
        assert!(secrets(&[NEW, OLD]).founded(cluster, &check));
        assert!(!secrets(&[NEW]).founded(cluster, &check));
        assert!(!secrets(&[OLD]).founded(Uuid::from_u128(2), &check));
    }
}
