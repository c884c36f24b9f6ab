//! A bot without a user comes.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{BotAdded, BotId, Text};
use teamlog_state::{FactsWanted, Team};

use super::{Act, NoEvent};
use crate::{
    Nothing, Refusal,
    beginnings::text,
    decide::Context,
    limits::{EXTRA_BYTES_MAX, REAL_NAME_CHARS_MAX},
};

/// Adds a bot without a user, by an import. For admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddBot {
    /// The id.
    pub bot: BotId,
    /// The name.
    pub name: String,
    /// A JSON object of what nothing here understands.
    pub extra: Option<String>,
}

impl Act for AddBot {
    type Made = BotAdded;
    type Otherwise = NoEvent;

    fn wants(&self, _: &Team) -> FactsWanted {
        FactsWanted::default()
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<BotAdded, NoEvent> {
        if !it.is_admin() {
            return Err(Refusal::NotAllowed.into());
        }
        if it.team.bot(self.bot).is_some() {
            return Err(Nothing::AlreadyImported.into());
        }
        if self.name.chars().count() > REAL_NAME_CHARS_MAX {
            return Err(Refusal::TooLong.into());
        }
        if self.extra.as_ref().is_some_and(|extra| extra.len() > EXTRA_BYTES_MAX) {
            return Err(Refusal::MsgTooLong.into());
        }
        let name = Text::from(self.name.as_str());
        Ok(BotAdded { meta: it.meta(), bot: self.bot, name, extra: text(&self.extra) })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        let bot = format!("B0FEED{}", scene.number % 9).parse().expect("an id");
        vec![AddBot { bot, name: "robot".to_owned(), extra: Some("{}".to_owned()) }]
    }
}
