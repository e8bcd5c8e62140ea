//! The taste from a short history, faster than by the whole equation and the same: with `B = unobserved_weight G + lambda I`, which
//! depends on the length of the history alone, and `B⁻¹ = MᵀM`,
//!
//! `x = Mᵀ Wᵀ (C⁻¹ + W Wᵀ)⁻¹ t`, the rows of `W` being `M y_i`
//!
//! (the push-through identity; Woodbury). For `n` films of `d` dimensions it solves `n` equations instead of `d`, after
//! `n d² / 2` operations in single precision.

use cinedex_domain::MovieIndex;
use cinedex_vectors::{Matrix, MatrixView, axpy, inner_products};

use crate::FoldIn;
use crate::cholesky::Cholesky;
use crate::fold_in::Terms;

/// Rows of `M` that are as long as the longest of them.
const BLOCK: usize = 16;

/// `M` for histories of one length: about `dimension² / 2` numbers, good for any history of it.
#[derive(Debug)]
pub struct ShortHistory {
    length: usize,
    dimension: usize,
    /// Lower triangular, [`BLOCK`] rows each, without the zeros on the right.
    blocks: Vec<Matrix>,
}

impl ShortHistory {
    /// For histories of `length` films. `None` if the equation is singular without them.
    pub fn new(fold_in: &FoldIn<'_>, length: usize) -> Option<Self> {
        let dimension = fold_in.movie_factors().dimension();
        let lower = fold_in.system(length, vec![0.0; dimension * dimension])?.inverse_of_lower();
        let blocks = (0..dimension).step_by(BLOCK).map(|from| {
            let to = dimension.min(from + BLOCK);
            let mut block = Matrix::zeros(to - from, to);
            for row in from..to {
                let line = &lower[row * dimension..][..to];
                block.row_mut(row - from).iter_mut().zip(line).for_each(|(to, value)| *to = *value as f32);
            }
            block
        });
        Some(Self { length, dimension, blocks: blocks.collect() })
    }

    /// What [`FoldIn::vector`] gives but for rounding. Panics if the history is of another length or the model another one.
    pub fn vector(&self, fold_in: &FoldIn<'_>, history: &[(MovieIndex, f32)]) -> Vec<f32> {
        assert_eq!(history.len(), self.length, "a history of this length");
        let settings = fold_in.settings();
        let mut turned = Matrix::zeros(history.len(), self.dimension);
        let (mut confidences, mut targets) = (Vec::new(), Vec::new());
        for &(movie, preference) in history {
            let (confidence, target) = settings.observation(preference);
            // Without confidence it is as if it was not there, but for the length.
            if confidence > 0.0 {
                self.turn(fold_in.movie_factors().row(movie.row()), turned.row_mut(targets.len()));
                confidences.push(confidence);
                targets.push(f64::from(target));
            }
        }
        let count = targets.len();
        let mut system = vec![0.0f64; count * count];
        let mut products = vec![0.0f32; count];
        for (row, confidence) in confidences.iter().enumerate() {
            let above = &turned.as_slice()[..(row + 1) * self.dimension];
            inner_products(MatrixView::new(above, self.dimension), turned.row(row), &mut products[..=row]);
            let line = &mut system[row * count..][..=row];
            line.iter_mut().zip(&products).for_each(|(to, value)| *to = f64::from(*value));
            line[row] += 1.0 / f64::from(*confidence);
        }
        let mut sum = vec![0.0f32; self.dimension];
        if let Some(system) = Cholesky::new(count, system) {
            for (row, weight) in system.solve(targets).into_iter().enumerate() {
                axpy(weight as f32, turned.row(row), &mut sum);
            }
        }
        self.turn_back(&sum)
    }

    /// `M y`.
    fn turn(&self, row: &[f32], out: &mut [f32]) {
        for (block, out) in self.blocks.iter().zip(out.chunks_mut(BLOCK)) {
            inner_products(block.view(), &row[..block.dimension()], out);
        }
    }

    /// `Mᵀ w`.
    fn turn_back(&self, turned: &[f32]) -> Vec<f32> {
        let mut vector = vec![0.0f32; self.dimension];
        for (block, values) in self.blocks.iter().zip(turned.chunks(BLOCK)) {
            for (row, &value) in values.iter().enumerate() {
                axpy(value, block.row(row), &mut vector[..block.dimension()]);
            }
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use cinedex_domain::FoldInSettings;
    use cinedex_vectors::norm;
    use proptest::prelude::*;

    use super::*;
    use crate::gramian;

    proptest! {
        #[test]
        fn it_is_the_solution_of_the_whole_equation(
            dimension in 1usize..40,
            values in prop::collection::vec(-1.0f32..1.0, 40 * 40),
            preferences in prop::collection::vec(prop_oneof![Just(1.0f32), Just(-1.0), 0.1f32..1.0], 0..40),
            negative_weight in prop_oneof![Just(0.0f32), 0.1f32..1.0],
        ) {
            let movies = Matrix::from_packed(dimension, &values[..40 * dimension]);
            let gram = gramian(movies.view());
            let settings = FoldInSettings {
                regularization: 0.01, unobserved_weight: 0.1, frequency_exponent: 1.0, negative_target: -0.3, negative_weight,
            };
            let fold_in = FoldIn::new(movies.view(), gram.view(), settings);
            let history: Vec<_> = (0..).map(MovieIndex).zip(preferences).collect();
            let found = ShortHistory::new(&fold_in, history.len()).unwrap().vector(&fold_in, &history);
            let expect = fold_in.vector(&history);
            let difference: Vec<f32> = found.iter().zip(&expect).map(|(found, expect)| found - expect).collect();
            prop_assert!(norm(&difference) <= 1e-4 * (1e-2 + norm(&expect)), "{found:?} {expect:?}");
        }
    }
}
