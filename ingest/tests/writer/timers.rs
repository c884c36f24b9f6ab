//! Scheduled messages over a faulty log: each is posted once, at its time or as soon as an owner is there again.

use teamlog_ingest::commands::{Archive, Schedule};

use super::*;

/// A clock that goes with the runtime's, which may be paused.
fn clock() -> Clock {
    let begun = Instant::now();
    let start = 1_700_000_000_000_000;
    Clock::new(move || {
        let passed = i64::try_from(begun.elapsed().as_micros()).unwrap();
        Ts::from_micros(start + passed)
    })
}

/// Schedules a message, whatever fails meanwhile.
async fn schedule(node: &Node, whose: (TeamId, UserId), conversation: ConversationId, due: Ts, text: &str) {
    let (team, ada) = whose;
    let until = Instant::now() + TRIES;
    while Instant::now() < until {
        let post = Post { conversation: Some(conversation), text: text.to_owned(), ..Post::default() };
        let ask = request(team, Some(ada), Some(text.to_owned()), Command::from(Schedule { due, post }));
        match node.ingest.submit_by_team(ask).await {
            Answer::Acked(_) => return,
            Answer::NotAccepted { .. } | Answer::Unknown => time_passes(Duration::from_millis(10)).await,
            other => panic!("{text}: {other:?}"),
        }
    }
    panic!("{text} is not scheduled");
}

async fn events_of(node: &Node, source: TopicPartition) -> Vec<Arc<Event>> {
    let entries = node.ingest.teams().feed().scan(source, Position::START).await.unwrap_or_default();
    entries.iter().filter_map(|entry| entry.event().cloned()).collect()
}

/// The texts of the scheduled messages that were posted, with their `ts`.
fn posted(events: &[Arc<Event>]) -> Vec<(String, Ts)> {
    let scheduled = |event: &Arc<Event>| match &**event {
        Event::MessagePosted(e) if e.schedule.is_some() => Some((e.message.text.plain.clone(), e.message.ts)),
        _ => None,
    };
    events.iter().filter_map(scheduled).collect()
}

/// Channels enough for so many messages within five minutes.
async fn channels(node: &Node, (team, ada): (TeamId, UserId), count: usize) -> Vec<ConversationId> {
    let mut channels = Vec::new();
    while channels.len() < count {
        let name = format!("channel{}", channels.len());
        let (kind, members) = (ConversationKind::PublicChannel, Vec::new());
        let create = CreateConversation { conversation: None, kind, name: Some(name.clone()), members, imported: None };
        match node.ingest.submit_by_team(request(team, Some(ada), Some(name), Command::from(create))).await {
            Answer::Acked(acked) => channels.extend(acked.event.conversation()),
            Answer::NotAccepted { .. } | Answer::Unknown => time_passes(Duration::from_millis(10)).await,
            other => panic!("{other:?}"),
        }
    }
    channels
}

const MESSAGES: usize = 120;

/// The owner is killed while they are due, and the log is faulty all the time.
async fn each_is_posted_once(seed: u64) {
    let log = FaultyLog::new(PARTITIONS, Faults::chaos(seed));
    let clock = clock();
    let mut node = Node::with_clock(&log, clock.clone());
    let (team, ada, _) = make_team(&node, "acme").await;
    let channels = channels(&node, (team, ada), MESSAGES / 20).await;
    let partition = node.ingest.directory().by_team(team).unwrap().partition;
    let source = TopicPartition::events(Partition(partition));
    let start = clock.now();
    let after = |seconds: f64| Ts::from_micros(start.micros() + (seconds * 1e6) as i64);
    // Far enough ahead for all to be there before the first is due.
    let due: Vec<Ts> = (0..MESSAGES).map(|number| after(600.0 + number as f64 * 0.05)).collect();
    for (number, due) in due.iter().enumerate() {
        schedule(&node, (team, ada), channels[number % channels.len()], *due, &number.to_string()).await;
    }
    assert!(clock.now() < due[0], "seed {seed}");
    // In the middle of them, and once more while the next owner is about to claim.
    for second in [602.0, 604.0, 604.1] {
        while clock.now() < after(second) {
            time_passes(Duration::from_millis(100)).await;
        }
        node.crash();
        node = Node::with_clock(&log, clock.clone());
    }
    until(async || posted(&events_of(&node, source).await).len() >= MESSAGES).await;
    // Time enough for what might come twice.
    time_passes(Duration::from_secs(30)).await;
    let posted = posted(&events_of(&node, source).await);
    let texts: HashSet<_> = posted.iter().map(|(text, _)| text.parse::<usize>().unwrap()).collect();
    assert_eq!((posted.len(), texts.len()), (MESSAGES, MESSAGES), "seed {seed}");
    for (text, ts) in &posted {
        let number: usize = text.parse().unwrap();
        assert!(*ts >= due[number], "seed {seed}: {number} came before its time");
    }
    node.end().await;
}

#[tokio::test(start_paused = true)]
async fn each_is_posted_once_and_not_early_whatever_crashes() {
    for seed in 0..4 {
        each_is_posted_once(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_log_posts_within_a_second_and_ends_what_cannot_be_posted() {
    let log = FaultyLog::plain(PARTITIONS);
    let clock = clock();
    let node = Node::with_clock(&log, clock.clone());
    let (team, ada, _) = make_team(&node, "acme").await;
    let channels = channels(&node, (team, ada), 40).await;
    let partition = node.ingest.directory().by_team(team).unwrap().partition;
    let source = TopicPartition::events(Partition(partition));
    let due = Ts::from_micros(clock.now().micros() + 3_600_000_000 * 2);
    // More than are posted at one time, all at once, and beyond what is held in memory at first.
    for number in 0..1_000 {
        schedule(&node, (team, ada), channels[number % channels.len()], due, &number.to_string()).await;
    }
    let archive = Command::from(Archive { conversation: channels[0] });
    let answer = node.ingest.submit_by_team(request(team, Some(ada), None, archive)).await;
    assert!(matches!(answer, Answer::Acked(_)), "{answer:?}");
    let ended = |events: &[Arc<Event>]| {
        events
            .iter()
            .filter(|event| matches!(&***event, Event::ScheduledMessageDeleted(e) if e.failed.is_some()))
            .count()
    };
    // By jumps: nothing happens until they are due.
    while clock.now() < due {
        assert_eq!(posted(&events_of(&node, source).await), []);
        time_passes(Duration::from_secs(1_000)).await;
    }
    until(async || {
        let events = events_of(&node, source).await;
        posted(&events).len() + ended(&events) >= 1_000
    })
    .await;
    let events = events_of(&node, source).await;
    // A fortieth of them was for the archived channel.
    assert_eq!((posted(&events).len(), ended(&events)), (975, 25));
    let late = posted(&events).into_iter().map(|(_, ts)| ts.micros() - due.micros()).max().unwrap();
    assert!((0..=1_000_000).contains(&late), "{late} microseconds late");
    node.end().await;
}
