//! A taste from a history: the exact solution of one user's normal equation against fixed movie factors, and what each
//! movie of the history contributed to a score (Hu, Koren & Volinsky 2008, sections 4 and 5).

use cinedex_domain::{FoldInSettings, LIKED, MovieIndex};
use cinedex_vectors::{MatrixView, axpy, dot, normalize};

use crate::cholesky::Cholesky;
use crate::gramian::OuterProducts;

/// Folds users into a model: borrowed movie factors, their Gramian and the settings of training. Cheap to make.
#[derive(Debug, Clone, Copy)]
pub struct FoldIn<'a> {
    movie_factors: MatrixView<'a>,
    gramian: MatrixView<'a>,
    settings: FoldInSettings,
}

impl<'a> FoldIn<'a> {
    /// `movie_factors` is `movie_count × dimension`, `gramian` (of [`crate::gramian`]) `dimension × dimension`. Panics if they
    /// do not fit together.
    pub fn new(movie_factors: MatrixView<'a>, gramian: MatrixView<'a>, settings: FoldInSettings) -> Self {
        let dimension = movie_factors.dimension();
        assert!(
            gramian.dimension() == dimension && gramian.rows() == dimension,
            "the gramian of these factors"
        );
        Self { movie_factors, gramian, settings }
    }

    /// The user's vector; zeros for an empty history. A history holds each movie once, with a signed preference. Panics if
    /// a movie is out of range.
    pub fn vector(&self, history: &[(MovieIndex, f32)]) -> Vec<f32> {
        self.fold(history).into_vector()
    }

    /// What each entry of the history contributes to the score of `movie`; the contributions sum to the inner product of
    /// [`vector`](Self::vector) and the movie's factors. For several movies use [`fold`](Self::fold).
    pub fn contributions(&self, history: &[(MovieIndex, f32)], movie: MovieIndex) -> Vec<f32> {
        self.fold(history).contributions(movie)
    }

    /// Solves the user's equation and keeps it for contributions to many movies. Of the order of
    /// `history dimension² + dimension³` operations.
    pub fn fold<'h>(&self, history: &'h [(MovieIndex, f32)]) -> FoldedUser<'a, 'h> {
        let dimension = self.movie_factors.dimension();
        let mut right = vec![0.0f32; dimension];
        let mut products = OuterProducts::new(dimension, history.len());
        for &(movie, preference) in history {
            let row = self.movie_factors.row(movie.row());
            let (confidence, target) = self.settings.observation(preference);
            products.add(confidence, row);
            axpy(confidence * target, row, &mut right);
        }
        let system = self.system(history.len(), products.finish());
        let right = right.into_iter().map(f64::from).collect();
        let vector = system.as_ref().map_or_else(
            || vec![0.0; dimension],
            |system| system.solve(right).into_iter().map(|value| value as f32).collect(),
        );
        FoldedUser { movie_factors: self.movie_factors, settings: self.settings, history, system, vector }
    }

    pub(crate) fn movie_factors(&self) -> MatrixView<'a> {
        self.movie_factors
    }

    pub(crate) fn settings(&self) -> FoldInSettings {
        self.settings
    }

    /// The factored left side, `matrix` being the history's part of it; `None` where it is singular, as with nothing known and no regularisation.
    pub(crate) fn system(&self, history_length: usize, mut matrix: Vec<f64>) -> Option<Cholesky> {
        let dimension = self.movie_factors.dimension();
        let weight = f64::from(self.settings.unobserved_weight);
        for (value, &gram) in matrix.iter_mut().zip(self.gramian.as_slice()) {
            *value += weight * f64::from(gram);
        }
        let ridge = f64::from(self.settings.ridge(history_length, self.movie_factors.rows()));
        for position in 0..dimension {
            matrix[position * (dimension + 1)] += ridge;
        }
        Cholesky::new(dimension, matrix)
    }
}

/// A user's solved equation.
pub struct FoldedUser<'a, 'h> {
    movie_factors: MatrixView<'a>,
    settings: FoldInSettings,
    history: &'h [(MovieIndex, f32)],
    system: Option<Cholesky>,
    vector: Vec<f32>,
}

impl FoldedUser<'_, '_> {
    /// The user's vector.
    pub fn vector(&self) -> &[f32] {
        &self.vector
    }

    /// The user's vector, owned.
    pub fn into_vector(self) -> Vec<f32> {
        self.vector
    }

    /// What each entry of the history contributes to the score of `movie`: `c_i t_i y_iᵀ A⁻¹ y_movie`, in the history's
    /// order; they sum to the score.
    pub fn contributions(&self, movie: MovieIndex) -> Vec<f32> {
        let Some(system) = &self.system else { return vec![0.0; self.history.len()] };
        let target_row = self.movie_factors.row(movie.row());
        let reach = system.solve(target_row.iter().copied().map(f64::from).collect());
        let reach: Vec<f32> = reach.into_iter().map(|value| value as f32).collect();
        let share = |&(movie, preference): &(MovieIndex, f32)| {
            let (confidence, target) = self.settings.observation(preference);
            confidence * target * dot(self.movie_factors.row(movie.row()), &reach)
        };
        self.history.iter().map(share).collect()
    }
}

/// The taste for a model that cannot fold in: the normalised mean of the vectors of liked movies (from [`LIKED`] on), weighted
/// by how much they are liked. `None` if nothing is liked, or the vectors cancel.
pub fn mean_of_liked(movie_factors: MatrixView<'_>, history: &[(MovieIndex, f32)]) -> Option<Vec<f32>> {
    let mut mean = vec![0.0; movie_factors.dimension()];
    for &(movie, preference) in history.iter().filter(|(_, preference)| *preference >= LIKED) {
        axpy(preference, movie_factors.row(movie.row()), &mut mean);
    }
    normalize(&mut mean).then_some(mean)
}

/// The terms of the normal equation, as [`FoldInSettings`] defines them; training and fold-in share these two functions.
pub(crate) trait Terms {
    /// Confidence and target of a signed preference.
    fn observation(&self, preference: f32) -> (f32, f32);
    /// `lambda` for a row with `observed` entries against `others` rows on the other side.
    fn ridge(&self, observed: usize, others: usize) -> f32;
}

impl Terms for FoldInSettings {
    #[inline]
    fn observation(&self, preference: f32) -> (f32, f32) {
        if preference >= 0.0 {
            (1.0, preference)
        } else {
            (-preference * self.negative_weight, self.negative_target)
        }
    }

    fn ridge(&self, observed: usize, others: usize) -> f32 {
        let frequency = observed as f32 + self.unobserved_weight * others as f32;
        self.regularization * frequency.powf(self.frequency_exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gramian;
    use cinedex_vectors::Matrix;
    use proptest::prelude::*;

    const SETTINGS: FoldInSettings = FoldInSettings {
        regularization: 0.05,
        unobserved_weight: 0.1,
        frequency_exponent: 1.0,
        negative_target: -0.3,
        negative_weight: 0.8,
    };

    #[test]
    fn one_dimension_by_hand() {
        let movies = Matrix::from_packed(1, [2.0, 1.0]);
        let gram = gramian(movies.view());
        let fold_in = FoldIn::new(movies.view(), gram.view(), SETTINGS);
        // A = .1 * 5 + 1 * 4 + .8 * 1 + .05 * (2 + .1 * 2); b = 1 * 2 + .8 * -.3 * 1
        let history = [(MovieIndex(0), 1.0), (MovieIndex(1), -1.0)];
        let vector = fold_in.vector(&history);
        assert!((vector[0] - (2.0 - 0.24) / (0.5 + 4.0 + 0.8 + 0.11)).abs() < 1e-6, "{vector:?}");
        assert_eq!(fold_in.vector(&[]), [0.0]);
        assert!(fold_in.contributions(&[], MovieIndex(0)).is_empty());
    }

    #[test]
    fn a_singular_equation_gives_no_taste() {
        let movies = Matrix::zeros(2, 3);
        let gram = gramian(movies.view());
        let settings = FoldInSettings { regularization: 0.0, ..SETTINGS };
        let folded = FoldIn::new(movies.view(), gram.view(), settings);
        let history = [(MovieIndex(1), 1.0)];
        assert_eq!(folded.vector(&history), [0.0; 3]);
        assert_eq!(folded.contributions(&history, MovieIndex(0)), [0.0]);
    }

    #[test]
    fn the_mean_of_liked_leaves_out_what_is_disliked() {
        let movies = Matrix::from_packed(2, [3.0, 0.0, 0.0, 4.0, 7.0, 7.0]);
        let history = [(MovieIndex(0), 1.0), (MovieIndex(1), 0.75), (MovieIndex(2), -1.0)];
        let taste = mean_of_liked(movies.view(), &history).unwrap();
        assert!((taste[0] - taste[1]).abs() < 1e-6 && (taste[0] - 0.5f32.sqrt()).abs() < 1e-6);
        assert_eq!(mean_of_liked(movies.view(), &history[2..]), None);
    }

    proptest! {
        #[test]
        fn contributions_sum_to_the_score(
            dimension in 1usize..20,
            values in prop::collection::vec(-1.0f32..1.0, 400),
            preferences in prop::collection::vec(prop_oneof![Just(1.0f32), Just(-1.0), 0.1f32..1.0], 0..20),
        ) {
            let movies = Matrix::from_packed(dimension, &values[..20 * dimension]);
            let gram = gramian(movies.view());
            let history: Vec<_> = (0..).map(MovieIndex).zip(preferences).collect();
            let folded = FoldIn::new(movies.view(), gram.view(), SETTINGS).fold(&history);
            for movie in 0..20 {
                let score = dot(folded.vector(), movies.row(movie as usize));
                let sum: f32 = folded.contributions(MovieIndex(movie)).iter().sum();
                prop_assert!((sum - score).abs() < 1e-4, "{sum} {score}");
            }
        }
    }
}
