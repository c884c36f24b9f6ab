//! `/api/<method>`.

use std::{net::SocketAddr, panic::AssertUnwindSafe, pin::pin, time::Instant};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderMap, Response},
};
use futures::FutureExt;
use tracing::error;

use super::{
    answer,
    parse::{self, Parsed},
    pass_on,
    pass_on::{PassedOn, Raw},
};
use crate::{
    ApiError, Caller, Gateway, Reply,
    auth::Token,
    methods::{self, Access, Call, ClientAddr, Method},
    rates::Who,
};

/// Answers a call that a client sent.
pub(super) async fn call(State(gateway): State<Gateway>, Path(name): Path<String>, request: Request) -> Response<Body> {
    let client = client(&request);
    answer(&gateway, &name, client, request, true).await
}

/// Answers a call that another gateway forwarded. It is served here, even if the team's home has moved since.
pub(super) async fn passed_on(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    request: Request,
) -> Response<Body> {
    let client = pass_on::client(request.headers());
    pass_on::served(answer(&gateway, &name, client, request, false).await)
}

/// Answers a call within its deadline, and counts it. A call that panics is answered too.
async fn answer(
    gateway: &Gateway,
    name: &str,
    client: ClientAddr,
    request: Request,
    may_pass_on: bool,
) -> Response<Body> {
    let began = Instant::now();
    let Some(method) = methods::find(name) else {
        let why = gateway.rates().call(Who::Client(client.address)).err();
        let outcome = Err(why.unwrap_or(ApiError::refused("unknown_method")));
        count("unknown", &outcome, began);
        return respond(outcome, None, false);
    };
    let mut so_far = SoFar::default();
    // Pinned, for it is large: the wrappers around it move a pointer.
    let ended = {
        let work = pin!(serve(gateway, method, client, request, may_pass_on, &mut so_far));
        tokio::time::timeout(gateway.config().call_deadline, AssertUnwindSafe(work).catch_unwind()).await
    };
    let outcome = match ended {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            error!(method = method.name, "a call panicked");
            Err(so_far.broken_off(method, ApiError::internal()))
        }
        Err(_) => Err(so_far.broken_off(method, ApiError::timed_out())),
    };
    let outcome = outcome.map_err(|why| so_far.true_of_both(method, why));
    if let Err(why) = &outcome
        && !why.is_echoed()
        && !method.may_refuse_with(why.code())
    {
        error!(method = method.name, code = why.code(), "a method refused with a code that its row does not declare");
    }
    count(method.name, &outcome, began);
    respond(outcome, Some(method.scope), so_far.authed)
}

fn respond(outcome: Result<Served, ApiError>, scope: Option<&'static str>, authed: bool) -> Response<Body> {
    match outcome {
        Ok(Served::AtHome(response)) => response,
        Ok(Served::Here(reply)) => answer::respond(Ok(reply), scope, authed),
        Err(why) => answer::respond(Err(why), scope, authed),
    }
}

fn count(method: &'static str, outcome: &Result<Served, ApiError>, began: Instant) {
    let result = match outcome {
        Ok(Served::Here(_)) => "ok",
        Ok(Served::AtHome(_)) => "passed_on",
        Err(why) => match why.status() {
            200 => "refused",
            429 => "rate_limited",
            _ => "failed",
        },
    };
    metrics::counter!("teamlog_api_calls_total", "method" => method, "result" => result).increment(1);
    metrics::histogram!("teamlog_api_call_seconds", "method" => method).record(began.elapsed().as_secs_f64());
}

/// The place where a call was served.
enum Served {
    Here(Reply),
    /// Another gateway, the team's home.
    AtHome(Response<Body>),
}

/// The steps that a call has taken: they decide what its end may be called.
#[derive(Default)]
struct SoFar {
    /// Its token is a user's.
    authed: bool,
    /// Its method runs here.
    begun: bool,
    /// True if the call was forwarded. It may execute on the other gateway.
    elsewhere: bool,
}

impl SoFar {
    /// Returns the error of a call that did not finish: `why`, or `outcome_unknown` if it may have written.
    fn broken_off(&self, method: &Method, why: ApiError) -> ApiError {
        if method.writes() && self.begun { ApiError::outcome_unknown() } else { why }
    }

    /// Returns the error of a call that ended here with `why`. If the call was forwarded and the reply was lost, it may
    /// still execute there, so a write's error is `outcome_unknown`.
    fn true_of_both(&self, method: &Method, why: ApiError) -> ApiError {
        if method.writes() && self.elsewhere { ApiError::outcome_unknown() } else { why }
    }
}

/// Reads a request, forwards it if its team's home is another gateway, and else carries it out.
async fn serve(
    gateway: &Gateway,
    method: &'static Method,
    client: ClientAddr,
    request: Request,
    may_pass_on: bool,
    so_far: &mut SoFar,
) -> Result<Served, ApiError> {
    let (parsed, raw) = read(request, may_pass_on && gateway.homes().is_some()).await?;
    if let Some(raw) = raw
        && let Some(response) = Box::pin(at_home(gateway, method, client, &parsed, raw, so_far)).await?
    {
        return Ok(Served::AtHome(response));
    }
    let Parsed { args, token, key, traceparent } = parsed;
    let (caller, admin) = match authorize(gateway, method, client, token.as_ref()).await? {
        Authorized::Anybody => (None, false),
        Authorized::User(caller) => (Some(caller), false),
        Authorized::Admin => (None, true),
    };
    so_far.authed = caller.is_some();
    if let Some(caller) = &caller {
        gateway.rates().user(caller.team.id(), caller.user, method.name, method.tier)?;
    }
    so_far.begun = true;
    let after_a_loss = so_far.elsewhere;
    let call = Call { gateway, method: method.name, key, traceparent, client, caller, admin, after_a_loss };
    method.run(&call, &args).await.map(Served::Here)
}

/// Parses a request, and keeps it as it came if it may have to be forwarded.
async fn read(request: Request, keep: bool) -> Result<(Parsed, Option<Raw>), ApiError> {
    if !keep {
        return Ok((parse::request(request).await?, None));
    }
    let raw = Box::pin(Raw::of(request)).await?;
    Ok((parse::request(raw.request()).await?, Some(raw)))
}

/// Forwards a call to its team's home, if that is another gateway. None if the call is to be served here: there is no such
/// gateway, or it could not be reached, or it did not answer and the call is safe to execute twice.
async fn at_home(
    gateway: &Gateway,
    method: &Method,
    client: ClientAddr,
    parsed: &Parsed,
    raw: Raw,
    so_far: &mut SoFar,
) -> Result<Option<Response<Body>>, ApiError> {
    let team = parsed.token.as_ref().and_then(|token| token.team);
    let (Some(homes), Some(home)) = (gateway.homes(), team.and_then(|team| gateway.home_elsewhere(team))) else {
        return Ok(None);
    };
    so_far.elsewhere = true;
    match raw.pass_on(homes, &home, method, client, gateway.config().call_deadline).await {
        PassedOn::Answered(response) => return Ok(Some(response)),
        PassedOn::NotSent => so_far.elsewhere = false,
        // Without an idempotency key, a retry would be a second write.
        PassedOn::Lost if method.writes() && parsed.key.is_none() => return Err(ApiError::outcome_unknown()),
        PassedOn::Lost => {}
    }
    Ok(None)
}

/// The credentials that a call came with, checked.
enum Authorized {
    Anybody,
    User(Caller),
    Admin,
}

/// Checks that a call has the credentials that its method asks for.
async fn authorize(
    gateway: &Gateway,
    method: &Method,
    client: ClientAddr,
    token: Option<&Token>,
) -> Result<Authorized, ApiError> {
    let by_address = || gateway.rates().call(Who::Client(client.address));
    match (method.access, token) {
        (Access::Anybody, token) => {
            by_address()?;
            let is_admin = token.is_some_and(|token| gateway.is_admin_key(token));
            Ok(if is_admin { Authorized::Admin } else { Authorized::Anybody })
        }
        (Access::User | Access::UserOrAdmin | Access::Admin, None) => Err(ApiError::refused("not_authed")),
        (Access::UserOrAdmin | Access::Admin, Some(token)) if gateway.is_admin_key(token) => Ok(Authorized::Admin),
        (Access::Admin, Some(_)) => Err(ApiError::refused("invalid_auth")),
        (Access::User | Access::UserOrAdmin, Some(token)) => {
            gateway.caller_or(token, by_address).await.map(Authorized::User)
        }
    }
}

fn client(request: &Request) -> ClientAddr {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = connection.map(|ConnectInfo(address)| address.ip().to_canonical());
    let is_local = address.is_some_and(|address| address.is_loopback()) && !was_passed_on(request.headers());
    ClientAddr { address, is_local }
}

/// Returns true if a proxy sent the call. A proxy on this machine forwards the calls of other machines.
fn was_passed_on(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name))
}
