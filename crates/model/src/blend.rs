//! How taste and what was liked last become one score. For user `u` and movie `i`
//!
//! `score = <x_u, y_i> + recent_weight sigma_u z_i`,
//!
//! with `z` the standardised log of one plus the recent likes, and `sigma_u` the standard deviation of the user's taste scores
//! over the movies that have an embedding, so that one weight suits users of strong and of faint taste alike. It knows
//! nothing of where counts and tastes come from.

use cinedex_domain::Metric;
use cinedex_vectors::{Matrix, MatrixView, axpy, dot, normalize};

use crate::gramian;

/// What the spread of tastes over the movies follows from besides the Gramian: the mean embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct TasteSpread {
    /// Mean of the embeddings that are not zero.
    mean: Vec<f64>,
    /// How many there are.
    embedded: usize,
}

impl TasteSpread {
    /// Of the movies' factors, `movie_count × dimension`; a zero row is a movie without an embedding.
    pub fn new(movie_factors: MatrixView<'_>) -> Self {
        let mut mean = vec![0.0; movie_factors.dimension()];
        let mut embedded = 0;
        for row in movie_factors.as_slice().chunks_exact(movie_factors.dimension()) {
            if row.iter().any(|value| *value != 0.0) {
                embedded += 1;
                mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
            }
        }
        for sum in &mut mean {
            *sum /= f64::from(embedded.max(1));
        }
        Self { mean, embedded: embedded as usize }
    }

    /// From what was stored of them: their mean, and how many movies have an embedding.
    pub fn of_mean(mean: &[f32], embedded: usize) -> Self {
        Self { mean: mean.iter().copied().map(f64::from).collect(), embedded }
    }

    /// The standard deviation of `<taste, y_i>` over the movies that have an embedding, `sqrt(xᵀ G x / n - (xᵀ m)²)`:
    /// `dimension²` operations instead of a pass over the movies. 0 if nothing has an embedding or it is not finite. `gramian` is that of the same
    /// factors; panics if dimensions differ.
    pub fn deviation(&self, gramian: MatrixView<'_>, taste: &[f32]) -> f32 {
        assert!(gramian.dimension() == self.mean.len() && taste.len() == self.mean.len(), "one dimension");
        if self.embedded == 0 {
            return 0.0;
        }
        let rows = gramian.as_slice().chunks_exact(gramian.dimension());
        let squares: f64 =
            rows.zip(taste).map(|(row, &value)| f64::from(value) * f64::from(dot(row, taste))).sum();
        let mean: f64 = self.mean.iter().zip(taste).map(|(mean, &value)| mean * f64::from(value)).sum();
        // Rounding can make the difference of two equal numbers negative; beyond f32 nothing is known of the spread.
        let deviation = (squares / self.embedded as f64 - mean * mean).max(0.0).sqrt() as f32;
        if deviation.is_finite() { deviation } else { 0.0 }
    }
}

/// What a bundle stores of the movies' vectors as scores use them, besides the Gramian, for their [`TasteSpread`].
#[derive(Debug, Clone)]
pub struct TasteMoments {
    /// How many movies they are of: those that have an embedding.
    pub movies: usize,
    /// The mean of their vectors; of length 1 each where the metric is the cosine.
    pub mean: Vec<f32>,
    /// Where the metric is the cosine, the Gramian of the vectors of length 1.
    pub unit_gramian: Option<Matrix>,
}

impl TasteMoments {
    /// Of `movie_count × dimension` factors, rows of zeros for movies without an embedding.
    pub fn of(movie_factors: MatrixView<'_>, metric: Metric) -> Self {
        let of = |factors: MatrixView<'_>, unit_gramian| {
            let TasteSpread { mean, embedded } = TasteSpread::new(factors);
            let mean = mean.into_iter().map(|value| value as f32).collect();
            Self { movies: embedded, mean, unit_gramian }
        };
        if metric == Metric::InnerProduct {
            return of(movie_factors, None);
        }
        let mut unit = movie_factors.to_matrix();
        for row in 0..unit.rows() {
            normalize(unit.row_mut(row));
        }
        of(unit.view(), Some(gramian(unit.view())))
    }
}

/// `ln(1 + count)` of each movie, shifted and scaled to mean 0 and standard deviation 1 over the catalogue; zeros where all
/// counts are equal. Counts are finite and at least 0; they may be weighted by age.
pub fn recent_scores(counts: &[f32]) -> Vec<f32> {
    let logs: Vec<f64> = counts.iter().map(|&count| f64::from(count).ln_1p()).collect();
    let movies = logs.len().max(1) as f64;
    let mean = logs.iter().sum::<f64>() / movies;
    let deviation = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / movies).sqrt();
    // What is left of equal numbers is rounding.
    let scale = if deviation > 1e-9 { deviation.recip() } else { 0.0 };
    logs.into_iter().map(|log| ((log - mean) * scale) as f32).collect()
}

/// `scores += weight z`, one score a movie, with `weight = recent_weight sigma_u` and `recent` of [`recent_scores`]. Panics
/// if the lengths differ.
pub fn add_recent(scores: &mut [f32], weight: f32, recent: &[f32]) {
    axpy(weight, recent, scores);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn recent_likes_are_standardised() {
        let scores = recent_scores(&[0.0, 0.0, 3.0, 3.0]);
        assert!(scores.iter().zip([-1.0, -1.0, 1.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{scores:?}");
        assert_eq!(recent_scores(&[0.3; 7]), [0.0; 7]);
        assert!(recent_scores(&[]).is_empty());
    }

    #[test]
    fn without_embeddings_there_is_no_spread() {
        let nothing = Matrix::zeros(3, 2);
        let gram = gramian(nothing.view());
        assert_eq!(TasteSpread::new(nothing.view()).deviation(gram.view(), &[1.0, 2.0]), 0.0);
        let one = Matrix::from_packed(2, [0.0, 0.0, 0.1, 0.7]);
        let gram = gramian(one.view());
        assert!(TasteSpread::new(one.view()).deviation(gram.view(), &[3.0, 0.3]) < 1e-3);
    }

    proptest! {
        #[test]
        fn the_spread_is_that_of_all_scores(
            dimension in 1usize..12,
            values in prop::collection::vec(-1.0f32..1.0, 360),
            without in prop::collection::vec(any::<bool>(), 30),
            taste in prop::collection::vec(-1.0f32..1.0, 12),
        ) {
            let mut movies = Matrix::from_packed(dimension, &values[..30 * dimension]);
            for (movie, _) in without.iter().enumerate().filter(|(_, without)| **without) {
                movies.row_mut(movie).fill(0.0);
            }
            let taste = &taste[..dimension];
            let gram = gramian(movies.view());
            let found = TasteSpread::new(movies.view()).deviation(gram.view(), taste);
            let embedded = (0..30).filter(|&movie| !without[movie]);
            let scores: Vec<f32> = embedded.map(|movie| dot(movies.row(movie), taste)).collect();
            let count = scores.len().max(1) as f32;
            let mean = scores.iter().sum::<f32>() / count;
            let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f32>() / count;
            prop_assert!((found * found - variance).abs() < 1e-5 * (1.0 + variance), "{found} {variance}");
        }
    }
}
