//! The rules of the house that a compiler does not hold: which crate may use which, where axum may be named, and that
//! docker-compose.yml describes the stack that `scripts/stack` runs.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each crate may use of the workspace: `schemas <- log, state <- ingest, projectors <- gateway <- cli`, and everybody
/// is open to benches and tests. A new arrow needs a decision record in `docs/adr/`.
const ARROWS: &[(&str, &[&str])] = &[
    ("teamlog-schemas", &[]),
    ("teamlog-log", &["schemas"]),
    ("teamlog-state", &["schemas"]),
    ("teamlog-ingest", &["schemas", "log", "state"]),
    ("teamlog-projectors", &["schemas", "log", "state"]),
    ("teamlog-gateway", &["schemas", "log", "state", "ingest", "projectors"]),
    ("teamlog-bench", &["schemas", "log", "state", "ingest", "projectors", "gateway"]),
    ("teamlog", &["schemas", "log", "state", "ingest", "projectors", "gateway", "bench"]),
    ("teamlog-tests", &["schemas", "log", "state", "ingest", "projectors", "gateway", "bench"]),
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
    assert!(found.iter().any(|(path, _)| path == "tests/tests/house.rs"), "the walk does not find this very file");
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

/// What `scripts/stack` would start, without starting it.
struct Native {
    parts: BTreeSet<String>,
    kafka: BTreeMap<String, String>,
    config: toml::Value,
}

fn native() -> Native {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("scripts/stack"))
        .arg("plan")
        .env("STACK_DIR", folder.path())
        .env("BROKERS", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();

    let mut config = read("teamlog.toml");
    for line in read("ports").lines() {
        let (part, port) = line.split_once('=').unwrap();
        config = config.replace(&format!("127.0.0.1:{port}"), part);
    }
    Native {
        parts: String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect(),
        kafka: read("conf/kafka1.properties")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        config: toml::from_str(&config).unwrap(),
    }
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap()
}

/// The services of docker-compose.yml that are not teamlog itself.
fn servers(compose: &Value) -> BTreeMap<&str, &Value> {
    let services = compose["services"].as_object().unwrap();
    services.iter().filter(|(_, service)| service["image"] != "teamlog").map(|(name, it)| (name.as_str(), it)).collect()
}

#[test]
fn compose_and_native_stack_have_the_same_parts() {
    let (native, compose) = (native(), compose());
    let servers = servers(&compose);
    assert_eq!(servers.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), native.parts);

    let pom = read("scripts/kafka/pom.xml");
    let version = pom.split_once("<kafka.version>").unwrap().1.split_once('<').unwrap().0;
    assert_eq!(servers["kafka1"]["image"], format!("apache/kafka:{version}"));

    let stack = read("scripts/stack");
    for dc in ["dc1", "dc2"] {
        assert!(servers[dc]["image"].as_str().unwrap().starts_with("mariadb:"));
        for flag in servers[dc]["command"].as_array().unwrap() {
            let flag = flag.as_str().unwrap();
            assert!(has_word(&stack, flag), "{dc} is started with {flag} by docker only");
        }
    }
    for memcached in ["memcached1", "memcached2"] {
        assert!(servers[memcached]["image"].as_str().unwrap().starts_with("memcached:"));
        let flags = servers[memcached]["command"].as_array().unwrap()[1..].iter().map(|flag| flag.as_str().unwrap());
        assert!(stack.contains(&format!(" {} ", flags.collect::<Vec<_>>().join(" "))), "{memcached}'s memory");
    }
}

#[test]
fn compose_and_native_kafka_have_the_same_properties() {
    // Where a broker is to be found and keeps its data: these differ by nature.
    const PLACES: &[&str] = &["listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"];
    let (mut native, compose) = (native(), compose());
    let mut in_docker: BTreeMap<_, _> = servers(&compose)["kafka1"]["environment"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            let property = name.strip_prefix("KAFKA_").unwrap().to_lowercase().replace('_', ".");
            (property, value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    // For the image's start script, not for Kafka.
    assert!(in_docker.remove("heap.opts").is_some());
    for place in PLACES {
        assert!(native.kafka.remove(*place).is_some(), "{place}");
        assert!(in_docker.remove(*place).is_some(), "{place}");
    }
    assert_eq!(in_docker, native.kafka);
}

#[test]
fn compose_and_native_teamlog_have_the_same_configuration() {
    let (native, compose) = (native(), compose());
    let content = compose["configs"]["teamlog"]["content"].as_str().unwrap();
    let config =
        ["9092", "3306", "11211"].iter().fold(content.to_owned(), |text, port| text.replace(&format!(":{port}"), ""));
    let config: toml::Value = toml::from_str(&config).unwrap();
    for table in ["log", "mains", "shards", "cache"] {
        assert_eq!(config[table], native.config[table], "[{table}]");
    }
    assert_eq!(config["cluster"]["keys"].as_array().unwrap().len(), 1);
    assert!(config["search"].get("dir").is_some() && native.config["search"].get("dir").is_some());

    let created: BTreeSet<_> = compose["configs"]["databases"]["content"]
        .as_str()
        .unwrap()
        .lines()
        .map(|line| line.strip_prefix("CREATE DATABASE IF NOT EXISTS ").unwrap().trim_end_matches(';').to_owned())
        .collect();
    let stack = read("scripts/stack");
    let by_script: BTreeSet<_> = stack
        .lines()
        .find_map(|line| line.strip_prefix("DATABASES=(")?.strip_suffix(')'))
        .unwrap()
        .split(' ')
        .map(str::to_owned)
        .collect();
    assert_eq!(created, by_script);
    let shards = config["shards"].as_array().unwrap().iter();
    let used: BTreeSet<_> = shards
        .flat_map(|shard| shard["replicas"].as_array().unwrap())
        .chain(config["mains"]["replicas"].as_array().unwrap())
        .map(|url| url.as_str().unwrap().rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(used, created, "databases that teamlog uses and databases that are made");
}

#[test]
fn compose_watches_every_service_and_keeps_its_data() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let volumes: BTreeSet<_> = compose["volumes"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut mounted = BTreeSet::new();
    for (name, service) in services {
        assert!(service.get("healthcheck").is_some(), "{name}'s health check");
        for volume in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
            let (volume, _) = volume.as_str().unwrap().split_once(':').unwrap();
            assert!(mounted.insert(volume), "two services would write into the volume {volume}");
        }
    }
    assert_eq!(mounted, volumes);
    assert_eq!(mounted, BTreeSet::from(["kafka1", "dc1", "dc2", "teamlog"]), "who keeps data");
}

/// The configuration and the arguments of the service are those of the binary.
#[test]
fn compose_runs_what_the_binary_knows() {
    let compose = compose();
    let command = compose["services"]["teamlog"]["command"].as_array().unwrap();
    let arguments: Vec<&str> = command.iter().map(|one| one.as_str().unwrap()).collect();
    let [config_flag, "/etc/teamlog.toml", data_flag, _, role] = arguments[..] else { panic!("{arguments:?}") };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("teamlog.toml");
    let content = compose["configs"]["teamlog"]["content"].as_str().unwrap();
    let key = content.split_once("${").unwrap().1.split_once('}').unwrap().0;
    fs::write(&file, content.replace(&format!("${{{key}}}"), "a key for this test")).unwrap();

    let run = |arguments: &[&str]| {
        let output = Command::new(teamlog_tests::binary()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&[config_flag, file.to_str().unwrap(), data_flag, folder.path().to_str().unwrap(), "config"]);
    run(&[role, "--help"]);
}
