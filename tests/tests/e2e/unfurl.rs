//! Links of messages get their previews, from a page server of the test's own.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use teamlog_tests::{Api, Engine, Server, Socket, WAIT, python};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};

/// A server of pages whose answers can be changed, held back and counted.
struct Pages {
    url: String,
    answers: Arc<Mutex<HashMap<String, String>>>,
    requests: Arc<AtomicUsize>,
    /// A request for `/held` waits for this.
    release: Arc<Notify>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Pages {
    async fn serve() -> Pages {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answers, requests, release) = (Arc::<Mutex<HashMap<_, _>>>::default(), Arc::default(), Arc::default());
        let known: Arc<Mutex<HashMap<String, String>>> = Arc::clone(&answers);
        let counted: Arc<AtomicUsize> = Arc::clone(&requests);
        let held: Arc<Notify> = Arc::clone(&release);
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (known, held) = (known.clone(), held.clone());
                tokio::spawn(async move {
                    let mut head = vec![0; 4_096];
                    let length = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default();
                    if path.starts_with("/held") {
                        held.notified().await;
                    }
                    let answer = known.lock().unwrap().get(path).cloned();
                    let answer = answer.unwrap_or_else(|| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into());
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Pages { url, answers, requests, release, serving }
    }

    /// Puts a page there, and returns its URL.
    fn page(&self, path: &str, title: &str) -> String {
        let body = format!("<meta property=og:title content='{title}'><meta name=description content='about {title}'>");
        self.put(path, "text/html", &body)
    }

    /// A page that answers 500.
    fn broken(&self, path: &str) -> String {
        let answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
        self.answers.lock().unwrap().insert(path.to_owned(), answer.to_owned());
        format!("{}{path}", self.url)
    }

    fn put(&self, path: &str, content_type: &str, body: &str) -> String {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
        self.answers.lock().unwrap().insert(path.to_owned(), head + body);
        format!("{}{path}", self.url)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A server that lets private addresses in, its owner, one more person, their channel, and pages.
async fn house(engine: Engine, domain: &str) -> (Server, Api, Api, String, Pages) {
    let mut server = Server::prepare(engine, Default::default()).await;
    server.configure(|config| {
        config.insert("apps".into(), toml::Table::from_iter([("allow_private_urls".to_owned(), true.into())]).into());
    });
    server.restart().await;
    let (ada, _) = server.team(domain).await;
    let (bob, _) = server.person(&ada, "bob").await;
    let made = ada.good("conversations.create", json!({ "name": "here" })).await;
    let here = made["channel"]["id"].as_str().unwrap().to_owned();
    bob.good("conversations.join", json!({ "channel": here })).await;
    (server, ada, bob, here, Pages::serve().await)
}

/// The next change of a message.
async fn changed(socket: &mut Socket, ts: &str) -> Value {
    let what = format!("a change of {ts}");
    socket.until(&what, |frame| frame["subtype"] == "message_changed" && frame["message"]["ts"] == ts).await
}

fn titles(message: &Value) -> Vec<&str> {
    let attachments = message["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
    attachments.iter().map(|attachment| attachment["title"].as_str().unwrap_or_default()).collect()
}

/// Waits until so many links were settled this way.
async fn settled(server: &Server, outcome: &str, count: f64) {
    let name = format!("teamlog_unfurls_total{{outcome=\"{outcome}\"}}");
    let waiting = async {
        while server.metric(&name).await < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT, waiting).await.unwrap_or_else(|_| panic!("{count} links end as {outcome}"));
}

async fn message(api: &Api, channel: &str, ts: &str) -> Value {
    let history = api.history(channel).await;
    history.into_iter().find(|message| message["ts"] == ts).unwrap()
}

#[tokio::test]
async fn a_link_is_shown_and_its_author_removes_it_for_good() {
    for engine in Engine::all() {
        let (mut server, ada, bob, here, pages) = house(engine, "unfurl").await;
        let mut socket = bob.connect(json!({})).await;
        let (one, two) = (pages.page("/one", "First & <last>"), pages.page("/two", "Second"));
        let posted =
            ada.good("chat.postMessage", json!({ "channel": here, "text": format!("<{one}> {two}, <{one}>") })).await;
        let ts = posted["ts"].as_str().unwrap();
        // One change a link, in whatever order they come; what is shown stands in the links' order.
        changed(&mut socket, ts).await;
        let frame = changed(&mut socket, ts).await;
        let shown = &frame["message"];
        assert_eq!(titles(shown), ["First &amp; &lt;last&gt;", "Second"], "{engine:?}");
        assert_eq!(shown["attachments"][0]["text"], "about First &amp; &lt;last&gt;");
        assert_eq!((&frame["channel"], &frame["hidden"], &shown["edited"]), (&json!(here), &json!(true), &Value::Null));
        assert_eq!(shown["text"], posted["message"]["text"]);
        assert_eq!(titles(&message(&bob, &here, ts).await), titles(shown));
        let found = bob.good("search.messages", json!({ "query": "Second" })).await;
        assert_eq!(found["messages"]["matches"][0]["ts"], ts);

        // The author alone may remove one, by its number.
        let id =
            shown["attachments"].as_array().unwrap().iter().find(|one| one["title"] == "Second").unwrap()["id"].clone();
        let removal = json!({ "channel": here, "ts": ts, "attachment": id });
        bob.bad("chat.deleteAttachment", removal.clone(), "cant_update_message").await;
        ada.good("chat.deleteAttachment", removal.clone()).await;
        ada.bad("chat.deleteAttachment", removal, "attachment_not_found").await;
        ada.bad(
            "chat.deleteAttachment",
            json!({ "channel": here, "ts": "1.000002", "attachment": 1 }),
            "message_not_found",
        )
        .await;
        let frame = changed(&mut socket, ts).await;
        assert_eq!(titles(&frame["message"]), ["First &amp; &lt;last&gt;"]);
        assert_eq!((titles(&frame["previous_message"]).len(), &frame["message"]["edited"]), (2, &Value::Null));

        // An edit takes along what its text does not link to any more, and is an edit.
        let edited = ada.good("chat.update", json!({ "channel": here, "ts": ts, "text": format!("only {two}") })).await;
        assert_eq!(titles(&edited["message"]), [""; 0]);
        assert_ne!(edited["message"]["edited"], Value::Null);

        // Nothing comes back: not after a crash, and not with what is posted later.
        server.kill();
        server.restart().await;
        let (ada, bob) = (ada.at(server.url()), bob.at(server.url()));
        let mut socket = bob.connect(json!({})).await;
        let later = ada.say(&here, &format!("again {one}")).await;
        assert_eq!(titles(&changed(&mut socket, &later).await["message"]), ["First &amp; &lt;last&gt;"]);
        assert_eq!(titles(&message(&bob, &here, ts).await), [""; 0]);
        // All of them go by an edit too.
        let cleared = ada.good("chat.update", json!({ "channel": here, "ts": later, "attachments": "[]" })).await;
        assert_eq!(titles(&cleared["message"]), [""; 0]);
    }
}

#[tokio::test]
async fn flags_and_the_kind_of_author_say_what_is_shown() {
    let (server, ada, bob, here, pages) = house(Engine::Embedded, "flags").await;
    let made = ada
        .good("teamlog.users.create", json!({ "name": "robot", "is_bot": true, "email": "robot@example.com" }))
        .await;
    let robot = server.api().with_token(made["token"].as_str().unwrap());
    robot.good("conversations.join", json!({ "channel": here })).await;
    let mut socket = bob.connect(json!({})).await;
    let page = pages.page("/page", "Page");
    let image = pages.put("/image.png", "image/png", "png");
    let both = format!("{page} {image}");
    let shown = async |api: &Api, flags: Value| {
        let mut args = json!({ "channel": here, "text": both });
        args.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
        api.good("chat.postMessage", args).await["ts"].as_str().unwrap().to_owned()
    };
    let everything = shown(&ada, json!({})).await;
    let links = shown(&ada, json!({ "unfurl_media": false })).await;
    let media = shown(&ada, json!({ "unfurl_links": "false" })).await;
    let of_a_bot = shown(&robot, json!({})).await;
    let asked_for = shown(&robot, json!({ "unfurl_links": true, "unfurl_media": "0" })).await;
    settled(&server, "shown", 6.0).await;
    settled(&server, "not_wanted", 4.0).await;
    let neither = shown(&ada, json!({ "unfurl_links": false, "unfurl_media": false })).await;
    // A later message's link is shown, so the one before was passed over.
    let last = ada.say(&here, &page).await;
    changed(&mut socket, &last).await;
    let kinds = async |ts: &str| {
        let message = message(&bob, &here, ts).await;
        let attachments = message["attachments"].as_array().cloned().unwrap_or_default();
        (attachments.iter().any(|a| a["title"] == "Page"), attachments.iter().any(|a| a["image_url"] == image.as_str()))
    };
    assert_eq!(kinds(&everything).await, (true, true));
    assert_eq!(kinds(&links).await, (true, false));
    assert_eq!(kinds(&media).await, (false, true));
    assert_eq!(kinds(&of_a_bot).await, (false, true));
    assert_eq!(kinds(&asked_for).await, (true, false));
    assert_eq!(kinds(&neither).await, (false, false));
    // All of that fetched each page once.
    assert_eq!(pages.requests(), 2);
}

#[tokio::test]
async fn a_message_that_changed_meanwhile_decides() {
    let (server, ada, bob, here, pages) = house(Engine::Embedded, "meanwhile").await;
    let mut socket = bob.connect(json!({})).await;
    let links: Vec<_> = (0..4).map(|n| pages.page(&format!("/held{n}"), &format!("Held {n}"))).collect();
    let mut posted = Vec::new();
    for link in &links {
        posted.push(ada.say(&here, link).await);
    }
    while pages.requests() < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ada.good("chat.delete", json!({ "channel": here, "ts": posted[0] })).await;
    ada.good("chat.update", json!({ "channel": here, "ts": posted[1], "text": "no link" })).await;
    ada.good("chat.update", json!({ "channel": here, "ts": posted[2], "text": format!("still {}", links[2]) })).await;
    pages.release.notify_waiters();
    assert_eq!(titles(&changed(&mut socket, &posted[3]).await["message"]), ["Held 3"]);
    settled(&server, "too_late", 2.0).await;
    settled(&server, "shown", 2.0).await;
    let history = bob.history(&here).await;
    assert!(history.iter().all(|message| message["ts"] != posted[0].as_str()));
    assert_eq!(titles(&message(&bob, &here, &posted[1]).await), [""; 0]);
    let kept = message(&bob, &here, &posted[2]).await;
    assert_eq!((titles(&kept), kept["text"].as_str()), (vec!["Held 2"], Some(format!("still {}", links[2]).as_str())));
    assert_ne!(kept["edited"], Value::Null);
}

#[tokio::test]
async fn nothing_internal_is_fetched_unless_it_is_allowed() {
    let server = Server::start(Engine::Embedded).await;
    let (ada, _) = server.team("closed").await;
    let made = ada.good("conversations.create", json!({ "name": "here" })).await;
    let here = made["channel"]["id"].as_str().unwrap();
    let pages = Pages::serve().await;
    let page = pages.page("/secret", "secret");
    let port = page.split([':', '/']).nth(4).unwrap();
    let spellings = ["localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"];
    let links: Vec<_> = spellings.iter().map(|host| format!("<http://{host}:{port}/secret>")).collect();
    let ts = ada.say(here, &format!("{page} {}", links.join(" "))).await;
    // The server's own address too.
    let own = ada.say(here, &format!("<{}/healthz> <http://169.254.169.254/latest/meta-data/>", server.url())).await;
    // Three spellings are one url to whoever reads it right; the mapped one and the name are others.
    settled(&server, "nothing", 5.0).await;
    assert_eq!(pages.requests(), 0);
    for ts in [ts, own] {
        assert_eq!(message(&ada, here, &ts).await.get("attachments"), None);
    }
}

#[tokio::test]
async fn a_page_that_answers_500_is_tried_again_and_then_a_dead_letter_that_can_be_replayed() {
    for engine in Engine::all() {
        let (mut server, ada, bob, here, pages) = house(engine, "dead").await;
        server.stop().await;
        server.configure(|config| {
            config.insert("unfurl".into(), toml::Table::from_iter([("tries_max".to_owned(), 2.into())]).into());
        });
        server.restart().await;
        let (ada, bob) = (ada.at(server.url()), bob.at(server.url()));
        let url = pages.broken("/page");
        let ts = ada.say(&here, &url).await;
        let listed = async {
            loop {
                let (status, said) =
                    server.run(&["jobs", "list", "--kind", "unfurl", "--team", "dead", "--json"]).await;
                assert_eq!(status, 0, "{said}");
                let mut jobs = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                if let Some(job) = jobs.next() {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let job = tokio::time::timeout(WAIT, listed).await.expect("a dead letter");
        assert_eq!((&job["tries"], &job["why"]), (&json!(2), &json!("status 500")), "{engine:?}: {job}");
        assert_eq!((pages.requests(), message(&bob, &here, &ts).await.get("attachments")), (2, None));
        // The page is put right, and the work done after a crash all the same.
        pages.page("/page", "At last");
        server.kill();
        server.restart().await;
        let mut socket = bob.at(server.url()).connect(json!({})).await;
        let (status, said) = server.run(&["jobs", "retry", job["job"].as_str().unwrap(), "--json"]).await;
        assert_eq!(status, 0, "{said}");
        assert_eq!(titles(&changed(&mut socket, &ts).await["message"]), ["At last"]);
        let gone = async {
            while !server.run(&["jobs", "list", "--json"]).await.1.trim().is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(WAIT, gone).await.expect("no dead letter is left");
    }
}

#[tokio::test]
async fn the_python_sdk_sees_what_is_shown_of_a_link() {
    let Some(python) = python() else {
        eprintln!("left out: TEAMLOG_TEST_VENV does not say where the SDK is");
        return;
    };
    for engine in Engine::all() {
        let (server, ada, _, here, pages) = house(engine, "sdk-unfurl").await;
        let page = pages.page("/page", "A page");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/sdk_unfurl.py");
        let mut running = tokio::process::Command::new(&python)
            .arg(script)
            .args([server.url(), ada.token(), &here, &page, "A page"])
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let status = tokio::time::timeout(WAIT, running.wait()).await.expect("Python ends").unwrap();
        assert!(status.success(), "{engine:?}: Python ended with {status}");
    }
}
