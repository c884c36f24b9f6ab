//! The directory's rows.

use teamlog_log::{Position, TopicPartition};
use teamlog_projectors::{Batch, Mains};
use teamlog_schemas::*;
use teamlog_state::Directory;
use uuid::Uuid;

use crate::{
    events::{ada, meta, person, ts},
    house::on_each,
};

pub(crate) fn registered(domain: &str, team: &str) -> Event {
    let meta = Meta { team: team.parse().unwrap(), ..meta(ada(), 1) };
    TeamRegistered {
        meta,
        domain: domain.into(),
        name: domain.to_uppercase(),
        partition: 1,
        shard: "s1".into(),
        owner: person(ada(), "ada"),
        channels: vec![],
        token: None,
        credential_id: None,
    }
    .into()
}

pub(crate) fn founded(id: u128) -> Event {
    let cluster_id = Uuid::from_u128(id);
    ClusterFounded { event_id: Uuid::nil(), at: ts(0), cluster_id, key_check: "00".into(), partitions: 16 }.into()
}

#[tokio::test]
async fn a_domain_belongs_to_whom_it_was_first_given() {
    on_each(|house, url| async move {
        let events = [
            founded(1),
            registered("acme", "T0ACME"),
            registered("zeta", "T0ZETA"),
            registered("acme", "T0LATE"),
            founded(2),
        ];
        house.append(TopicPartition::DIRECTORY, &events).await;
        let mains = Mains::new(&[url]).unwrap();
        assert!(mains.load().await.unwrap().rows.entries.is_empty());
        let entries = house.entries(TopicPartition::DIRECTORY).await;
        let mut expected = Directory::default();
        for entry in &entries {
            if let Some(event) = entry.event() {
                expected.apply(event, entry.offset.0);
            }
        }
        for (from, piece) in [(Position::START, &entries[..3]), (entries[2].after, &entries[3..])] {
            let mut batch = Batch::default();
            batch.extend(TopicPartition::DIRECTORY, from, piece.to_vec());
            mains.projectors()[0].apply(&batch).await.unwrap();
        }
        let at = mains.load().await.unwrap();
        assert_eq!(at.position, entries.last().unwrap().after);
        let found = Directory::from_rows(at.rows);
        assert_eq!(found.entries().count(), 2);
        for entry in expected.entries() {
            assert_eq!(found.by_domain(&entry.domain), Some(entry));
        }
        assert_eq!(found.cluster(), expected.cluster());
        assert_eq!(found.by_domain("acme").unwrap().team.to_string(), "T0ACME");
    })
    .await;
}
