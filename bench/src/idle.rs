//! The memory that an idle socket costs the server.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    BenchError, Common, Report,
    figures::{Figures, ratio, rounded},
    process::{Resident, StubProcess},
    socket::{Socket, join, open},
    team::Team,
};

/// Sockets that are opened and closed before the measurement: it must not count code that runs for the first time, or
/// pools that grow for the first time. The number is small because the memory that these sockets free is used again.
const COLD: u32 = 32;

/// Memory an idle socket: what a server's resident memory grows by while so many are opened, as a multiple of what a stub's
/// does, a process of its own with bare websockets. On the server's own machine only.
/// Example: teamlog bench idle --sockets 5000
#[derive(Clone, Debug, Args)]
pub struct Idle {
    #[command(flatten)]
    common: Common,
    /// Sockets that are open at the end, spread over the team's people.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    sockets: u32,
    /// The server's process. Without it: the one that runs on the data directory.
    #[arg(long)]
    pid: Option<u32>,
}

/// The resident memory of a process, in bytes, without its sockets and with them.
struct Grown {
    before: u64,
    with: u64,
    sockets: u32,
    opening: Figures,
}

impl Idle {
    /// Runs against the server at `url`. The server is the process `pid` unless the options name another. `program` is this
    /// binary: the stub is a process of its own.
    ///
    /// # Errors
    /// [`BenchError`]; no figure is given of a run in which a socket was not opened, or ended.
    pub async fn run(&self, url: &str, pid: Option<u32>, program: &Path) -> Result<Report, BenchError> {
        let unknown = || BenchError::Usage("which process is the server? Name it with --pid".to_owned());
        let process = Resident::of(self.pid.or(pid).ok_or_else(unknown)?)?;
        let teams = Team::all(url, &self.common).await?;
        let tokens = &teams[0].tokens;
        let stub = {
            let process = StubProcess::start(program).await?;
            let url = process.socket_url();
            self.grown(&Resident::of(process.pid())?, |_| Socket::open(&url)).await?
        };
        let server = self.grown(&process, |number| join(url, &tokens[number as usize % tokens.len()])).await?;
        Ok(self.report(url, tokens.len(), &server, &stub))
    }

    async fn grown<F>(&self, process: &Resident, connect: impl Fn(u32) -> F) -> Result<Grown, BenchError>
    where
        F: Future<Output = Result<Socket, BenchError>>,
    {
        drop(open((0..COLD.min(self.sockets)).map(&connect)).await?);
        let before = process.settled().await?;
        let begun = Instant::now();
        let timed = (0..self.sockets).map(async |number| {
            let begun = Instant::now();
            connect(number).await.map(|socket| (socket, begun.elapsed()))
        });
        let (sockets, times): (Vec<Socket>, Vec<_>) = open(timed).await?.into_iter().unzip();
        let opening = Figures::of(times.len() as u64, begun.elapsed(), times);
        let with = process.settled().await?;
        let sockets = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        Ok(Grown { before, with, sockets, opening })
    }

    fn report(&self, url: &str, users: usize, server: &Grown, stub: &Grown) -> Report {
        let mut report = Report::new(self.common.heading("idle", url));
        report.put("users", users);
        for (name, value) in server.opening.to_json() {
            report.put(&name, value);
        }
        report.put("sockets", server.sockets);
        report.put("memory", server.to_json());
        report.put("limits", json!({ "stub": stub.to_json() }));
        report.put("ratio", rounded(ratio(server.bytes_a_socket(), stub.bytes_a_socket())));
        for (name, grown) in [("the server", server), ("a stub", stub)] {
            report.say(format!("{name}: {}", grown.to_text()));
        }
        report
    }
}

impl Grown {
    fn bytes_a_socket(&self) -> f64 {
        ratio(self.with.saturating_sub(self.before) as f64, f64::from(self.sockets))
    }

    fn to_json(&self) -> Value {
        json!({
            "resident_bytes_before": self.before, "resident_bytes_with": self.with,
            "bytes_a_socket": rounded(self.bytes_a_socket()),
        })
    }

    fn to_text(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (before, with, each) = (mib(self.before), mib(self.with), self.bytes_a_socket() / 1024.0);
        format!("{before:.1} MiB, with {} sockets {with:.1} MiB: {each:.1} KiB a socket", self.sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_shared_by_the_sockets() {
        let grown = |before, with| {
            let opening = Figures::of(0, std::time::Duration::from_secs(1), []);
            Grown { before, with, sockets: 100, opening }
        };
        assert_eq!(grown(1 << 20, 3 << 20).bytes_a_socket(), 20971.52);
        // A server whose memory shrank is charged with nothing for its sockets.
        assert_eq!(grown(2 << 20, 1 << 20).bytes_a_socket(), 0.0);
    }
}
