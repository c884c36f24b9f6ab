//! Passwords' hashes.

use uuid::Uuid;

use crate::{About, Fact, Meta, Reach, UserId, avro::record, credential_key};

record! {
    /// A password's hash, sealed with the cluster's key (topic `credentials`). Valid only once a counted event
    /// names its `credential_id`.
    pub struct CredentialStored {
        /// The beginning.
        pub meta: Meta,
        /// Its name.
        pub credential_id: Uuid,
        /// Whose.
        pub user: UserId,
        /// In hex: a nonce of 24 bytes, then XChaCha20-Poly1305 of the argon2id string.
        pub sealed: String,
    }
}

impl Fact for CredentialStored {
    fn about(&self) -> About<'_> {
        About::Team(&self.meta)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn record_key(&self) -> Option<String> {
        Some(credential_key(self.meta.team, self.user, self.credential_id))
    }
}
