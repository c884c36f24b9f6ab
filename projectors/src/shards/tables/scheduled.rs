//! `scheduled`: messages that wait to be posted. A row is deleted when its message was posted, or never will be.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use teamlog_log::{Position, Topic, TopicPartition};
use teamlog_schemas::{ConversationId, Event, ScheduleId, TeamId, Ts, UserId, partition_of};
use teamlog_state::{
    At, SCHEDULE_WINDOW_SECONDS, Scheduled, SourceError, Timer, TimerKey, scheduled_by, unscheduled_by,
};

use super::{Folded, Source, Tables};
use crate::{
    db::{Cell, Cells, DbError, Query, Table, Tx, int, optional, text},
    shards::{
        Shards,
        changes::Row,
        values::{conversation_of, schedule_of, team_of, ts_of, user_of},
    },
};

/// Rows that one statement reads while timers are looked for.
const TIMERS_A_PAGE: usize = 1_000;

impl Row for Scheduled {
    const TABLE: Table = Table {
        name: "scheduled",
        columns: &[
            int("team"),
            int("schedule"),
            int("due"),
            int("person"),
            int("conversation"),
            optional(int("root")),
            text("body"),
        ],
        key: 2,
        indexes: &[
            ("by_due", "due, team, schedule"),
            ("by_window", "team, conversation, due"),
            ("by_person", "team, person, due, schedule"),
        ],
        pruned: false,
    };
    type Key = (TeamId, ScheduleId);

    fn key_cells((team, schedule): Self::Key) -> Cells {
        vec![team.into(), schedule.into()]
    }

    fn values(&self) -> Cells {
        vec![self.due.into(), self.by.into(), self.conversation.into(), self.message.thread_ts.into(), Cell::json(self)]
    }
}

impl Folded for Scheduled {
    const SOURCE: Source = Source::Events;

    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>) {
        if let Some((schedule, scheduled)) = scheduled_by(event) {
            on.scheduled.set((team, schedule), Some(scheduled));
        } else if let Some(schedule) = unscheduled_by(event) {
            on.scheduled.set((team, schedule), None);
        }
    }
}

/// Reads scheduled messages by their ids.
pub(in crate::shards) async fn scheduled_at(
    tx: &mut Tx,
    team: TeamId,
    ids: impl Iterator<Item = ScheduleId>,
) -> Result<HashMap<ScheduleId, Scheduled>, DbError> {
    let rows = tx.select(&Scheduled::TABLE, ids.map(|id| Scheduled::key_cells((team, id))).collect()).await?;
    rows.iter().map(|row| Ok((schedule_of(&row[1])?, row[6].as_json()?))).collect()
}

/// Reads the ids of a window's scheduled messages.
pub(in crate::shards) async fn scheduled_in_window<T: FromIterator<ScheduleId>>(
    tx: &mut Tx,
    team: TeamId,
    (conversation, from): (ConversationId, Ts),
) -> Result<T, DbError> {
    let sql = "SELECT schedule FROM scheduled WHERE team = ? AND conversation = ? AND due >= ? AND due < ?";
    let to = Ts::from_micros(from.micros() + SCHEDULE_WINDOW_SECONDS * 1_000_000);
    let rows = tx.rows(sql, vec![team.into(), conversation.into(), from.into(), to.into()]).await?;
    rows.iter().map(|row| schedule_of(&row[0])).collect()
}

/// A page of somebody's scheduled messages, in the order in which they are due.
#[derive(Clone, Debug)]
pub struct ScheduledPage {
    /// The author.
    pub user: UserId,
    /// Only those of one conversation.
    pub conversation: Option<ConversationId>,
    /// None that is due before.
    pub oldest: Ts,
    /// None that is due after.
    pub latest: Ts,
    /// Only those after this one.
    pub after: Option<(Ts, ScheduleId)>,
    /// The maximum number to return.
    pub limit: usize,
}

struct PageQuery {
    team: TeamId,
    page: ScheduledPage,
}

#[async_trait]
impl Query for PageQuery {
    type Answer = Vec<(ScheduleId, Scheduled)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Answer, DbError> {
        let ScheduledPage { user, conversation, oldest, latest, after, limit } = &self.page;
        let mut sql =
            "SELECT schedule, body FROM scheduled WHERE team = ? AND person = ? AND due >= ? AND due <= ?".to_owned();
        let mut args: Cells = vec![self.team.into(), (*user).into(), (*oldest).into(), (*latest).into()];
        if let Some(conversation) = conversation {
            sql.push_str(" AND conversation = ?");
            args.push((*conversation).into());
        }
        if let Some((due, schedule)) = after {
            sql.push_str(" AND (due > ? OR (due = ? AND schedule > ?))");
            args.extend([(*due).into(), (*due).into(), (*schedule).into()]);
        }
        sql.push_str(&format!(" ORDER BY due, schedule LIMIT {limit}"));
        let rows = tx.rows(sql, args).await?;
        rows.iter().map(|row| Ok((schedule_of(&row[0])?, row[1].as_json()?))).collect()
    }
}

/// The next timers of a partition's teams. A shard has teams of several partitions: rows of the others are passed over.
struct TimersQuery {
    partition: u32,
    partitions: u32,
    until: Ts,
    limit: usize,
}

#[async_trait]
impl Query for TimersQuery {
    type Answer = Vec<Timer>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Timer>, DbError> {
        let sql = format!(
            "SELECT due, team, schedule, person, conversation, root FROM scheduled \
             WHERE due < ? AND (due > ? OR (due = ? AND (team > ? OR (team = ? AND schedule > ?)))) \
             ORDER BY due, team, schedule LIMIT {TIMERS_A_PAGE}"
        );
        let mut timers = Vec::new();
        let mut after: [Cell; 3] = [Cell::Int(i64::MIN), Cell::Int(0), Cell::Int(0)];
        loop {
            let [due, team, schedule] = after.clone();
            let args = vec![self.until.into(), due.clone(), due, team.clone(), team, schedule];
            let rows = tx.rows(sql.clone(), args).await?;
            for row in &rows {
                let key = TimerKey { due: ts_of(&row[0])?, team: team_of(&row[1])?, schedule: schedule_of(&row[2])? };
                if partition_of(key.team, self.partitions) != self.partition {
                    continue;
                }
                let root = row[5].present().map(ts_of).transpose()?;
                let timer = Timer { key, by: user_of(&row[3])?, conversation: conversation_of(&row[4])?, root };
                timers.push(timer);
                if timers.len() >= self.limit {
                    return Ok(timers);
                }
            }
            let Some(last) = rows.last().filter(|_| rows.len() == TIMERS_A_PAGE) else { return Ok(timers) };
            after = [last[0].clone(), last[1].clone(), last[2].clone()];
        }
    }
}

impl Shards {
    /// Reads a page of somebody's scheduled messages.
    ///
    /// # Errors
    /// If no replica of the shard answers, or a row cannot be read.
    pub async fn scheduled(
        &self,
        shard: &str,
        team: TeamId,
        page: &ScheduledPage,
    ) -> Result<At<Position, Vec<(ScheduleId, Scheduled)>>, SourceError> {
        self.ask(shard, team, Topic::Events, &PageQuery { team, page: page.clone() }).await
    }

    /// Reads the timers of a partition's teams that are due before `until`, in order, at most `limit`.
    pub(in crate::shards) async fn timers_before(
        &self,
        shard: &str,
        of: TopicPartition,
        until: Ts,
        limit: usize,
    ) -> Result<At<Position, Vec<Timer>>, SourceError> {
        let query = TimersQuery { partition: of.partition.0, partitions: self.partitions(), until, limit };
        self.replicas_of(shard)?.ask(of, &query).await
    }
}
