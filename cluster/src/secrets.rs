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
    /// None at all.
    #[error("a cluster needs a key")]
    None,
    /// One that could be guessed.
    #[error("cluster key {index} is shorter than {KEY_BYTES_MIN} bytes")]
    TooShort {
        /// Its place in the list.
        index: usize,
    },
}

/// The cluster's keys, the first of which signs; the others are good for what was signed before they were replaced.
///
/// Each purpose has a key of its own, derived (HKDF-SHA256, RFC 5869) with the purpose as `info`, so that a signature
/// made for one is nothing to another.
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
    /// From the keys of the configuration, the signing one first.
    ///
    /// # Errors
    /// If there is none, or one is too short.
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

    /// The text of the token that the event of this id gave out: `xoxp-` or `xoxb-`, the team's id, `-`, a secret. The
    /// same arguments give the same text, so a retry of the call that made it can show it again.
    pub fn token_for(&self, event_id: Uuid, team: TeamId, kind: TokenKind) -> String {
        token(&self.keys[0], event_id, team, kind)
    }

    /// The text of the token that an event gave out; none if it gave out none, or if its key is not listed any more.
    pub fn token_of(&self, event: &Event) -> Option<String> {
        let (event_id, team, given) = given_token(event)?;
        let wanted = hex::decode(&given.hash).ok()?;
        self.keys.iter().map(|key| token(key, event_id, team, given.kind)).find(|text| hash(text)[..] == wanted)
    }

    /// A message authentication code (HMAC-SHA256) of `bytes` for one purpose.
    pub fn sign(&self, purpose: &str, bytes: &[u8]) -> Vec<u8> {
        mac(&self.keys[0], purpose, bytes)
    }

    /// Whether [`Secrets::sign`] made `code`, with any of the keys. In time that does not depend on the code.
    pub fn verify(&self, purpose: &str, bytes: &[u8], code: &[u8]) -> bool {
        let fits = |key| mac(key, purpose, bytes).ct_eq(code);
        self.keys.iter().map(fits).fold(subtle::Choice::from(0), |any, one| any | one).into()
    }

    /// Whether `code` is the beginning (at least 16 bytes) of what [`Secrets::sign`] gives under any of the keys.
    pub fn verify_cut(&self, purpose: &str, bytes: &[u8], code: &[u8]) -> bool {
        code.len() >= 16
            && self.keys.iter().any(|key| {
                let whole = mac(key, purpose, bytes);
                whole.len() >= code.len() && bool::from(whole[..code.len()].ct_eq(code))
            })
    }

    /// Seals a text (an argon2id string) so that only this cluster opens it, and only as `name` (whose it is): in hex,
    /// a nonce of 24 bytes, then XChaCha20-Poly1305. The nonce must be random.
    pub fn seal(&self, name: &str, plain: &str, nonce: [u8; NONCE_BYTES]) -> String {
        let payload = Payload { msg: plain.as_bytes(), aad: name.as_bytes() };
        let sealed = cipher(&self.keys[0]).encrypt(&XNonce::from(nonce), payload);
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed.expect("a text that fits into memory can be sealed"));
        hex::encode(bytes)
    }

    /// Opens what [`Secrets::seal`] sealed under the same name; none if it did not, or if its key is not listed any
    /// more.
    pub fn open(&self, name: &str, sealed: &str) -> Option<String> {
        let bytes = hex::decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let open = |key| {
            let payload = Payload { msg: sealed, aad: name.as_bytes() };
            cipher(key).decrypt(&XNonce::from(*nonce), payload).ok()
        };
        self.keys.iter().find_map(open).and_then(|plain| String::from_utf8(plain).ok())
    }

    /// What a call between nodes carries, in hex.
    pub(crate) fn internal_key(&self) -> String {
        hex::encode(self.sign("internal-call", b""))
    }

    /// Whether a node with one of these keys carries that.
    pub(crate) fn is_internal_key(&self, key: &[u8]) -> bool {
        hex::decode(key).is_ok_and(|code| self.verify("internal-call", b"", &code))
    }

    /// The operators' key to every process of the cluster, in hex.
    pub fn admin_key(&self) -> String {
        hex::encode(self.sign("admin-call", b""))
    }

    /// What the directory's first event says of the cluster's key, in hex.
    pub fn key_check(&self, cluster_id: Uuid) -> String {
        hex::encode(self.sign("key-check", cluster_id.as_bytes()))
    }

    /// Whether one of the keys is the one that founded the cluster.
    pub fn founded(&self, cluster_id: Uuid, key_check: &str) -> bool {
        hex::decode(key_check).is_ok_and(|code| self.verify("key-check", cluster_id.as_bytes(), &code))
    }
}

/// SHA-256 of a token's text: what the log and the shards know of it.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The team that a token names, whether or not the token is good.
pub fn team_named_by(token: &str) -> Option<TeamId> {
    let rest = token.strip_prefix("xoxp-").or_else(|| token.strip_prefix("xoxb-"))?;
    rest.split_once('-')?.0.parse().ok()
}

/// The token of an event, with the id that its secret was derived from.
fn given_token(event: &Event) -> Option<(Uuid, TeamId, &Token)> {
    let (given, meta) = (event.token()?, event.meta()?);
    let event_id = if let Event::TeamCreated(_) = event {
        // A function of `TeamRegistered`, whose id stands in its key.
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
    // An event gives out one token at most; the ordinal leaves room for more.
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
