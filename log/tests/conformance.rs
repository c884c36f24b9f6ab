//! The engines that need no server against the conformance suite.
#![allow(clippy::unwrap_used)]

mod embedded {
    use std::sync::Arc;

    use async_trait::async_trait;
    use teamlog_log::testing::conformance::{PARTITIONS, QUEUE_RECORDS_MAX, Subject};
    use teamlog_log::{EmbeddedConfig, EmbeddedLog, Log};
    use tempfile::TempDir;

    struct Embedded {
        directory: TempDir,
        log: Arc<EmbeddedLog>,
    }

    async fn make() -> Option<Embedded> {
        let directory = tempfile::tempdir().unwrap();
        let log = open(&directory).await;
        Some(Embedded { directory, log })
    }

    async fn open(directory: &TempDir) -> Arc<EmbeddedLog> {
        let config = EmbeddedConfig {
            partitions: PARTITIONS,
            queue_records_max: QUEUE_RECORDS_MAX,
            ..EmbeddedConfig::default()
        };
        EmbeddedLog::open(&directory.path().join("log.sqlite"), config).await.unwrap()
    }

    #[async_trait]
    impl Subject for Embedded {
        fn log(&self) -> Arc<dyn Log> {
            Arc::clone(&self.log) as Arc<dyn Log>
        }

        async fn restart(&mut self) {
            self.log.close().await;
            self.log = open(&self.directory).await;
        }

        async fn replace(&mut self) {
            self.log.close().await;
            self.directory = tempfile::tempdir().unwrap();
            self.log = open(&self.directory).await;
        }
    }

    teamlog_log::conformance!(make);
}

mod faulty {
    use std::sync::Arc;

    use async_trait::async_trait;
    use teamlog_log::testing::conformance::{PARTITIONS, QUEUE_RECORDS_MAX, Subject};
    use teamlog_log::testing::{Faults, FaultyLog};
    use teamlog_log::{Log, Offset, Partition, TopicPartition};

    struct Plain(Arc<FaultyLog>);

    async fn plain() -> Option<Plain> {
        let faults = Faults { queue_records_max: QUEUE_RECORDS_MAX, ..Faults::none() };
        Some(Plain(FaultyLog::new(PARTITIONS, faults)))
    }

    #[async_trait]
    impl Subject for Plain {
        fn log(&self) -> Arc<dyn Log> {
            Arc::clone(&self.0) as Arc<dyn Log>
        }

        /// Does nothing: the engine has only its memory, so it lives on.
        async fn restart(&mut self) {}

        async fn replace(&mut self) {
            for partition in 0..PARTITIONS {
                self.0.cut(TopicPartition::events(Partition(partition)), Offset::ZERO);
            }
        }
    }

    teamlog_log::conformance!(plain);

    mod slow {
        use super::*;

        async fn slow() -> Option<Plain> {
            let faults = Faults { queue_records_max: QUEUE_RECORDS_MAX, ..Faults::slow(1) };
            Some(Plain(FaultyLog::new(PARTITIONS, faults)))
        }

        teamlog_log::conformance!(slow);
    }
}
