//! Two models on the same users: the difference of each metric, and whether chance alone would make it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Evaluation;

/// How a model differs from another one that was judged on the same users.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paired {
    /// Name of the other model.
    pub against: String,
    /// By name of the metric; those that are means over users.
    pub metrics: BTreeMap<String, PairedDifference>,
}

/// The difference of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairedDifference {
    /// The model's mean minus the other's.
    pub difference: f64,
    /// Standard error of the difference, from the differences user by user: far smaller than that of either mean, because a
    /// user who is hard for one model is hard for the other.
    pub standard_error: f64,
    /// Whether the difference is less than twice its standard error; always of fewer than two users.
    pub within_noise: bool,
}

impl Evaluation {
    /// Notes how this model differs from `other`. Panics unless both were judged on the same users.
    pub fn pair(&mut self, other: &Self) {
        let both = self.per_user.iter().filter_map(|(name, own)| {
            let others = other.per_user.get(name)?;
            Some((name.clone(), difference(own, others)))
        });
        self.paired = Some(Paired { against: other.model.clone(), metrics: both.collect() });
    }
}

fn difference(own: &[f64], others: &[f64]) -> PairedDifference {
    assert_eq!(own.len(), others.len(), "the same users");
    let differences = own.iter().zip(others).map(|(own, other)| own - other);
    let (difference, standard_error) = mean_and_error(differences);
    let same = difference == 0.0 || own.len() < 2;
    PairedDifference {
        difference,
        standard_error,
        within_noise: same || difference.abs() < 2.0 * standard_error,
    }
}

/// Mean and its standard error; zeros of nothing.
pub(crate) fn mean_and_error(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.len();
    if count == 0 {
        return (0.0, 0.0);
    }
    let mean = values.clone().sum::<f64>() / count as f64;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count.max(2) - 1) as f64;
    (mean, (variance / count as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(own: &[f64], others: &[f64], expect: (f64, f64, bool)) {
        let found = difference(own, others);
        assert!((found.difference - expect.0).abs() < 1e-12, "{found:?}");
        assert!((found.standard_error - expect.1).abs() < 1e-12, "{found:?}");
        assert_eq!(found.within_noise, expect.2, "{found:?}");
    }

    #[test]
    fn a_small_steady_difference_is_more_than_noise() {
        check(&[0.1, 0.5, 0.9], &[0.0, 0.4, 0.8], (0.1, 0.0, false));
        check(&[0.9, 0.1], &[0.1, 0.7], (0.1, 0.7, true));
        // Differences 1, 1, 1, 0: the mean is three standard errors from 0.
        check(&[1.0, 1.0, 1.0, 0.0], &[0.0; 4], (0.75, 0.25, false));
    }

    #[test]
    fn equal_or_too_few_is_noise() {
        check(&[0.3, 0.4], &[0.3, 0.4], (0.0, 0.0, true));
        check(&[0.3], &[0.1], (0.2, 0.0, true));
        check(&[], &[], (0.0, 0.0, true));
    }
}
