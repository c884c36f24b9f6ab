//! The options that all benches share, and the part of a report that describes the machine.

use std::{net::IpAddr, path::PathBuf, process::Stdio, time::Duration};

use clap::Args;
use hyper::Uri;
use serde_json::{Value, json};

use crate::load::Window;

/// The options that all benches share.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// A file of lines `user_id token`, as `teamlog seed --tokens-out` writes; several are several teams.
    ///
    /// Without one the bench makes a team of its own, which a server allows from its own machine.
    #[arg(long, value_name = "FILE")]
    pub tokens: Vec<PathBuf>,
    /// Teams to make, without --tokens.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub teams: u32,
    /// People of each team to make, without --tokens.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Seconds before each one that do not count.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub warm_up: f64,
    /// Bytes of a message's text.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub text_bytes: u32,
    /// Kafka's brokers, where the server's log is there: the raw log beside it is measured on them. Else on a SQLite file.
    #[arg(long, value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// Copies of the raw log's topic on Kafka: as many as the server's topics have.
    #[arg(long, default_value_t = 1, requires = "brokers")]
    pub replication: u32,
    /// Cores that the server has, for the report. Without it: those of this machine, if the server is on it.
    #[arg(long, value_name = "N")]
    pub server_cores: Option<u32>,
    /// The cores that the server was held to, as `taskset -c` takes them: every stub is held to the same.
    #[arg(long, value_name = "LIST", conflicts_with = "server_cores", value_parser = cpus)]
    pub server_cpus: Option<Cpus>,
    /// Where the raw SQLite file lies for as long as it is measured: on the disk that the server's log is on.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub scratch: PathBuf,
}

/// Cores that a stub runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// As `taskset -c` takes it; none for all that this process may use.
    list: Option<String>,
    count: usize,
}

impl Cpus {
    /// Returns all cores that this process may use.
    pub(crate) fn all() -> Cpus {
        Cpus { list: None, count: cores() }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Binds the calling thread to these cores, and returns false if that failed. The thread is bound and not the process,
    /// because the client in this process must not share the server's cores.
    pub(crate) fn hold_this_thread(&self) -> bool {
        let Some(list) = &self.list else { return true };
        let thread = std::fs::read_link("/proc/thread-self").ok();
        let Some(thread) = thread.as_deref().and_then(std::path::Path::file_name) else { return false };
        let mut taskset = std::process::Command::new("taskset");
        taskset.args(["-pc", list]).arg(thread).stdout(Stdio::null()).stderr(Stdio::null());
        taskset.status().is_ok_and(|status| status.success())
    }
}

impl std::fmt::Display for Cpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.list.as_deref().unwrap_or("of this machine"))
    }
}

/// Parses a list of cores: `0`, `0,2`, `1-3`.
fn cpus(list: &str) -> Result<Cpus, String> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| "cores are told as 0, 0,2 or 1-3".to_owned());
    let mut count = 0;
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        count += (number(from)?..=number(to)?).count();
    }
    if count == 0 { Err("no cores".to_owned()) } else { Ok(Cpus { list: Some(list.to_owned()), count }) }
}

impl Common {
    /// Returns the cores for a stub: those of the server.
    pub(crate) fn cpus(&self) -> Cpus {
        self.server_cpus.clone().unwrap_or_else(Cpus::all)
    }

    pub(crate) fn window(&self) -> Window {
        Window { warm_up: Duration::from_secs_f64(self.warm_up), time: Duration::from_secs_f64(self.seconds) }
    }

    /// Returns the first part of a report: the bench, the engine, the machine and the shared options.
    pub(crate) fn heading(&self, bench: &str, url: &str) -> Value {
        let shared = is_local(url);
        let told = self.server_cpus.as_ref().map(Cpus::count).or(self.server_cores.map(|cores| cores as usize));
        let server_cores = told.or(shared.then(cores));
        json!({
            "bench": bench,
            "engine": if self.brokers.is_some() { "kafka" } else { "embedded" },
            "client": client(),
            "server": { "cores": server_cores, "on_the_clients_machine": shared },
            "seconds": self.seconds,
            "text_bytes": self.text_bytes,
        })
    }
}

/// Returns the first part of the report of a bench without a server, like [`Common::heading`].
pub(crate) fn heading(bench: &str, engine: &str) -> Value {
    json!({ "bench": bench, "engine": engine, "client": client() })
}

fn client() -> Value {
    json!({ "cores": cores(), "build": if cfg!(debug_assertions) { "debug" } else { "release" } })
}

/// Returns the number of cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn is_local(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(|host| host.trim_matches(['[', ']']).to_owned()));
    host.is_some_and(|host| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("from 0 to 3600".to_owned()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cores_are_counted() {
        for (list, count) in [("0", 1), ("0,2", 2), ("1-3", 3), ("0,4-5", 3)] {
            assert_eq!(super::cpus(list).unwrap().count(), count, "{list}");
        }
        for wrong in ["", "x", "3-1", "0,", "-1"] {
            assert!(super::cpus(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_held_to_its_cores_and_others_are_not() {
        let allowed = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned()
        };
        let before = allowed();
        let first = before.split([',', '-']).next().unwrap().to_owned();
        let cpus = super::cpus(&first).unwrap();
        let held = std::thread::spawn(move || (cpus.hold_this_thread(), allowed())).join().unwrap();
        assert_eq!(held, (true, first));
        let after = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(after.contains(&format!("Cpus_allowed_list:\t{before}\n")), "{after}");
        assert!(!super::cpus("4095").unwrap().hold_this_thread());
    }

    #[test]
    fn a_server_on_this_machine_is_told_from_others() {
        for (url, local) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://[::1]:80", true),
            ("http://10.0.0.1:8080", false),
            ("http://chat.example.com", false),
        ] {
            assert_eq!(super::is_local(url), local, "{url}");
        }
    }

    #[test]
    fn seconds_are_a_number_in_bounds() {
        assert_eq!(super::seconds("0.5"), Ok(0.5));
        for wrong in ["-1", "x", "1e9", "NaN"] {
            assert!(super::seconds(wrong).is_err(), "{wrong}");
        }
    }
}
