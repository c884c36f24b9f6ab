//! A shard's tables, one file each, and the registry that makes of them the schema and the fold of a batch.
//!
//! A file holds all there is to a table: its columns, its row, which rows an event needs read, what becomes of them, and the
//! questions that it answers alone (those over several tables are in `../questions/`). Keys lead with the team, then mostly
//! the conversation; ids are packed, times microseconds.
//!
//! A new table is a file and a line below. The rules of what an event means are those of `teamlog_state`, which the team in
//! memory follows too.

mod bots;
mod closed;
mod conversations;
mod credentials;
mod deletions;
mod marks;
mod members;
mod mentions;
mod messages;
mod passwords;
mod people;
mod scheduled;
mod teams;
mod threads;
mod tokens;
mod write_keys;

use std::sync::Arc;

use teamlog_log::Topic;
use teamlog_schemas::{Event, TeamId};

use super::changes::{Changes, FirstWins, Found, LastWins, Row};
use crate::db::{Cells, DbError, Schema, Table, Tx};

pub(super) use bots::bots_of;
pub(super) use closed::closed_of;
pub(super) use conversations::conversations_of;
pub(super) use marks::UserQuery;
pub(super) use members::members_of;
pub(super) use messages::{MESSAGES, MessageRow, messages_at, parse_message, reply_heads};
pub(super) use people::people_of;
pub use scheduled::ScheduledPage;
pub(super) use scheduled::{scheduled_at, scheduled_in_window};
pub(super) use teams::{begin, team_row};
pub(super) use threads::{threads_at, threads_between};
pub(super) use tokens::tokens_of;
pub(super) use write_keys::{digest, prune, writes_of};

/// The version of the rows' meaning and of their bodies' encoding, as far as the columns do not show it. Raise it when a
/// rebuild from an unchanged log would give other rows than before: a JSON body gains or loses a field, or a rule of
/// `teamlog_state` or of a table here changes. The test `golden` fails if that was forgotten.
const ROWS_VERSION: u32 = 1;

/// A table whose rows are changed by events.
trait Folded: Row {
    const SOURCE: Source;
    /// Applies one event of the table's source. Tables before this one in the registry are seen (and may be changed) as they
    /// are after the event; tables after it, as they were before the event.
    fn apply(on: &mut Tables, team: TeamId, event: &Arc<Event>);
}

/// The topic from which a table is built.
enum Source {
    /// The topic `events`, only of teams that began on this shard.
    Events,
    /// A compacted topic, and the function that applies a tombstone, given the record's key.
    Compacted(Topic, fn(&mut Tables, TeamId, &str)),
}

impl Source {
    fn topic(&self) -> Topic {
        match self {
            Source::Events => Topic::Events,
            Source::Compacted(topic, _) => *topic,
        }
    }
}

macro_rules! shard {
    ($($table:ident: $changes:ident<$row:ty>,)*) => {
        /// The tables of a shard, in the order in which they are folded, read and written.
        pub(crate) static SHARD: Schema =
            Schema { tables: &[$(<$row as Row>::TABLE),*], rows_version: ROWS_VERSION };

        /// The rows of one batch, by table.
        #[derive(Default)]
        pub(super) struct Tables {
            $(pub(super) $table: $changes<$row>,)*
        }

        impl Tables {
            /// Notes which rows an event of a topic needs to have been read.
            pub(super) fn want(&mut self, topic: Topic, team: TeamId, event: &Event) {
                $(if <$row>::SOURCE.topic() == topic {
                    self.$table.want(team, event);
                })*
            }

            /// Folds an event of a topic into each table that is made of it.
            pub(super) fn apply(&mut self, topic: Topic, team: TeamId, event: &Arc<Event>) {
                $(if <$row>::SOURCE.topic() == topic {
                    <$row>::apply(self, team, event);
                })*
            }

            /// Folds a tombstone of a compacted topic in: that of the record with this key, after the team.
            pub(super) fn tombstone(&mut self, topic: Topic, team: TeamId, key: &str) {
                $(if let Source::Compacted(of, erase) = <$row>::SOURCE && of == topic {
                    erase(self, team, key);
                })*
            }

            /// Reads all that is wanted.
            pub(super) async fn read(&mut self, tx: &mut Tx) -> Result<(), DbError> {
                $(self.$table.read(tx).await?;)*
                Ok(())
            }

            /// Writes all that changed.
            pub(super) async fn write(self, tx: &mut Tx) -> Result<(), DbError> {
                $(self.$table.write(tx).await?;)*
                Ok(())
            }
        }
    };
}

// The order matters where a table looks at another one: see `Folded::apply`.
shard! {
    teams: Found<teams::TeamRow>,
    people: Found<people::PersonRow>,
    conversations: Found<conversations::IndexedConversation>,
    members: LastWins<members::MemberRow>,
    closed: LastWins<closed::ClosedRow>,
    bots: LastWins<teamlog_state::Bot>,
    tokens: Found<teamlog_state::TokenState>,
    deletions: FirstWins<deletions::DeletionRow>,
    threads: Found<teamlog_schemas::Thread>,
    messages: Found<messages::MessageRow>,
    mentions: FirstWins<mentions::MentionRow>,
    marks: LastWins<marks::MarkRow>,
    passwords: LastWins<passwords::PasswordRow>,
    scheduled: LastWins<teamlog_state::Scheduled>,
    credentials: LastWins<credentials::CredentialRow>,
    write_keys: FirstWins<write_keys::WriteRow>,
}

/// All rows of a team in one table.
async fn all_of(tx: &mut Tx, table: &Table, team: TeamId, order: &str) -> Result<Vec<Cells>, DbError> {
    let sql = format!("SELECT {} FROM {} WHERE team = ? ORDER BY {order}", table.names(), table.name);
    tx.rows(sql, vec![team.into()]).await
}
