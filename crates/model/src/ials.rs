//! Implicit alternating least squares as in Rendle et al. 2021 ("Revisiting the Performance of iALS on Item Recommendation
//! Benchmarks"): regularisation scaled by frequency, one weight for all unobserved pairs, a small initial deviation, and here
//! also evidence against (see [`cinedex_domain::FoldInSettings`] for the equation).

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use cinedex_domain::{FoldInSettings, LIKED, Progress, Step};
use cinedex_vectors::{Csr, Matrix};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::gramian::{gramian, observed_gramian};
use crate::half_step::HalfStep;
use crate::loss::loss;

/// The largest size of a preference that makes sense, weighted by age: beyond it single precision suffers.
const MOST_PREFERENCE: f32 = 1e4;

/// Rows that share one stream of random numbers.
const SEED_ROWS: usize = 1024;

/// The hyper-parameters of a training. The defaults are near the best on MovieLens 100K, latest-small and 1M. Negatives count
/// little by default: who rated a film low chose it, which says more of the taste than of what to leave out, and at full
/// weight they cost 2 % to 9 % of NDCG@100 there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IalsParameters {
    /// Length of an embedding, 1 to 4096.
    pub dimension: usize,
    /// Passes over users and movies.
    pub epochs: usize,
    /// Regularisation before scaling by frequency.
    pub regularization: f32,
    /// Weight of each unobserved pair, whose target is 0.
    pub unobserved_weight: f32,
    /// Exponent of the frequency scaling, 0 to 1 in practice.
    pub frequency_exponent: f32,
    /// Standard deviation of the initial embeddings' length; a component's is this over the root of the dimension.
    pub initial_deviation: f32,
    /// Steps of the conjugate gradient in each solve, from the last epoch's solution.
    pub cg_steps: usize,
    /// Seed of the initial embeddings; the same seed gives the same model.
    pub seed: u64,
    /// Threads; 0 takes all processors.
    pub threads: usize,
    /// Target of a negative preference, -1 to 0.
    pub negative_target: f32,
    /// Confidence of a negative preference of -1.
    pub negative_weight: f32,
}

impl Default for IalsParameters {
    fn default() -> Self {
        Self {
            dimension: 128,
            epochs: 16,
            regularization: 0.0084,
            unobserved_weight: 0.2,
            frequency_exponent: 1.0,
            initial_deviation: 0.1,
            cg_steps: 3,
            seed: 42,
            threads: 0,
            negative_target: -0.5,
            negative_weight: 0.5,
        }
    }
}

/// Stands for a regularisation that [`IalsParameters::for_data`] chooses.
pub const AUTOMATIC_REGULARIZATION: f32 = 0.0;

impl IalsParameters {
    /// With a regularisation for these `preferences` (users × movies) where it was left to choose: `.0084 (4833 / users)^.2`, from
    /// .003 to .015, times `(dimension / 128)^.25` below 128 dimensions, times the root of the share of preferences from
    /// [`LIKED`] on. Fitted on validation parts of MovieLens 100K, latest-small and 1M at 32 to 512 dimensions, of likes alone and
    /// of all ratings: the fewer users, the less is known of each film; the fewer dimensions, the less there is to restrain; and
    /// the frequencies that scale it count lukewarm ratings too.
    #[must_use]
    pub fn for_data(&self, preferences: &Csr<f32>) -> Self {
        if self.regularization != AUTOMATIC_REGULARIZATION {
            return self.clone();
        }
        let values = preferences.values();
        let liked = values.iter().filter(|preference| **preference >= LIKED).count();
        let liked_share = liked.max(1) as f32 / values.len().max(1) as f32;
        let by_users = 0.0084 * (4833.0 / preferences.row_count().max(1) as f32).powf(0.2);
        let by_dimension = (self.dimension as f32 / 128.0).min(1.0).powf(0.25);
        let regularization = by_users.clamp(0.003, 0.015) * by_dimension * liked_share.sqrt();
        Self { regularization, ..self.clone() }
    }

    /// Checks every range.
    pub fn validate(&self) -> Result<(), ModelError> {
        let number = |name, found: f32, low: f32, high: f32, expected| {
            let valid = found >= low && found <= high;
            if valid { Ok(()) } else { Err(invalid(name, &found, expected)) }
        };
        let count = |name, found: usize, low, high, expected| {
            if (low..=high).contains(&found) { Ok(()) } else { Err(invalid(name, &found, expected)) }
        };
        count("dimension", self.dimension, 1, 4096, "1 to 4096")?;
        count("epochs", self.epochs, 1, 10_000, "1 to 10000")?;
        count("cg_steps", self.cg_steps, 1, 1000, "1 to 1000")?;
        count("threads", self.threads, 0, 1024, "0 (all processors) to 1024")?;
        number("regularization", self.regularization, f32::MIN_POSITIVE, 1e6, "above 0 and at most 1e6")?;
        number(
            "unobserved_weight",
            self.unobserved_weight,
            f32::MIN_POSITIVE,
            1e6,
            "above 0 and at most 1e6",
        )?;
        number("frequency_exponent", self.frequency_exponent, 0.0, 4.0, "0 to 4")?;
        number("initial_deviation", self.initial_deviation, 1e-6, 100.0, "0.000001 to 100")?;
        number("negative_target", self.negative_target, -1.0, 0.0, "-1 to 0")?;
        number("negative_weight", self.negative_weight, 0.0, 1e6, "0 to 1e6")
    }

    /// What serving needs to fold users in as training did.
    pub fn fold_in(&self) -> FoldInSettings {
        FoldInSettings {
            regularization: self.regularization,
            unobserved_weight: self.unobserved_weight,
            frequency_exponent: self.frequency_exponent,
            negative_target: self.negative_target,
            negative_weight: self.negative_weight,
        }
    }
}

/// What training learns: an embedding for each row and column of the preferences, zeros where there is nothing to learn
/// from.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// `user_count × dimension`.
    pub users: Matrix,
    /// `movie_count × dimension`.
    pub movies: Matrix,
}

/// A training after a whole number of epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// Epochs done.
    pub number: usize,
    /// The objective per observed pair: the squares of what is missed, weighted by confidence, over all pairs, and the
    /// regularisation.
    pub loss: f64,
    /// What they learned.
    pub factors: Factors,
}

/// Learns from `preferences` (users × movies, signed, of size up to 1 before they are weighted by age). Runs on a pool of its own; deterministic for a
/// seed, whatever the number of threads. Reports stage `train` in half epochs; `cancel` is looked at many times an epoch.
pub fn train_ials(
    preferences: &Csr<f32>,
    parameters: &IalsParameters,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<Factors, ModelError> {
    train_ials_observed(preferences, parameters, None, &mut |_| ControlFlow::Continue(()), progress, cancel)
}

/// As [`train_ials`], from what was learned by an epoch if `from` says (the result is that of a training never interrupted), and shows
/// `observe` the state after every epoch, which may end the training there.
pub fn train_ials_observed(
    preferences: &Csr<f32>,
    parameters: &IalsParameters,
    from: Option<(usize, Factors)>,
    observe: &mut (dyn FnMut(&Epoch) -> ControlFlow<()> + Send),
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<Factors, ModelError> {
    parameters.validate()?;
    check(preferences)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(parameters.threads)
        .thread_name(|number| format!("train-{number}"))
        .build()
        .map_err(|source| ModelError::Threads { threads: parameters.threads, source: Box::new(source) })?;
    pool.install(|| {
        let by_movie = preferences.transpose();
        let mut training = Training { by_user: preferences, by_movie, parameters, progress, cancel };
        training.run(from, observe)
    })
}

/// Solves every user against the movies as they are now, by conjugate gradient from the vectors that are there: after movies
/// changed, a user's vector is again what folding the history in gives. `observed` as in [`crate::observed_gramian`].
pub fn solve_users(
    factors: &mut Factors,
    preferences: &Csr<f32>,
    observed: &[bool],
    parameters: &IalsParameters,
    cancel: &AtomicBool,
) -> Result<(), ModelError> {
    let gram = observed_gramian(factors.movies.view(), observed);
    let half_step =
        HalfStep::new(factors.movies.view(), gram.view(), parameters.fold_in(), parameters.cg_steps);
    half_step.run(preferences, &mut factors.users, cancel);
    if cancel.load(Ordering::Relaxed) { Err(ModelError::Cancelled) } else { Ok(()) }
}

/// Refuses what nothing can be learned from, and values that would spoil everything they touch.
fn check(preferences: &Csr<f32>) -> Result<(), ModelError> {
    for user in 0..preferences.row_count() {
        let (movies, values) = preferences.row(user);
        let senseless = |value: &f32| !(-MOST_PREFERENCE..=MOST_PREFERENCE).contains(value);
        if let Some(position) = values.iter().position(senseless) {
            let (movie, found) = (movies[position] as usize, values[position]);
            return Err(ModelError::SenselessPreference { user, movie, found });
        }
    }
    if preferences.values().iter().any(|&preference| preference > 0.0) {
        Ok(())
    } else {
        Err(ModelError::NothingToLearn { entries: preferences.entry_count() })
    }
}

/// One training at work.
struct Training<'a> {
    by_user: &'a Csr<f32>,
    by_movie: Csr<f32>,
    parameters: &'a IalsParameters,
    progress: Progress<'a>,
    cancel: &'a AtomicBool,
}

impl Training<'_> {
    fn run(
        &mut self,
        from: Option<(usize, Factors)>,
        observe: &mut (dyn FnMut(&Epoch) -> ControlFlow<()> + Send),
    ) -> Result<Factors, ModelError> {
        let factors = match from {
            Some((number, factors)) => (number, self.fitting(factors)?),
            None => (0, self.initial()),
        };
        let mut state = self.state(factors);
        while state.number < self.parameters.epochs {
            let Factors { users, movies } = &mut state.factors;
            self.report(2 * state.number, state.loss);
            state.loss -= self.half_step(state.number, self.by_user, movies, users)?;
            self.report(2 * state.number + 1, state.loss);
            state.loss -= self.half_step(state.number, &self.by_movie, users, movies)?;
            state.number += 1;
            if observe(&state).is_break() {
                break;
            }
        }
        self.report(2 * state.number, state.loss);
        let Factors { users, movies } = &state.factors;
        if users.as_slice().iter().chain(movies.as_slice()).any(|value| !value.is_finite()) {
            return Err(ModelError::Diverged { epoch: state.number });
        }
        Ok(state.factors)
    }

    /// Solves one side against the other; returns by how much that lowers the loss.
    fn half_step(
        &self,
        epoch: usize,
        preferences: &Csr<f32>,
        fixed: &Matrix,
        solved: &mut Matrix,
    ) -> Result<f64, ModelError> {
        let gram = gramian(fixed.view());
        if gram.as_slice().iter().any(|value| !value.is_finite()) {
            return Err(ModelError::Diverged { epoch: epoch + 1 });
        }
        let settings = self.parameters.fold_in();
        let half_step = HalfStep::new(fixed.view(), gram.view(), settings, self.parameters.cg_steps);
        let decrease = half_step.run(preferences, solved, self.cancel);
        if self.cancel.load(Ordering::Relaxed) {
            return Err(ModelError::Cancelled);
        }
        Ok(decrease / self.by_user.entry_count() as f64)
    }

    fn report(&self, done: usize, loss: f64) {
        let total = Some(2 * self.parameters.epochs as u64);
        (self.progress)(Step { loss: Some(loss), ..Step::new("train", done as u64, total) });
    }

    fn state(&self, (number, factors): (usize, Factors)) -> Epoch {
        let Factors { users, movies } = &factors;
        let whole = loss(self.by_user, users.view(), movies.view(), &self.parameters.fold_in());
        Epoch { number, loss: whole / self.by_user.entry_count() as f64, factors }
    }

    fn initial(&self) -> Factors {
        Factors {
            users: initial(self.by_user.row_count(), 0, self.parameters),
            movies: initial(self.by_movie.row_count(), 1, self.parameters),
        }
    }

    /// The factors to go on from, if it has the shape of these preferences.
    fn fitting(&self, factors: Factors) -> Result<Factors, ModelError> {
        let shape = |matrix: &Matrix| (matrix.rows(), matrix.dimension());
        let found = (shape(&factors.users), shape(&factors.movies));
        let dimension = self.parameters.dimension;
        let expected = ((self.by_user.row_count(), dimension), (self.by_movie.row_count(), dimension));
        if found == expected { Ok(factors) } else { Err(ModelError::UnfitState { found, expected }) }
    }
}

/// Normal numbers of the asked deviation; a row's depend on the seed, the side and the row alone.
fn initial(rows: usize, side: u64, parameters: &IalsParameters) -> Matrix {
    let deviation = parameters.initial_deviation / (parameters.dimension as f32).sqrt();
    let mut matrix = Matrix::zeros(rows, parameters.dimension);
    let chunks = matrix.as_mut_slice().par_chunks_mut(SEED_ROWS * parameters.dimension).enumerate();
    chunks.for_each(|(chunk, values)| {
        let mut random = ChaCha8Rng::seed_from_u64(parameters.seed);
        random.set_stream(2 * chunk as u64 + side);
        for value in values {
            let sample: f32 = StandardNormal.sample(&mut random);
            *value = deviation * sample;
        }
    });
    matrix
}

fn invalid(name: &'static str, found: &dyn std::fmt::Display, expected: &'static str) -> ModelError {
    ModelError::InvalidParameter { name, found: found.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FoldIn;
    use crate::fold_in::Terms;
    use cinedex_domain::{MovieIndex, silent};
    use cinedex_vectors::dot;
    use std::sync::atomic::AtomicUsize;

    /// `users × movies` of which about a third is there, a fifth of that negative, a fifth weak.
    fn sample(users: u32, movies: u32) -> Csr<f32> {
        let value = |hash: u32| match hash % 5 {
            0 => -1.0,
            1 => 0.3,
            _ => 1.0,
        };
        let cell = |cell: u32| {
            let hash = cell.wrapping_mul(2_654_435_761) >> 9;
            hash.is_multiple_of(3).then(|| (cell / movies, cell % movies, value(hash / 3)))
        };
        Csr::from_triplets(users as usize, movies as usize, (0..users * movies).filter_map(cell))
    }

    fn parameters() -> IalsParameters {
        IalsParameters {
            dimension: 8,
            regularization: 0.02,
            negative_target: -0.2,
            negative_weight: 0.5,
            threads: 2,
            ..IalsParameters::default()
        }
    }

    fn trained(preferences: &Csr<f32>, parameters: &IalsParameters) -> Factors {
        train_ials(preferences, parameters, &silent, &AtomicBool::new(false)).unwrap()
    }

    fn history(preferences: &Csr<f32>, row: usize) -> Vec<(MovieIndex, f32)> {
        let (columns, values) = preferences.row(row);
        columns.iter().copied().map(MovieIndex).zip(values.iter().copied()).collect()
    }

    /// The whole objective, with the frequency-scaled penalties of both sides.
    fn whole_loss(preferences: &Csr<f32>, factors: &Factors, settings: &FoldInSettings) -> f64 {
        let (users, movies) = (factors.users.rows(), factors.movies.rows());
        let turned = preferences.transpose();
        let mut loss = 0.0;
        for user in 0..users {
            let x = factors.users.row(user);
            let degree = preferences.row(user).0.len();
            loss += f64::from(settings.ridge(degree, movies) * dot(x, x));
            for movie in 0..movies {
                let score = dot(x, factors.movies.row(movie));
                loss += f64::from(settings.unobserved_weight * score * score);
                if let Some(preference) = preferences.get(user, movie as u32) {
                    let (confidence, target) = settings.observation(preference);
                    loss += f64::from(confidence * (score - target).powi(2));
                }
            }
        }
        for movie in 0..movies {
            let y = factors.movies.row(movie);
            loss += f64::from(settings.ridge(turned.row(movie).0.len(), users) * dot(y, y));
        }
        loss
    }

    #[test]
    fn the_loss_falls_with_every_epoch() {
        let preferences = sample(60, 40);
        let of = |epochs| {
            let parameters = IalsParameters { epochs, ..parameters() };
            whole_loss(&preferences, &trained(&preferences, &parameters), &parameters.fold_in())
        };
        let losses: Vec<f64> = (1..8).map(of).collect();
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
        let mut reported = Vec::new();
        let mut observe = |epoch: &Epoch| {
            reported.push(epoch.loss * preferences.entry_count() as f64);
            if epoch.number == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let never = AtomicBool::new(false);
        train_ials_observed(&preferences, &parameters(), None, &mut observe, &silent, &never).unwrap();
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-4 * b;
        assert!(reported.iter().zip(&losses).all(close), "{reported:?} {losses:?}");
    }

    #[test]
    fn enough_conjugate_gradient_is_the_exact_solution() {
        let preferences = sample(50, 30);
        let parameters = IalsParameters { cg_steps: 40, ..parameters() };
        let mut factors = trained(&preferences, &parameters);
        let gram = gramian(factors.movies.view());
        HalfStep::new(factors.movies.view(), gram.view(), parameters.fold_in(), 40).run(
            &preferences,
            &mut factors.users,
            &AtomicBool::new(false),
        );
        let fold_in = FoldIn::new(factors.movies.view(), gram.view(), parameters.fold_in());
        for user in 0..50 {
            let exact = fold_in.vector(&history(&preferences, user));
            let found = factors.users.row(user);
            assert!(exact.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-4), "{exact:?} {found:?}");
        }
    }

    #[test]
    fn three_steps_from_the_last_solution_are_nearly_exact_when_converged() {
        let preferences = sample(80, 50);
        let parameters = IalsParameters { epochs: 40, ..parameters() };
        let factors = trained(&preferences, &parameters);
        let gram = gramian(factors.movies.view());
        let fold_in = FoldIn::new(factors.movies.view(), gram.view(), parameters.fold_in());
        for user in 0..80 {
            let exact = fold_in.vector(&history(&preferences, user));
            let distance: f32 = exact.iter().zip(factors.users.row(user)).map(|(a, b)| (a - b).powi(2)).sum();
            assert!(distance <= 2e-3 * dot(&exact, &exact), "{distance} {exact:?}");
        }
    }

    #[test]
    fn two_disjoint_tastes_are_told_apart() {
        // Ten users like some of movies 0 to 5, ten some of 6 to 11; nobody likes 12.
        let likes = (0..20u32).flat_map(|user| {
            (0..6u32)
                .filter(move |movie| (user + movie) % 6 != 0)
                .map(move |movie| (user, movie + 6 * (user % 2), 1.0))
        });
        let preferences = Csr::from_triplets(20, 13, likes);
        let factors = trained(&preferences, &parameters());
        for user in 0..20usize {
            let score = |movie: usize| dot(factors.users.row(user), factors.movies.row(movie));
            let (own, other) = (6 * (user % 2), 6 * (1 - user % 2));
            for movie in 0..6 {
                let (own, other) = (score(own + movie), score(other + movie));
                assert!(own > 0.1 && other < own / 4.0, "user {user}: {own} {other}");
            }
        }
        assert!(factors.movies.row(12).iter().all(|value| *value == 0.0));
    }

    #[test]
    fn a_dislike_is_evidence_against() {
        // Both like 0; one dislikes 1, which 0's audience likes.
        let likes = (0..30u32).flat_map(|user| [(user, 0, 1.0), (user, 1 + user % 3, 1.0)]);
        let preferences = Csr::from_triplets(32, 4, likes.chain([(30, 0, 1.0), (31, 0, 1.0), (31, 1, -1.0)]));
        let factors = trained(&preferences, &parameters());
        let score = |user| dot(factors.users.row(user), factors.movies.row(1));
        assert!(score(31) < score(30), "{} {}", score(31), score(30));
    }

    #[test]
    fn a_seed_makes_one_model_on_any_number_of_threads() {
        let preferences = sample(300, 50);
        let of = |seed, threads| trained(&preferences, &IalsParameters { seed, threads, ..parameters() });
        assert_eq!(of(1, 1), of(1, 1));
        assert_eq!(of(1, 1), of(1, 2));
        assert_ne!(of(1, 1), of(2, 1));
    }

    #[test]
    fn it_stops_when_told_to_and_reports_how_far_it_is() {
        let preferences = sample(30, 20);
        let cancelled = train_ials(&preferences, &parameters(), &silent, &AtomicBool::new(true));
        assert!(matches!(cancelled, Err(ModelError::Cancelled)));
        let last = AtomicUsize::new(0);
        let progress = |step: Step<'_>| last.store(step.done as usize, Ordering::Relaxed);
        train_ials(&preferences, &parameters(), &progress, &AtomicBool::new(false)).unwrap();
        assert_eq!(last.into_inner(), 2 * parameters().epochs);
    }

    #[test]
    fn nothing_to_learn_from_and_senseless_parameters_are_refused() {
        let cancel = AtomicBool::new(false);
        for triplets in [vec![], vec![(0, 0, -1.0)]] {
            let preferences = Csr::from_triplets(2, 2, triplets);
            let refused = train_ials(&preferences, &parameters(), &silent, &cancel);
            assert!(matches!(refused, Err(ModelError::NothingToLearn { .. })));
        }
        let check = |change: fn(&mut IalsParameters), expect: &str| {
            let mut changed = parameters();
            change(&mut changed);
            let message = changed.validate().unwrap_err().to_string();
            assert!(message.starts_with(expect), "{message}");
        };
        check(|p| p.dimension = 0, "dimension is 0: it must be 1 to 4096");
        check(|p| p.regularization = f32::NAN, "regularization is NaN");
        check(|p| p.negative_target = 0.5, "negative_target is 0.5");
        assert!(IalsParameters::default().validate().is_ok());
    }

    #[test]
    fn a_training_goes_on_as_if_never_interrupted() {
        let preferences = sample(60, 40);
        let whole = trained(&preferences, &parameters());
        let mut seen = Vec::new();
        let cancel = AtomicBool::new(false);
        let mut stop_at_five = |epoch: &Epoch| {
            seen.push(epoch.number);
            if epoch.number == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let half =
            train_ials_observed(&preferences, &parameters(), None, &mut stop_at_five, &silent, &cancel);
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        let from = (5, half.unwrap());
        let go_on = |from: (usize, Factors), preferences: &Csr<f32>| {
            let mut observe = |_: &Epoch| ControlFlow::Continue(());
            train_ials_observed(preferences, &parameters(), Some(from), &mut observe, &silent, &cancel)
        };
        assert_eq!(go_on(from.clone(), &preferences).unwrap(), whole);
        assert!(matches!(go_on(from, &sample(61, 40)), Err(ModelError::UnfitState { .. })));
    }

    #[test]
    fn what_spoils_everything_is_refused_and_what_is_odd_is_learned() {
        let refused = |value: f32| {
            let preferences = Csr::from_triplets(2, 3, [(0, 0, 1.0), (1, 2, value)]);
            let error =
                train_ials(&preferences, &parameters(), &silent, &AtomicBool::new(false)).unwrap_err();
            assert!(
                matches!(error, ModelError::SenselessPreference { user: 1, movie: 2, .. }),
                "{value}: {error}"
            );
        };
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e5, -1e5].into_iter().for_each(refused);
        let finite = |factors: &Factors| {
            factors.users.as_slice().iter().chain(factors.movies.as_slice()).all(|value| value.is_finite())
        };
        // A user with every movie, a movie with every user, all values equal, more dimensions than movies.
        let everything = Csr::from_triplets(5, 4, (0..20).map(|cell| (cell / 4, cell % 4, 0.5)));
        let factors = trained(&everything, &IalsParameters { dimension: 64, ..parameters() });
        assert!(finite(&factors));
        let one_sided = Csr::from_triplets(3, 3, [(0, 0, -1.0), (1, 0, -1.0), (2, 1, 1.0)]);
        assert!(finite(&trained(&one_sided, &parameters())));
        assert!(finite(&trained(&Csr::from_triplets(2, 2, [(0, 0, f32::MIN_POSITIVE)]), &parameters())));
    }

    #[test]
    fn the_fewer_users_and_the_more_likes_the_stronger_the_regularization() {
        let automatic =
            IalsParameters { regularization: AUTOMATIC_REGULARIZATION, ..IalsParameters::default() };
        assert!(automatic.validate().is_err(), "it must be chosen first");
        let check = |dimension: usize, users: u32, preferences: &[f32], expect: f32| {
            let cells = preferences.iter().zip(0..).map(|(preference, movie)| (0, movie, *preference));
            let data = Csr::from_triplets(users as usize, preferences.len(), cells);
            let found = IalsParameters { dimension, ..automatic.clone() }.for_data(&data).regularization;
            assert!((found - expect).abs() < 1e-4, "{users} users, {dimension}: {found}");
        };
        check(128, 4833, &[1.0], 0.0084);
        check(512, 755, &[1.0], 0.0122);
        check(64, 4833, &[0.82], 0.0071);
        check(128, 4833, &[1.0, 0.55, 0.27, 0.36], 0.0042);
        check(128, 10_000_000, &[1.0], 0.003);
        check(128, 0, &[], 0.015);
        assert_eq!(parameters().for_data(&sample(3, 3)), parameters());
    }

    #[test]
    fn one_user_and_one_movie_are_enough() {
        let factors = trained(&Csr::from_triplets(1, 1, [(0, 0, 1.0)]), &parameters());
        assert!(dot(factors.users.row(0), factors.movies.row(0)) > 0.5);
    }
}
