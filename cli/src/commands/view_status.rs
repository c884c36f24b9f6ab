//! `teamlog view status`.

use std::collections::{HashMap, hash_map::Entry};

use serde_json::{Map, Value, json};
use teamlog_log::{Position, TopicPartition};
use teamlog_projectors::{OtherSchema, VerifyError, ViewReplica};

use super::{Outcome, log::end};
use crate::{output, parts::OpenLog};

/// Where one replica stands.
struct Stands {
    generation: u32,
    built: Option<u32>,
    positions: HashMap<TopicPartition, Position>,
}

/// Prints the position of each of these replicas, and its lag in records, void ones included.
pub(super) async fn run(log: &OpenLog, replicas: &[ViewReplica], as_json: bool) -> anyhow::Result<Outcome> {
    let (mut outcome, mut ends) = (Outcome::Done, HashMap::new());
    for replica in replicas {
        let stands = match ask(replica).await {
            Ok(stands) => stands,
            Err(why) => {
                if let Some(other) = why.other_schema() {
                    say(as_json, replica, needs_rebuild(other), || other.to_string());
                    outcome = if outcome == Outcome::Done { Outcome::Differs } else { outcome };
                } else {
                    let why = why.to_string();
                    say(as_json, replica, json!({ "away": why }), || format!("away: {why}"));
                    outcome = Outcome::Away;
                }
                continue;
            }
        };
        let (mut behind, mut positions, mut lines) = (0, Map::new(), Vec::new());
        for source in replica.sources() {
            let end = match ends.entry(source) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(end(log, source).await?),
            };
            let position = stands.positions.get(&source).copied().unwrap_or(Position::START);
            let Position { offset, epoch, .. } = position;
            let lag = end.0.saturating_sub(offset.0);
            behind += lag;
            positions
                .insert(source.to_string(), json!({ "offset": offset.0, "epoch": epoch, "end": end.0, "lag": lag }));
            if end.0 > 0 || offset.0 > 0 {
                let epoch = if source.topic.fenced() { format!(", epoch {epoch}") } else { String::new() };
                lines.push(format!("{source}: offset {offset} of {end}{epoch}, {lag} behind"));
            }
        }
        let Stands { generation, built, .. } = stands;
        let object = json!({ "lag": behind, "generation": generation, "built": built, "positions": positions });
        say(as_json, replica, object, || {
            let built = built.map(|built| format!(", generation {built} is built")).unwrap_or_default();
            let summary = format!("{behind} records behind, generation {generation}{built}");
            std::iter::once(summary).chain(lines).collect::<Vec<_>>().join("\n  ")
        });
    }
    Ok(outcome)
}

async fn ask(replica: &ViewReplica) -> Result<Stands, VerifyError> {
    Ok(Stands {
        positions: replica.positions().await?,
        generation: replica.generation().await?,
        built: replica.built().await?,
    })
}

/// Returns the report on a replica of another schema: the fingerprints, and the advice.
pub(super) fn needs_rebuild(other: &OtherSchema) -> Value {
    json!({
        "needs_rebuild": true, "schema": other.found, "schema_wanted": other.wanted, "advice": other.advice(),
    })
}

/// Prints the report on a replica.
pub(super) fn say(as_json: bool, of: &ViewReplica, rest: Value, text: impl FnOnce() -> String) {
    let mut object = json!({ "view": of.view(), "replica": of.name() });
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    output::object(as_json, &object, || format!("{} on {}: {}", of.view(), of.name(), text()));
}
