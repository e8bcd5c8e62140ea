//! How much of its strength an interaction keeps as it ages.

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;

/// Weights by age: an interaction of `half_life_days` before the latest counts half. What has no time is as old as the oldest
/// that has one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Recency {
    half_life_days: Option<f32>,
    /// Oldest and latest known time, in milliseconds UTC.
    range_ms: Option<(i64, i64)>,
}

impl Recency {
    /// Of interactions at `timestamps_ms`, milliseconds UTC, `i64::MIN` where unknown; without a half-life all weigh 1.
    pub fn new(half_life_days: Option<f32>, timestamps_ms: impl IntoIterator<Item = i64>) -> Self {
        let known = timestamps_ms.into_iter().filter(|&time| time != i64::MIN);
        let range_ms = known.fold(None, |range, time| match range {
            None => Some((time, time)),
            Some((oldest, latest)) => Some((time.min(oldest), time.max(latest))),
        });
        Self { half_life_days, range_ms }
    }

    /// The weight of an interaction at a time: above 0, at most 1.
    pub fn weight(&self, timestamp_ms: i64) -> f32 {
        let (Some(half_life), Some((oldest, latest))) = (self.half_life_days, self.range_ms) else {
            return 1.0;
        };
        let age_days = (latest as f64 - timestamp_ms.clamp(oldest, latest) as f64) / DAY_MS;
        ((-age_days / f64::from(half_life)).exp2() as f32).max(f32::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(half_life_days: Option<f32>, timestamp_ms: i64, expect: f32) {
        let recency = Recency::new(half_life_days, [i64::MIN, 0, 20 * 86_400_000]);
        assert_eq!(recency.weight(timestamp_ms), expect);
    }

    #[test]
    fn a_half_life_halves() {
        check(None, 0, 1.0);
        check(Some(10.0), 20 * 86_400_000, 1.0);
        check(Some(10.0), 10 * 86_400_000, 0.5);
        check(Some(10.0), 0, 0.25);
        check(Some(10.0), i64::MIN, 0.25);
        check(Some(10.0), i64::MAX, 1.0);
        assert!(Recency::new(Some(1e-6), [0, i64::MAX]).weight(0) > 0.0);
        assert_eq!(Recency::new(Some(1.0), []).weight(3), 1.0);
    }
}
