//! Every command's JSON, as nodes of two builds exchange it during an upgrade.
//!
//! A changed line is a command that a node of the previous build does not understand, or misreads. A new field needs a
//! default; a new command needs new lines. After such a change:
//!
//! ```sh
//! TEAMLOG_BLESS=1 cargo test -p teamlog-ingest --test decide golden
//! ```

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use teamlog_ingest::{Command, commands::Scene};

/// Samples of every command, one in a line.
const GOLDEN: &str = "tests/decide/commands.jsonl";

#[test]
fn every_command_is_written_as_it_always_was() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    let mut written = String::new();
    for command in Command::samples(&Scene::default()) {
        writeln!(written, "{}", serde_json::to_string(&command).unwrap()).unwrap();
    }
    if std::env::var_os("TEAMLOG_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (golden, written) in golden.lines().zip(written.lines()) {
        assert_eq!(golden, written, "{GOLDEN}; `TEAMLOG_BLESS=1` writes it anew");
    }
    assert_eq!(golden.lines().count(), written.lines().count(), "{GOLDEN} has other commands; `TEAMLOG_BLESS=1`");
}

#[test]
fn every_command_has_a_sample_and_is_read_as_it_was_written() {
    let golden = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN)).unwrap();
    let read: Vec<Command> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, Command::samples(&Scene::default()));
    let sampled: BTreeSet<_> = read.iter().map(Command::name).collect();
    assert_eq!(sampled, Command::NAMES.iter().copied().collect(), "a command without samples");
}
