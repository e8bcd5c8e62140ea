//! Embeddings of films from their metadata, for films of which little or nothing was learned: learned embeddings are regressed
//! on sparse features (Gantner et al. 2010, "Learning Attribute-to-Feature Mappings for Cold-Start Recommendations"), and
//! a film with `n` interactions points where the mean of what was learned and what its metadata say does, weighted `n` to
//! `worth`. How many interactions metadata are worth, and how strongly the regression is held back, is what ranks held-out
//! films best for users who were folded in without them.

use cinedex_domain::FoldInSettings;
use cinedex_vectors::{Csr, MatrixView, norm, normalize, scale};
use serde::Serialize;

use crate::Factors;
use crate::feature_regression::FeatureRegression;
use crate::metadata_trial::{MetadataTrial, mean};

/// Ridges that are tried, in known films.
const RIDGES: [f64; 7] = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];
/// Interactions at which a film is half known, that are tried.
const HALF_KNOWN: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
/// Taken where there are too few films to learn from: the middle of what MovieLens 100K, latest-small and 1M say.
const UNTRIED: MetadataSettings = MetadataSettings { ridge: 10.0, half_known: 10.0, worth: 3.0 };
/// Numbers of interactions that metadata may be worth: four a decade from 0.1 to 1000.
const LEAST_WORTH: f64 = 0.1;
const WORTH_STEPS: i32 = 16;

/// What is learned about how much to trust metadata.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetadataSettings {
    /// How strongly the regression is drawn to the mean film, in known films of a feature.
    pub ridge: f64,
    /// A film of so many interactions counts half as much in the regression as one that everybody knows.
    pub half_known: f64,
    /// How many interactions the metadata of a film are worth.
    pub worth: f64,
}

/// What [`complete_movie_factors`] did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetadataReport {
    /// Features that some film has.
    pub features: usize,
    /// Films with a feature.
    pub described_movies: usize,
    /// Films without any interaction that took the embedding of their metadata.
    pub filled_movies: usize,
    /// Films held out to learn the settings; 0 where there were too few and the settings are the fixed ones.
    pub held_out_movies: usize,
    /// What was learned.
    pub settings: MetadataSettings,
}

/// Predicts embeddings of films from their features.
#[derive(Debug, Clone)]
pub struct MovieMetadata {
    regression: FeatureRegression,
    settings: MetadataSettings,
    held_out_movies: usize,
}

impl MovieMetadata {
    /// Learns from trained `factors`, the `preferences` they were trained on (users × movies), the movies' `features` (movies ×
    /// features, all of one scale, about 1) and the settings of training. Parallel on the current rayon pool; the same on any number
    /// of threads. Panics if they do not fit together.
    pub fn learn(
        factors: &Factors,
        preferences: &Csr<f32>,
        features: &Csr<f32>,
        fold_in: FoldInSettings,
    ) -> Self {
        assert!(
            preferences.row_count() == factors.users.rows()
                && preferences.column_count() == factors.movies.rows()
                && features.row_count() == factors.movies.rows(),
            "factors, preferences and features of the same users and movies"
        );
        let by_movie = preferences.transpose();
        let trial = MetadataTrial::new(factors, preferences, &by_movie, features, fold_in);
        let mut settings = UNTRIED;
        if trial.movie_count() > 0 {
            let judge = |settings| {
                trial.unseen_gains(&fit(factors.movies.view(), features, &settings, |movie| {
                    trial.known(movie)
                }))
            };
            settings.ridge = first_best(RIDGES, |ridge| judge(MetadataSettings { ridge, ..settings }));
            settings.half_known =
                first_best(HALF_KNOWN, |half_known| judge(MetadataSettings { half_known, ..settings }));
            let regression = fit(factors.movies.view(), features, &settings, |movie| trial.known(movie));
            settings.worth = learn_worth(&trial, &regression).unwrap_or(settings.worth);
        }
        let known = |movie: usize| by_movie.row(movie).0.len();
        let regression = fit(factors.movies.view(), features, &settings, known);
        Self { regression, settings, held_out_movies: trial.movie_count() }
    }

    /// The embedding that is expected of a film with these features; `None` without any.
    pub fn predict(&self, features: (&[u32], &[f32])) -> Option<Vec<f32>> {
        (!features.0.is_empty()).then(|| self.regression.predict(features))
    }

    /// What was learned of a film from its interactions, turned towards what its metadata say; with none the latter.
    pub fn combine(&self, learned: &[f32], interactions: usize, predicted: &[f32]) -> Vec<f32> {
        combine(learned, interactions, predicted, self.settings.worth)
    }

    /// What was learned about how much to trust metadata.
    pub fn settings(&self) -> MetadataSettings {
        self.settings
    }
}

/// Turns every film that has a feature towards the embedding that its metadata say, see
/// [`MovieMetadata`]: without interactions that is the prediction, with many practically what was learned. A film without features
/// stays as it is, one of zeros among them. Arguments as in [`MovieMetadata::learn`].
pub fn complete_movie_factors(
    factors: &mut Factors,
    preferences: &Csr<f32>,
    features: &Csr<f32>,
    fold_in: FoldInSettings,
) -> MetadataReport {
    let metadata = MovieMetadata::learn(factors, preferences, features, fold_in);
    let mut interactions = vec![0usize; factors.movies.rows()];
    preferences.columns().iter().for_each(|&movie| interactions[movie as usize] += 1);
    let (mut described_movies, mut filled_movies) = (0, 0);
    for (movie, &count) in interactions.iter().enumerate() {
        let Some(predicted) = metadata.predict(features.row(movie)) else { continue };
        described_movies += 1;
        filled_movies += usize::from(count == 0);
        let row = factors.movies.row_mut(movie);
        let combined = metadata.combine(row, count, &predicted);
        row.copy_from_slice(&combined);
    }
    let mut used = vec![false; features.column_count()];
    features.columns().iter().for_each(|&feature| used[feature as usize] = true);
    MetadataReport {
        features: used.into_iter().filter(|used| *used).count(),
        described_movies,
        filled_movies,
        held_out_movies: metadata.held_out_movies,
        settings: metadata.settings,
    }
}

/// The worth that ranks films of few interactions best, among those that rank well-known films as well as what was learned of
/// them alone: on average over users not worse by more than the standard error of the difference. `None` if no film has enough
/// interactions.
fn learn_worth(trial: &MetadataTrial<'_>, regression: &FeatureRegression) -> Option<f64> {
    let known = trial.known_revealed(regression);
    let learned_alone = trial.revealed_gains(&known, 0.0);
    let costs_nothing = |worth: &f64| {
        let (difference, error) = paired_difference(&trial.revealed_gains(&known, *worth), &learned_alone);
        difference >= -error
    };
    let worths =
        (0..=WORTH_STEPS).map(|step| LEAST_WORTH * 10f64.powf(f64::from(step) / 4.0)).filter(costs_nothing);
    let few = trial.few_revealed(regression);
    let quality = |worth| few.iter().map(|revealed| mean(&trial.revealed_gains(revealed, worth))).sum();
    let worth = best(worths, quality);
    (!few.is_empty()).then_some(if worth.is_nan() { LEAST_WORTH } else { worth })
}

/// Where the weighted mean of two embeddings of one film points, as long as what was learned. How popular a film is shows long
/// before whom it is for, so the length takes after the prediction only as if that were one more interaction.
pub(crate) fn combine(learned: &[f32], interactions: usize, predicted: &[f32], worth: f64) -> Vec<f32> {
    if interactions == 0 {
        return predicted.to_vec();
    }
    let known = interactions as f64;
    let trust = (worth / (known + worth)) as f32;
    let mix = |(learned, predicted): (&f32, &f32)| learned + trust * (predicted - learned);
    let mut mean: Vec<f32> = learned.iter().zip(predicted).map(mix).collect();
    let length = (f64::from(norm(learned)) * known + f64::from(norm(predicted)) * worth.min(1.0))
        / (known + worth.min(1.0));
    if normalize(&mut mean) {
        scale(length as f32, &mut mean);
    } else {
        mean.copy_from_slice(learned);
    }
    mean
}

/// Regresses the embeddings of described films on their features; `known` says how many interactions each was learned from.
fn fit(
    movies: MatrixView<'_>,
    features: &Csr<f32>,
    settings: &MetadataSettings,
    known: impl Fn(usize) -> usize,
) -> FeatureRegression {
    let weight = |movie: usize| {
        let interactions = if features.row(movie).0.is_empty() { 0.0 } else { known(movie) as f64 };
        interactions / (interactions + settings.half_known)
    };
    let weights: Vec<f64> = (0..movies.rows()).map(weight).collect();
    FeatureRegression::fit(features, movies, &weights, settings.ridge)
}

/// The first of the candidates that is judged highest.
fn best(candidates: impl IntoIterator<Item = f64>, judge: impl Fn(f64) -> f64) -> f64 {
    let judged = candidates.into_iter().map(|candidate| (candidate, judge(candidate)));
    judged
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map_or(f64::NAN, |(candidate, _)| candidate)
}

/// The candidate whose users gain most; a later one has to be better than an earlier one by more than the standard error of
/// the difference.
fn first_best(candidates: impl IntoIterator<Item = f64>, gains: impl Fn(f64) -> Vec<f64>) -> f64 {
    let judged = candidates.into_iter().map(|candidate| (candidate, gains(candidate)));
    let better = |best: (f64, Vec<f64>), next: (f64, Vec<f64>)| {
        let (difference, error) = paired_difference(&next.1, &best.1);
        if difference > error { next } else { best }
    };
    judged.reduce(better).map_or(f64::NAN, |(candidate, _)| candidate)
}

/// Mean of `gains` less `others` over users, and its standard error.
fn paired_difference(gains: &[f64], others: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = gains.iter().zip(others).map(|(gain, other)| gain - other).collect();
    let difference = mean(&differences);
    let squares: f64 = differences.iter().map(|value| (value - difference).powi(2)).sum();
    (difference, squares.sqrt() / differences.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IalsParameters, train_ials};
    use cinedex_domain::silent;
    use cinedex_vectors::{Matrix, dot};

    const GENRES: u32 = 4;

    /// 160 films of four genres and 400 users, each of whom likes about every third film of one genre; the films from `first_unknown` are liked
    /// by nobody. The features are the genres; the last film has none.
    fn world(first_unknown: u32) -> (Csr<f32>, Csr<f32>) {
        let likes = |user: u32, movie: u32| {
            let chance = (user * 160 + movie).wrapping_mul(2_654_435_761) >> 20;
            movie % GENRES == user % GENRES && chance.is_multiple_of(3)
        };
        let pairs = (0..400).flat_map(|user| (0..first_unknown).map(move |movie| (user, movie)));
        let likes = pairs.filter(|&(user, movie)| likes(user, movie)).map(|(user, movie)| (user, movie, 1.0));
        let likes = Csr::from_triplets(400, 160, likes);
        let features =
            Csr::from_triplets(160, GENRES as usize, (0..159u32).map(|movie| (movie, movie % GENRES, 1.0)));
        (likes, features)
    }

    fn trained(likes: &Csr<f32>) -> (Factors, FoldInSettings) {
        let parameters = IalsParameters { dimension: 8, ..IalsParameters::default() };
        (train_ials(likes, &parameters, &silent, &false.into()).unwrap(), parameters.fold_in())
    }

    #[test]
    fn an_unknown_film_is_found_by_those_who_like_its_genre() {
        let (likes, features) = world(150);
        let (mut factors, settings) = trained(&likes);
        let learned = factors.clone();
        let report = complete_movie_factors(&mut factors, &likes, &features, settings);
        assert_eq!((report.features, report.described_movies, report.filled_movies), (4, 159, 9));
        assert!(report.held_out_movies >= 10, "{report:?}");
        for user in 0..40 {
            let score = |movie: usize| dot(factors.users.row(user), factors.movies.row(movie));
            let own =
                (150..159).filter(|movie| movie % 4 == user % 4).map(score).fold(f32::INFINITY, f32::min);
            let other =
                (150..159).filter(|movie| movie % 4 != user % 4).map(score).fold(f32::NEG_INFINITY, f32::max);
            assert!(own > 1.5 * other.max(0.0), "user {user}: {own} {other}");
        }
        assert!(factors.movies.row(159).iter().all(|value| *value == 0.0), "nothing is known of the last");
        assert_eq!(factors.users, learned.users);
    }

    #[test]
    fn the_result_does_not_depend_on_the_threads() {
        let (likes, features) = world(150);
        let (factors, settings) = trained(&likes);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut factors = factors.clone();
            let report = pool.install(|| complete_movie_factors(&mut factors, &likes, &features, settings));
            (factors, report)
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn without_interactions_it_is_the_prediction_and_with_many_what_was_learned() {
        let (learned, predicted) = ([3.0, -4.0], [0.3, 0.4]);
        let near = |found: Vec<f32>, expect: [f32; 2], slack: f32| {
            assert!(
                found.iter().zip(expect).all(|(found, expect)| (found - expect).abs() < slack),
                "{found:?}"
            );
        };
        near(combine(&learned, 0, &predicted, 3.0), predicted, 1e-9);
        near(combine(&learned, 1_000_000, &predicted, 3.0), learned, 1e-4);
        near(combine(&learned, 10, &predicted, 0.0), learned, 1e-6);
        // The mean is (1.65, -1.8); three interactions of length 5 and one of length 0.5.
        near(
            combine(&learned, 3, &predicted, 3.0),
            [1.65 * 3.875 / 2.441_823, -1.8 * 3.875 / 2.441_823],
            1e-4,
        );
        near(combine(&learned, 1, &[-3.0, 4.0], 1.0), learned, 1e-6);
    }

    #[test]
    fn too_few_films_take_the_fixed_settings() {
        let likes = Csr::from_triplets(2, 3, [(0, 0, 1.0), (1, 0, 1.0), (1, 1, 1.0)]);
        let (mut factors, settings) = trained(&likes);
        let features = Csr::from_triplets(3, 1, [(0, 0, 1.0), (2, 0, 1.0)]);
        let before = factors.movies.row(1).to_vec();
        let report = complete_movie_factors(&mut factors, &likes, &features, settings);
        assert_eq!((report.held_out_movies, report.filled_movies, report.settings), (0, 1, UNTRIED));
        assert_eq!(factors.movies.row(1), before);
        assert!(dot(factors.movies.row(2), factors.movies.row(0)) > 0.0);
        let nothing = complete_movie_factors(&mut factors, &likes, &Csr::from_triplets(3, 0, []), settings);
        assert_eq!((nothing.features, nothing.described_movies), (0, 0));
    }

    #[test]
    fn nobody_and_nothing_do_no_harm() {
        let mut factors = Factors { users: Matrix::zeros(0, 2), movies: Matrix::zeros(0, 2) };
        let (likes, features) = (Csr::from_triplets(0, 0, []), Csr::from_triplets(0, 0, []));
        let settings = IalsParameters::default().fold_in();
        assert_eq!(complete_movie_factors(&mut factors, &likes, &features, settings).described_movies, 0);
    }
}
