//! The speed at which a view in a database is built from the log.

use clap::Args;
use serde_json::{Map, Value, json};
use teamlog_log::Feed;
use teamlog_projectors::{BuildTimes, ViewReplica};
use teamlog_schemas::Event;

use crate::{
    BenchError, Report,
    figures::{Figures, ratio, rounded},
    options::heading,
};

/// Rows a second that a projector writes while a replica is built from the log, as a part of what the same server takes of
/// the very same rows by inserts of many rows alone. Both are built beside the replica and removed again.
/// Example: teamlog bench rebuild "shard s1"
#[derive(Clone, Debug, Args)]
pub struct Rebuild {
    /// `mains` or `shard NAME`; every shard if it is left out.
    pub view: Option<String>,
    /// Only the replica whose address holds this text.
    #[arg(long)]
    pub replica: Option<String>,
    /// Entries of the log to build from, at most.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,
}

/// A replica, and its times.
struct Built {
    view: String,
    replica: String,
    times: BuildTimes,
}

impl Rebuild {
    /// Runs on these replicas, one after the other; `engine` is what the log lies in. No other build may run meanwhile.
    ///
    /// # Errors
    /// [`BenchError::View`] if the log or a replica does not answer; [`BenchError::Usage`] if none lies in a database.
    pub async fn run(&self, engine: &str, feed: &Feed<Event>, replicas: &[ViewReplica]) -> Result<Report, BenchError> {
        let mut built = Vec::new();
        for replica in replicas {
            let times = replica.time_build(feed, self.entries).await?;
            let (view, replica) = (replica.view().to_owned(), replica.name().to_owned());
            built.extend(times.map(|times| Built { view, replica, times }));
        }
        // A build of few entries would measure the time of a commit, not the rows a second.
        let most = built.iter().map(|built| built.times.entries).max().unwrap_or_default();
        let in_all = built.len();
        built.retain(|built| built.times.entries >= most / 10);
        // The bench is judged by the replica with the worst ratio.
        built.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        let Some(worst) = built.first() else {
            return Err(BenchError::Usage("none of these views lies in a database".to_owned()));
        };
        let mut report = Report::new(heading("rebuild", engine));
        report.put("entries_max", self.entries);
        for (name, value) in worst.to_json() {
            report.put(&name, value);
        }
        report.put("nearly_empty", in_all - built.len());
        report.put("replicas", built.iter().map(|built| Value::Object(built.to_json())).collect::<Vec<_>>());
        built.iter().for_each(|built| report.say(built.to_text()));
        Ok(report)
    }
}

impl Built {
    fn rate(&self) -> f64 {
        ratio(self.times.rows as f64, self.times.build.as_secs_f64())
    }

    fn limit(&self) -> f64 {
        ratio(self.times.rows as f64, self.times.inserts.as_secs_f64())
    }

    fn ratio(&self) -> f64 {
        ratio(self.rate(), self.limit())
    }

    fn to_json(&self) -> Map<String, Value> {
        let times = &self.times;
        let batches = Figures::of(times.batches.len() as u64, times.build, times.batches.iter().copied());
        let mut object = batches.to_json();
        let seconds = times.build.as_secs_f64();
        for (name, value) in [
            ("view", json!(self.view)),
            ("replica", json!(self.replica)),
            ("database", json!(times.database)),
            ("entries", json!(times.entries)),
            ("rows", json!(times.rows)),
            ("build_seconds", json!(rounded(seconds))),
            // Rows a second; the times beside it are those of batches.
            ("rate", json!(rounded(self.rate()))),
            ("entries_rate", json!(rounded(ratio(times.entries as f64, seconds)))),
            ("limits", json!({ "inserts_rate": rounded(self.limit()) })),
            ("ratio", json!(rounded(self.ratio()))),
        ] {
            object.insert(name.to_owned(), value);
        }
        object
    }

    fn to_text(&self) -> String {
        let (rows, entries, part) = (self.times.rows, self.times.entries, 100.0 * self.ratio());
        format!(
            "{} on {}: {rows} rows of {entries} entries, {:.0} rows/s; the same rows by inserts alone {:.0}/s; {part:.0} %",
            self.view,
            self.replica,
            self.rate(),
            self.limit()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_same_rows_are_compared() {
        let [build, inserts] = [4, 1].map(Duration::from_secs);
        let batches = vec![Duration::from_secs(2); 2];
        let times = BuildTimes { database: "sqlite", entries: 100, rows: 400, build, batches, inserts };
        let built = Built { view: "shard s1".to_owned(), replica: "x".to_owned(), times };
        assert_eq!((built.rate(), built.limit(), built.ratio()), (100.0, 400.0, 0.25));
        let object = built.to_json();
        assert_eq!((&object["rate"], &object["entries_rate"]), (&json!(100.0), &json!(25.0)));
    }
}
