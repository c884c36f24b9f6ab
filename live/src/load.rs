//! Loading a team: its rows at X, then the tail.

use std::sync::Arc;

use teamlog_log::{Body, Entry, Feed, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::{Team, TeamSource};

use super::{LiveTeam, TeamsError, partition::PartitionTeams};

/// Loads a team: one consistent read of the shard, caught up to the position of the partition's fold and registered with
/// it in the same step. No event is missed or applied twice.
pub(crate) async fn load(
    feed: &Feed<Event>,
    source: &dyn TeamSource<Position>,
    here: &PartitionTeams,
    shard: &str,
    team_id: TeamId,
) -> Result<Arc<LiveTeam>, TeamsError> {
    metrics::counter!("teamlog_team_loads_total").increment(1);
    let events = TopicPartition::events(here.partition());
    let at = source.team(shard, team_id).await.map_err(|why| TeamsError::Away(why.to_string()))?;
    let mut building = Building { team: team_id, state: at.rows.map(Team::from_rows), reached: at.position };
    loop {
        // The shard may be ahead of the fold here: they read the same feed at their own pace.
        here.wait_for(building.reached.offset).await?;
        {
            let mut live = here.live.lock();
            let end = here.position();
            if let Some(tail) = feed.recent(events, &building.reached)? {
                building.fold(tail.iter().filter(|entry| entry.offset < end.offset));
                let Some(state) = building.state else { return Err(TeamsError::NotBegun(end.offset)) };
                // A caller may have begun a second load as the first one ended. Keep the live team that the fold updates.
                return Ok(live.entry(team_id).or_insert_with(|| Arc::new(here.team(state))).clone());
            }
        }
        let end = here.position();
        let tail = feed.scan(events, building.reached).await?;
        building.fold(tail.iter().filter(|entry| entry.offset < end.offset));
    }
}

struct Building {
    team: TeamId,
    state: Option<Team>,
    reached: Position,
}

impl Building {
    fn fold<'a>(&mut self, entries: impl Iterator<Item = &'a Arc<Entry<Event>>>) {
        for entry in entries {
            if let Body::Event(event) = &entry.body
                && event.team() == Some(self.team)
            {
                match &mut self.state {
                    Some(state) => state.apply(event),
                    None => self.state = Team::begin(event),
                }
            }
            self.reached = entry.after;
        }
    }
}
