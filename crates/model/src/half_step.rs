//! One half of an epoch: every row of one side is solved against the other side, which is fixed. Rows are independent, so
//! the result does not depend on how the work is split.

use std::sync::atomic::{AtomicBool, Ordering};

use cinedex_domain::FoldInSettings;
use cinedex_vectors::{Csr, Matrix, MatrixView, add_normal_terms, axpy, dot, inner_products, scale};
use rayon::prelude::*;

use crate::fold_in::Terms;

/// Parts that the work is split into: enough that many threads end together. It does not depend on their number, so that
/// sums over parts do not either.
const PARTS: u64 = 256;

/// The fixed side and how to solve against it.
pub(crate) struct HalfStep<'a> {
    fixed: MatrixView<'a>,
    /// The Gramian of the fixed side times the weight of the unobserved.
    background: Matrix,
    settings: FoldInSettings,
    cg_steps: usize,
}

/// Buffers of one thread, so that solving a row allocates nothing.
struct Scratch {
    confidences: Vec<f32>,
    /// `-c t` of each entry.
    pulls: Vec<f32>,
    zeros: Vec<f32>,
    residual: Vec<f32>,
    direction: Vec<f32>,
    product: Vec<f32>,
}

/// Consecutive rows with their share of the solution.
struct Part<'a> {
    first_row: usize,
    solution: &'a mut [f32],
}

impl<'a> HalfStep<'a> {
    pub(crate) fn new(
        fixed: MatrixView<'a>,
        gramian: MatrixView<'_>,
        settings: FoldInSettings,
        cg_steps: usize,
    ) -> Self {
        let mut background = gramian.to_matrix();
        scale(settings.unobserved_weight, background.as_mut_slice());
        Self { fixed, background, settings, cg_steps }
    }

    /// Improves every row of `solved` in place, on the current rayon pool, and returns by how much that lowers the training
    /// objective (see [`loss`](crate::loss::loss)), the same on any number of threads. Stops early, with rows half done,
    /// when told to.
    pub(crate) fn run(&self, preferences: &Csr<f32>, solved: &mut Matrix, cancel: &AtomicBool) -> f64 {
        let longest = preferences.offsets().windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0);
        let dimension = self.fixed.dimension();
        let solve_part = |part: Part<'_>| {
            let mut scratch = Scratch::new(longest as usize, dimension);
            let mut decrease = 0.0;
            for (row, x) in (part.first_row..).zip(part.solution.chunks_exact_mut(dimension)) {
                if cancel.load(Ordering::Relaxed) {
                    break;
                }
                let (columns, values) = preferences.row(row);
                decrease += self.solve(columns, values, x, &mut scratch);
            }
            decrease
        };
        let decreases: Vec<f64> =
            parts(preferences, solved).into_par_iter().with_max_len(1).map(solve_part).collect();
        decreases.into_iter().sum()
    }

    /// Conjugate gradient on `A x = b` from the `x` that is there; `A` is never formed. Returns by how much it lowers
    /// `xᵀ A x - 2 bᵀ x`: a step of length `alpha` from a residual `r` lowers it by `alpha rᵀ r`.
    fn solve(&self, columns: &[u32], preferences: &[f32], x: &mut [f32], scratch: &mut Scratch) -> f64 {
        if columns.is_empty() {
            return self.clear(x, scratch);
        }
        let Scratch { confidences, pulls, zeros, residual, direction, product } = scratch;
        confidences.clear();
        pulls.clear();
        for &preference in preferences {
            let (confidence, target) = self.settings.observation(preference);
            confidences.push(confidence);
            pulls.push(-confidence * target);
        }
        let ridge = self.settings.ridge(columns.len(), self.fixed.rows());
        let zeros = &zeros[..columns.len()];
        let multiply = |x: &[f32], offsets: &[f32], out: &mut [f32]| {
            inner_products(self.background.view(), x, out);
            axpy(ridge, x, out);
            add_normal_terms(self.fixed, columns, confidences, offsets, x, out);
        };
        multiply(x, pulls, residual);
        scale(-1.0, residual);
        direction.copy_from_slice(residual);
        let mut error = dot(residual, residual);
        let mut decrease = 0.0;
        for step in 1..=self.cg_steps {
            multiply(direction, zeros, product);
            let curvature = dot(direction, product);
            if curvature <= f32::MIN_POSITIVE || curvature.is_nan() {
                break;
            }
            let length = error / curvature;
            axpy(length, direction, x);
            decrease += f64::from(length) * f64::from(error);
            if step == self.cg_steps {
                break;
            }
            axpy(-length, product, residual);
            let smaller = dot(residual, residual);
            scale(smaller / error, direction);
            axpy(1.0, residual, direction);
            error = smaller;
        }
        decrease
    }

    /// The solution where nothing is known: zeros. Returns by how much that lowers `xᵀ A x`.
    fn clear(&self, x: &mut [f32], scratch: &mut Scratch) -> f64 {
        if x.iter().all(|&value| value == 0.0) {
            return 0.0;
        }
        let product = &mut scratch.product;
        inner_products(self.background.view(), x, product);
        axpy(self.settings.ridge(0, self.fixed.rows()), x, product);
        let decrease = f64::from(dot(x, product));
        x.fill(0.0);
        decrease
    }
}

impl Scratch {
    fn new(longest: usize, dimension: usize) -> Self {
        Self {
            confidences: Vec::with_capacity(longest),
            pulls: Vec::with_capacity(longest),
            zeros: vec![0.0; longest],
            residual: vec![0.0; dimension],
            direction: vec![0.0; dimension],
            product: vec![0.0; dimension],
        }
    }
}

/// Splits the rows into parts of about equal work: an entry costs a row of the fixed side, and a row costs its product with
/// the Gramian, as much as `dimension` entries' half.
fn parts<'m>(preferences: &Csr<f32>, solved: &'m mut Matrix) -> Vec<Part<'m>> {
    let (rows, dimension) = (preferences.row_count(), solved.dimension());
    let row_cost = 1 + dimension as u64 / 2;
    let total = preferences.entry_count() as u64 + row_cost * rows as u64;
    let target = total / PARTS + 1;
    let mut parts = Vec::new();
    let mut rest = solved.as_mut_slice();
    let (mut first_row, mut cost) = (0, 0);
    for row in 0..rows {
        cost += preferences.offsets()[row + 1] - preferences.offsets()[row] + row_cost;
        if cost >= target || row + 1 == rows {
            let (solution, after) = rest.split_at_mut((row + 1 - first_row) * dimension);
            parts.push(Part { first_row, solution });
            rest = after;
            (first_row, cost) = (row + 1, 0);
        }
    }
    parts
}
