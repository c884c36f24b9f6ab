//! `Argument`: the declaration of an argument, and the macro that declares and parses the arguments of a method.

use super::Args;
use crate::ApiError;

/// The form that an argument's value has. Everything may come as a text, which is all that a form has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text. JSON's numbers and booleans are taken as their text.
    Text,
    /// A boolean: `true`, `1`, `false` or `0`.
    Flag,
    /// An integer that is not negative.
    Number,
    /// A message's `ts`: seconds, a period and six digits.
    Ts,
    /// A time in seconds, with at most six digits after the period.
    Moment,
    /// A cursor of an earlier page.
    Cursor,
    /// An id of this kind of thing.
    Id(&'static str),
    /// A text of these.
    OneOf(&'static [&'static str]),
    /// A list: a JSON array, its text, or items with commas between them.
    List(&'static Kind),
    /// A JSON array of objects, or its text.
    Objects,
    /// A JSON object, or its text.
    Object,
    /// All arguments of the call, whatever their names.
    Everything,
}

/// The declaration of an argument.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// A sentence or two on what it says.
    pub about: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// The error code of a call without it; none if it may be left out.
    pub missing: Option<&'static str>,
    /// The error code of a value that has the right type but not the right form.
    pub malformed: &'static str,
}

impl Argument {
    /// The error of a call without this argument.
    pub(crate) fn is_missing(&self) -> ApiError {
        ApiError::refused(self.missing.unwrap_or(self.malformed))
            .saying(format!("missing required field: {}", self.name))
    }

    /// The error of a value that does not have the argument's form.
    pub(crate) fn is_malformed(&self) -> ApiError {
        ApiError::refused(self.malformed)
    }
}

/// A type that the value of an argument is parsed into.
pub trait Parse: Sized {
    /// The form of the value.
    const KIND: Kind;
    /// The code of a call without the argument, unless the argument declares another one; none if it may be left out.
    const MISSING: Option<&'static str>;
    /// The code of a malformed value, unless the argument declares another one.
    const MALFORMED: &'static str;

    /// Parses the value of an argument.
    ///
    /// # Errors
    /// The argument's codes; `invalid_arguments` or `invalid_array_arg` for a value of a wrong type.
    fn parse(args: &Args, argument: &Argument) -> Result<Self, ApiError>;
}

/// The arguments of a method, as a struct. [`args!`] implements it.
pub trait Arguments: Sized {
    /// The declarations, in the order in which they are parsed.
    const DECLARED: &'static [Argument];

    /// Parses the arguments of a call. The first one that is wrong gives the error.
    ///
    /// # Errors
    /// As [`Parse::parse`].
    fn parse(args: &Args) -> Result<Self, ApiError>;
}

/// Declares the arguments of a method: a struct whose fields are parsed by their types. A field's comment is the
/// argument's description.
///
/// `channel: ConversationId` must be given, `user: Option<UserId>` may be, `users: Vec<UserId>` and `inclusive: bool` may
/// and are empty and false without. `missing "CODE"` and `malformed "CODE"` in brackets replace the codes of the type.
/// A semicolon behind the last field and then `content: Content` add the arguments of another struct, as a field of that
/// name.
macro_rules! args {
    ($(
        $(#[$of:meta])*
        $vis:vis struct $name:ident {
            $($(#[doc = $about:literal])+ $field:ident : $type:ty
                $([$(missing $missing:literal)? $(,)? $(malformed $malformed:literal)?])?),* $(,)?
            $(; $part:ident : $part_type:ty)?
        }
    )*) => {$(
        $(#[$of])*
        $vis struct $name { $($(#[doc = $about])+ $vis $field: $type,)* $($vis $part: $part_type)? }

        impl $crate::args::Arguments for $name {
            const DECLARED: &'static [$crate::args::Argument] = {
                const OWN: &[$crate::args::Argument] = &[$($crate::args::args!(
                    @one $field, concat!($($about),+), $type $(, [$($missing)?], [$($malformed)?])?
                )),*];
                const PART: &[$crate::args::Argument] = $crate::args::args!(@part $($part_type)?);
                const ALL: [$crate::args::Argument; OWN.len() + PART.len()] = $crate::args::joined(OWN, PART);
                &ALL
            };

            fn parse(args: &$crate::Args) -> Result<Self, $crate::ApiError> {
                Ok($name {
                    $($field: {
                        const IT: $crate::args::Argument = $crate::args::args!(
                            @one $field, concat!($($about),+), $type $(, [$($missing)?], [$($malformed)?])?
                        );
                        <$type as $crate::args::Parse>::parse(args, &IT)?
                    },)*
                    $($part: <$part_type as $crate::args::Arguments>::parse(args)?)?
                })
            }
        }
    )*};
    (@part) => { &[] };
    (@part $part:ty) => { <$part as $crate::args::Arguments>::DECLARED };
    (@one $field:ident, $about:expr, $type:ty) => { $crate::args::args!(@one $field, $about, $type, [], []) };
    (@one $field:ident, $about:expr, $type:ty, [$($missing:literal)?], [$($malformed:literal)?]) => {
        $crate::args::Argument {
            name: stringify!($field),
            about: $about,
            kind: <$type as $crate::args::Parse>::KIND,
            missing: $crate::args::args!(@missing $type $(, $missing)?),
            malformed: $crate::args::args!(@malformed $type $(, $malformed)?),
        }
    };
    (@missing $type:ty, $code:literal) => { Some($code) };
    (@missing $type:ty) => { <$type as $crate::args::Parse>::MISSING };
    (@malformed $type:ty, $code:literal) => { $code };
    (@malformed $type:ty) => { <$type as $crate::args::Parse>::MALFORMED };
}
pub(crate) use args;

/// Returns the declarations of a method followed by those of a struct that it includes.
pub(crate) const fn joined<const N: usize>(own: &[Argument], part: &[Argument]) -> [Argument; N] {
    let mut all = [Argument { name: "", about: "", kind: Kind::Text, missing: None, malformed: "" }; N];
    let mut place = 0;
    while place < N {
        all[place] = if place < own.len() { own[place] } else { part[place - own.len()] };
        place += 1;
    }
    all
}

/// No arguments.
#[derive(Clone, Copy, Debug)]
pub struct NoArgs;

impl Arguments for NoArgs {
    const DECLARED: &'static [Argument] = &[];

    fn parse(_: &Args) -> Result<Self, ApiError> {
        Ok(NoArgs)
    }
}
