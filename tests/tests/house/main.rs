//! The rules of the house that a compiler does not hold: which crate may use which, where axum may be named, and that
//! docker-compose.yml describes the cluster that `scripts/stack` runs.
#![allow(clippy::unwrap_used)]

mod compose;
mod events;
mod language;
mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates of the workspace that each crate may use: `schemas <- log, state <- cluster <- live <- ingest`, `log, state <-
/// projectors`, all of these `<- consumers, gateway <- cli`, and everybody is open to benches and tests. A new arrow needs a decision record in `docs/adr/`.
const ARROWS: &[(&str, &[&str])] = &[
    ("teamlog-schemas", &[]),
    ("teamlog-log", &["schemas"]),
    ("teamlog-state", &["schemas"]),
    ("teamlog-cluster", &["schemas", "log"]),
    ("teamlog-live", &["schemas", "log", "state", "cluster"]),
    ("teamlog-ingest", &["schemas", "log", "state", "cluster", "live"]),
    ("teamlog-projectors", &["schemas", "log", "state"]),
    ("teamlog-consumers", &["schemas", "log", "state", "cluster", "live", "ingest", "projectors"]),
    ("teamlog-gateway", &["schemas", "log", "state", "cluster", "live", "ingest", "projectors"]),
    ("teamlog-bench", &["schemas", "log", "state", "cluster", "live", "ingest", "projectors", "gateway"]),
    (
        "teamlog",
        &["schemas", "log", "state", "cluster", "live", "ingest", "projectors", "consumers", "gateway", "bench"],
    ),
    (
        "teamlog-tests",
        &["schemas", "log", "state", "cluster", "live", "ingest", "projectors", "consumers", "gateway", "bench"],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The packages of the workspace, as cargo sees them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

/// Every text file of the project, by its path from the root, without what is built or run here and what an editor keeps.
fn texts() -> Vec<(String, String)> {
    let is_own = |folder: &str| {
        folder == ".ci" || !folder.starts_with('.') && !["target", "node_modules", "teamlog-data"].contains(&folder)
    };
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && is_own(entry.file_name().to_str().unwrap()) {
                folders.push(path);
            } else if kind.is_file()
                // In a second worktree it is a file, and says where the first one lies.
                && entry.file_name() != ".git"
                && let Ok(text) = fs::read_to_string(&path)
            {
                found.push((path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.iter().any(|(path, _)| path == "tests/tests/house/main.rs"), "the walk does not find this very file");
    found
}

/// `text` contains `word`, and neither neighbour makes it part of a longer name.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part_of_name) && !text[at + word.len()..].starts_with(part_of_name))
}

#[test]
fn arrows_point_one_way() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let packages = packages();
    let names: BTreeSet<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, allowed.keys().copied().collect(), "the crates of the workspace and those that the arrows name");

    let mut wrong = Vec::new();
    for package in &packages {
        let from = package["name"].as_str().unwrap();
        // Dependencies of tests and build scripts too: they would tie the crates together as well.
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let short = to.strip_prefix("teamlog-").unwrap_or(to);
            if names.contains(to) && from != to && !allowed[from].contains(&short) {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the design does not have: {wrong:?}");
}

#[test]
fn every_crate_inherits_lints_and_package_fields() {
    for package in packages() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let parsed: toml::Value = toml::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
        let inherits = |table: &toml::Value| table.get("workspace").and_then(toml::Value::as_bool) == Some(true);
        assert!(parsed.get("lints").is_some_and(inherits), "{}: no [lints] workspace = true", manifest.display());
        for field in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(
                parsed["package"].get(field).is_some_and(inherits),
                "{}: {field} is not the workspace's",
                manifest.display()
            );
        }
    }
}

#[test]
fn axum_lives_only_under_http() {
    let wrong: Vec<_> = texts()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs") && path.contains("/src/") && !path.contains("/src/http/"))
        .filter(|(_, text)| text.lines().any(|line| has_word(line.split("//").next().unwrap(), "axum")))
        .map(|(path, _)| path)
        .collect();
    assert!(wrong.is_empty(), "axum is named outside of */src/http/: {wrong:?}");
}

#[test]
fn no_source_names_a_path_of_one_machine() {
    // Put together here, so that this file does not name them.
    let folders: Vec<_> = ["root", "home", "Users", "work"].iter().map(|folder| format!("/{folder}/")).collect();
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let named = folders.iter().any(|folder| {
                line.match_indices(folder.as_str()).any(|(at, _)| {
                    // Behind a name it is a part of a relative path or of a url.
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_.-}".contains(c))
                })
            });
            if named {
                wrong.push(format!("{path}:{}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "paths of one machine: {wrong:?}");
}

/// Registries that count as one module with their entries, by crate and module. The rule of a shard's table sees the other
/// tables through the registry, which holds a field of each.
const REGISTRIES: &[(&str, &str)] = &[("teamlog-projectors", "shards::tables")];

#[test]
fn no_modules_of_a_crate_import_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    for package in packages() {
        let sources = PathBuf::from(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("src");
        let name = package["name"].as_str().unwrap();
        let registries: Vec<_> = REGISTRIES.iter().filter(|(of, _)| *of == name).map(|(_, module)| *module).collect();
        let circles = modules::Crate::read(&sources).circles(&registries);
        wrong.extend(circles.into_iter().map(|circle| format!("{name}: {circle}")));
    }
    assert!(wrong.is_empty(), "modules that import each other in a circle:\n{}", wrong.join("\n"));
}

/// Every crate: their comments are in plain English.
const PLAIN: &[&str] = &[
    "schemas",
    "log",
    "state",
    "cluster",
    "live",
    "ingest",
    "projectors",
    "consumers",
    "gateway",
    "cli",
    "bench",
    "tests",
];

#[test]
fn doc_comments_begin_with_what_a_thing_is_or_does() {
    let folders =
        PLAIN.iter().flat_map(|name| ["src", "tests", "benches"].map(|folder| root().join(name).join(folder)));
    let wrong: Vec<_> = folders.filter(|folder| folder.exists()).flat_map(|folder| language::wrong(&folder)).collect();
    assert!(
        wrong.is_empty(),
        "these begin with a pronoun, with \"The same\", or have a name that is none:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_match_over_events_has_an_arm_for_all_others() {
    let folders = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders
        .filter(|of| of.join("Cargo.toml").exists())
        .flat_map(|of| ["src", "tests", "benches", "examples"].map(|folder| of.join(folder)));
    let files = folders.filter(|folder| folder.exists()).flat_map(|folder| language::sources(&folder));
    let found: Vec<_> = files
        .flat_map(|file| events::wildcards(&file).into_iter().map(move |line| format!("{}:{line}", file.display())))
        .collect();
    assert!(found.is_empty(), "an event that is added goes by these without a word:\n{}", found.join("\n"));
}
