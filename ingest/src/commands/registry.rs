//! The macro behind the list of commands.

/// Makes [`Command`](super::Command) and what is asked of every command out of the list of their types. A type that is not
/// in the list cannot be submitted, for it is not converted into `Command`; one in the list that is no
/// [`Act`](super::Act) does not compile.
///
/// A command's name in the enum is its type's, and is its name on the wire between nodes.
macro_rules! commands {
    ($($file:ident::$name:ident),* $(,)?) => {
        $(pub use $file::$name;)*

        /// A command to a team: one variant for each type in the list.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[expect(missing_docs, reason = "each variant is the command of its name")]
        pub enum Command { $($name(Box<$name>)),* }

        $(impl From<$name> for Command {
            fn from(command: $name) -> Command {
                Command::$name(Box::new(command))
            }
        })*

        impl Command {
            /// The names of all commands.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Returns the command's name.
            pub const fn name(&self) -> &'static str {
                match self { $(Command::$name(_) => stringify!($name)),* }
            }

            /// Returns the facts that the decision needs beside the team.
            pub(crate) fn wants(&self, team: &teamlog_state::Team) -> teamlog_state::FactsWanted {
                match self { $(Command::$name(command) => $crate::commands::Act::wants(&**command, team)),* }
            }

            /// Decides the command.
            pub(crate) fn decide(
                &self,
                it: &mut $crate::decide::Context<'_, '_>,
            ) -> Result<$crate::Decision, $crate::Refusal> {
                match self { $(Command::$name(command) => $crate::commands::act::decide(&**command, it)),* }
            }

            /// Whether this command could have made an event.
            pub fn could_make(&self, event: &teamlog_schemas::Event) -> bool {
                match self { $(Command::$name(_) => {
                    <<$name as $crate::commands::Act>::Made as teamlog_schemas::EventType>::of(event).is_some()
                }),* }
            }

            /// Returns samples of every command.
            #[cfg(any(test, feature = "testing"))]
            pub fn samples(scene: &$crate::commands::Scene) -> Vec<Command> {
                let mut samples = Vec::new();
                $(samples.extend(<$name as $crate::commands::Act>::samples(scene).into_iter().map(Command::from));)*
                samples
            }
        }
    };
}
pub(super) use commands;
