//! docker-compose.yml against what `scripts/stack cluster` would start: the same parts, set up and stopped in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::{has_word, read, root};

/// Names and values: of Kafka's properties, or of a process's environment.
type Settings = BTreeMap<String, String>;

/// The parts that `scripts/stack` would start, without starting them. Names of the parts stand in for their addresses.
struct Native {
    parts: BTreeSet<String>,
    kafka: BTreeMap<String, Settings>,
    /// The environments of teamlog's processes.
    roles: BTreeMap<String, Settings>,
    config: toml::Value,
}

fn native() -> Native {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("scripts/stack"))
        .arg("plan")
        .env("STACK_DIR", folder.path())
        .env("BROKERS", "3")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ports = fs::read_to_string(folder.path().join("ports")).unwrap();
    let read = |path: &str| {
        let text = fs::read_to_string(folder.path().join(path)).unwrap();
        ports.lines().map(|line| line.split_once('=').unwrap()).fold(text, |text, (part, port)| {
            assert_eq!(port.len(), 5, "no port is the beginning of another one");
            text.replace(&format!("127.0.0.1:{port}"), part)
        })
    };
    let all = |extension: &str| {
        let files = fs::read_dir(folder.path().join("conf")).unwrap().map(|entry| entry.unwrap().file_name());
        let files = files.filter_map(|file| Some(file.to_str()?.strip_suffix(extension)?.to_owned()));
        files.map(|part| (part.clone(), settings(&read(&format!("conf/{part}{extension}"))))).collect()
    };
    Native {
        parts: String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect(),
        kafka: all(".properties"),
        roles: all(".env"),
        config: toml::from_str(&read("teamlog.toml")).unwrap(),
    }
}

fn settings(lines: &str) -> Settings {
    let lines = lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap()
}

fn services(compose: &Value) -> BTreeMap<&str, &Value> {
    compose["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service)).collect()
}

/// The services that are teamlog.
fn roles(compose: &Value) -> BTreeMap<&str, &Value> {
    services(compose).into_iter().filter(|(_, service)| service["image"] == "teamlog").collect()
}

fn names(services: &BTreeMap<&str, &Value>) -> BTreeSet<String> {
    services.keys().map(|name| (*name).to_owned()).collect()
}

fn environment(service: &Value) -> Settings {
    let variables = service["environment"].as_object().unwrap().iter();
    variables
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

/// `gateway2` is a `gateway`.
fn role(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
}

#[test]
fn compose_and_native_cluster_have_the_same_parts() {
    let (native, compose) = (native(), compose());
    let services = services(&compose);
    assert_eq!(names(&services), native.parts);
    let in_roles = names(&roles(&compose));
    let in_script: BTreeSet<_> = native.roles.keys().cloned().collect();
    assert_eq!(in_roles, in_script, "what runs teamlog");
    for role in ["ingest", "gateway", "project", "work"] {
        assert!((1..=2).all(|number| in_roles.contains(&format!("{role}{number}"))), "two of {role}");
    }

    let pom = read("scripts/kafka/pom.xml");
    let version = pom.split_once("<kafka.version>").unwrap().1.split_once('<').unwrap().0;
    for kafka in native.kafka.keys() {
        assert_eq!(services[kafka.as_str()]["image"], format!("apache/kafka:{version}"));
    }

    let script = read("scripts/stack-servers.sh");
    for dc in ["dc1", "dc2"] {
        assert!(services[dc]["image"].as_str().unwrap().starts_with("mariadb:"));
        for flag in texts(&services[dc]["command"]) {
            assert!(has_word(&script, flag), "{dc} is started with {flag} by docker only");
        }
    }
    for memcached in ["memcached1", "memcached2"] {
        assert!(services[memcached]["image"].as_str().unwrap().starts_with("memcached:"));
        let flags = texts(&services[memcached]["command"])[1..].join(" ");
        assert!(script.contains(&format!(" {flags} ")), "{memcached}'s memory");
    }
}

#[test]
fn compose_and_native_kafka_have_the_same_properties() {
    // Where a broker listens and keeps its data: these differ by nature.
    const PLACES: &[&str] = &["listeners", "log.dirs"];
    let (native, compose) = (native(), compose());
    let services = services(&compose);
    assert_eq!(native.kafka.len(), 3);
    for (kafka, mut native) in native.kafka {
        let mut in_docker: Settings = environment(services[kafka.as_str()])
            .into_iter()
            .map(|(name, value)| {
                let property = name.strip_prefix("KAFKA_").unwrap().to_lowercase().replace('_', ".");
                (property, value.replace(":9092", "").replace(":9093", "_controller"))
            })
            .collect();
        // For the image's start script, not for Kafka.
        assert!(in_docker.remove("heap.opts").is_some());
        for place in PLACES {
            assert!(native.remove(*place).is_some(), "{place}");
            assert!(in_docker.remove(*place).is_some(), "{place}");
        }
        assert_eq!(in_docker, native, "{kafka}");
    }
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
    assert_eq!(config["log"]["replication"].as_integer(), Some(3));
    assert_eq!(config["cluster"]["keys"].as_array().unwrap().len(), 1);

    let created: BTreeSet<_> = compose["configs"]["databases"]["content"]
        .as_str()
        .unwrap()
        .lines()
        .map(|line| line.strip_prefix("CREATE DATABASE IF NOT EXISTS ").unwrap().trim_end_matches(';').to_owned())
        .collect();
    let script = read("scripts/stack-servers.sh");
    let by_script: BTreeSet<_> = script
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

/// Compares the settings of each process, beside the file that all share, and checks that it listens where the others
/// call it.
#[test]
fn compose_and_native_roles_are_told_the_same() {
    const LISTEN: &str = "TEAMLOG_CLUSTER__LISTEN";
    const ADVERTISE: &str = "TEAMLOG_CLUSTER__ADVERTISE";
    const PUBLIC: &str = "TEAMLOG_SERVER__LISTEN";
    const URL: &str = "TEAMLOG_SERVER__PUBLIC_URL";
    let (native, compose) = (native(), compose());
    let roles = roles(&compose);
    let mut published = BTreeSet::new();
    for (name, native) in &native.roles {
        let service = roles[name.as_str()];
        let told = environment(service);
        assert!(told.keys().eq(native.keys()), "{name}: {told:?} by docker, {native:?} by the script");

        let port = |variable: &str| told[variable].strip_prefix("0.0.0.0:").unwrap();
        assert_eq!(native[ADVERTISE], format!("http://{}", native[LISTEN]));
        assert_eq!(told[ADVERTISE], format!("http://{name}:{}", port(LISTEN)));
        let asked = if role(name) == "gateway" {
            assert_eq!(native[URL], format!("http://{}", native[PUBLIC]));
            let ports = texts(&service["ports"]);
            let [mapping] = ports[..] else { panic!("{name}: {ports:?}") };
            let (outside, inside) = mapping.rsplit_once(':').unwrap();
            assert_eq!(inside, port(PUBLIC), "{name}'s published port");
            assert_eq!(told[URL], format!("http://{outside}"));
            assert!(published.insert(outside), "{outside} is published twice");
            port(PUBLIC)
        } else {
            assert!(service.get("ports").is_none(), "{name} is for the other nodes alone");
            port(LISTEN)
        };
        let check = texts(&service["healthcheck"]["test"]);
        assert_eq!(check.last().unwrap(), &format!("http://127.0.0.1:{asked}/readyz"), "{name}'s health check");
    }
    assert_eq!(published, BTreeSet::from(["127.0.0.1:8080", "127.0.0.1:8081"]));
}

#[test]
fn compose_watches_every_service_and_keeps_its_data() {
    let (native, compose) = (native(), compose());
    let volumes: BTreeSet<_> = compose["volumes"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut mounted = BTreeSet::new();
    for (name, service) in services(&compose) {
        assert!(service.get("healthcheck").is_some(), "{name}'s health check");
        for volume in service.get("volumes").map(texts).into_iter().flatten() {
            let (volume, _) = volume.split_once(':').unwrap();
            assert_eq!(volume, name, "whose the volume is");
            assert!(mounted.insert(volume), "two services would write into the volume {volume}");
        }
    }
    assert_eq!(mounted, volumes);
    let keep: BTreeSet<_> = native.parts.iter().map(String::as_str).filter(|part| role(part) != "memcached").collect();
    assert_eq!(mounted, keep, "who keeps data");
}

/// Compose stops in the order of dependencies: who asks before who is asked.
#[test]
fn compose_and_native_cluster_stop_in_the_same_order() {
    let (native, compose) = (native(), compose());
    let script = read("scripts/stack");
    let setting = |before: &str, after: &str| script.split_once(before).unwrap().1.split_once(after).unwrap().0;
    let order: Vec<&str> = setting("for role in ", "; do").split(' ').collect();
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 4, "{order:?}");
    let patience = format!("{}s", setting("\nROLE_STOP_SECONDS=", "\n"));
    let servers = native.parts.iter().filter(|part| !native.roles.contains_key(*part));
    let servers: BTreeMap<_, _> = servers.map(|part| (part.as_str(), "service_healthy")).collect();
    for (name, service) in roles(&compose) {
        let later = &order[order.iter().position(|one| *one == role(name)).unwrap() + 1..];
        let later = native.roles.keys().map(String::as_str).filter(|part| later.contains(&role(part)));
        // Not healthy: each waits by itself for what it needs, and one that is ill must not keep the others from a start.
        let later = later.map(|part| (part, "service_started"));
        let needed: BTreeMap<_, _> = servers.clone().into_iter().chain(later).collect();
        let depends = service["depends_on"].as_object().unwrap().iter();
        let depends: BTreeMap<_, _> =
            depends.map(|(part, how)| (part.as_str(), how["condition"].as_str().unwrap())).collect();
        assert_eq!(depends, needed, "{name}");
        assert_eq!(service["stop_grace_period"], patience, "{name}");
    }
}

/// The configuration and the arguments of each service are those of the binary.
#[test]
fn compose_runs_what_the_binary_knows() {
    let compose = compose();
    let roles = roles(&compose);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("teamlog.toml");
    let content = compose["configs"]["teamlog"]["content"].as_str().unwrap();
    let key = content.split_once("${").unwrap().1.split_once('}').unwrap().0;
    fs::write(&file, content.replace(&format!("${{{key}}}"), "a key for this test")).unwrap();

    let run = |arguments: &[&str], environment: &Settings| {
        let output = Command::new(teamlog_tests::binary()).args(arguments).envs(environment).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // The binary that a test finds may be of an older build than the test.
        assert!(output.status.success(), "{arguments:?} (after `cargo build -p teamlog`?): {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    for (name, service) in &roles {
        let arguments = texts(&service["command"]);
        let [config_flag, "/etc/teamlog.toml", data_flag, home, command] = arguments[..] else {
            panic!("{name}: {arguments:?}")
        };
        assert_eq!(command, role(name), "what {name} runs");
        assert_eq!(texts(&service["volumes"]), [format!("{name}:{home}")]);
        let told = environment(service);
        let data = folder.path().to_str().unwrap();
        let shown = run(&[config_flag, file.to_str().unwrap(), data_flag, data, "config"], &told);
        let shown: toml::Value = toml::from_str(&shown).unwrap();
        for (variable, value) in &told {
            let (section, key) = variable.strip_prefix("TEAMLOG_").unwrap().split_once("__").unwrap();
            let in_force = &shown[section.to_lowercase()][key.to_lowercase()];
            assert_eq!(in_force.as_str(), Some(value.as_str()), "{name}: {variable}");
        }
        assert!(told.get("TEAMLOG_SEARCH__DIR").is_none_or(|dir| dir.starts_with(home)), "{name}'s index");
        run(&[command, "--help"], &told);
    }
    let built = roles.values().filter(|service| service.get("build").is_some()).count();
    assert_eq!(built, 1, "all run one image");
}
