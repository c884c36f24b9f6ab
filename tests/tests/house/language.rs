//! How doc comments begin: with a noun (the thing) or a verb (the act), so that a reader understands the first sentence
//! without the code around it.

use std::path::{Path, PathBuf};

/// Words that a doc comment does not begin with.
const NOT_FIRST: &[&str] = &["It", "Nobody", "One", "So", "Somebody", "Those", "What", "Who", "Whoever"];
/// Phrases that it does not begin with either.
const NO_PHRASES: &[&str] = &["The same", "That which"];
/// Names that a function does not have: others say what it does.
const NO_NAMES: &[&str] = &["come_to", "heard", "said", "sought", "told"];

/// The lines of a folder's sources that do not keep to this, each with its file and number.
pub(crate) fn wrong(folder: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in sources(folder) {
        let text = std::fs::read_to_string(&file).unwrap();
        wrong.extend(wrong_lines(&text).map(|(number, line)| format!("{}:{number}: {line}", file.display())));
    }
    wrong
}

/// Every Rust file under a folder.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn wrong_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut before = None;
    (1..).zip(text.lines().map(str::trim_start)).filter(move |(_, line)| {
        let doc = ["///", "//!"].into_iter().find_map(|mark| Some((mark, line.strip_prefix(mark)?.trim())));
        let begins = doc.is_some_and(|(mark, _)| before != Some(mark));
        before = doc.map(|(mark, _)| mark);
        match doc {
            Some((_, sentence)) => begins && !begins_well(sentence),
            None => declares(line).is_some_and(|name| NO_NAMES.contains(&name)),
        }
    })
}

fn begins_well(sentence: &str) -> bool {
    let word = sentence.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    !NOT_FIRST.contains(&word) && !NO_PHRASES.iter().any(|phrase| sentence.starts_with(phrase))
}

/// The name of the function that a line declares.
fn declares(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_declaration = before
        .split_whitespace()
        .all(|word| word.starts_with("pub") || word.starts_with("in") || ["async", "const", "default"].contains(&word));
    is_declaration.then(|| after.split(|c: char| !c.is_alphanumeric() && c != '_').next()).flatten()
}

#[test]
fn it_sees_what_it_looks_for() {
    let text = "
        doc Who reads.
        fn reads() {}
        doc Whole records.
        doc It goes on.
        pub(crate) async f told() {}
        top The same again.
        doc One's own.
        doc - What: a list goes on.
        const SAID: &str = \"\"; // fn said
        // Nobody minds this one.
        fn said_once() {}
        doc `It` as a name.
        doc # Errors
    "
    .replace("doc ", "/// ")
    .replace("top ", "//! ")
    .replace(" f ", " fn ");
    let lines: Vec<_> = wrong_lines(&text).map(|(number, _)| number).collect();
    assert_eq!(lines, [2, 6, 7, 8]);
}
