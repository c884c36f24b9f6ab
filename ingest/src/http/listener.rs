//! The listener of a role: what other nodes ask, behind the cluster's key, and what operators ask, without.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::KEY_HEADER;
use crate::Secrets;

/// Calls that one other node may have under way here; past it, its link waits.
const STREAMS_MAX: u32 = 4_096;
/// An event is at most 256 KB, a call of the Web API 2 MB.
const BODY_BYTES_MAX: usize = 4 << 20;
/// As the link's: who is paused or cut off is found out.
const PING_EVERY: Duration = Duration::from_millis(500);
const PING_TIMEOUT: Duration = Duration::from_millis(1_000);
/// How long calls under way may take at a stop.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// Before a connection is accepted again after a failure: out of file handles, mostly.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// What a role answers on its internal address.
pub struct Internal {
    router: Router,
}

impl Internal {
    /// These calls for nodes with one of these keys, and those for everybody.
    pub fn new(calls: Router, open: Router, secrets: Arc<Secrets>) -> Internal {
        let guarded = calls
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn_with_state(secrets, with_the_key));
        Internal { router: guarded.merge(open) }
    }

    /// Serves until `stop`, then lets calls under way end for some seconds.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT);
        let graceful = GracefulShutdown::new();
        loop {
            let stream = match stop.run_until_cancelled(listener.accept()).await {
                None => break,
                Some(Ok((stream, _))) => stream,
                Some(Err(why)) => {
                    warn!(%why, "a connection of another node cannot be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(self.router.clone());
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            // It ends with an error where the other node dies, which that one's heartbeats tell.
            tokio::spawn(async move {
                let _ = connection.await;
            });
        }
        drop(listener);
        let _ = tokio::time::timeout(STOP_WAIT, graceful.shutdown()).await;
    }
}

async fn with_the_key(State(secrets): State<Arc<Secrets>>, request: Request, next: Next) -> Response {
    let key = request.headers().get(KEY_HEADER).map(|key| key.as_bytes()).unwrap_or_default();
    if secrets.is_internal_key(key) {
        return next.run(request).await;
    }
    metrics::counter!("teamlog_internal_refused_total").increment(1);
    (StatusCode::UNAUTHORIZED, Json(json!({ "error": "wrong_cluster_key" }))).into_response()
}
