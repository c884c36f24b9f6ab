//! Which process this is.

use teamlog_cluster::Role;

/// Which process this is.
pub(crate) enum Part {
    /// Every role, with a team to talk to if wanted.
    Serve {
        demo: bool,
    },
    Ingest,
    Gateway,
    /// Of these views; of all if none is named.
    Project {
        views: Vec<String>,
    },
    /// Of these consumers; of all if none is named.
    Work {
        kinds: Vec<String>,
    },
}

impl Part {
    pub(super) fn role(&self) -> Role {
        match self {
            Part::Serve { .. } => Role::Serve,
            Part::Ingest => Role::Ingest,
            Part::Gateway => Role::Gateway,
            Part::Project { .. } => Role::Project,
            Part::Work { .. } => Role::Work,
        }
    }
}
