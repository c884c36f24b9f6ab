//! Teams, people and their tokens.

use uuid::Uuid;

use crate::{About, BotId, Fact, FirstChannel, Membership, Meta, Person, Reach, Text, Token, UserId, avro::record};

record! {
    /// A team began: the second step, a pure function of [`TeamRegistered`], decided under the key
    /// `registered/<event_id>`.
    pub struct TeamCreated {
        /// The beginning.
        pub meta: Meta,
        /// The domain.
        pub domain: String,
        /// The team's name.
        pub name: String,
        /// The shard that holds its rows.
        pub shard: String,
        /// The owner, a member of every first channel.
        pub owner: Person,
        /// The channels that it begins with.
        pub channels: Vec<FirstChannel>,
        /// The owner's token.
        pub token: Option<Token>,
        /// The owner's password, in `credentials`.
        pub credential_id: Option<Uuid>,
    }
}

impl Fact for TeamCreated {
    fn about(&self) -> About<'_> {
        About::Team(&self.meta)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn memberships(&self) -> Vec<Membership> {
        let user = self.owner.user;
        let joined = |channel: &FirstChannel| Membership { conversation: channel.conversation, user, joined: true };
        self.channels.iter().map(joined).collect()
    }

    fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    fn password(&self) -> Option<(UserId, Uuid)> {
        Some((self.owner.user, self.credential_id?))
    }
}

record! {
    /// A person or a bot's user came to the team.
    pub struct UserCreated {
        /// The beginning.
        pub meta: Meta,
        /// The person.
        pub person: Person,
        /// Their first token.
        pub token: Option<Token>,
        /// Their password, in `credentials`.
        pub credential_id: Option<Uuid>,
    }
}

impl Fact for UserCreated {
    fn about(&self) -> About<'_> {
        About::Team(&self.meta)
    }

    fn reach(&self) -> Reach {
        Reach::Everyone
    }

    fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    fn password(&self) -> Option<(UserId, Uuid)> {
        Some((self.person.user, self.credential_id?))
    }
}

record! {
    /// A bot as a sender of messages, without a user of its own (from an import).
    pub struct BotAdded {
        /// The beginning.
        pub meta: Meta,
        /// The bot.
        pub bot: BotId,
        /// Its name.
        pub name: Text,
        /// A JSON object with what an import brought and nothing here understands.
        pub extra: Option<Text>,
    }
}

impl Fact for BotAdded {
    fn about(&self) -> About<'_> {
        About::Team(&self.meta)
    }

    fn reach(&self) -> Reach {
        Reach::Everyone
    }
}

record! {
    /// A password counts from here on.
    pub struct PasswordSet {
        /// The beginning.
        pub meta: Meta,
        /// Whose.
        pub user: UserId,
        /// The record in `credentials`.
        pub credential_id: Uuid,
    }
}

impl Fact for PasswordSet {
    fn about(&self) -> About<'_> {
        About::Team(&self.meta)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn password(&self) -> Option<(UserId, Uuid)> {
        Some((self.user, self.credential_id))
    }
}

record! {
    /// A token was given out.
    pub struct TokenIssued {
        /// The beginning.
        pub meta: Meta,
        /// The token.
        pub token: Token,
    }
}

impl Fact for TokenIssued {
    fn about(&self) -> About<'_> {
        About::Team(&self.meta)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn token(&self) -> Option<&Token> {
        Some(&self.token)
    }
}

record! {
    /// A token is dead, and so are its sessions.
    pub struct TokenRevoked {
        /// The beginning.
        pub meta: Meta,
        /// Whose.
        pub user: UserId,
        /// SHA-256 of the token's text, in hex.
        pub hash: String,
    }
}

impl Fact for TokenRevoked {
    fn about(&self) -> About<'_> {
        About::Team(&self.meta)
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }
}
