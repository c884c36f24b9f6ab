//! Ids as clients see them: a capital letter that says the kind, then capitals and digits.
//!
//! In memory and in SQL an id is one 64-bit number: the whole string read in base 36. Twelve characters fit, and as the
//! first is a letter nothing is lost.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest id, in characters: 36^12 fits into 63 bits, so it also fits SQL's signed BIGINT.
pub const ID_LEN_MAX: usize = 12;

/// A string that is not an id of the wanted kind.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not {kind} id")]
pub struct InvalidId {
    kind: &'static str,
}

fn pack(text: &str, first: &[u8]) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() < 2 || bytes.len() > ID_LEN_MAX || !first.contains(&bytes[0]) {
        return None;
    }
    bytes.iter().try_fold(0u64, |packed, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            _ => return None,
        };
        Some(packed * 36 + u64::from(digit))
    })
}

fn unpack(mut packed: u64, buffer: &mut [u8; 13]) -> &str {
    let mut at = buffer.len();
    while packed > 0 {
        at -= 1;
        buffer[at] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(packed % 36) as usize];
        packed /= 36;
    }
    // Only ASCII was written.
    std::str::from_utf8(&buffer[at..]).unwrap_or_default()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $first:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The number that stands for it in memory and in SQL.
            pub const fn packed(self) -> u64 {
                self.0
            }

            /// The id that a number stands for.
            ///
            /// # Errors
            /// If the number is of another kind, or of no id at all.
            pub fn from_packed(packed: u64) -> Result<Self, InvalidId> {
                unpack(packed, &mut [0; 13]).parse()
            }

            /// A new id with the first letter `letter` of this kind, from 64 random bits: eleven characters.
            /// That it is new in its team is for the caller to check.
            ///
            /// # Panics
            /// If `letter` is not one of this kind's.
            pub fn random(letter: char, random: u64) -> Self {
                assert!($first.contains(&(letter as u8)), "a letter of another kind of id");
                // 'X0' and nine digits of base 36.
                let body = random % 36u64.pow(9);
                let head = u64::from(letter as u8 - b'A' + 10) * 36;
                $name(head * 36u64.pow(9) + body)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(unpack(self.0, &mut [0; 13]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(unpack(self.0, &mut [0; 13]))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                pack(text, $first).map($name).ok_or(InvalidId { kind: $kind })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(unpack(self.0, &mut [0; 13]))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($kind)?;
                        f.write_str(" id")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

id!(
    /// A team, `T...`; unique everywhere.
    TeamId, "a team", b"TE"
);
id!(
    /// A person or a bot's user, `U...` or `W...`; unique in its team.
    UserId, "a user", b"UW"
);
id!(
    /// A bot as a sender of messages, `B...`; unique in its team.
    BotId, "a bot", b"B"
);
id!(
    /// A conversation: `C...` a channel, `G...` a private channel or a group's direct message, `D...` a direct message.
    ConversationId, "a conversation", b"CGD"
);
id!(
    /// A file, `F...`; unique in its team.
    FileId, "a file", b"F"
);

id!(
    /// A message that is to be posted at a time, `Q...`; unique in its team.
    ScheduleId, "a scheduled message's", b"Q"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_packing() {
        for text in ["U0CJ5PC7L", "W0", "USLACKBOT", "UZZZZZZZZZZZ"] {
            let id: UserId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(UserId::from_packed(id.packed()), Ok(id));
        }
        assert_eq!(UserId::random('U', u64::MAX).to_string().len(), 11);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "U", "u0cj", "C0CJ5PC7L", "U0CJ-PC7L", "U0CJ5PC7L0CJ5", "Ü0"] {
            assert!(text.parse::<UserId>().is_err(), "{text}");
        }
        let channel: ConversationId = "C0CJ5PC7L".parse().unwrap();
        assert!(UserId::from_packed(channel.packed()).is_err());
    }
}
