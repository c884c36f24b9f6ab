//! Loading a team: its rows at X, then the tail.

use std::sync::Arc;

use teamlog_log::{Body, Entry, Partition, Position, TopicPartition};
use teamlog_schemas::{Event, TeamId};
use teamlog_state::Team;

use super::{LiveTeam, TeamsError, teams::Inner};

/// One consistent read of the shard, brought to where the partition's fold stands, and put under its care in the same
/// step: no event is missed or applied twice.
pub(super) async fn load(
    inner: &Arc<Inner>,
    partition: Partition,
    shard: &str,
    team_id: TeamId,
) -> Result<Arc<LiveTeam>, TeamsError> {
    metrics::counter!("teamlog_team_loads_total").increment(1);
    let here = inner.partition(partition)?;
    let source = TopicPartition::events(partition);
    let at = inner.source.team(shard, team_id).await.map_err(|why| TeamsError::Away(why.to_string()))?;
    let mut building = Building { team: team_id, state: at.rows.map(Team::from_rows), reached: at.position };
    loop {
        // The shard may be ahead of the fold here: they read the same feed at their own pace.
        wait_for(inner, partition, building.reached).await?;
        {
            let mut live = here.live.lock();
            let end = *here.position.read();
            if let Some(tail) = inner.feed.recent(source, &building.reached)? {
                building.fold(tail.iter().filter(|entry| entry.offset < end.offset));
                let Some(state) = building.state else { return Err(TeamsError::NotBegun(end.offset)) };
                // Who asked as another load ended began a second one: there is one live team, which the fold keeps.
                let fresh = || Arc::new(LiveTeam::new(partition, here.position.clone(), state));
                let team = live.entry(team_id).or_insert_with(fresh).clone();
                drop(live);
                inner.evict();
                return Ok(team);
            }
        }
        let end = *here.position.read();
        let tail = inner.feed.scan(source, building.reached).await?;
        building.fold(tail.iter().filter(|entry| entry.offset < end.offset));
    }
}

async fn wait_for(inner: &Arc<Inner>, partition: Partition, position: Position) -> Result<(), TeamsError> {
    super::Teams { inner: inner.clone() }.wait_for(partition, position.offset).await
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
