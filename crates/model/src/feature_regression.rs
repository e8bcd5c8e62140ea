//! Ridge regression of dense rows on sparse features, by conjugate gradient on the normal equations: no matrix of features by
//! features is ever formed, so tens of thousands of tags cost what their occurrences cost.

use cinedex_vectors::{Csr, Matrix, MatrixView};
use rayon::prelude::*;

/// The squared residual, relative to that of the zero solution, at which the conjugate gradient has arrived.
const TOLERANCE: f64 = 1e-12;
const MOST_STEPS: usize = 200;

/// `y ≈ mean + Wᵀ f`, as learned from rows of which some are better known than others.
#[derive(Debug, Clone)]
pub(crate) struct FeatureRegression {
    mean: Vec<f32>,
    /// Features × dimension.
    coefficients: Matrix,
}

impl FeatureRegression {
    /// Minimises `sum of w_i |y_i - mean - Wᵀ f_i|² + ridge |W|²`, `mean` being the weighted mean of the targets. `features` is
    /// rows × features, `targets` rows × dimension, `weights` one a row and at least 0; where all are 0 everything is predicted as zero.
    pub(crate) fn fit(features: &Csr<f32>, targets: MatrixView<'_>, weights: &[f64], ridge: f64) -> Self {
        let dimension = targets.dimension();
        let total: f64 = weights.iter().sum();
        let mut mean = vec![0.0f64; dimension];
        for (row, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            for (sum, &value) in mean.iter_mut().zip(targets.row(row)) {
                *sum += weight / total * f64::from(value);
            }
        }
        let equations = Equations { features, turned: features.transpose(), weights, ridge, dimension };
        let centred =
            |row: usize| targets.row(row).iter().zip(&mean).map(|(&value, mean)| f64::from(value) - mean);
        let right = equations.gather(&equations.turned, |row, out, value| {
            let scale = value * weights[row];
            if scale != 0.0 {
                out.iter_mut().zip(centred(row)).for_each(|(sum, value)| *sum += scale * value);
            }
        });
        let solution: Vec<f32> = equations.solve(right).into_iter().map(|value| value as f32).collect();
        Self {
            mean: mean.into_iter().map(|value| value as f32).collect(),
            coefficients: Matrix::from_packed(dimension, solution),
        }
    }

    /// The row that is expected of these features.
    pub(crate) fn predict(&self, (features, values): (&[u32], &[f32])) -> Vec<f32> {
        let mut row = self.mean.clone();
        for (&feature, &value) in features.iter().zip(values) {
            cinedex_vectors::axpy(value, self.coefficients.row(feature as usize), &mut row);
        }
        row
    }
}

/// `(Fᵀ diag(w) F + ridge I) W = right`, never formed.
struct Equations<'a> {
    features: &'a Csr<f32>,
    turned: Csr<f32>,
    weights: &'a [f64],
    ridge: f64,
    dimension: usize,
}

impl Equations<'_> {
    /// One row of output for each row of `sparse`: `add(column, output, value)` for each of its entries.
    fn gather(&self, sparse: &Csr<f32>, add: impl Fn(usize, &mut [f64], f64) + Sync) -> Vec<f64> {
        let mut out = vec![0.0; sparse.row_count() * self.dimension];
        out.par_chunks_mut(self.dimension).enumerate().for_each(|(row, out)| {
            let (columns, values) = sparse.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                add(column as usize, out, f64::from(value));
            }
        });
        out
    }

    fn multiply(&self, x: &[f64]) -> Vec<f64> {
        let line = |row: usize| row * self.dimension..(row + 1) * self.dimension;
        let fitted = self.gather(self.features, |feature, out, value| add(value, &x[line(feature)], out));
        let mut product = self.gather(&self.turned, |row, out, value| {
            add(value * self.weights[row], &fitted[line(row)], out);
        });
        add(self.ridge, x, &mut product);
        product
    }

    /// Conjugate gradient, one step length a column, preconditioned by the diagonal.
    fn solve(&self, mut residual: Vec<f64>) -> Vec<f64> {
        let inverse: Vec<f64> = (0..self.turned.row_count())
            .map(|feature| {
                let (rows, values) = self.turned.row(feature);
                let squares = rows
                    .iter()
                    .zip(values)
                    .map(|(&row, &value)| self.weights[row as usize] * f64::from(value).powi(2));
                1.0 / (self.ridge + squares.sum::<f64>())
            })
            .collect();
        let precondition = |residual: &[f64]| -> Vec<f64> {
            let lines = residual.chunks_exact(self.dimension).zip(&inverse);
            lines.flat_map(|(line, inverse)| line.iter().map(move |value| value * inverse)).collect()
        };
        let mut solution = vec![0.0; residual.len()];
        let mut direction = precondition(&residual);
        let mut errors = self.column_products(&residual, &direction);
        let enough: Vec<f64> = errors.iter().map(|error| error * TOLERANCE).collect();
        for _ in 0..MOST_STEPS {
            if errors.iter().zip(&enough).all(|(error, enough)| error <= enough) {
                break;
            }
            let product = self.multiply(&direction);
            let curvatures = self.column_products(&direction, &product);
            let lengths = ratios(&errors, &curvatures);
            self.add_columns(1.0, &lengths, &direction, &mut solution);
            self.add_columns(-1.0, &lengths, &product, &mut residual);
            let preconditioned = precondition(&residual);
            let smaller = self.column_products(&residual, &preconditioned);
            let turns = ratios(&smaller, &errors);
            let last = std::mem::replace(&mut direction, preconditioned);
            self.add_columns(1.0, &turns, &last, &mut direction);
            errors = smaller;
        }
        solution
    }

    fn column_products(&self, a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut products = vec![0.0; self.dimension];
        for (a, b) in a.chunks_exact(self.dimension).zip(b.chunks_exact(self.dimension)) {
            products.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
        }
        products
    }

    /// `out += sign factors ∘ x`, a factor for each column.
    fn add_columns(&self, sign: f64, factors: &[f64], x: &[f64], out: &mut [f64]) {
        for (out, x) in out.chunks_exact_mut(self.dimension).zip(x.chunks_exact(self.dimension)) {
            out.iter_mut()
                .zip(x.iter().zip(factors))
                .for_each(|(out, (x, factor))| *out += sign * factor * x);
        }
    }
}

fn add(factor: f64, x: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out += factor * x);
}

/// 0 where nothing is left to divide.
fn ratios(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| if *b > 0.0 { a / b } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cholesky::Cholesky;
    use proptest::prelude::*;

    #[test]
    fn one_feature_by_hand() {
        let features = Csr::from_triplets(3, 1, [(0, 0, 1.0)]);
        let targets = Matrix::from_packed(1, [4.0, 1.0, 100.0]);
        // Weighted mean 2.5; the residual 1.5 of the first, shrunk by half.
        let regression = FeatureRegression::fit(&features, targets.view(), &[1.0, 1.0, 0.0], 1.0);
        assert_eq!(regression.predict((&[0], &[1.0])), [3.25]);
        assert_eq!(regression.predict((&[], &[])), [2.5]);
        let nothing = FeatureRegression::fit(&features, targets.view(), &[0.0; 3], 1.0);
        assert_eq!(nothing.predict((&[0], &[1.0])), [0.0]);
    }

    proptest! {
        #[test]
        fn it_solves_the_normal_equations(
            entries in prop::collection::vec((0u32..12, 0u32..6, -2.0f32..2.0), 0..40),
            values in prop::collection::vec(-1.0f32..1.0, 36),
            weights in prop::collection::vec(0.0f64..3.0, 12),
            ridge in 0.1f64..10.0,
        ) {
            let features = Csr::from_triplets(12, 6, entries);
            let targets = Matrix::from_packed(3, values);
            let regression = FeatureRegression::fit(&features, targets.view(), &weights, ridge);
            let value = |row: usize, feature: usize| f64::from(features.get(row, feature as u32).unwrap_or(0.0));
            let total: f64 = weights.iter().sum();
            let mut left = vec![0.0; 36];
            for (position, left) in left.iter_mut().enumerate() {
                let (a, b) = (position / 6, position % 6);
                *left = (0..12).map(|row| weights[row] * value(row, a) * value(row, b)).sum::<f64>();
                *left += if a == b { ridge } else { 0.0 };
            }
            let cholesky = Cholesky::new(6, left).unwrap();
            for column in 0..3 {
                let target = |row: usize| f64::from(targets.row(row)[column]);
                let mean = (0..12).map(|row| weights[row] * target(row)).sum::<f64>() / total;
                let right = (0..6).map(|a| (0..12).map(|row| weights[row] * value(row, a) * (target(row) - mean)).sum());
                for (feature, exact) in cholesky.solve(right.collect()).into_iter().enumerate() {
                    let found = regression.coefficients.row(feature)[column];
                    prop_assert!((f64::from(found) - exact).abs() < 1e-4, "{found} {exact}");
                }
            }
        }
    }
}
