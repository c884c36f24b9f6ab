//! The check of a ticket, and the frames for a socket that is turned away.

use std::sync::Arc;

use futures::SinkExt;
use rand::Rng;
use serde_json::{Value, json};
use teamlog_live::{LiveTeam, TeamsError};
use teamlog_state::PersonIndex;
use tracing::debug;

use super::{
    outbox::WRITE_MAX,
    state::now_ms,
    ticket::{Once, Ticket},
};
use crate::{
    Gateway, Outgoing, SocketSink,
    frames::{Place, encode},
};

/// Tells a socket for which there is no room to reconnect. Up to `sessions_max` open sockets, the rejection is delayed by
/// a random `hold_off`, so that a whole office does not reconnect in a tight loop. A delayed socket counts as open; past
/// `sessions_max` there is no delay.
pub(super) async fn turn_away(gateway: &Gateway, ticket: &Ticket, sink: SocketSink) {
    let rtm = gateway.rtm();
    if rtm.admission.has_room() {
        let moment = rand::rng().random_range(rtm.config.hold_off.clone());
        let _ = rtm.stop.run_until_cancelled(tokio::time::sleep(moment)).await;
    }
    let frames = vec![reconnect_url(gateway, ticket, ticket.place), json!({ "type": "goodbye" })];
    close(sink, frames, (1013, "try again later")).await;
}

pub(super) async fn close(mut sink: SocketSink, frames: Vec<Value>, (code, reason): (u16, &'static str)) {
    let said = async {
        for frame in frames {
            sink.feed(Outgoing::Text(encode(&frame))).await?;
        }
        sink.feed(Outgoing::Close(code, reason)).await?;
        sink.flush().await
    };
    let _ = tokio::time::timeout(WRITE_MAX, said).await;
}

/// Builds a frame with a URL that resumes at `place`.
pub(super) fn reconnect_url(gateway: &Gateway, ticket: &Ticket, place: Place) -> Value {
    let ticket = Ticket { place, issued_ms: now_ms(), once: None, ..ticket.clone() };
    let url = format!("{}/ws/{}", gateway.websocket_url_for(ticket.team), ticket.sign(gateway.ingest().secrets()));
    json!({ "type": "reconnect_url", "url": url })
}

/// The reason why a ticket is rejected.
pub(super) enum NotRedeemed {
    /// The ticket is invalid for good.
    Expired,
    /// The ticket's team is unavailable at the moment.
    Away(Box<Ticket>),
}

/// The holder of a ticket that was redeemed.
pub(super) struct Holder {
    pub(super) ticket: Ticket,
    pub(super) team: Arc<LiveTeam>,
    pub(super) person: PersonIndex,
}

impl Holder {
    /// Returns true if the token of the ticket is still valid.
    pub(super) fn is_good(&self) -> bool {
        person(&self.team, &self.ticket).is_some()
    }
}

/// Redeems a ticket that is valid and unused and whose token is still valid.
pub(super) async fn redeem(gateway: &Gateway, text: &str) -> Result<Holder, NotRedeemed> {
    let ticket = Ticket::verify(gateway.ingest().secrets(), text, now_ms()).ok_or(NotRedeemed::Expired)?;
    if let Some(Once { gateway: issuer, nonce }) = ticket.once
        && (issuer != gateway.config().node || !gateway.rtm().used.entry(nonce).or_insert(()).is_fresh())
    {
        return Err(NotRedeemed::Expired);
    }
    let team = match gateway.ingest().team(ticket.team).await {
        Ok(team) => team,
        Err(TeamsError::NotFound) => return Err(NotRedeemed::Expired),
        Err(why) => {
            debug!(team = %ticket.team, %why, "a session cannot begin now");
            return Err(NotRedeemed::Away(Box::new(ticket)));
        }
    };
    // Another node may have given out the token, and the ticket, a moment ago.
    if team.read().token(&ticket.token).is_none()
        && let Err(why) = gateway.ingest().teams().come_to_the_end(team.partition()).await
    {
        debug!(team = %ticket.team, %why, "a session cannot begin now");
        return Err(NotRedeemed::Away(Box::new(ticket)));
    }
    let person = person(&team, &ticket).ok_or(NotRedeemed::Expired)?;
    Ok(Holder { ticket, team, person })
}

/// Returns the person of a ticket, if their token is valid now.
fn person(team: &LiveTeam, ticket: &Ticket) -> Option<PersonIndex> {
    let team = team.read();
    let good = team.token(&ticket.token).is_some_and(|state| !state.revoked && state.user == ticket.user);
    team.person_index(ticket.user).filter(|_| good)
}
