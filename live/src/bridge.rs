//! Reading is view at X + tail: rows as of a position, with the events after it laid over them.
//!
//! [`to_team`] and [`to_end`] are how rows are read. Three places lay a tail over rows by themselves, because they end
//! elsewhere: a team that is loaded ends under its partition's lock (`load.rs`), a writer's facts at what the writer has in
//! flight (`ingest/src/writer/service/deciding.rs`), and a search inside of the index (`projectors/src/search/`).

use std::sync::Arc;

use teamlog_log::{Entry, Feed, FeedError, Offset, Position, TopicPartition};
use teamlog_schemas::Event;
use teamlog_state::At;

use super::{LiveTeam, TeamGuard, Teams, TeamsError};

/// Brings rows of one team up to the live team, and returns them with that team, locked at exactly the position that the
/// rows now reflect: what is read and who may read it are of one moment. `fold` is given the team's events, in order and
/// each once.
///
/// # Errors
/// If the teams do not reach the position of the rows, or the tail cannot be read.
pub async fn to_team<'a, T>(
    teams: &Teams,
    team: &'a LiveTeam,
    at: At<Position, T>,
    mut fold: impl FnMut(&mut T, &Arc<Event>),
) -> Result<(T, TeamGuard<'a>), TeamsError> {
    let (feed, partition, source) = (teams.feed(), team.partition(), TopicPartition::events(team.partition()));
    let At { mut position, mut rows } = at;
    // A shard may be ahead of the teams here: both read the same log at their own pace.
    teams.wait_for(partition, position.offset).await?;
    let mut lay = |entries: &[Arc<Entry<Event>>], end: Offset, position: &mut Position, rows: &mut T| {
        for entry in entries.iter().take_while(|entry| entry.offset < end) {
            if let Some(event) = entry.event().filter(|event| event.team() == Some(team.id())) {
                fold(rows, event);
            }
            *position = entry.after;
        }
    };
    loop {
        // Most of the tail, without a lock; then the little that passed meanwhile, while the team stands still.
        let tail = feed.scan(source, position).await?;
        lay(&tail, teams.position(partition).offset, &mut position, &mut rows);
        let now = team.read();
        if let Some(tail) = feed.recent(source, &position)? {
            lay(&tail, now.position().offset, &mut position, &mut rows);
            return Ok((rows, now));
        }
    }
}

/// Brings rows up to all that this process had read of a partition at the call, or more. `fold` is given every event in
/// between, of all teams, in order and each once.
///
/// # Errors
/// If the tail cannot be read.
pub async fn to_end<T>(
    feed: &Feed<Event>,
    source: TopicPartition,
    at: At<Position, T>,
    mut fold: impl FnMut(&mut T, &Arc<Event>),
) -> Result<At<Position, T>, FeedError> {
    let At { position, mut rows } = at;
    let tail = feed.scan(source, position).await?;
    tail.iter().filter_map(|entry| entry.event()).for_each(|event| fold(&mut rows, event));
    Ok(At { position: tail.last().map_or(position, |entry| entry.after), rows })
}
