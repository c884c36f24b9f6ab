//! Measured times and the figures made of them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// The longest time that the histogram can tell from longer ones, in microseconds.
const LONGEST_US: u64 = 600_000_000;
/// The decimal digits kept of a time.
const DIGITS: u8 = 3;

/// The number of operations, the time span measured, and the time of each operation.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Operations counted in `time`.
    pub(crate) done: u64,
    /// All operations, those before and after the measured time included.
    pub(crate) done_in_all: u64,
    /// The measured time.
    pub(crate) time: Duration,
    times: Histogram<u64>,
}

impl Figures {
    /// Builds the figures of operations that took `times`.
    pub(crate) fn of(done_in_all: u64, time: Duration, times: impl IntoIterator<Item = Duration>) -> Figures {
        let mut all = Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("these bounds are good ones");
        for one in times {
            all.saturating_record(u64::try_from(one.as_micros()).unwrap_or(LONGEST_US));
        }
        Figures { done: all.len(), done_in_all, time, times: all }
    }

    /// Returns the operations a second.
    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.time.as_secs_f64()
    }

    /// Returns the time that this part (0 to 1) of all operations stayed within, in milliseconds.
    pub(crate) fn quantile_ms(&self, part: f64) -> f64 {
        self.times.value_at_quantile(part) as f64 / 1000.0
    }

    /// Returns the figures as a report shows them.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, value) in [
            ("rate", rounded(self.rate())),
            ("p50_ms", rounded(self.quantile_ms(0.5))),
            ("p99_ms", rounded(self.quantile_ms(0.99))),
            ("p999_ms", rounded(self.quantile_ms(0.999))),
            ("max_ms", rounded(self.times.max() as f64 / 1000.0)),
        ] {
            object.insert(name.to_owned(), json!(value));
        }
        object
    }

    /// Returns the figures as a line for people.
    pub(crate) fn to_text(&self) -> String {
        let ms = |part| self.quantile_ms(part);
        format!("{:.0}/s, p50 {:.2} ms, p99 {:.2} ms, p999 {:.2} ms", self.rate(), ms(0.5), ms(0.99), ms(0.999))
    }
}

/// Rounds to three decimals, which is more than any run repeats. Returns 0 for infinity and NaN: JSON has neither.
pub(crate) fn rounded(value: f64) -> f64 {
    if value.is_finite() { (value * 1000.0).round() / 1000.0 } else { 0.0 }
}

/// Returns `of` divided by `to`, or 0 if `to` is 0.
pub(crate) fn ratio(of: f64, to: f64) -> f64 {
    if to > 0.0 { of / to } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_rate_are_those_of_the_times_that_count() {
        let figures = Figures::of(150, Duration::from_secs(2), (1..=100).map(Duration::from_millis));
        assert_eq!((figures.done, figures.done_in_all, figures.rate()), (100, 150, 50.0));
        for (part, expected) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let got = figures.quantile_ms(part);
            assert!((got / expected - 1.0).abs() < 0.002, "{part}: {got}");
        }
    }

    #[test]
    fn nothing_done_has_figures_too() {
        let figures = Figures::of(0, Duration::from_secs(1), []);
        assert_eq!((figures.rate(), figures.quantile_ms(0.99), ratio(1.0, figures.rate())), (0.0, 0.0, 0.0));
    }
}
