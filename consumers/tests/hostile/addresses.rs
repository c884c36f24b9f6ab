//! Nothing internal is reached: by no spelling, no name, no redirect, no name that changes.

use std::sync::Arc;

use teamlog_consumers::egress::{Egress, EgressConfig, EgressError};
use url::Url;

use crate::site::{Names, PUBLIC, Site, get, guarded, ok, open, quick, redirect_to, with_config};

fn assert_refused<T: std::fmt::Debug>(result: Result<T, EgressError>, what: &str) {
    match result {
        Err(EgressError::RefusedAddress(_) | EgressError::RefusedUrl(_)) => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn no_spelling_of_a_local_address_is_connected_to() {
    let local = Site::fixed("127.0.0.1", ok("text/plain", "secret")).await;
    let local_v6 = Site::fixed("::1", ok("text/plain", "secret")).await;
    // The real resolver and the real judgement.
    let egress = Egress::new(quick());
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.01",
        "127.1",
        "127.0.0.1.",
        "127.8.8.8",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[::127.0.0.1]",
        "0.0.0.0",
        "0",
        "[::]",
        "①27.0.0.1",
    ] {
        assert_refused(get(&egress, &local.url_as(host, "/")).await, host);
    }
    for host in ["[::1]", "[0:0:0:0:0:0:0:1]", "localhost"] {
        assert_refused(get(&egress, &local_v6.url_as(host, "/")).await, host);
    }
    assert_eq!((local.connections(), local_v6.connections()), (0, 0));

    // The switch lets them in.
    let egress = Egress::new(EgressConfig { allow_private_urls: true, ..quick() });
    for url in [local.url("/"), local.url_as("localhost", "/"), local.url_as("0x7f.1", "/"), local_v6.url("/")] {
        assert_eq!(&get(&egress, &url).await.unwrap().body[..], b"secret", "{url}");
    }
    // But not to what is never a server of a closed network.
    for url in
        ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://224.0.0.1/", "http://0.0.0.0/"]
    {
        assert_refused(get(&egress, &Url::parse(url).unwrap()).await, url);
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_one_bad_address_spoils_it() {
    let public = Site::fixed(PUBLIC, ok("text/plain", "public")).await;
    let local = Site::fixed("127.0.0.1", ok("text/plain", "secret")).await;
    let names = Arc::new(
        Names::default()
            .with("public.example", &[&[PUBLIC]])
            .with("inside.example", &[&["127.0.0.1"]])
            .with("mapped.example", &[&["::ffff:127.0.0.1"]])
            .with("both.example", &[&[PUBLIC, "127.0.0.1"]])
            .with("also.example", &[&[PUBLIC, "10.0.0.1"]])
            .with("metadata.example", &[&["169.254.169.254"]])
            .with("unroutable.example", &[&["240.0.0.1", PUBLIC]]),
    );
    let egress = guarded(names.clone());
    assert_eq!(&get(&egress, &public.url_as("public.example", "/")).await.unwrap().body[..], b"public");
    assert_eq!(names.lookups("public.example"), 1);
    assert!(public.requests()[0].contains(&format!("\r\nhost: public.example:{}\r\n", public.address.port())));
    for name in ["inside", "mapped", "both", "also", "metadata", "unroutable"] {
        assert_refused(get(&egress, &local.url_as(&format!("{name}.example"), "/")).await, name);
    }
    assert_eq!(get(&egress, &local.url_as("nowhere.example", "/")).await.unwrap_err(), EgressError::NoSuchHost);
    assert_eq!((local.connections(), public.connections()), (0, 1));
}

#[tokio::test]
async fn a_name_that_changes_gains_nothing() {
    let local = Site::fixed("127.0.0.1", ok("text/plain", "secret")).await;
    let names = Arc::new(Names::default().with("rebind.example", &[&[PUBLIC], &["127.0.0.1"]]));
    let port = local.address.port();
    // On the other address, the same port: what is checked and what is connected to would differ by the name's answer alone.
    let public = tokio::net::TcpListener::bind((PUBLIC, port)).await.unwrap();
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = public.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = redirect_to("http://rebind.example:PORT/second").replace("PORT", &port.to_string());
        let _ = stream.write_all(answer.as_bytes()).await;
    });
    let egress = guarded(names.clone());
    // The first answer is used for the first request only, and the second one is checked again.
    assert_refused(get(&egress, &local.url_as("rebind.example", "/first")).await, "the redirect to itself");
    serving.await.unwrap();
    assert_eq!((names.lookups("rebind.example"), local.connections()), (2, 0));
}

#[tokio::test]
async fn every_redirect_is_checked_like_the_first_url() {
    let local = Site::fixed("127.0.0.1", ok("text/plain", "secret")).await;
    let port = local.address.port();
    let names =
        Arc::new(Names::default().with("inside.example", &[&["127.0.0.1"]]).with("private.example", &[&["10.1.2.3"]]));
    let egress = guarded(names);
    for location in [
        format!("http://127.0.0.1:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://inside.example:{port}/"),
        format!("http://private.example:{port}/"),
        format!("http://user:pw@{PUBLIC}:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://{PUBLIC}:22/"),
        "http://169.254.169.254/latest/meta-data/iam".into(),
        "http://[fe80::1]/".into(),
        "http://10.0.0.1/".into(),
        "file:///etc/passwd".into(),
        "gopher://127.0.0.1:70/_x".into(),
        "ftp://127.0.0.1/".into(),
        "data:text/html,<title>x</title>".into(),
        "javascript:alert(1)".into(),
        "http://".into(),
        "http://[bad".into(),
    ] {
        let site = Site::fixed(PUBLIC, redirect_to(&location)).await;
        assert_refused(get(&egress, &site.url("/")).await, &location);
        assert_eq!(site.connections(), 1, "{location}");
    }
    assert_eq!(local.connections(), 0);
}

#[tokio::test]
async fn redirects_are_followed_as_often_as_is_allowed_and_carry_nothing() {
    let site = Site::serve(PUBLIC, |path, mut stream| async move {
        use tokio::io::AsyncWriteExt;
        let left: usize = path.trim_start_matches("/left/").parse().unwrap_or(0);
        let answer = if left > 0 { redirect_to(&format!("{}#fragment", left - 1)) } else { ok("text/plain", "there") };
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let egress = guarded(Arc::default());
    let fetched = get(&egress, &site.url("/left/5")).await.unwrap();
    assert_eq!((&fetched.body[..], fetched.head.url.path()), (b"there".as_slice(), "/left/0"));
    for request in site.requests() {
        let request = request.to_ascii_lowercase();
        assert!(request.starts_with("get /left/") && request.contains("\r\nuser-agent: teamlog-bot/"), "{request}");
        for header in ["\r\ncookie:", "\r\nreferer:", "\r\nauthorization:", "\r\nforwarded:", "\r\nx-", "#fragment"] {
            assert!(!request.contains(header), "{request}");
        }
    }
    assert_eq!(get(&egress, &site.url("/left/6")).await.unwrap_err(), EgressError::TooManyRedirects);

    let round = Site::fixed(PUBLIC, redirect_to("/again")).await;
    assert_eq!(get(&egress, &round.url("/")).await.unwrap_err(), EgressError::TooManyRedirects);
    assert_eq!(round.connections(), 6);
    // A redirect that leads nowhere is a status.
    let nowhere = Site::fixed(PUBLIC, "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(
        get(&egress, &nowhere.url("/")).await.unwrap_err(),
        EgressError::Status { status: 301, retry_after: None }
    );
}

#[tokio::test]
async fn a_public_address_of_this_machine_is_not_a_way_in() {
    let local = Site::fixed("127.0.0.1", ok("text/plain", "secret")).await;
    let surroundings = teamlog_consumers::egress::Surroundings {
        resolver: Arc::new(Names::default()),
        roots: Vec::new(),
        reach: |_| teamlog_consumers::egress::Reach::Public,
    };
    let egress = Egress::within(surroundings, quick());
    assert_refused(get(&egress, &local.url("/")).await, "an own address");
    assert!(local.requests().is_empty());
}

#[tokio::test]
async fn turns_at_a_host_are_bounded_and_others_do_not_wait() {
    let hanging = Site::silent("127.0.0.1").await;
    let other = Site::fixed("127.0.0.2", ok("text/plain", "other")).await;
    let config = EgressConfig { allow_private_urls: true, per_host_max: 2, in_flight_max: 4, ..quick() };
    let egress = with_config(Arc::default(), config);
    let many: Vec<_> = (0..20)
        .map(|_| {
            let (egress, url) = (egress.clone(), hanging.url("/"));
            tokio::spawn(async move { get(&egress, &url).await.unwrap_err() })
        })
        .collect();
    while hanging.connections() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert_eq!(&get(&egress, &other.url("/")).await.unwrap().body[..], b"other");
    }
    let mut outcomes = Vec::new();
    for one in many {
        outcomes.push(one.await.unwrap());
    }
    let busy = outcomes.iter().filter(|error| **error == EgressError::Busy).count();
    let late = outcomes.iter().filter(|error| **error == EgressError::TimedOut).count();
    assert_eq!((busy, late, hanging.connections()), (18, 2, 2));
}

#[tokio::test]
async fn many_names_of_one_address_share_its_turns() {
    let hanging = Site::silent(PUBLIC).await;
    let mut names = Names::default();
    for n in 0..10 {
        names = names.with(&format!("n{n}.example"), &[&[PUBLIC]]);
    }
    let egress = with_config(Arc::new(names), EgressConfig { per_address_max: 3, ..quick() });
    let many: Vec<_> = (0..10)
        .map(|n| {
            let (egress, url) = (egress.clone(), hanging.url_as(&format!("n{n}.example"), "/"));
            tokio::spawn(async move { get(&egress, &url).await.unwrap_err() })
        })
        .collect();
    for one in many {
        assert!(matches!(one.await.unwrap(), EgressError::Busy | EgressError::TimedOut));
    }
    assert_eq!(hanging.connections(), 3);
}

#[tokio::test]
async fn the_switch_is_off_by_default() {
    assert!(!EgressConfig::default().allow_private_urls);
    let local = Site::fixed("127.0.0.1", ok("text/plain", "local")).await;
    assert!(get(&open(), &local.url("/")).await.is_ok());
    assert!(open().admits(&local.url("/")) && !guarded(Arc::default()).admits(&local.url("/")));
}
