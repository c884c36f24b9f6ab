//! `Event`: one of all events, its place in the table of schema ids, and the Confluent wire format.

use std::sync::LazyLock;

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use bytes::Bytes;

use crate::{Meta, TeamId, events::*};

/// A schema that was given an id: served at the read-only Schema Registry paths, named by the wire format.
#[derive(Clone, Copy, Debug)]
pub struct SchemaVersion {
    /// The id, fixed for ever.
    pub id: u32,
    /// The record's name; the subject is `<topic>-<namespace>.<name>`.
    pub name: &'static str,
    /// 1, 2, ... within the subject.
    pub version: u32,
    /// The topic that it belongs to, without the prefix.
    pub topic: &'static str,
    /// The Avro schema as JSON.
    pub avsc: &'static str,
}

/// What goes wrong between bytes and events.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodecError {
    /// Not in the Confluent wire format.
    #[error("not in the Confluent wire format")]
    NotFramed,
    /// A schema id that this program does not know: a newer program's.
    #[error("schema {schema_id} is not known to version {} of this program; a newer one wrote it", env!("CARGO_PKG_VERSION"))]
    UnknownSchema {
        /// The id.
        schema_id: u32,
    },
    /// The body does not fit its schema.
    #[error("a {name} that does not fit its schema: {why}")]
    Malformed {
        /// The record's name.
        name: &'static str,
        /// The codec's words.
        why: String,
    },
    /// An event above the limit.
    #[error("an event of {bytes} bytes; {max} is the most", max = EVENT_BYTES_MAX)]
    TooLarge {
        /// Encoded bytes.
        bytes: usize,
    },
}

/// The most bytes that an encoded event may have.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// `log/`'s own two records. No event has their ids.
const LOG_RECORDS: [SchemaVersion; 2] = [
    SchemaVersion { id: 1, name: "Claim", version: 1, topic: "events", avsc: include_str!("../avro/Claim/v1.avsc") },
    SchemaVersion {
        id: 2,
        name: "Barrier",
        version: 1,
        topic: "events",
        avsc: include_str!("../avro/Barrier/v1.avsc"),
    },
];

macro_rules! events {
    ($($id:literal $topic:literal $name:ident $at:ident),* $(,)?) => {
        /// One of all events.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the event of its name")]
        pub enum Event { $($name($name)),* }

        $(impl From<$name> for Event {
            fn from(event: $name) -> Event {
                Event::$name(event)
            }
        })*

        /// The table of schema ids.
        const TABLE: &[SchemaVersion] = &[$(SchemaVersion {
            id: $id,
            name: stringify!($name),
            version: 1,
            topic: $topic,
            avsc: include_str!(concat!("../avro/", stringify!($name), "/v1.avsc")),
        }),*];

        impl Event {
            /// The record's name.
            pub const fn name(&self) -> &'static str {
                match self { $(Event::$name(_) => stringify!($name)),* }
            }

            /// The id of the schema that it is written with.
            pub const fn schema_id(&self) -> u32 {
                match self { $(Event::$name(_) => $id),* }
            }

            /// What it begins with; none on the two that are about no team.
            pub const fn meta(&self) -> Option<&Meta> {
                match self { $(Event::$name(event) => events!(@meta event $at)),* }
            }

            /// As serde has it: timestamps are numbers.
            pub(crate) fn fields(&self) -> serde_json::Value {
                match self { $(Event::$name(event) => serde_json::to_value(event)),* }
                    .expect("an event has string keys and no map")
            }

            /// In the Confluent wire format: a zero byte, the schema's id (four bytes, big-endian), the Avro body.
            ///
            /// # Errors
            /// [`CodecError::TooLarge`] past 256 KB; [`CodecError::Malformed`] never for events made here.
            pub fn encode(&self) -> Result<Bytes, CodecError> {
                match self { $(Event::$name(event) => encode(event, stringify!($name), $id)),* }
            }

            /// Reads an event by its writer's schema; fields that are missing there get serde's defaults.
            ///
            /// # Errors
            /// All of [`CodecError`] but `TooLarge`.
            pub fn decode(bytes: &[u8]) -> Result<Event, CodecError> {
                let (schema_id, body) = unframe(bytes)?;
                match schema_id {
                    $($id => decode::<$name>(body, $id).map(Event::$name),)*
                    schema_id => Err(CodecError::UnknownSchema { schema_id }),
                }
            }
        }
    };
    (@meta $event:ident team) => { Some(&$event.meta) };
    (@meta $event:ident cluster) => { { let _ = $event; None } };
}

// The ranges that the ids come from are `ID_RANGES`; `ids.toml` holds every id that was given out.
events! {
    10 "directory" ClusterFounded cluster,
    11 "directory" TeamRegistered team,
    12 "nodes" NodeBeat cluster,
    20 "events" TeamCreated team,
    21 "events" UserCreated team,
    22 "events" BotAdded team,
    23 "events" PasswordSet team,
    24 "events" TokenIssued team,
    25 "events" TokenRevoked team,
    50 "events" ConversationCreated team,
    51 "events" ConversationOpened team,
    52 "events" ConversationClosed team,
    53 "events" MembersJoined team,
    54 "events" MemberLeft team,
    55 "events" ConversationRenamed team,
    56 "events" TopicSet team,
    57 "events" PurposeSet team,
    58 "events" ConversationArchived team,
    59 "events" ConversationUnarchived team,
    80 "events" MessagePosted team,
    81 "events" MessageImported team,
    82 "events" MessageEdited team,
    83 "events" MessageDeleted team,
    120 "events" ReactionAdded team,
    121 "events" ReactionRemoved team,
    180 "marks" ReadMarked team,
    181 "credentials" CredentialStored team,
    200 "progress" ConsumerProgress cluster,
    201 "dead" WorkFailed cluster,
}

impl Event {
    /// The team that it is about.
    pub fn team(&self) -> Option<TeamId> {
        self.meta().map(|meta| meta.team)
    }
}

/// Every schema that has an id, by id.
pub fn schemas() -> impl Iterator<Item = &'static SchemaVersion> {
    LOG_RECORDS.iter().chain(TABLE)
}

/// The Avro namespace of every record.
pub const NAMESPACE: &str = "teamlog";

fn unframe(bytes: &[u8]) -> Result<(u32, &[u8]), CodecError> {
    match bytes {
        [0, a, b, c, d, body @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        _ => Err(CodecError::NotFramed),
    }
}

/// Parsed once; a schema of this crate that does not parse is a broken build.
struct Codec {
    name: &'static str,
    reader: GenericDatumReader<'static>,
    writer: GenericDatumWriter<'static>,
}

static CODECS: LazyLock<Vec<Option<Codec>>> = LazyLock::new(|| {
    let mut codecs = Vec::new();
    for version in TABLE {
        let slot = version.id as usize;
        if codecs.len() <= slot {
            codecs.resize_with(slot + 1, || None);
        }
        codecs[slot] = Some(Codec::new(version));
    }
    codecs
});

impl Codec {
    fn new(version: &SchemaVersion) -> Codec {
        let parsed = Schema::parse_str(version.avsc);
        let schema: &'static Schema = Box::leak(Box::new(parsed.expect("a schema of this crate parses")));
        // "Human readable" is what makes a `Uuid` a string, as its Avro type says.
        let reader = GenericDatumReader::builder(schema).human_readable(true).build();
        let writer = GenericDatumWriter::builder(schema).human_readable(true).build();
        Codec {
            name: version.name,
            reader: reader.expect("a schema of this crate can be read by"),
            writer: writer.expect("a schema of this crate can be written by"),
        }
    }

    fn of(schema_id: u32) -> &'static Codec {
        CODECS.get(schema_id as usize).and_then(Option::as_ref).expect("every event has a codec")
    }
}

fn encode<T: serde::Serialize>(event: &T, name: &'static str, schema_id: u32) -> Result<Bytes, CodecError> {
    let malformed = |why: apache_avro::Error| CodecError::Malformed { name, why: why.to_string() };
    let mut bytes = Vec::with_capacity(512);
    bytes.push(0);
    bytes.extend_from_slice(&schema_id.to_be_bytes());
    Codec::of(schema_id).writer.write_ser(&mut bytes, event).map_err(malformed)?;
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes.into())
}

fn decode<T: serde::de::DeserializeOwned>(mut body: &[u8], schema_id: u32) -> Result<T, CodecError> {
    let codec = Codec::of(schema_id);
    let malformed = |why| CodecError::Malformed { name: codec.name, why };
    let event = codec.reader.read_deser(&mut body).map_err(|why| malformed(why.to_string()))?;
    // Avro says its own end, so bytes behind it are another schema's or a torn record's.
    if body.is_empty() { Ok(event) } else { Err(malformed(format!("{} bytes behind its end", body.len()))) }
}
