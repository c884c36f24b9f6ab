//! The names of the topics on the brokers.

use crate::Topic;

/// The names of the topics on the brokers.
pub(super) struct Names([String; Topic::ALL.len()]);

impl Names {
    pub(super) fn new(prefix: &str) -> Names {
        Names(Topic::ALL.map(|topic| format!("{prefix}{}", topic.name())))
    }

    pub(super) fn of(&self, topic: Topic) -> &str {
        let index = Topic::ALL.iter().position(|one| *one == topic).unwrap_or(0);
        &self.0[index]
    }

    pub(super) fn topic(&self, name: &str) -> Option<Topic> {
        self.0.iter().position(|one| one == name).map(|index| Topic::ALL[index])
    }
}
