//! Times on the wire: milliseconds since the Unix epoch, with a fraction down to the microsecond.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. May carry a fraction (microseconds).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct EpochMs(pub f64);

impl EpochMs {
    /// The latest time that is taken seriously: the end of the year 9999. Anything outside `0..=MAX` that a
    /// child sends is replaced by the time at which it was received.
    pub const MAX: f64 = 253_402_300_799_999.0;

    /// The system clock, now.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// From whole microseconds since the epoch.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 stay below 2^53 until the year 2255"
    )]
    pub fn from_micros(micros: u64) -> Self {
        Self(micros as f64 / 1000.0)
    }

    /// `self`, if it is a time that can be meant, else `fallback`.
    #[must_use]
    pub fn sane_or(self, fallback: Self) -> Self {
        if self.0.is_finite() && (0.0..=Self::MAX).contains(&self.0) {
            self
        } else {
            fallback
        }
    }

    /// Milliseconds from `earlier` to `self`, never negative, rounded to the microsecond.
    #[must_use]
    pub fn since(self, earlier: Self) -> f64 {
        (((self.0 - earlier.0) * 1000.0).round() / 1000.0).max(0.0)
    }

    /// The later of two times.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.0 > self.0 { other } else { self }
    }

    /// In UTC, as in `2026-11-23T15:07:46.123Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time of our own clock, after 1970"
        )]
        let ms = self.0.max(0.0) as u64;
        let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
        // Howard Hinnant's days_from_civil, backwards.
        let z = days + 719_468;
        let (era, day_of_era) = (z / 146_097, z % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let mp = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second, ms) = (
            rest / 3_600_000,
            rest / 60_000 % 60,
            rest / 1_000 % 60,
            rest % 1_000,
        );
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_rfc_3339_has_it() {
        for (ms, text) in [
            (0.0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000.0, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999.0, "2024-02-29T23:59:59.999Z"),
            (1_735_689_599_001.9, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000.0, "2100-03-01T00:00:00.000Z"),
            (EpochMs::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(EpochMs(ms).rfc3339(), text);
        }
    }
}
