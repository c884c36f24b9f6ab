//! `Call`: a call on its way through a handler.

use std::net::IpAddr;

use crate::{ApiError, Caller, Gateway};

/// Where a call comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClientAddr {
    /// The address at the other end of the connection.
    pub(crate) address: Option<IpAddr>,
    /// True for a client on this machine. A proxy on this machine is not one.
    pub(crate) is_local: bool,
}

/// A call, with all that its handler may use.
pub(crate) struct Call<'a> {
    pub(crate) gateway: &'a Gateway,
    /// The method's name, as the table has it.
    pub(crate) method: &'static str,
    /// The idempotency key.
    pub(crate) key: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) client: ClientAddr,
    /// Set for methods that ask for a user, unless the call carries the operators' key.
    pub(crate) caller: Option<Caller>,
    /// True if the call carries the operators' key.
    pub(crate) admin: bool,
    /// True if this call was forwarded to another gateway and the reply was lost. It may still execute there, so a
    /// refusal here must be reported as `outcome_unknown`.
    pub(crate) after_a_loss: bool,
}

impl Call<'_> {
    /// Returns the user who calls.
    ///
    /// # Errors
    /// `not_authed` if the method does not ask for one.
    pub(crate) fn caller(&self) -> Result<&Caller, ApiError> {
        self.caller.as_ref().ok_or(ApiError::refused("not_authed"))
    }
}
