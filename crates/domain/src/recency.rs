//! How much of its strength an interaction keeps as it ages.

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;

/// Weights by age: an interaction of `half_life_days` before the latest weighs half as much as the latest. Weights have mean
/// 1, so that the evidence as a whole stays as strong against regularisation. What has no time is as old as the oldest that has
/// one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recency {
    half_life_days: Option<f32>,
    /// Oldest and latest known time, in milliseconds UTC.
    range_ms: Option<(i64, i64)>,
    mean: f64,
}

impl Recency {
    /// Of interactions at `timestamps_ms`, milliseconds UTC, `i64::MIN` where unknown; without a half-life all weigh 1.
    pub fn new<I>(half_life_days: Option<f32>, timestamps_ms: I) -> Self
    where
        I: IntoIterator<Item = i64>,
        I::IntoIter: Clone,
    {
        let timestamps_ms = timestamps_ms.into_iter();
        let known = timestamps_ms.clone().filter(|&time| time != i64::MIN);
        let range_ms = known.fold(None, |range, time| match range {
            None => Some((time, time)),
            Some((oldest, latest)) => Some((time.min(oldest), time.max(latest))),
        });
        let unscaled = Self { half_life_days, range_ms, mean: 1.0 };
        let (sum, count) = timestamps_ms
            .fold((0.0, 0u64), |(sum, count), time| (sum + unscaled.decay(time).unwrap_or(1.0), count + 1));
        Self { mean: if count > 0 { (sum / count as f64).max(f64::MIN_POSITIVE) } else { 1.0 }, ..unscaled }
    }

    /// The weight of an interaction at a time: above 0.
    pub fn weight(&self, timestamp_ms: i64) -> f32 {
        self.decay(timestamp_ms).map_or(1.0, |decay| ((decay / self.mean) as f32).max(f32::MIN_POSITIVE))
    }

    fn decay(&self, timestamp_ms: i64) -> Option<f64> {
        let ((oldest, latest), half_life) = (self.range_ms?, self.half_life_days?);
        let age_days = (latest as f64 - timestamp_ms.clamp(oldest, latest) as f64) / DAY_MS;
        Some((-age_days / f64::from(half_life)).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn check(half_life_days: Option<f32>, timestamp_ms: i64, expect: f32) {
        // With a half-life of ten days these decay to 1/4, 1/4 and 1: mean 1/2.
        let recency = Recency::new(half_life_days, [i64::MIN, 0, 20 * DAY]);
        assert_eq!(recency.weight(timestamp_ms), expect);
    }

    #[test]
    fn a_half_life_halves_and_the_mean_stays_one() {
        check(None, 0, 1.0);
        check(Some(10.0), 20 * DAY, 2.0);
        check(Some(10.0), 10 * DAY, 1.0);
        check(Some(10.0), 0, 0.5);
        check(Some(10.0), i64::MIN, 0.5);
        check(Some(10.0), i64::MAX, 2.0);
        assert!(Recency::new(Some(1e-3), [0, i64::MAX]).weight(0) > 0.0);
        assert_eq!(Recency::new(Some(1.0), []).weight(3), 1.0);
        assert_eq!(Recency::new(Some(1.0), [i64::MIN; 3]).weight(i64::MIN), 1.0);
    }
}
