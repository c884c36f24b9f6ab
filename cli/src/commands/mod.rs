//! Commands beside `serve`, one file a group.

mod bench;
mod import;
mod jobs;
mod log;
mod log_verify;
mod people;
mod seed;
mod view;
mod view_status;

pub(crate) use bench::BenchCommand;
pub(crate) use import::ImportCommand;
pub(crate) use jobs::JobsCommand;
pub(crate) use log::LogCommand;
pub(crate) use people::{TeamCommand, UserCommand};
pub(crate) use seed::Seed;
pub(crate) use view::ViewCommand;

use teamlog_bench::BenchError;
use teamlog_log::{FeedError, LogError};
use teamlog_projectors::{DbError, ProjectError, SearchError, VerifyError};

use crate::client::{Away, OutcomeUnknown};

/// How a command ended, beside an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// A check found a difference.
    Differs,
    /// A part did not answer; what the others say was printed.
    Away,
}

/// Returns the exit status of an error: 3 if a part is unavailable, else 2.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    if error.chain().any(is_away) { 3 } else { 2 }
}

/// Transparent errors hide their inner one from the chain, so each is looked into.
fn is_away(cause: &(dyn std::error::Error + 'static)) -> bool {
    let log = |why: &LogError| matches!(why, LogError::Unavailable(_));
    let feed = |why: &FeedError| matches!(why, FeedError::Log(why) if log(why));
    let db = |why: &DbError| matches!(why, DbError::Away { .. } | DbError::Contended { .. });
    let project = |why: &ProjectError| matches!(why, ProjectError::Db(why) if db(why));
    cause.is::<Away>()
        || cause.is::<OutcomeUnknown>()
        || cause.downcast_ref().is_some_and(BenchError::is_away)
        || cause.downcast_ref().is_some_and(log)
        || cause.downcast_ref().is_some_and(feed)
        || cause.downcast_ref().is_some_and(db)
        || cause.downcast_ref().is_some_and(project)
        || cause.downcast_ref().is_some_and(|why: &VerifyError| match why {
            VerifyError::Project(why) => project(why),
            VerifyError::Feed(why) => feed(why),
            VerifyError::Stalled { .. } => true,
            VerifyError::Search(SearchError::Feed(why)) => feed(why),
            VerifyError::Search(
                SearchError::Index { .. } | SearchError::OtherSchema(_) | SearchError::Overtaken(_),
            )
            | VerifyError::Undecodable { .. }
            | VerifyError::NotBuilt { .. }
            | VerifyError::Scratch(_) => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_away_is_told_from_everything_else() {
        let away = || LogError::Unavailable("no broker".to_owned());
        let db = || DbError::Away { replica: "dc1".to_owned(), why: "refused".to_owned() };
        for error in [
            anyhow::Error::new(away()).context("the log"),
            FeedError::Log(away()).into(),
            db().into(),
            VerifyError::Project(ProjectError::Db(db())).into(),
            VerifyError::Feed(FeedError::Log(away())).into(),
            Away("no server".to_owned()).into(),
            BenchError::Away { at: "http://127.0.0.1:1".to_owned(), why: "refused".to_owned() }.into(),
            BenchError::from(away()).into(),
        ] {
            assert_eq!(status(&error), 3, "{error:#}");
        }
        for error in [anyhow::anyhow!("a typing error"), LogError::Fatal("broken".to_owned()).into()] {
            assert_eq!(status(&error), 2, "{error:#}");
        }
    }
}
