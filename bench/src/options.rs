//! What all benches can be told, and what they say of the machine.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use hyper::Uri;
use serde_json::{Value, json};

use crate::load::Window;

/// What all benches can be told.
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
    /// Where the raw SQLite file lies for as long as it is measured: on the disk that the server's log is on.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub scratch: PathBuf,
}

impl Common {
    pub(crate) fn window(&self) -> Window {
        Window { warm_up: Duration::from_secs_f64(self.warm_up), time: Duration::from_secs_f64(self.seconds) }
    }

    /// What a report begins with.
    pub(crate) fn heading(&self, bench: &str, url: &str) -> Value {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let shared = is_local(url);
        let server_cores = self.server_cores.map(|cores| cores as usize).or(shared.then(cores));
        json!({
            "bench": bench,
            "engine": if self.brokers.is_some() { "kafka" } else { "embedded" },
            "client": { "cores": cores(), "build": build },
            "server": { "cores": server_cores, "on_the_clients_machine": shared },
            "seconds": self.seconds,
            "text_bytes": self.text_bytes,
        })
    }
}

/// The cores that this process may use.
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
