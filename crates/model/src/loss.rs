//! The objective that training lowers.

use cinedex_domain::FoldInSettings;
use cinedex_vectors::{Csr, MatrixView, dot};
use rayon::prelude::*;

use crate::fold_in::Terms;
use crate::gramian;

/// Rows whose terms are added up one after another; sums of blocks are then added in order, so that the result is the same
/// on any number of threads.
const BLOCK_ROWS: usize = 256;

/// The whole objective of `preferences` (users × movies), with `x` rows of `users` and `y` of `movies`: over the observed
/// `c (xᵀ y - t)²`, over all pairs `unobserved_weight (xᵀ y)²`, and over the rows of both sides `lambda |row|²`, with the terms
/// of [`FoldInSettings`]. Parallel on the current rayon pool; costs about an eighth of an epoch.
pub(crate) fn loss(
    preferences: &Csr<f32>,
    users: MatrixView<'_>,
    movies: MatrixView<'_>,
    settings: &FoldInSettings,
) -> f64 {
    let (user_gram, movie_gram) = (gramian(users), gramian(movies));
    let pairs = user_gram.as_slice().iter().zip(movie_gram.as_slice());
    let all_pairs: f64 = pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    let mut audiences = vec![0usize; movies.rows()];
    for &movie in preferences.columns() {
        audiences[movie as usize] += 1;
    }
    let penalty = |x: &[f32], observed: usize, others: usize| {
        f64::from(settings.ridge(observed, others)) * f64::from(dot(x, x))
    };
    let of_user = |user: usize| {
        let (columns, values) = preferences.row(user);
        let x = users.row(user);
        let misses = columns.iter().zip(values).map(|(&movie, &preference)| {
            let (confidence, target) = settings.observation(preference);
            let miss = f64::from(dot(x, movies.row(movie as usize)) - target);
            f64::from(confidence) * miss * miss
        });
        misses.sum::<f64>() + penalty(x, columns.len(), movies.rows())
    };
    let of_movie = |movie: usize| penalty(movies.row(movie), audiences[movie], users.rows());
    f64::from(settings.unobserved_weight) * all_pairs
        + sum_in_blocks(users.rows(), of_user)
        + sum_in_blocks(movies.rows(), of_movie)
}

fn sum_in_blocks(rows: usize, term: impl Fn(usize) -> f64 + Sync) -> f64 {
    let blocks: Vec<f64> = (0..rows.div_ceil(BLOCK_ROWS))
        .into_par_iter()
        .map(|block| (block * BLOCK_ROWS..((block + 1) * BLOCK_ROWS).min(rows)).map(&term).sum())
        .collect();
    blocks.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::half_step::HalfStep;
    use cinedex_vectors::Matrix;
    use std::sync::atomic::AtomicBool;

    const SETTINGS: FoldInSettings = FoldInSettings {
        regularization: 0.03,
        unobserved_weight: 0.2,
        frequency_exponent: 0.9,
        negative_target: -0.5,
        negative_weight: 0.5,
    };

    /// Numbers in -0.5 to 0.5.
    fn factors(rows: usize, dimension: usize) -> Matrix {
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5;
        Matrix::from_packed(dimension, (0..rows * dimension).map(value).collect::<Vec<_>>())
    }

    /// Some of each: rows without an entry, dislikes, weak likes.
    fn sample(users: u32, movies: u32) -> Csr<f32> {
        let cells =
            (0..users * movies).filter(|cell| cell % 7 < 3 && cell / movies % 10 != 4 && cell % movies != 5);
        let value = |cell: u32| [1.0, -1.0, 0.4][(cell / 7 % 3) as usize];
        Csr::from_triplets(
            users as usize,
            movies as usize,
            cells.map(|cell| (cell / movies, cell % movies, value(cell))),
        )
    }

    #[test]
    fn it_is_the_sum_that_the_settings_define() {
        let preferences = sample(23, 17);
        let (users, movies) = (factors(23, 5), factors(17, 5));
        let turned = preferences.transpose();
        let mut expect = 0.0;
        for user in 0..23 {
            let x = users.row(user);
            expect += f64::from(SETTINGS.ridge(preferences.row(user).0.len(), 17) * dot(x, x));
            for movie in 0..17 {
                let score = f64::from(dot(x, movies.row(movie)));
                expect += f64::from(SETTINGS.unobserved_weight) * score * score;
                if let Some(preference) = preferences.get(user, movie as u32) {
                    let (confidence, target) = SETTINGS.observation(preference);
                    expect += f64::from(confidence) * (score - f64::from(target)).powi(2);
                }
            }
        }
        for movie in 0..17 {
            let y = movies.row(movie);
            expect += f64::from(SETTINGS.ridge(turned.row(movie).0.len(), 23) * dot(y, y));
        }
        let found = loss(&preferences, users.view(), movies.view(), &SETTINGS);
        assert!((found - expect).abs() < 1e-5 * expect, "{found} {expect}");
    }

    fn half_step(preferences: &Csr<f32>, fixed: &Matrix, solved: &mut Matrix) -> f64 {
        let gram = gramian(fixed.view());
        HalfStep::new(fixed.view(), gram.view(), SETTINGS, 3).run(
            preferences,
            solved,
            &AtomicBool::new(false),
        )
    }

    #[test]
    fn half_steps_return_exactly_what_they_take_from_it() {
        let by_user = sample(400, 90);
        let by_movie = by_user.transpose();
        for dimension in [6, 64, 200] {
            let (mut users, mut movies) = (factors(400, dimension), factors(90, dimension));
            let mut expect = loss(&by_user, users.view(), movies.view(), &SETTINGS);
            let first = expect;
            for _ in 0..4 {
                expect -= half_step(&by_user, &movies, &mut users);
                expect -= half_step(&by_movie, &users, &mut movies);
                let found = loss(&by_user, users.view(), movies.view(), &SETTINGS);
                assert!((found - expect).abs() < 1e-5 * first, "{dimension}: {found} {expect} {first}");
            }
            assert!(expect < first / 2.0);
        }
    }
}
