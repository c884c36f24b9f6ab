//! `/api/<method>`.

use std::{net::SocketAddr, panic::AssertUnwindSafe, time::Instant};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderMap, Response},
};
use futures::FutureExt;
use tracing::error;

use super::{
    answer, parse, pass_on,
    pass_on::{PassedOn, Raw},
};
use crate::{
    ApiError, Gateway, Reply, limits,
    methods::{self, Access, Call, ClientAddr, Method},
    rates::Who,
};

/// One call, to its response; a call that panics is answered too.
pub(super) async fn call(State(gateway): State<Gateway>, Path(name): Path<String>, request: Request) -> Response<Body> {
    let client = client(&request);
    answer(&gateway, &name, client, request, true).await
}

/// The same for a call that another gateway passed on: it is served here, whoever is the team's home by now.
pub(super) async fn passed_on(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    request: Request,
) -> Response<Body> {
    let client = pass_on::client(request.headers());
    pass_on::served(answer(&gateway, &name, client, request, false).await)
}

async fn answer(
    gateway: &Gateway,
    name: &str,
    client: ClientAddr,
    request: Request,
    may_pass_on: bool,
) -> Response<Body> {
    let began = Instant::now();
    let method = methods::find(name);
    let label = method.map_or("unknown", |method| method.name);
    let mut so_far = SoFar::default();
    let deadline = gateway.config().call_deadline;
    let work = AssertUnwindSafe(serve(gateway, method, client, request, may_pass_on, &mut so_far)).catch_unwind();
    let ended = tokio::time::timeout(deadline, work).await;
    let writes = method.is_some_and(Method::writes);
    // What a method that writes had set about, nobody knows.
    let broken_off = |error: ApiError| Err(if writes && so_far.begun { ApiError::outcome_unknown() } else { error });
    let outcome = match ended {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            error!(method = label, "a call panicked");
            broken_off(ApiError::internal())
        }
        Err(_) => broken_off(ApiError::timed_out()),
    };
    let outcome = match outcome {
        // What it ends with here is not true of the try elsewhere: that may yet be carried out, even where this was refused.
        Err(_) if writes && so_far.elsewhere => Err(ApiError::outcome_unknown()),
        outcome => outcome,
    };
    let result = match &outcome {
        Ok(Served::Here(_)) => "ok",
        Ok(Served::AtHome(_)) => "passed_on",
        Err(error) => match error.status() {
            200 => "refused",
            429 => "rate_limited",
            _ => "failed",
        },
    };
    metrics::counter!("teamlog_api_calls_total", "method" => label, "result" => result).increment(1);
    metrics::histogram!("teamlog_api_call_seconds", "method" => label).record(began.elapsed().as_secs_f64());
    let outcome = match outcome {
        Ok(Served::AtHome(response)) => return response,
        Ok(Served::Here(reply)) => Ok(reply),
        Err(error) => Err(error),
    };
    answer::respond(outcome, method.map(|method| method.scope), so_far.authed)
}

/// Where a call was served.
enum Served {
    Here(Reply),
    /// By another gateway, its team's home.
    AtHome(Response<Body>),
}

/// How far a call has come, for whatever it ends with.
#[derive(Default)]
struct SoFar {
    /// Its token is somebody's.
    authed: bool,
    /// The method itself runs here.
    begun: bool,
    /// It was passed on, and may be carried out there.
    elsewhere: bool,
}

async fn serve(
    gateway: &Gateway,
    method: Option<&'static Method>,
    client: ClientAddr,
    mut request: Request,
    may_pass_on: bool,
    so_far: &mut SoFar,
) -> Result<Served, ApiError> {
    let Some(method) = method else {
        gateway.rates().call(Who::Client(client.address))?;
        return Err(ApiError::refused("unknown_method"));
    };
    let homes = gateway.homes().filter(|_| may_pass_on);
    let mut raw = None;
    if homes.is_some() {
        let read = Raw::of(request).await?;
        request = read.request();
        raw = Some(read);
    }
    let parse::Parsed { args, token, key, traceparent } = parse::request(request).await?;
    let key = match key {
        Some(key) => Some(key),
        None => args.filled("client_msg_id")?.map(|id| id.into_owned()),
    };
    if key.as_ref().is_some_and(|key| key.len() > limits::KEY_BYTES_MAX) {
        return Err(ApiError::argument(format!("an idempotency key has at most {} bytes", limits::KEY_BYTES_MAX)));
    }
    let team = token.as_deref().and_then(teamlog_cluster::team_named_by);
    if let (Some(homes), Some(raw), Some(home)) = (homes, raw, team.and_then(|team| gateway.home_elsewhere(team))) {
        let time = gateway.config().call_deadline;
        so_far.elsewhere = true;
        match raw.pass_on(homes, &home, method, client, time).await {
            PassedOn::Answered(response) => return Ok(Served::AtHome(response)),
            PassedOn::NotSent => so_far.elsewhere = false,
            // A second time it would be another write.
            PassedOn::Lost if method.writes() && key.is_none() => return Err(ApiError::outcome_unknown()),
            PassedOn::Lost => {}
        }
    }
    let mut call = Call {
        gateway,
        method: method.name,
        args: &args,
        key,
        traceparent,
        client,
        caller: None,
        admin: false,
        after_a_loss: so_far.elsewhere,
    };
    match (method.access, token) {
        (Access::Anybody, token) => {
            gateway.rates().call(Who::Client(client.address))?;
            call.admin = token.is_some_and(|token| gateway.is_admin_key(&token));
        }
        (Access::User | Access::UserOrAdmin | Access::Admin, None) => return Err(ApiError::refused("not_authed")),
        (Access::UserOrAdmin | Access::Admin, Some(token)) if gateway.is_admin_key(&token) => call.admin = true,
        (Access::Admin, Some(_)) => return Err(ApiError::refused("invalid_auth")),
        (Access::User | Access::UserOrAdmin, Some(token)) => {
            let caller = gateway.caller_or(&token, || gateway.rates().call(Who::Client(client.address))).await?;
            so_far.authed = true;
            gateway.rates().call(Who::User(caller.team.id(), caller.user))?;
            call.caller = Some(caller);
        }
    }
    so_far.begun = true;
    (method.run)(&call).await.map(Served::Here)
}

fn client(request: &Request) -> ClientAddr {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = connection.map(|ConnectInfo(address)| address.ip().to_canonical());
    let is_local = address.is_some_and(|address| address.is_loopback()) && !was_passed_on(request.headers());
    ClientAddr { address, is_local }
}

/// A proxy on this machine speaks for others.
fn was_passed_on(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name))
}
