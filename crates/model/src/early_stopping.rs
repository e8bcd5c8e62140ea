//! How many epochs are enough: training ends once validation no longer improves, and the best epoch is kept.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use cinedex_domain::Progress;
use cinedex_vectors::Csr;

use crate::ials::{Epoch, Factors, IalsParameters, train_ials_observed};
use crate::{Case, IalsRanker, ModelError, Protocol, evaluate, like_counts};

/// On whom a training is judged after each epoch, and when it ends.
#[derive(Debug, Clone, Copy)]
pub struct Validation<'a> {
    /// Users unknown in training (strong), or what known users did later (temporal).
    pub cases: &'a [Case],
    /// How they are judged; [`Protocol::objective`] decides.
    pub protocol: &'a Protocol,
    /// Epochs without a better one after which training ends.
    pub patience: usize,
}

/// The best epoch of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct BestEpoch {
    /// Its number, from 1.
    pub number: usize,
    /// What was learned by then.
    pub factors: Factors,
    /// The objective after each epoch that was trained.
    pub scores: Vec<f64>,
}

/// Trains up to `parameters.epochs`, judges after each, and ends early. Of equal epochs the first is the best.
pub fn train_ials_validated(
    preferences: &Csr<f32>,
    parameters: &IalsParameters,
    validation: &Validation<'_>,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<BestEpoch, ModelError> {
    let likes = like_counts(preferences);
    let objective = validation.protocol.objective();
    let mut scores: Vec<f64> = Vec::new();
    let mut best: Option<(usize, Factors)> = None;
    let mut observe = |epoch: &Epoch| {
        let ranker = IalsRanker::new(epoch.factors.movies.clone(), parameters.fold_in());
        let judged = evaluate(&ranker, validation.cases, validation.protocol, &likes);
        let score = judged.metrics.get(&objective).copied().unwrap_or_default();
        if scores.iter().all(|earlier| *earlier < score) {
            best = Some((epoch.number, epoch.factors.clone()));
        }
        scores.push(score);
        let since = best.as_ref().map_or(0, |(number, _)| epoch.number - number);
        if since >= validation.patience.max(1) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let last = train_ials_observed(preferences, parameters, None, &mut observe, progress, cancel)?;
    let (number, factors) = best.unwrap_or((scores.len(), last));
    Ok(BestEpoch { number, factors, scores })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cinedex_domain::{MovieIndex, silent};

    #[test]
    fn the_best_epoch_is_kept_and_training_ends_after_the_patience() {
        // Two tastes; held-out users show one film of a taste and look for the rest of it.
        let likes = (0..40u32).flat_map(|user| {
            let own = move |movie: &u32| !(user / 2 + movie).is_multiple_of(6);
            (0..6u32).filter(own).map(move |movie| (user, movie + 6 * (user % 2), 1.0))
        });
        let preferences = Csr::from_triplets(40, 12, likes);
        let case = |first: u32| Case {
            user: None,
            history: vec![(MovieIndex(first), 1.0)],
            targets: (first + 1..first + 6).map(MovieIndex).collect(),
        };
        let cases = [case(0), case(6)];
        let parameters = IalsParameters { dimension: 8, epochs: 50, threads: 1, ..IalsParameters::default() };
        let protocol = Protocol::strong();
        let validation = Validation { cases: &cases, protocol: &protocol, patience: 3 };
        let never = AtomicBool::new(false);
        let best = train_ials_validated(&preferences, &parameters, &validation, &silent, &never).unwrap();
        assert!(best.scores.len() < 50 && best.scores.len() == best.number + 3, "{:?}", best.scores);
        let highest = best.scores.iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(best.scores[best.number - 1], highest);
        let parameters = IalsParameters { epochs: best.number, ..parameters };
        let again = crate::train_ials(&preferences, &parameters, &silent, &never).unwrap();
        assert_eq!(again, best.factors);
    }
}
