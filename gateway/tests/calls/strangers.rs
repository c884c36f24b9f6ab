//! Calls with tokens of nobody.

use std::sync::atomic::Ordering;

use axum::{body::Body, http::Request};
use teamlog_gateway::{GatewayConfig, Rates};

use crate::house::*;

#[tokio::test]
async fn who_comes_with_tokens_of_nobody_pays_before_the_log_is_asked_about_them() {
    let rates = Rates { calls_per_second: 1, calls_burst: 10, ..Rates::default() };
    let house = House::with(Shard::StandsStill, GatewayConfig { rates, ..GatewayConfig::default() }).await;
    let Team { ada, .. } = Team::new(&house).await;
    let forged = ada.replace(&ada[ada.len() - 8..], "00000000");
    let of_no_team = forged.replacen(&team_of(&ada), "T999999999", 1);
    for (token, peer) in [(forged, "192.0.2.1:9"), (of_no_team, "192.0.2.2:9"), ("xoxp-x".to_owned(), "192.0.2.3:9")] {
        let (before, mut heard) = (house.ends.load(Ordering::Relaxed), 0);
        for _ in 0..40 {
            let built = Request::get("/api/auth.test").header("authorization", format!("Bearer {token}"));
            let answer = house.send_from(peer, built.body(Body::empty()).unwrap()).await;
            match answer.status().as_u16() {
                429 => {}
                _ => {
                    heard += 1;
                    assert_eq!(body(answer).await["error"], "invalid_auth");
                }
            }
        }
        assert!((10..40).contains(&heard), "{heard} of 40 were heard");
        let asked = house.ends.load(Ordering::Relaxed) - before;
        assert!(asked <= heard, "{token}: {asked} questions for {heard} calls");
    }
    let built = Request::get("/api/auth.test").header("authorization", format!("Bearer {ada}"));
    let answer = house.send_from("192.0.2.1:9", built.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), 200, "who has a good token pays with that");
}

/// The team that a token names.
fn team_of(token: &str) -> String {
    teamlog_cluster::team_named_by(token).unwrap().to_string()
}
