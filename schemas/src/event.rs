//! `Event`: one of all events, and the table of them. A new event is a line of [`events!`].

use std::sync::LazyLock;

use bytes::Bytes;

use crate::{
    About, ConversationId, Fact, Membership, Message, MessageChange, Meta, Reach, TeamId, Token, Ts, UserId,
    avro::AvroType,
    codec::{self, CodecError, SchemaVersion, Versioned, versions},
    events::*,
};

/// The topic of what a team is folded from.
pub const EVENTS: &str = "events";

/// `log/`'s own two records. No event has their ids.
const LOG_RECORDS: [SchemaVersion; 2] = [
    SchemaVersion { id: 1, name: "Claim", version: 1, topic: "events", avsc: include_str!("../avro/Claim/v1.avsc") },
    SchemaVersion {
        id: 2,
        name: "Barrier",
        version: 1,
        topic: "events",
        avsc: include_str!("../avro/Barrier/v1.avsc"),
    },
];

macro_rules! events {
    ($($topic:literal $name:ident [$($version:literal => $id:literal),+]),+ $(,)?) => {
        /// Any event of this program.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the event of its name")]
        pub enum Event { $($name($name)),+ }

        $(
            versions!($topic $name [$($version => $id),+]);

            impl From<$name> for Event {
                fn from(event: $name) -> Event {
                    Event::$name(event)
                }
            }

            impl EventType for $name {
                fn of(event: &Event) -> Option<&$name> {
                    if let Event::$name(event) = event { Some(event) } else { None }
                }
            }
        )+

        static SCHEMAS: LazyLock<Vec<SchemaVersion>> = LazyLock::new(|| {
            let mut all = LOG_RECORDS.to_vec();
            $(all.extend($name::codecs().iter().map(|codec| codec.version));)+
            all.sort_by_key(|version| version.id);
            all
        });

        impl Event {
            /// The event as a [`Fact`].
            pub fn fact(&self) -> &dyn Fact {
                match self { $(Event::$name(event) => event),+ }
            }

            /// The record's name.
            pub const fn name(&self) -> &'static str {
                match self { $(Event::$name(_) => stringify!($name)),+ }
            }

            /// The topic that it belongs to, without the prefix.
            pub const fn topic(&self) -> &'static str {
                match self { $(Event::$name(_) => $topic),+ }
            }

            /// The ids of its schema's versions, newest last.
            pub const fn schema_ids(&self) -> &'static [u32] {
                match self { $(Event::$name(_) => &[$($id),+]),+ }
            }

            /// As serde has it: timestamps are numbers.
            pub(crate) fn fields(&self) -> serde_json::Value {
                match self { $(Event::$name(event) => serde_json::to_value(event)),+ }
                    .expect("an event has string keys and no map")
            }

            /// The bytes that it holds outside itself, for the bounds of memories.
            pub fn heap_bytes(&self) -> usize {
                match self { $(Event::$name(event) => event.heap_bytes()),+ }
            }

            /// Encodes it in the oldest version that says all of it: the bytes follow from the event alone.
            ///
            /// # Errors
            /// [`CodecError::TooLarge`] past 256 KB; [`CodecError::Malformed`] never for events made here.
            pub fn encode(&self) -> Result<Bytes, CodecError> {
                match self { $(Event::$name(event) => codec::encode(event)),+ }
            }

            /// Encodes it in the newest version that is known (to every live node) and says all of it. Nothing that the
            /// event says is ever left out.
            ///
            /// # Errors
            /// [`CodecError::NotKnown`] if there is no such version yet: it can be once all nodes are upgraded.
            /// [`CodecError::TooLarge`] past 256 KB; [`CodecError::Malformed`] never for events made here.
            pub fn encode_for(&self, known: impl Fn(u32) -> bool) -> Result<Bytes, CodecError> {
                match self { $(Event::$name(event) => codec::encode_for(event, known)),+ }
            }

            /// Encodes it in the newest version that is known, and leaves out what that cannot say: for heartbeats, which
            /// must be understood while nodes differ.
            ///
            /// # Errors
            /// As [`Event::encode_for`]; `NotKnown` only if no version is known.
            pub fn encode_what_is_known(&self, known: impl Fn(u32) -> bool) -> Result<Bytes, CodecError> {
                match self { $(Event::$name(event) => codec::encode_what_is_known(event, known)),+ }
            }

            /// Reads an event of any version by its writer's schema; fields that are missing there are absent.
            ///
            /// # Errors
            /// [`CodecError`]'s `NotFramed`, `UnknownSchema` and `Malformed`.
            pub fn decode(bytes: &[u8]) -> Result<Event, CodecError> {
                match codec::unframe(bytes)?.0 {
                    $($($id)|+ => codec::decode::<$name>(bytes).map(|event| event.map(Event::$name)),)+
                    _ => None,
                }
                .unwrap_or_else(|| Err(CodecError::UnknownSchema { schema_id: codec::unframe(bytes)?.0 }))
            }

            /// Some events of every kind, the same from the same seed.
            #[cfg(any(test, feature = "testing"))]
            pub fn samples(seed: u64) -> Vec<Event> {
                let mut dice = crate::testing::Dice::new(seed);
                vec![$(Event::$name($name::sample(&mut dice))),+]
            }
        }
    };
}

// The ranges that the ids come from are `ID_RANGES`; `ids.toml` holds every id that was given out. Versions are
// newest last: the newest is written once every live node knows it, all of them are read.
events! {
    "directory" ClusterFounded [1 => 10],
    "directory" TeamRegistered [1 => 11],
    "nodes" NodeBeat [1 => 12],
    "events" TeamCreated [1 => 20],
    "events" UserCreated [1 => 21],
    "events" BotAdded [1 => 22],
    "events" PasswordSet [1 => 23],
    "events" TokenIssued [1 => 24],
    "events" TokenRevoked [1 => 25],
    "events" ConversationCreated [1 => 50],
    "events" ConversationOpened [1 => 51],
    "events" ConversationClosed [1 => 52],
    "events" MembersJoined [1 => 53],
    "events" MemberLeft [1 => 54],
    "events" ConversationRenamed [1 => 55],
    "events" TopicSet [1 => 56],
    "events" PurposeSet [1 => 57],
    "events" ConversationArchived [1 => 58],
    "events" ConversationUnarchived [1 => 59],
    "events" MessagePosted [1 => 80, 2 => 84],
    "events" MessageImported [1 => 81],
    "events" MessageEdited [1 => 82],
    "events" MessageDeleted [1 => 83],
    "events" MessageScheduled [1 => 85],
    "events" ScheduledMessageDeleted [1 => 86],
    "events" ReactionAdded [1 => 120],
    "events" ReactionRemoved [1 => 121],
    "events" MessagePinned [1 => 122],
    "events" MessageUnpinned [1 => 123],
    "marks" ReadMarked [1 => 180],
    "credentials" CredentialStored [1 => 181],
    "progress" ConsumerProgress [1 => 200],
    "dead" WorkFailed [1 => 201],
}

/// The answers of each event's [`Fact`], and values derived from them.
impl Event {
    /// Whom or what it concerns.
    pub fn about(&self) -> About<'_> {
        self.fact().about()
    }

    /// Returns the event's [`Meta`]; none for an event that is about no team.
    pub fn meta(&self) -> Option<&Meta> {
        self.about().meta()
    }

    /// The team that it is about.
    pub fn team(&self) -> Option<TeamId> {
        self.meta().map(|meta| meta.team)
    }

    /// The one conversation that it concerns; none if it concerns the whole team.
    pub fn conversation(&self) -> Option<ConversationId> {
        self.about().conversation()
    }

    /// Whose sessions it may be sent to.
    pub fn reach(&self) -> Reach {
        self.fact().reach()
    }

    /// The messages that it adds, written or implied, oldest first, with their conversation.
    pub fn messages(&self) -> Vec<(ConversationId, Message)> {
        let written = self.message().map(|(conversation, message)| (conversation, message.clone()));
        written.into_iter().chain(self.implied()).collect()
    }

    /// Returns the message that it adds to a conversation, if it is not a system message.
    pub fn message(&self) -> Option<(ConversationId, &Message)> {
        self.fact().message()
    }

    /// The system messages that it implies, oldest first, with their conversation.
    pub fn implied(&self) -> Vec<(ConversationId, Message)> {
        self.fact().implied()
    }

    /// Returns the change that the event makes to an existing message, if any.
    pub fn change(&self) -> Option<MessageChange<'_>> {
        self.fact().change()
    }

    /// The changes of membership that it makes, in order.
    pub fn memberships(&self) -> Vec<Membership> {
        self.fact().memberships()
    }

    /// Returns the newest `ts` that the event assigned in its team; zero if it assigned none.
    pub fn given_ts(&self) -> Ts {
        self.fact().given_ts()
    }

    /// The token that it gives out.
    pub fn token(&self) -> Option<&Token> {
        self.fact().token()
    }

    /// Returns the user whose password is valid from this event on, and its id in `credentials`.
    pub fn password(&self) -> Option<(UserId, uuid::Uuid)> {
        self.fact().password()
    }

    /// The key of its record.
    pub fn record_key(&self) -> Option<String> {
        self.fact().record_key()
    }
}

/// The type of one event; or [`Event`] itself, for an event of any type.
pub trait EventType: Into<Event> + 'static {
    /// Returns the event as this type; none if it is of another type.
    fn of(event: &Event) -> Option<&Self>;
}

impl EventType for Event {
    fn of(event: &Event) -> Option<&Event> {
        Some(event)
    }
}

/// Every schema that has an id, by id.
pub fn schemas() -> impl Iterator<Item = &'static SchemaVersion> {
    SCHEMAS.iter()
}
