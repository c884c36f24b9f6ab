//! Hashing and checking passwords, off the runtime and few at once.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier},
};
use tracing::error;

use super::super::Call;
use crate::{ApiError, limits};

/// The hash that is checked when the account does not exist, so that the check takes as long. Nobody knows its password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$R29vZCBsdWNrIHdpdGggdGhhdCBvbmUuLi4uLi4uLi4";

/// The argon2id string of a new password.
pub(super) async fn hash(call: &Call<'_>, password: String) -> Result<String, ApiError> {
    if !(limits::PASSWORD_BYTES_MIN..=limits::PASSWORD_BYTES_MAX).contains(&password.len()) {
        let (min, max) = (limits::PASSWORD_BYTES_MIN, limits::PASSWORD_BYTES_MAX);
        return Err(ApiError::refused("invalid_password").saying(format!("a password has {min} to {max} bytes")));
    }
    let work = move || {
        let salt: [u8; 16] = rand::random();
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
    };
    in_turn(call, work).await?.map_err(|why| {
        error!(%why, "a password could not be hashed");
        ApiError::internal()
    })
}

/// Whether a password is the one of `hash`. Without one it takes as long and is not.
pub(super) async fn fits(call: &Call<'_>, hash: Option<String>, password: String) -> Result<bool, ApiError> {
    if password.len() > limits::PASSWORD_BYTES_MAX {
        return Ok(false);
    }
    let work = move || {
        let checked = hash.as_deref().unwrap_or(NOBODY);
        let fits = argon2::PasswordHash::new(checked)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        fits && hash.is_some()
    };
    in_turn(call, work).await
}

async fn in_turn<T: Send + 'static>(call: &Call<'_>, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let _turn = call.gateway.passwords().acquire().await.map_err(|_| ApiError::internal())?;
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_fits_its_password_only() {
        let hash =
            Argon2::default().hash_password_with_salt(b"correct horse", b"0123456789abcdef").unwrap().to_string();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let fits = |password: &[u8], hash: &str| {
            let hash = argon2::PasswordHash::new(hash).unwrap();
            Argon2::default().verify_password(password, &hash).is_ok()
        };
        assert!(fits(b"correct horse", &hash));
        assert!(!fits(b"correct horsf", &hash));
        assert!(!fits(b"correct horse", NOBODY), "what stands for nobody must parse and fit nothing");
    }
}
