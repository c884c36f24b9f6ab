//! `Ts`: a message's name in its conversation, `seconds.micros` since 1970.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Microseconds since 1970. As text `1444959632.000002`: ten digits, a period, six digits.
///
/// In Avro it is a `timestamp-micros`, so serde sees the number.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ts(i64);

/// A string that is not a `ts`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a ts: ten digits, a period, six digits")]
pub struct InvalidTs;

impl Ts {
    /// 1970: older than every message.
    pub const ZERO: Ts = Ts(0);
    /// Newer than every message: `9999999999.999999`.
    pub const MAX: Ts = Ts(9_999_999_999_999_999);

    /// From microseconds since 1970, cut to what ten digits of seconds can say.
    pub fn from_micros(micros: i64) -> Ts {
        Ts(micros.clamp(0, Ts::MAX.0))
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970.
    pub const fn seconds(self) -> i64 {
        self.0 / 1_000_000
    }

    /// The `ts` one microsecond later.
    #[must_use]
    pub fn next(self) -> Ts {
        Ts::from_micros(self.0 + 1)
    }
}

impl fmt::Display for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl fmt::Debug for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ts {
    type Err = InvalidTs;
    fn from_str(text: &str) -> Result<Ts, InvalidTs> {
        let (seconds, micros) = text.split_once('.').ok_or(InvalidTs)?;
        let digits = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(seconds, 10) || !digits(micros, 6) {
            return Err(InvalidTs);
        }
        let number = |part: &str| part.parse::<i64>().map_err(|_| InvalidTs);
        Ok(Ts(number(seconds)? * 1_000_000 + number(micros)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        let ts: Ts = "1444959632.000002".parse().unwrap();
        assert_eq!(ts.micros(), 1_444_959_632_000_002);
        assert_eq!(ts.to_string(), "1444959632.000002");
        assert_eq!(ts.next().to_string(), "1444959632.000003");
        assert_eq!("0000000000.000000".parse(), Ok(Ts::ZERO));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "yesterday",
            "1",
            "1444959632",
            "1444959632.2",
            "144495963.000002",
            "+444959632.000002",
            "1444959632.00000২",
        ] {
            assert_eq!(text.parse::<Ts>(), Err(InvalidTs), "{text}");
        }
    }
}
