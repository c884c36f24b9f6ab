//! Golden bytes: a sample of every version ever released, as it lies in logs.
//!
//! `golden/<Name>/v<N>.hex` holds the bytes, `.json` beside it what they say.

use std::fs;

use apache_avro::{Schema, reader::datum::GenericDatumReader};
use serde_json::Value as Json;
use teamlog_schemas::{Event, SchemaVersion, schemas};

use crate::{
    avro::Sampler,
    bless::{holds, repository},
    ids::is_released,
};

fn path(version: &SchemaVersion, ending: &str) -> String {
    format!("schemas/golden/{}/v{}.{ending}", version.name, version.version)
}

/// Decodes bytes to JSON with this program: an event by its type, a record of `log/` by its schema.
fn say(version: &SchemaVersion, bytes: &[u8]) -> Json {
    if version.id >= 10 {
        return Event::decode(bytes)
            .unwrap_or_else(|why| panic!("{} v{}: {why}", version.name, version.version))
            .to_json();
    }
    let schema = Schema::parse_str(version.avsc).unwrap();
    let value = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut &bytes[5..]).unwrap();
    value.try_into().unwrap()
}

/// Decodes every golden byte string, listed from the files and not from the table, so that none is forgotten.
#[test]
fn every_golden_string_is_read() {
    bless();
    let mut read = 0;
    for of_name in fs::read_dir(repository("schemas/golden")).unwrap().map(|entry| entry.unwrap().path()) {
        let files = fs::read_dir(&of_name).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "hex")) {
            let bytes = hex::decode(fs::read_to_string(&file).unwrap().trim_end()).unwrap();
            let golden: Json = serde_json::from_str(&fs::read_to_string(file.with_extension("json")).unwrap()).unwrap();
            assert_eq!(bytes[0], 0);
            let id = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
            let version =
                schemas().find(|version| version.id == id).unwrap_or_else(|| panic!("schema id {id} is gone"));
            assert_eq!(repository(&path(version, "hex")), file, "of id {id}");
            let said = say(version, &bytes);
            if schemas().any(|other| other.name == version.name && other.version > version.version) {
                assert_within(&golden, &said, version.name);
            } else {
                assert_eq!(said, golden, "{}", file.display());
            }
            // What a view holds of it is a function of the log: a later version changes nothing about it.
            if version.id >= 10 {
                let again = Event::decode(&bytes).unwrap().encode().unwrap();
                assert_eq!(hex::encode(again), hex::encode(&bytes), "{}", file.display());
            }
            read += 1;
        }
    }
    assert_eq!(read, schemas().count());
}

/// Of an old version: all that it said is still said. What came later is besides.
fn assert_within(old: &Json, now: &Json, path: &str) {
    match (old, now) {
        (Json::Object(old), Json::Object(now)) => {
            for (key, value) in old {
                let path = format!("{path}.{key}");
                assert_within(value, now.get(key).unwrap_or_else(|| panic!("{path} is gone")), &path);
            }
        }
        (Json::Array(old), Json::Array(now)) => {
            assert_eq!(old.len(), now.len(), "{path}");
            old.iter().zip(now).for_each(|(old, now)| assert_within(old, now, path));
        }
        _ => assert_eq!(old, now, "{path}"),
    }
}

/// Holds the golden files against samples of the newest versions. An older version's sample cannot be made anew.
fn bless() {
    for version in schemas() {
        if schemas().any(|other| other.name == version.name && other.version > version.version) {
            continue;
        }
        let (bytes, frozen) = (Sampler::bytes(version), is_released(version));
        holds(&path(version, "hex"), &format!("{}\n", hex::encode(&bytes)), frozen);
        let json = serde_json::to_string_pretty(&say(version, &bytes)).unwrap();
        holds(&path(version, "json"), &format!("{json}\n"), frozen);
    }
}

#[test]
fn json_says_time_as_clients_see_it() {
    let version = schemas().find(|version| version.name == "MessagePosted").unwrap();
    let json = say(version, &Sampler::bytes(version));
    assert_eq!(json["type"], "MessagePosted");
    for at in ["/meta/at", "/message/ts", "/message/thread_ts", "/message/edited/ts", "/thread/latest_reply"] {
        let text = json.pointer(at).and_then(Json::as_str).unwrap_or_else(|| panic!("no text at {at}"));
        assert!(text.starts_with("1444959632.0000") && text.len() == 17, "{at}: {text}");
    }
    assert!(json["thread"]["reply_count"].is_i64());
}
