//! Lists of scheduled messages.

use std::{collections::BTreeMap, sync::Arc};

use teamlog_live::bridge;
pub use teamlog_projectors::ScheduledPage;
use teamlog_schemas::{Event, ScheduleId, Ts};
use teamlog_state::{Scheduled, scheduled_by, unscheduled_by};

use super::readable;
use crate::{ApiError, Caller, Gateway};

/// A scheduled message's place in a list.
type Place = (Ts, ScheduleId);

/// A page of the caller's scheduled messages, and the place of its last one if there may be more.
///
/// # Errors
/// `channel_not_found` for a conversation that the caller may not read; what may pass if rows or tail cannot be read.
pub async fn scheduled(
    gateway: &Gateway,
    caller: &Caller,
    page: ScheduledPage,
) -> Result<(Vec<(ScheduleId, Scheduled)>, Option<Place>), ApiError> {
    let shard = {
        let team = caller.team.read();
        page.conversation.map_or(Ok(()), |conversation| readable(&team, caller.user, conversation))?;
        team.shard().to_owned()
    };
    // One more than wanted says whether there are more.
    let asked = ScheduledPage { limit: page.limit + 1, ..page.clone() };
    let at = gateway.shards().scheduled(&shard, caller.team.id(), &asked).await?;
    let is_full = at.rows.len() > page.limit;
    let edge = at.rows.last().map(|(id, scheduled)| (scheduled.due, *id)).filter(|_| is_full);
    let belongs = |place: Place, scheduled: &Scheduled| {
        scheduled.by == page.user
            && page.conversation.is_none_or(|conversation| conversation == scheduled.conversation)
            && (page.oldest..=page.latest).contains(&scheduled.due)
            && page.after.is_none_or(|after| place > after)
            // What the tail adds beyond the edge belongs to the next page.
            && edge.is_none_or(|edge| place <= edge)
    };
    let at = at.map(|rows| -> BTreeMap<Place, Scheduled> {
        rows.into_iter().map(|(id, scheduled)| ((scheduled.due, id), scheduled)).collect()
    });
    let lay = |rows: &mut BTreeMap<Place, Scheduled>, event: &Arc<Event>| {
        if let Some((id, scheduled)) = scheduled_by(event) {
            let place = (scheduled.due, id);
            if belongs(place, &scheduled) {
                rows.insert(place, scheduled);
            }
        } else if let Some(ended) = unscheduled_by(event) {
            rows.retain(|(_, id), _| *id != ended);
        }
    };
    let (rows, _) = bridge::to_team(gateway.ingest().teams(), &caller.team, at, lay).await?;
    let has_more = rows.len() > page.limit;
    let found: Vec<_> = rows.into_iter().take(page.limit).map(|((_, id), scheduled)| (id, scheduled)).collect();
    let last = found.last().map(|(id, scheduled)| (scheduled.due, *id));
    Ok((found, if has_more { last } else { edge }))
}
