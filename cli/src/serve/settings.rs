//! The inputs of a start before the log is opened, and the parts' settings, made from the configuration.

use std::sync::Arc;

use anyhow::bail;
use teamlog_cluster::{Clock, NodeParts, Role, Secrets};
use teamlog_gateway::{GatewayConfig, Rates, Rtm, RtmConfig};
use teamlog_ingest::IngestConfig;
use teamlog_live::TeamsConfig;
use teamlog_projectors::{Search, names};
use tracing::error;
use uuid::Uuid;

use super::{door::Door, part::Part, work::kinds};
use crate::{
    config::Config,
    parts::{DEFAULT_SHARD, DataDir, OpenLog, search},
};

pub(super) struct Start<'a> {
    pub(super) config: &'a Config,
    pub(super) data: &'a DataDir,
    pub(super) log: &'a OpenLog,
    pub(super) door: &'a Door,
    pub(super) part: &'a Part,
    pub(super) secrets: Arc<Secrets>,
    pub(super) node_id: Uuid,
    pub(super) clock: Clock,
}

impl Start<'_> {
    pub(super) fn role(&self) -> Role {
        self.part.role()
    }

    /// Where clients reach this process, if they do.
    pub(super) fn public_url(&self) -> Option<String> {
        let is_public = matches!(self.role(), Role::Serve | Role::Gateway);
        is_public.then(|| self.config.server.public_url.clone().unwrap_or_else(|| self.door.url.clone()))
    }

    /// Returns the description of this node that other nodes get.
    ///
    /// # Errors
    /// As [`Start::views`] and [`kinds`].
    pub(super) fn node_parts(&self) -> anyhow::Result<NodeParts> {
        Ok(NodeParts {
            log: self.log.shared(),
            node: self.node_id,
            role: self.role(),
            address: self.door.address.clone(),
            url: self.public_url(),
            views: self.views()?,
            kinds: kinds(self.part)?,
            clock: self.clock.clone(),
        })
    }

    /// The views that it builds.
    ///
    /// # Errors
    /// If the arguments name a view that does not exist.
    pub(super) fn views(&self) -> anyhow::Result<Vec<String>> {
        let mut all = vec![names::MAINS.to_owned()];
        let default = || vec![DEFAULT_SHARD.to_owned()];
        let names = self.config.shards.iter().map(|shard| shard.name.clone()).collect::<Vec<_>>();
        let names = if names.is_empty() { default() } else { names };
        all.extend(names.into_iter().map(|name| names::shard(&name)));
        all.push(names::SEARCH.to_owned());
        match self.part {
            Part::Serve { .. } => Ok(all),
            Part::Ingest | Part::Gateway | Part::Work { .. } => Ok(Vec::new()),
            Part::Project { views } if views.is_empty() => Ok(all),
            Part::Project { views } => match views.iter().find(|view| !all.contains(view)) {
                Some(unknown) => bail!("there is no view {unknown:?}; there are {}", all.join(", ")),
                None => Ok(views.clone()),
            },
        }
    }

    pub(super) fn rtm(&self) -> Arc<Rtm> {
        let (gateway, limits) = (&self.config.gateway, &self.config.limits);
        Rtm::new(RtmConfig {
            sessions_max: gateway.sessions_max,
            joining_team_max: gateway.joining_team_max,
            joining_max: gateway.joining_max,
            lazy_people: gateway.lazy_people,
            messages: limits.enabled.then_some((limits.messages_per_second, limits.messages_burst)),
            frames: RtmConfig::default().frames.filter(|_| limits.enabled),
            ..RtmConfig::default()
        })
    }

    pub(super) fn ingest_config(&self) -> IngestConfig {
        let sizes = &self.config.ingest;
        IngestConfig {
            team_max: sizes.team_max,
            partition_max: sizes.partition_max,
            teams: TeamsConfig { bytes_max: sizes.teams_bytes_max },
            ..IngestConfig::default()
        }
    }

    pub(super) fn gateway_config(&self) -> GatewayConfig {
        let (server, limits) = (&self.config.server, &self.config.limits);
        GatewayConfig {
            node: self.node_id,
            public_url: self.public_url().unwrap_or_default(),
            signup: server.signup,
            signup_key: server.signup_key.clone(),
            admin_key: Some(self.door.admin_key.clone()),
            rates: Rates {
                enabled: limits.enabled,
                calls_per_second: limits.calls_per_second,
                calls_burst: limits.calls_burst,
                ..Rates::default()
            },
            ..GatewayConfig::default()
        }
    }

    /// The index; none if it cannot be used, for nothing else depends on it.
    pub(super) fn search(&self) -> Option<Search> {
        let said = |why: &anyhow::Error| {
            let why = format!("{why:#}");
            error!(why, "search is off: build it anew (teamlog view rebuild search) and start again");
        };
        search(self.config, self.data).inspect_err(said).ok()
    }
}
