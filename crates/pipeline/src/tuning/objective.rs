//! What a tuning raises: the score of one training on the validation part, with the best mix of taste and recent likes found
//! on the way, which costs no training.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cinedex_dataset::split::{HeldOutUser, Split};
use cinedex_domain::{LIKED, MovieIndex, UserIndex, silent};
use cinedex_model::{
    FoldIn, IalsParameters, Protocol, Targets, TasteSpread, add_recent, gramian, recent_like_counts,
    recent_scores, train_ials,
};
use cinedex_vectors::{Csr, Matrix, TopK, inner_products};
use rayon::prelude::*;

use super::TunedSettings;
use crate::PipelineError;
use crate::evaluation::matrix;

/// Weights of recent likes that are tried, in standard deviations of taste, besides none.
const RECENT_WEIGHTS: [f32; 5] = [0.25, 0.5, 0.75, 1.0, 1.5];
/// Shares of the likes that are tried as recent.
const RECENT_SHARES: [f32; 3] = [0.02, 0.05, 0.1];

/// A part to learn from and users to judge on.
pub(super) struct Fold {
    /// Whatever the age, where users are known. The validation is judged on; in place of the test stand users without targets,
    /// whose lists count for coverage.
    split: Split,
    preferences: Csr<f32>,
    /// For each recent share the standardised log of recent likes.
    recent: Vec<(f32, Vec<f32>)>,
}

/// Users whose lists coverage is measured on, where there are as many: few users are shown few movies, whatever the settings.
const AUDIENCE: usize = 1000;

/// The best mix of one training.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) recent_weight: f32,
    pub(super) recent_share: f32,
    /// The objective for each user of each fold.
    pub(super) per_user: Vec<f64>,
    pub(super) coverage: f64,
    pub(super) train_seconds: f64,
    pub(super) judge_seconds: f64,
}

/// How settings are judged.
pub(super) struct Objective<'a> {
    pub(super) folds: Vec<Fold>,
    pub(super) protocol: Protocol,
    /// What is not searched: threads, seed…
    pub(super) others: &'a IalsParameters,
    /// The least share of the catalogue that has to be shown.
    pub(super) min_coverage: f64,
    pub(super) cancel: &'a AtomicBool,
}

impl Fold {
    /// `shares` are those of recent likes that may be mixed in. With `wide`, coverage is that of [`AUDIENCE`] lists: of known
    /// users those who were active last join the judged ones. Else it is that of the judged.
    pub(super) fn new(mut split: Split, shares: &[f32], wide: bool) -> Self {
        split.test = if wide { audience(&split) } else { Vec::new() };
        // Completes the histories.
        let split = if wide { split.aged(None) } else { split };
        let preferences = matrix(&split.training);
        let recent = shares.iter().map(|&share| (share, recent(&split, share))).collect();
        Self { split, preferences, recent }
    }

    pub(super) fn users(&self) -> &[HeldOutUser] {
        &self.split.validation
    }

    /// Preferences and users as these settings have them.
    #[expect(clippy::float_cmp, reason = "what is not searched stays 1, and what is drawn is rounded")]
    fn under(&self, settings: &TunedSettings) -> (Cow<'_, Split>, Cow<'_, Csr<f32>>) {
        let known = self.users().first().is_some_and(|judged| judged.user.is_some());
        let half_life_days = settings.half_life_days.filter(|_| known);
        if half_life_days.is_none() && settings.rating_contrast == 1.0 {
            return (Cow::Borrowed(&self.split), Cow::Borrowed(&self.preferences));
        }
        let mut split = self.split.clone();
        let users = split.validation.iter_mut().chain(&mut split.test);
        let histories = users.flat_map(|judged| &mut judged.history).map(|(_, preference)| preference);
        let events = split.training.events.iter_mut().map(|event| &mut event.preference);
        for preference in events.chain(histories) {
            *preference = settings.contrasted(*preference);
        }
        let split = split.aged(half_life_days);
        let preferences = matrix(&split.training);
        (Cow::Owned(split), Cow::Owned(preferences))
    }
}

/// The mixes that are tried: a weight and a share, and no weight at all; what is given is not varied.
pub(super) fn mixes(weight: Option<f32>, share: Option<f32>, default_share: f32) -> Vec<(f32, f32)> {
    let weights = weight.map_or(RECENT_WEIGHTS.to_vec(), |weight| vec![weight]);
    let shares = share.map_or(RECENT_SHARES.to_vec(), |share| vec![share]);
    let nothing = weight.is_none().then_some((0.0, share.unwrap_or(default_share)));
    let mixed = weights.into_iter().flat_map(|weight| shares.iter().map(move |&share| (weight, share)));
    nothing.into_iter().chain(mixed).collect()
}

impl Objective<'_> {
    /// The name of what is raised.
    pub(super) fn name(&self) -> String {
        self.protocol.objective()
    }

    /// How good a score at a coverage is; too little coverage is worse than any score.
    pub(super) fn merit(&self, score: f64, coverage: f64) -> f64 {
        if coverage >= self.min_coverage { score } else { coverage - self.min_coverage }
    }

    /// Trains with these settings and finds the best of the mixes, of equals the first.
    pub(super) fn judge(
        &self,
        settings: &TunedSettings,
        mixes: &[(f32, f32)],
    ) -> Result<Judged, PipelineError> {
        let parameters = settings.parameters(self.others);
        let parameters = match self.folds.first() {
            Some(fold) => parameters.for_data(&fold.preferences),
            None => parameters,
        };
        let (mut train_seconds, mut judge_seconds) = (0.0, 0.0);
        let mut per_mix: Vec<(Vec<f64>, f64)> = vec![(Vec::new(), 0.0); mixes.len()];
        for fold in &self.folds {
            let (split, preferences) = fold.under(settings);
            let began = Instant::now();
            let factors = train_ials(&preferences, &parameters, &silent, self.cancel)?;
            train_seconds += began.elapsed().as_secs_f64();
            let began = Instant::now();
            let judged = self.fold(fold, &split, &factors.movies, &parameters, mixes);
            for ((per_user, coverage), (found, shown)) in per_mix.iter_mut().zip(judged) {
                per_user.extend(found);
                *coverage += shown / self.folds.len() as f64;
            }
            judge_seconds += began.elapsed().as_secs_f64();
        }
        let merit = |(per_user, coverage): &(Vec<f64>, f64)| self.merit(mean(per_user), *coverage);
        let best = (0..mixes.len()).rev().max_by(|&a, &b| merit(&per_mix[a]).total_cmp(&merit(&per_mix[b])));
        let best = best.unwrap_or_default();
        let (per_user, coverage) = per_mix.swap_remove(best);
        let (recent_weight, recent_share) = mixes[best];
        Ok(Judged { recent_weight, recent_share, per_user, coverage, train_seconds, judge_seconds })
    }

    /// For each mix the objective user by user, and the coverage.
    fn fold(
        &self,
        fold: &Fold,
        split: &Split,
        movies: &Matrix,
        parameters: &IalsParameters,
        mixes: &[(f32, f32)],
    ) -> Vec<(Vec<f64>, f64)> {
        let gram = gramian(movies.view());
        let fold_in = FoldIn::new(movies.view(), gram.view(), parameters.fold_in());
        let spread = TasteSpread::new(movies.view());
        let nothing = Vec::new();
        let recent = |share: f32| {
            let found = fold.recent.iter().find(|(known, _)| (known - share).abs() < f32::EPSILON);
            found.map_or(&nothing, |(_, scores)| scores)
        };
        let mixes: Vec<(f32, &Vec<f32>)> =
            mixes.iter().map(|&(weight, share)| (weight, recent(share))).collect();
        let one = |judged: &HeldOutUser| {
            let vector = fold_in.vector(&judged.history);
            let deviation = spread.deviation(gram.view(), &vector);
            let mut taste = vec![0.0; movies.rows()];
            inner_products(movies.view(), &vector, &mut taste);
            for (movie, _) in &judged.history {
                taste[movie.row()] = f32::NAN;
            }
            let targets = Targets::new(&judged.targets);
            let lists = mixes.iter().map(|&(weight, recent)| {
                let ranking = self.rank(&taste, weight * deviation, recent);
                let score = targets.ndcg(&ranking, self.depth());
                (score, ranking.into_iter().take(self.protocol.coverage_at).collect::<Vec<_>>())
            });
            lists.collect::<Vec<_>>()
        };
        let judged: Vec<Vec<(f64, Vec<MovieIndex>)>> =
            split.validation.par_iter().chain(&split.test).map(one).collect();
        let of_mix = |mix: usize| {
            let shown: HashSet<MovieIndex> =
                judged.iter().flat_map(|user| user[mix].1.iter().copied()).collect();
            let scores = judged[..split.validation.len()].iter().map(|user| user[mix].0).collect();
            (scores, shown.len() as f64 / movies.rows().max(1) as f64)
        };
        (0..mixes.len()).map(of_mix).collect()
    }

    fn rank(&self, taste: &[f32], weight: f32, recent: &[f32]) -> Vec<MovieIndex> {
        let mut scores = taste.to_vec();
        if weight > 0.0 && !recent.is_empty() {
            add_recent(&mut scores, weight, recent);
        }
        let mut top = TopK::new(self.depth());
        top.push_all(0, &scores);
        top.into_sorted().into_iter().map(|scored| MovieIndex(scored.index)).collect()
    }

    /// In units of their own, the work of training with these settings and of judging the result.
    pub(super) fn work(&self, settings: &TunedSettings) -> (f64, f64) {
        let dimension = settings.dimension as f64;
        let (mut train, mut judge) = (0.0, 0.0);
        for fold in &self.folds {
            let (users, movies) =
                (fold.preferences.row_count() as f64, fold.preferences.column_count() as f64);
            let entries = fold.preferences.entry_count() as f64;
            train += settings.epochs as f64 * dimension * (2.0 * entries + (users + movies) * dimension);
            let users = || fold.users().iter().chain(&fold.split.test);
            let known: usize = users().map(|judged| judged.history.len()).sum();
            let judged = users().count() as f64;
            judge += dimension * dimension * (known as f64 + judged * dimension)
                + judged * movies * (dimension + 50.0);
        }
        (train, judge)
    }

    /// The depth in the objective's name.
    fn depth(&self) -> usize {
        self.name().rsplit('@').next().and_then(|depth| depth.parse().ok()).unwrap_or(10)
    }
}

/// Mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Standard error of the mean.
pub(super) fn standard_error(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64 / values.len().max(1) as f64).sqrt()
}

/// Known users who are not judged, those who were active last first.
fn audience(split: &Split) -> Vec<HeldOutUser> {
    let training = &split.training;
    let mut latest = vec![i64::MIN; training.user_ids.len()];
    for event in &training.events {
        let time = &mut latest[event.user.row()];
        *time = event.timestamp_ms.max(*time);
    }
    let judged: HashSet<UserIndex> = split.validation.iter().filter_map(|judged| judged.user).collect();
    let mut others: Vec<UserIndex> =
        (0u32..).map(UserIndex).take(latest.len()).filter(|user| !judged.contains(user)).collect();
    others.sort_by_key(|user| std::cmp::Reverse(latest[user.row()]));
    others.truncate(AUDIENCE.saturating_sub(judged.len()));
    let listed = |user: UserIndex| HeldOutUser {
        user_id: training.user_ids[user.row()].clone(),
        user: Some(user),
        history: Vec::new(),
        targets: Vec::new(),
    };
    others.into_iter().map(listed).collect()
}

/// For each movie how much of what was liked last is its, see [`recent_scores`].
fn recent(split: &Split, share: f32) -> Vec<f32> {
    let likes = split.training.events.iter().filter(|event| event.preference >= LIKED);
    let likes: Vec<(MovieIndex, i64)> = likes.map(|event| (event.movie, event.timestamp_ms)).collect();
    let counts = recent_like_counts(split.training.movie_ids.len(), &likes, f64::from(share));
    recent_scores(&counts.into_iter().map(|count| count as f32).collect::<Vec<_>>())
}
