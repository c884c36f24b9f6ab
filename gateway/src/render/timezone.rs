//! Names of time zones as clients show them.

use jiff::{Timestamp, tz::TimeZone};

/// A zone at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    /// A name of the tz database.
    pub(super) name: String,
    /// As people call it.
    pub(super) label: String,
    /// Seconds east of Greenwich.
    pub(super) offset_seconds: i32,
}

/// The zone of a person who names none, or one that the tz database does not have.
const DEFAULT: &str = "Etc/UTC";

/// The zone as it is now.
pub(super) fn now(name: Option<&str>) -> Zone {
    at(name, Timestamp::now())
}

fn at(name: Option<&str>, moment: Timestamp) -> Zone {
    let found = name.and_then(|name| TimeZone::get(name).ok().map(|zone| (name, zone)));
    let Some((name, zone)) = found else {
        return Zone { name: DEFAULT.to_owned(), label: label(DEFAULT, "UTC"), offset_seconds: 0 };
    };
    let info = zone.to_offset_info(moment);
    Zone { name: name.to_owned(), label: label(name, info.abbreviation()), offset_seconds: info.offset().seconds() }
}

fn label(name: &str, abbreviation: &str) -> String {
    let american = name.starts_with("America/") || name.starts_with("US/");
    let long = match abbreviation {
        "UTC" => "Coordinated Universal Time",
        "GMT" => "Greenwich Mean Time",
        "BST" => "British Summer Time",
        "WET" => "Western European Time",
        "WEST" => "Western European Summer Time",
        "CET" => "Central European Time",
        "CEST" => "Central European Summer Time",
        "EET" => "Eastern European Time",
        "EEST" => "Eastern European Summer Time",
        "PST" => "Pacific Standard Time",
        "PDT" => "Pacific Daylight Time",
        "MST" => "Mountain Standard Time",
        "MDT" => "Mountain Daylight Time",
        "CST" if american => "Central Standard Time",
        "CDT" if american => "Central Daylight Time",
        "EST" => "Eastern Standard Time",
        "EDT" => "Eastern Daylight Time",
        "JST" => "Japan Standard Time",
        "KST" => "Korea Standard Time",
        "AEST" => "Australian Eastern Standard Time",
        "AEDT" => "Australian Eastern Daylight Time",
        other => other,
    };
    long.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_and_winter_differ() {
        let zone = |moment: &str| at(Some("Europe/Berlin"), moment.parse().unwrap());
        let (winter, summer) = (zone("2026-01-15T12:00:00Z"), zone("2026-07-15T12:00:00Z"));
        assert_eq!((winter.label.as_str(), winter.offset_seconds), ("Central European Time", 3600));
        assert_eq!((summer.label.as_str(), summer.offset_seconds), ("Central European Summer Time", 7200));
    }

    #[test]
    fn an_unknown_zone_is_utc() {
        let zone = at(Some("Atlantis/Capital"), Timestamp::UNIX_EPOCH);
        assert_eq!((zone.name.as_str(), zone.offset_seconds), ("Etc/UTC", 0));
        assert_eq!(at(None, Timestamp::UNIX_EPOCH), zone);
    }
}
