//! docs/events.md is written from the schemas.

use std::{collections::BTreeMap, fmt::Write};

use teamlog_schemas::{Event, ID_RANGES, SchemaVersion, schemas};

use crate::{
    avro::{Field, Sampler, Type, parse},
    bless::holds,
};

#[test]
fn the_page_is_current() {
    let mut page = include_str!("docs_head.md").to_owned();
    ids(&mut page);
    events(&mut page);
    records(&mut page);
    page.push_str(include_str!("docs_tail.md"));
    holds("docs/events.md", &page, false);
}

/// The newest version of each name.
pub(crate) fn newest() -> impl Iterator<Item = &'static SchemaVersion> {
    schemas().filter(|one| !schemas().any(|other| other.name == one.name && other.version > one.version))
}

/// Returns the cells "changes memberships" and "adds messages" of an event, from a sample in which every field is present.
fn marks(version: &SchemaVersion) -> (&'static str, &'static str) {
    if version.id < 10 {
        return ("", "");
    }
    let mut event = Event::decode(&Sampler::bytes(version)).unwrap();
    if let Event::ConversationCreated(created) = &mut event {
        // An imported conversation adds no message. Mark it as not imported, so that the join message shows.
        created.imported = false;
        created.kind = teamlog_schemas::ConversationKind::PublicChannel;
    }
    let memberships = match event.memberships().first() {
        Some(change) if change.joined => "joins",
        Some(_) => "leaves",
        None => "",
    };
    (memberships, if event.messages().is_empty() { "" } else { "yes" })
}

fn ids(page: &mut String) {
    page.push_str("## Schema ids\nIds are for ever. Each area has a range.\n\n| ids | area |\n| --- | --- |\n");
    for range in ID_RANGES {
        writeln!(page, "| {} to {} | {} |", range.first, range.last, range.area).unwrap();
    }
    page.push_str(
        "\n**Changes memberships** marks the events, all of them, that change who is in a conversation; **adds messages** \
         those that put messages into one, said or implied.\n\n\
         | id | event | version | topic | changes memberships | adds messages |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for version in schemas() {
        let SchemaVersion { id, name, version: number, topic, .. } = version;
        let (memberships, messages) = marks(version);
        writeln!(page, "| {id} | {} | {number} | `{topic}` | {memberships} | {messages} |", link(name)).unwrap();
    }
    page.push('\n');
}

fn events(page: &mut String) {
    page.push_str("## Fields\n`?` marks what may be absent (null), `[]` an array.\n");
    for version in newest() {
        let record = parse(version);
        let SchemaVersion { id, name, topic, .. } = version;
        let also = match marks(version).0 {
            "" => "",
            _ => ", **changes memberships**",
        };
        writeln!(page, "\n### {name}\nId {id}, topic `{topic}`{also}. {}\n", record.doc).unwrap();
        fields(page, &record.fields);
    }
}

fn records(page: &mut String) {
    let mut all = BTreeMap::new();
    for version in newest() {
        for named in Type::Record(parse(version)).named().into_iter().skip(1) {
            let name = match &named {
                Type::Record(of) => of.name.clone(),
                Type::Enum(of) => of.name.clone(),
                _ => unreachable!("only these have names"),
            };
            all.insert(name, named);
        }
    }
    page.push_str("\n## Records that events are made of\n");
    for (name, named) in all {
        match named {
            Type::Record(of) => {
                writeln!(page, "\n### {name}\n{}\n", of.doc).unwrap();
                fields(page, &of.fields);
            }
            Type::Enum(of) => {
                let symbols: Vec<_> = of.symbols.iter().map(|symbol| format!("`{symbol}`")).collect();
                writeln!(page, "\n### {name}\n{} One of {}.", of.doc, symbols.join(", ")).unwrap();
            }
            _ => unreachable!("only these have names"),
        }
    }
    page.push('\n');
}

fn fields(page: &mut String, fields: &[Field]) {
    page.push_str("| field | type | |\n| --- | --- | --- |\n");
    for field in fields {
        writeln!(page, "| `{}` | {} | {} |", field.name, of(&field.of), field.doc.replace('|', "\\|")).unwrap();
    }
}

fn of(kind: &Type) -> String {
    match kind {
        Type::Boolean => "boolean".into(),
        Type::Int => "int".into(),
        Type::Long => "long".into(),
        Type::String => "string".into(),
        Type::Uuid => "uuid".into(),
        Type::Ts => "timestamp-micros".into(),
        Type::Array(item) => format!("{}[]", of(item)),
        Type::Optional(some) => format!("{}?", of(some)),
        Type::Enum(one) => link(&one.name),
        Type::Record(one) => link(&one.name),
    }
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_lowercase())
}
