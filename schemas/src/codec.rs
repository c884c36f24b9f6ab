//! Versions of an event's schema, and the Confluent wire format: a zero byte, the schema's id (four bytes, big-endian),
//! the Avro body.
//!
//! An id names one version for ever. Every version that was ever released can be read. The Rust type has the fields of the
//! newest version; a field that an older version does not have is absent. Which version is written depends on its readers:
//!
//! - into the log, by [`Event::encode_for`](crate::Event::encode_for), the newest that every live node knows;
//! - into a view, and to another node as an answer, by [`Event::encode`](crate::Event::encode), the oldest that says all of
//!   it. Its bytes depend on the event alone, not on the live nodes or the program's version. A program that can read the
//!   event's record can read them.

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::avro::{AvroType, avsc};

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

/// An error in encoding or decoding an event.
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
    /// No version that says all of the event is known to all who must read it.
    #[error("no version of {name} that says all of it is known everywhere")]
    NotKnown {
        /// The record's name.
        name: &'static str,
    },
}

/// The most bytes that an encoded event may have.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// A type with schema versions: made by [`versions!`](crate::codec::versions), a line of `events!` each.
pub(crate) trait Versioned: AvroType + Serialize + DeserializeOwned + PartialEq {
    /// The record's name.
    const NAME: &'static str;

    /// Its versions, newest last.
    fn codecs() -> &'static [Codec];
}

/// Gives a type its schema versions: `versions!("events" MessagePosted [1 => 80, 2 => 84])`. The newest is what the Rust
/// type says; the older ones are `schemas/avro/<Name>/v<N>.avsc`.
macro_rules! versions {
    ($topic:literal $name:ident [$($versions:tt)+]) => {
        impl $crate::codec::Versioned for $name {
            const NAME: &'static str = stringify!($name);

            fn codecs() -> &'static [$crate::codec::Codec] {
                static CODECS: std::sync::LazyLock<Vec<$crate::codec::Codec>> = std::sync::LazyLock::new(|| {
                    let older: &[(u32, u32, &'static str)] = $crate::codec::versions!(@older $name [] $($versions)+);
                    $crate::codec::codecs::<$name>($topic, older, $crate::codec::versions!(@newest $($versions)+))
                });
                &CODECS
            }
        }
    };
    (@older $name:ident [$($done:expr),*] $version:literal => $id:literal) => { &[$($done),*] };
    (@older $name:ident [$($done:expr),*] $version:literal => $id:literal, $($rest:tt)+) => {
        $crate::codec::versions!(@older $name [$($done,)* ($version, $id, include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/avro/", stringify!($name), "/v", $version, ".avsc")))] $($rest)+)
    };
    (@newest $version:literal => $id:literal) => { ($version, $id) };
    (@newest $version:literal => $id:literal, $($rest:tt)+) => { $crate::codec::versions!(@newest $($rest)+) };
}

pub(crate) use versions;

/// A version of a type: its schema, and the reader and writer of that schema.
pub(crate) struct Codec {
    /// The schema.
    pub(crate) version: SchemaVersion,
    reader: GenericDatumReader<'static>,
    writer: GenericDatumWriter<'static>,
    /// Set on older versions: reads a value of the newest schema and drops the fields that this version does not have.
    from_newest: Option<GenericDatumReader<'static>>,
}

/// Builds a type's codecs, once. A schema of this crate that does not parse is a broken build.
pub(crate) fn codecs<T: AvroType>(
    topic: &'static str,
    older: &[(u32, u32, &'static str)],
    (newest_version, newest_id): (u32, u32),
) -> Vec<Codec> {
    let newest: &'static str = avsc::<T>().leak();
    let parsed = |avsc| &*Box::leak(Box::new(Schema::parse_str(avsc).expect("a schema of this crate parses")));
    let newest_schema = parsed(newest);
    let Some(name) = newest_schema.name().map(|name| &*name.name().to_owned().leak()) else {
        panic!("an event is a record, which has a name")
    };
    let versions = older.iter().copied().chain([(newest_version, newest_id, newest)]);
    let codec = |(version, id, avsc): (u32, u32, &'static str)| {
        let is_newest = version == newest_version;
        let schema = if is_newest { newest_schema } else { parsed(avsc) };
        // "Human readable" is what makes a `Uuid` a string, as its Avro type says.
        let reader = GenericDatumReader::builder(schema).human_readable(true).build();
        let writer = GenericDatumWriter::builder(schema).human_readable(true).build();
        let from_newest = GenericDatumReader::builder(newest_schema).reader_schema(schema).build();
        Codec {
            version: SchemaVersion { id, name, version, topic, avsc },
            reader: reader.expect("a schema of this crate can be read by"),
            writer: writer.expect("a schema of this crate can be written by"),
            from_newest: (!is_newest).then(|| from_newest.expect("a schema of this crate can be read by an older one")),
        }
    };
    versions.map(codec).collect()
}

impl Codec {
    /// Encodes a value in this version. Fields that this version does not have are dropped.
    fn write<T: Versioned>(&self, value: &T) -> Result<Bytes, CodecError> {
        let malformed = |why: apache_avro::Error| CodecError::Malformed { name: T::NAME, why: why.to_string() };
        let mut bytes = Vec::with_capacity(512);
        bytes.push(0);
        bytes.extend_from_slice(&self.version.id.to_be_bytes());
        match &self.from_newest {
            None => self.writer.write_ser(&mut bytes, value).map_err(malformed)?,
            Some(from_newest) => {
                let newest = newest::<T>().writer.write_ser_to_vec(value).map_err(malformed)?;
                let less = from_newest.read_value(&mut &*newest).map_err(malformed)?;
                self.writer.write_value_ref(&mut bytes, &less).map_err(malformed)?
            }
        };
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(CodecError::TooLarge { bytes: bytes.len() });
        }
        Ok(bytes.into())
    }

    fn read<T: Versioned>(&self, mut body: &[u8]) -> Result<T, CodecError> {
        let malformed = |why| CodecError::Malformed { name: T::NAME, why };
        let value = self.reader.read_deser(&mut body).map_err(|why| malformed(why.to_string()))?;
        // Avro says its own end, so bytes after it are another schema's or a torn record's.
        if body.is_empty() { Ok(value) } else { Err(malformed(format!("{} bytes after its end", body.len()))) }
    }

    /// The value in this version, if it says all of it.
    fn write_whole<T: Versioned>(&self, value: &T) -> Option<Result<Bytes, CodecError>> {
        let written = self.write(value);
        if self.from_newest.is_none() {
            return Some(written);
        }
        // An older version may lack a field, or a symbol: then it does not say all of it.
        let written = written.ok()?;
        self.read::<T>(&written[HEAD_BYTES..]).ok().filter(|read| read == value).map(|_| Ok(written))
    }
}

/// The zero byte and the schema's id.
const HEAD_BYTES: usize = 5;

fn newest<T: Versioned>() -> &'static Codec {
    T::codecs().last().expect("an event has a version")
}

/// The value in the oldest version that says all of it.
pub(crate) fn encode<T: Versioned>(value: &T) -> Result<Bytes, CodecError> {
    let whole = T::codecs().iter().find_map(|codec| codec.write_whole(value));
    whole.expect("the newest version says all")
}

/// The value in the newest version that is known and says all of it.
pub(crate) fn encode_for<T: Versioned>(value: &T, known: impl Fn(u32) -> bool) -> Result<Bytes, CodecError> {
    let mut known = T::codecs().iter().rev().filter(|codec| known(codec.version.id));
    known.find_map(|codec| codec.write_whole(value)).unwrap_or(Err(CodecError::NotKnown { name: T::NAME }))
}

/// The value in the newest version that is known. What that cannot say is left out.
pub(crate) fn encode_what_is_known<T: Versioned>(value: &T, known: impl Fn(u32) -> bool) -> Result<Bytes, CodecError> {
    let mut codecs = T::codecs().iter().rev();
    let codec = codecs.find(|codec| known(codec.version.id)).ok_or(CodecError::NotKnown { name: T::NAME })?;
    codec.write(value)
}

/// Reads a value of this type by its writer's schema; none if the id is none of its versions.
pub(crate) fn decode<T: Versioned>(bytes: &[u8]) -> Option<Result<T, CodecError>> {
    let (schema_id, body) = match unframe(bytes) {
        Ok(parts) => parts,
        Err(why) => return Some(Err(why)),
    };
    let codec = T::codecs().iter().find(|codec| codec.version.id == schema_id)?;
    Some(codec.read(body))
}

pub(crate) fn unframe(bytes: &[u8]) -> Result<(u32, &[u8]), CodecError> {
    match bytes {
        [0, a, b, c, d, body @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        _ => Err(CodecError::NotFramed),
    }
}
