//! EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data"): the linear model that predicts each movie from
//! all the others, in closed form; with dropout it is EDLAE (Steck 2020, "Autoencoders that don't overfit towards the
//! Identity").

use cinedex_domain::MovieIndex;
use cinedex_vectors::{Csr, Matrix, axpy};
use rayon::prelude::*;

use super::{Ranker, best};
use crate::ModelError;
use crate::co_occurrence::CoOccurrence;
use crate::dense;

/// How EASE is regularised. The defaults are near the best on the validation parts of MovieLens 1M and latest-small alike (NDCG@100
/// .421 and .378); without dropout the two want 600 and 100 (.417 and .373), and either at the other's loses up to .02: the
/// more users, the more co-occurrences a film has to stand against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EaseParameters {
    /// Added to every movie's own count, above 0; `None` takes `400 (users / 4833)^.5`.
    pub regularization: Option<f32>,
    /// Share of likes that is thought to be dropped in training, 0 to below 1; it adds `p / (1 - p)` times the movie's own
    /// count.
    pub dropout: f32,
}

impl Default for EaseParameters {
    fn default() -> Self {
        Self { regularization: None, dropout: 0.33 }
    }
}

/// With `G = Xᵀ X` of the positive preferences `X`, `P = (G + lambda I + p / (1 - p) diag(G))⁻¹` and `B_ij = -P_ij / P_jj` off
/// the diagonal, 0 on it, movie `j` scores `sum_i x_i B_ij` over the history. Positive preferences count by their size;
/// dislikes, in training as in a history, do not.
#[derive(Debug, Clone)]
pub struct Ease {
    /// `B`, movies × movies.
    weights: Matrix,
}

impl Ease {
    /// The most movies: `B` then takes 1.6 GB.
    pub const MOST_MOVIES: usize = 20_000;

    /// Solves for `preferences`, users × movies, on the current rayon pool: `4 movies²` bytes and `movies³` floating-point
    /// operations. Deterministic, whatever the number of threads.
    pub fn train(preferences: &Csr<f32>, parameters: &EaseParameters) -> Result<Self, ModelError> {
        let dropout = parameters.dropout;
        let regularization =
            parameters.regularization.unwrap_or(400.0 * (preferences.row_count() as f32 / 4833.0).sqrt());
        let invalid = |name, found: f32, expected| {
            Err(ModelError::InvalidParameter { name, found: found.to_string(), expected })
        };
        if !(regularization > 0.0 && regularization.is_finite()) {
            return invalid("regularization of ease", regularization, "above 0 and finite");
        }
        if !(0.0..1.0).contains(&dropout) {
            return invalid("dropout of ease", dropout, "at least 0 and below 1");
        }
        let movies = preferences.column_count();
        if movies > Self::MOST_MOVIES {
            return Err(ModelError::TooManyMovies { found: movies, most: Self::MOST_MOVIES });
        }
        // A catalogue of no movies still makes a matrix.
        let mut weights = Matrix::zeros(movies, movies.max(1));
        let pairs = CoOccurrence::of_positives(preferences);
        weights.as_mut_slice().par_chunks_mut(movies.max(1)).enumerate().for_each(|(movie, row)| {
            pairs.row(movie, &mut row[..=movie]);
            row[movie] += regularization + dropout / (1.0 - dropout) * row[movie];
        });
        if movies > 0 && !dense::invert(&mut weights) {
            return Err(ModelError::IllConditioned { regularization });
        }
        let diagonal: Vec<f32> = (0..movies).map(|movie| weights.row(movie)[movie]).collect();
        weights.as_mut_slice().par_chunks_mut(movies.max(1)).enumerate().for_each(|(movie, row)| {
            for (weight, own) in row.iter_mut().zip(&diagonal) {
                *weight /= -own;
            }
            row[movie] = 0.0;
        });
        Ok(Self { weights })
    }
}

impl Ranker for Ease {
    fn name(&self) -> &'static str {
        "ease"
    }

    fn rank(
        &self,
        _user: Option<u32>,
        history: &[(MovieIndex, f32)],
        k: usize,
        exclude: &[MovieIndex],
    ) -> Vec<MovieIndex> {
        let mut scores = vec![0.0; self.weights.rows()];
        for &(movie, preference) in history.iter().filter(|(_, preference)| *preference > 0.0) {
            axpy(preference, self.weights.row(movie.row()), &mut scores);
        }
        best(&mut scores, k, exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cholesky::Cholesky;

    fn sample() -> Csr<f32> {
        let cell = |cell: u32| {
            let hash = cell.wrapping_mul(2_654_435_761) >> 7;
            let preference = [1.0, 0.4, -1.0, 1.0][hash as usize / 3 % 4];
            hash.is_multiple_of(3).then_some((cell / 7, cell % 7, preference))
        };
        Csr::from_triplets(40, 7, (0..280).filter_map(cell))
    }

    /// Column `j` of `B` minimises `|x_j - X b|² + lambda |b|² + p / (1 - p) sum_i G_ii b_i²` with `b_j = 0`: the normal
    /// equations of the other movies.
    #[test]
    fn each_column_solves_its_normal_equations() {
        let preferences = sample();
        let value = |user: usize, movie: usize| {
            f64::from(preferences.get(user, movie as u32).unwrap_or(0.0).max(0.0))
        };
        let gram = |a, b| (0..40).map(|user| value(user, a) * value(user, b)).sum::<f64>();
        for (regularization, dropout) in [(2.0, 0.0), (0.5, 0.3)] {
            let ease =
                Ease::train(&preferences, &EaseParameters { regularization: Some(regularization), dropout })
                    .unwrap();
            let penalty =
                |movie| f64::from(regularization) + f64::from(dropout / (1.0 - dropout)) * gram(movie, movie);
            for target in 0..7 {
                let others: Vec<usize> = (0..7).filter(|&movie| movie != target).collect();
                let cell = |(a, b)| gram(a, b) + if a == b { penalty(a) } else { 0.0 };
                let system =
                    others.iter().flat_map(|&a| others.iter().map(move |&b| (a, b))).map(cell).collect();
                let right = others.iter().map(|&movie| gram(movie, target)).collect();
                let solution = Cholesky::new(6, system).unwrap().solve(right);
                for (&movie, expect) in others.iter().zip(solution) {
                    let found = f64::from(ease.weights.row(movie)[target]);
                    assert!((found - expect).abs() < 1e-5, "{movie} {target}: {found} {expect}");
                }
                assert_eq!(ease.weights.row(target)[target], 0.0);
            }
        }
    }

    #[test]
    fn what_cannot_be_solved_is_refused() {
        let check = |regularization, dropout, expect: &str| {
            let refused =
                Ease::train(&sample(), &EaseParameters { regularization: Some(regularization), dropout });
            let message = refused.unwrap_err().to_string();
            assert!(message.starts_with(expect), "{message}");
        };
        check(0.0, 0.0, "regularization of ease is 0: it must be above 0");
        check(f32::NAN, 0.0, "regularization of ease is NaN");
        check(1.0, 1.0, "dropout of ease is 1: it must be at least 0 and below 1");
        let wide = Csr::from_triplets(1, Ease::MOST_MOVIES + 1, [(0, 0, 1.0)]);
        let refused = Ease::train(&wide, &EaseParameters::default()).unwrap_err().to_string();
        assert!(refused.starts_with("ease weighs every pair of movies, and 20001 movies"), "{refused}");
        let endless = Csr::from_triplets(1, 2, [(0, 0, f32::INFINITY), (0, 1, 1.0)]);
        let refused = Ease::train(&endless, &EaseParameters::default()).unwrap_err().to_string();
        assert!(refused.contains("raise the regularization"), "{refused}");
    }
}
