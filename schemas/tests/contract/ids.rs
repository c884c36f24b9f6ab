//! Ids are for ever: `ids.toml` holds every one that was given out.

use std::{collections::HashSet, fmt::Write, fs};

use serde::Deserialize;
use teamlog_schemas::{ID_RANGES, SchemaVersion, schemas};

use crate::bless::{holds, is_blessing, repository};

const TABLE: &str = "schemas/ids.toml";
const HEAD: &str = "\
# Every schema id that was given out, written by `TEAMLOG_BLESS=1 cargo test -p teamlog-schemas`.
#
# A release adds `released = \"<the program's version>\"` to the lines that it is the first to have: from then on the
# id, the schema and its golden bytes stay for ever, and tests refuse to bless another.

";

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    version: u32,
    topic: String,
    released: Option<String>,
}

fn table() -> Vec<(u32, Given)> {
    let text = match fs::read_to_string(repository(TABLE)) {
        Ok(text) => text,
        Err(_) if is_blessing() => String::new(),
        Err(why) => panic!("{TABLE}: {why}"),
    };
    let table: toml::Table = toml::from_str(&text).unwrap();
    table.into_iter().map(|(id, given)| (id.parse().unwrap(), given.try_into().unwrap())).collect()
}

/// Whether a schema may not change any more.
pub(crate) fn is_released(version: &SchemaVersion) -> bool {
    table().iter().any(|(id, given)| *id == version.id && given.released.is_some())
}

#[test]
fn the_table_is_the_programs() {
    let before = table();
    let mut text = HEAD.to_owned();
    for version in schemas() {
        let given = before.iter().find(|(id, _)| *id == version.id).map(|(_, given)| given);
        let released = given.and_then(|given| given.released.as_ref());
        let SchemaVersion { id, name, version, topic, .. } = version;
        let released = released.map_or_else(String::new, |by| format!(", released = \"{by}\""));
        writeln!(text, "{id} = {{ name = \"{name}\", version = {version}, topic = \"{topic}\"{released} }}").unwrap();
    }
    let table: toml::Table = toml::from_str(&text).unwrap();
    for (id, given) in before.iter().filter(|(_, given)| given.released.is_some()) {
        let now: Option<Given> = table.get(&id.to_string()).map(|now| now.clone().try_into().unwrap());
        assert_eq!(now.as_ref(), Some(given), "id {id} is released");
    }
    holds(TABLE, &text, false);
}

#[test]
fn an_id_is_given_once_and_lies_in_a_range() {
    let ids: Vec<_> = schemas().map(|version| version.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "not ascending or given twice: {ids:?}");
    for id in ids {
        assert!(ID_RANGES.iter().any(|range| (range.first..=range.last).contains(&id)), "id {id} is in no range");
    }
    assert!(ID_RANGES.iter().all(|range| range.first <= range.last));
    assert!(ID_RANGES.is_sorted_by(|a, b| a.last < b.first), "ranges overlap");
}

#[test]
fn versions_of_a_name_are_counted_from_one() {
    let mut seen = HashSet::new();
    for SchemaVersion { name, version, .. } in schemas() {
        assert!(*version == 1 || seen.contains(&(*name, version - 1)), "{name} v{version} comes before its forerunner");
        assert!(seen.insert((*name, *version)), "{name} v{version} has two ids");
    }
}

/// The newest version of an event is what its Rust type says; the older ones are their files.
#[test]
fn every_schema_has_its_file_and_every_file_an_id() {
    for version in schemas() {
        let file = format!("schemas/avro/{}/v{}.avsc", version.name, version.version);
        holds(&file, version.avsc, is_released(version));
    }
    let folder = repository("schemas/avro");
    let mut files = 0;
    for of_name in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&of_name).unwrap().map(|entry| entry.unwrap().path()) {
            let (name, version) = (of_name.file_name().unwrap().to_string_lossy(), file.file_stem().unwrap());
            let found = schemas().find(|s| s.name == name && format!("v{}", s.version) == *version.to_string_lossy());
            assert!(found.is_some_and(|s| s.avsc == fs::read_to_string(&file).unwrap()), "{}", file.display());
            files += 1;
        }
    }
    assert_eq!(files, schemas().count());
}
