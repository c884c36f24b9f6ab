//! Forwarding: a call that arrives at a gateway that is not its team's home is forwarded to the home, once.

use std::{net::IpAddr, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Response, request::Parts},
};
use teamlog_cluster::{LinkError, Peer, until_gone};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    ApiError,
    homes::Homes,
    limits,
    methods::{ClientAddr, Method},
};

/// The address that a call came from, on its way between gateways.
const CLIENT: HeaderName = HeaderName::from_static("teamlog-peer");

/// A header on every answer of a call that was served, whatever the outcome. An answer without it is the listener's own.
const SERVED: HeaderName = HeaderName::from_static("teamlog-served");

/// The time that an answer may take beyond the call's own deadline.
const GRACE: Duration = Duration::from_secs(1);

/// The outcome of a forwarded call.
pub(super) enum PassedOn {
    /// The home's answer.
    Answered(Response<Body>),
    /// The call was not executed by the home.
    NotSent,
    /// No answer came. The home may have executed the call, or may still execute it.
    Lost,
}

/// A call as it came: it may have to be read twice, here and elsewhere.
pub(super) struct Raw {
    parts: Parts,
    body: Bytes,
}

impl Raw {
    pub(super) async fn of(request: Request) -> Result<Raw, ApiError> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, limits::BODY_BYTES_MAX).await.map_err(|_| ApiError::too_large())?;
        Ok(Raw { parts, body })
    }

    pub(super) fn request(&self) -> Request {
        Request::from_parts(self.parts.clone(), Body::from(self.body.clone()))
    }

    /// Forwards the call to a team's home, and stops waiting once that node is gone.
    pub(super) async fn pass_on(
        self,
        homes: &Homes,
        home: &Peer,
        method: &Method,
        client: ClientAddr,
        time: Duration,
    ) -> PassedOn {
        let query = self.parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let path = format!("/internal/api/{}{query}", method.name);
        let mut headers = self.parts.headers;
        if let Some(address) = client.address.and_then(|address| address.to_string().parse().ok()) {
            headers.insert(CLIENT, address);
        }
        let deadline = Instant::now() + time + GRACE;
        let call = homes.link().call(&home.address, self.parts.method, &path, headers, self.body, deadline);
        let answer = tokio::select! {
            biased;
            answer = call => answer,
            // A home without a connection to the log may hold the call for its whole deadline.
            () = until_gone(homes.members(), home.life) => Err(LinkError::Broken("it is gone".to_owned())),
        };
        match answer {
            Ok(mut answer) if answer.headers().contains_key(SERVED) => {
                answer.headers_mut().remove(SERVED);
                PassedOn::Answered(answer.map(Body::from))
            }
            // The home is starting or stopping, or has another key.
            Ok(_) => PassedOn::NotSent,
            Err(why) => {
                debug!(home = %home.node, method = method.name, %why, "a call could not be passed on");
                metrics::counter!("teamlog_api_not_passed_on_total").increment(1);
                match why {
                    LinkError::NotSent(_) => PassedOn::NotSent,
                    LinkError::Broken(_) => PassedOn::Lost,
                }
            }
        }
    }
}

/// Marks an answer as served, for the gateway that forwarded the call.
pub(super) fn served(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(SERVED, HeaderValue::from_static("1"));
    answer
}

/// Returns the client of a call that another gateway forwarded.
pub(super) fn client(headers: &HeaderMap) -> ClientAddr {
    let address = headers.get(CLIENT).and_then(|address| address.to_str().ok()?.parse::<IpAddr>().ok());
    ClientAddr { address, is_local: false }
}
