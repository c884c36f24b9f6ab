//! Tokens: the rule for which of them an event gives out and revokes.

use teamlog_schemas::{Event, TokenKind, UserId};

/// SHA-256 of a token's text.
pub type TokenHash = [u8; 32];

/// A token that was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenState {
    /// Whose.
    pub user: UserId,
    /// How it looks.
    pub kind: TokenKind,
    /// Dead.
    pub revoked: bool,
}

/// Returns the token that an event gives out. A hash that is known already keeps its first owner.
pub fn issued_token(event: &Event) -> Option<(TokenHash, TokenState)> {
    let token = event.token()?;
    Some((hash_of(&token.hash)?, TokenState { user: token.user, kind: token.kind, revoked: false }))
}

/// Returns the hash of the token that an event revokes.
pub fn revoked_token(event: &Event) -> Option<TokenHash> {
    if let Event::TokenRevoked(e) = event { hash_of(&e.hash) } else { None }
}

/// Decodes the hexadecimal hash of an event; none if it is not 32 bytes of hex, and then the token opens nothing.
fn hash_of(hex: &str) -> Option<TokenHash> {
    let mut hash = TokenHash::default();
    hex::decode_to_slice(hex, &mut hash).ok().map(|()| hash)
}
