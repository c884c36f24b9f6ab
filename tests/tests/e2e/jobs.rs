//! `teamlog jobs`: work that failed for good, through the real binary.

use bytes::Bytes;
use serde_json::{Value, json};
use teamlog_log::{
    Appended, EmbeddedConfig, EmbeddedLog, KafkaConfig, KafkaLog, Log, NewRecord, Partition, Stamp, Topic,
    TopicPartition,
};
use teamlog_schemas::{Event, Ts, WorkFailed};
use teamlog_tests::{Engine, Server};

/// Writes a dead letter as a consumer would that this program does not have, of the first event of a team.
async fn bury(server: &Server, event: &Value, number: i32) -> String {
    let name = format!("nothing/{}/{number}", event["meta"]["event_id"].as_str().unwrap());
    let partition = event["partition"].as_u64().unwrap() as u32;
    let failed = WorkFailed {
        consumer: "nothing".to_owned(),
        event_id: event["meta"]["event_id"].as_str().unwrap().parse().unwrap(),
        number,
        team: event["meta"]["team"].as_str().unwrap().parse().unwrap(),
        partition: partition as i32,
        offset: event["offset"].as_i64().unwrap(),
        tries: 10,
        why: "the server answers 503".to_owned(),
        at: Ts::from_micros(1_444_959_632_000_000),
        retried: false,
    };
    let record = NewRecord {
        key: Some(Bytes::from(name.clone())),
        value: Some(Event::from(failed).encode().unwrap()),
        stamp: Stamp::Absent,
        writer: None,
        traceparent: None,
    };
    let to = TopicPartition { topic: Topic::Dead, partition: Partition(partition) };
    let config = server.config();
    let appended = match config.get("log") {
        Some(log) if log["engine"].as_str() == Some("kafka") => {
            let brokers: Vec<_> = log["brokers"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
            let prefix = log["prefix"].as_str().unwrap().to_owned();
            let log = KafkaLog::connect(KafkaConfig { brokers: brokers.join(","), prefix, ..KafkaConfig::default() });
            log.unwrap().append(to, vec![record]).await
        }
        _ => {
            let file = server.data_dir().join("log.sqlite");
            let log = EmbeddedLog::open(&file, EmbeddedConfig::default()).await.unwrap();
            let appended = log.append(to, vec![record]).await;
            log.close().await;
            appended
        }
    };
    assert!(matches!(appended[..], [Appended::At(_)]), "{appended:?}");
    name
}

fn lines(said: &str) -> Vec<Value> {
    said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test]
async fn what_failed_for_good_is_listed_shown_retried_and_dropped() {
    for engine in Engine::all() {
        let mut server = Server::start(engine).await;
        server.team("acme").await;
        server.team("other").await;
        let (status, said) = server.run(&["jobs", "list", "--json"]).await;
        assert_eq!((status, lines(&said)), (0, vec![]), "{said}");
        let (status, said) = server.run(&["--json", "log", "cat", "--team", "acme"]).await;
        assert_eq!(status, 0, "{said}");
        let events = lines(&said);
        server.stop().await;
        let [first, second] = [bury(&server, &events[0], 0).await, bury(&server, &events[0], 1).await];
        server.restart().await;

        let (status, said) = server.run(&["jobs", "list", "--kind", "nothing", "--team", "acme", "--json"]).await;
        assert_eq!(status, 0, "{said}");
        let listed = lines(&said);
        assert_eq!(listed.len(), 2, "{said}");
        assert_eq!((&listed[0]["job"], &listed[0]["tries"]), (&json!(first), &json!(10)));
        for (flag, value) in [("--kind", "unfurl"), ("--team", "other")] {
            let (status, said) = server.run(&["jobs", "list", flag, value, "--json"]).await;
            assert_eq!((status, lines(&said)), (0, vec![]), "{said}");
        }

        let (status, said) = server.run(&["jobs", "show", &first, "--json"]).await;
        assert_eq!(status, 0, "{said}");
        let shown = &lines(&said)[0];
        assert_eq!((&shown["job"]["job"], &shown["event"]["meta"]), (&json!(first), &events[0]["meta"]));
        assert_eq!(shown["event"]["type"], "TeamCreated");

        // Nobody runs such a consumer: it waits for one.
        let (status, said) = server.run(&["jobs", "retry", &first]).await;
        assert_eq!(status, 0, "{said}");
        let (_, said) = server.run(&["jobs", "list", "--json"]).await;
        let retrying: Vec<_> = lines(&said).iter().map(|job| job["retrying"].clone()).collect();
        assert_eq!(retrying, [json!(true), json!(false)], "{said}");

        for (args, why) in [
            (&["jobs", "drop"][..], "name jobs"),
            (&["jobs", "retry", &first, "--all"], "name jobs"),
            (&["jobs", "drop", "nothing/x/0"], "job_not_found"),
            (&["jobs", "retry", "--team", "nobodys"], "team_not_found"),
        ] {
            let (status, said) = server.run(args).await;
            assert!(status == 2 && said.contains(why), "{args:?}: {status} {said}");
        }
        let (status, said) = server.run(&["jobs", "drop", "--team", "acme", "--json"]).await;
        let dropped: Vec<_> = lines(&said).iter().map(|job| job["job"].clone()).collect();
        assert_eq!((status, dropped), (0, vec![json!(first), json!(second)]), "{said}");
        server.restart().await;
        let (status, said) = server.run(&["jobs", "list", "--json"]).await;
        assert_eq!((status, lines(&said)), (0, vec![]), "{said}");

        let (status, said) = server.run(&["work", "no-such-kind"]).await;
        assert_eq!(status, 2, "{said}");
    }
}
