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
    /// The latest time that is taken seriously: the year 5138. Anything outside `0..=MAX` that a
    /// child sends is replaced by the time at which it was received.
    pub const MAX: f64 = 1e14;

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
}
