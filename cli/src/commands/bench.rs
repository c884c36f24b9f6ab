//! `teamlog bench`: load against a running server, beside the limits of the machine.

use clap::Subcommand;
use teamlog_bench::{BenchError, Boot, Fanout, Post};

use super::Outcome;
use crate::output;

/// Load against a running server, each figure beside a limit that was measured in the same run.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    Post(Post),
    Fanout(Fanout),
    Boot(Boot),
}

impl BenchCommand {
    /// Its last line is one object, with and without `--json`.
    pub(crate) async fn run(self, url: &str, as_json: bool) -> anyhow::Result<Outcome> {
        let report = match self {
            BenchCommand::Post(bench) => bench.run(url).await,
            BenchCommand::Fanout(bench) => bench.run(url).await,
            BenchCommand::Boot(bench) => bench.run(url).await,
        };
        let report = report.map_err(|why: BenchError| anyhow::Error::new(why))?;
        if !as_json {
            report.lines().iter().for_each(|line| output::line(line));
        }
        output::line(&report.object().to_string());
        Ok(Outcome::Done)
    }
}
