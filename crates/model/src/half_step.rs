//! One half of an epoch: every row of one side is solved against the other side, which is fixed. Rows are independent, so
//! the result does not depend on how the work is split.

use std::sync::atomic::{AtomicBool, Ordering};

use cinedex_domain::FoldInSettings;
use cinedex_vectors::{Csr, Matrix, MatrixView, NormalTerms, Panels, axpy, dot, scale};
use rayon::prelude::*;

use crate::fold_in::Terms;

/// Parts that the work is split into: enough that many threads end together. It does not depend on their number, so that
/// sums over parts do not either.
const PARTS: u64 = 256;
/// Rows that are solved side by side, so that the Gramian is read once for all of them.
const SIDE_BY_SIDE: usize = 8;
/// Numbers of the fixed side that rows side by side may have among them, so that these stay in a cache near by from
/// step to step; a row that has more is solved alone.
const CACHED_NUMBERS: usize = 1 << 20;

/// The fixed side and how to solve against it.
pub(crate) struct HalfStep<'a> {
    fixed: MatrixView<'a>,
    /// The Gramian of the fixed side times the weight of the unobserved.
    background: Panels,
    settings: FoldInSettings,
    cg_steps: usize,
}

/// Consecutive rows with their share of the solution.
struct Part<'a> {
    first_row: usize,
    solution: &'a mut [f32],
}

/// Rows that are solved side by side, and their vectors: of each matrix a row for each of them. Used again and again, so
/// that solving allocates nothing.
struct Group {
    members: Vec<Member>,
    confidences: Vec<f32>,
    /// `-c t` of each entry.
    pulls: Vec<f32>,
    residuals: Matrix,
    directions: Matrix,
    products: Matrix,
}

/// A row that is being solved.
struct Member {
    row: usize,
    /// Its place in the part's solution.
    place: usize,
    /// Where its confidences start and end.
    entries: std::ops::Range<usize>,
    ridge: f32,
    /// Squared length of the residual; 0 once nothing is left to gain.
    error: f32,
}

impl<'a> HalfStep<'a> {
    pub(crate) fn new(
        fixed: MatrixView<'a>,
        gramian: MatrixView<'_>,
        settings: FoldInSettings,
        cg_steps: usize,
    ) -> Self {
        Self { fixed, background: Panels::new(settings.unobserved_weight, gramian), settings, cg_steps }
    }

    /// Improves every row of `solved` in place, on the current rayon pool, and returns by how much that lowers the training
    /// objective (see [`loss`](crate::loss::loss)), the same on any number of threads. Stops early, with rows half done,
    /// when told to.
    pub(crate) fn run(&self, preferences: &Csr<f32>, solved: &mut Matrix, cancel: &AtomicBool) -> f64 {
        let dimension = self.fixed.dimension();
        let decreases: Vec<f64> = parts(preferences, solved)
            .into_par_iter()
            .with_max_len(1)
            .map(|part| self.solve_part(preferences, part, &mut Group::new(dimension), cancel))
            .collect();
        decreases.into_iter().sum()
    }

    fn solve_part(
        &self,
        preferences: &Csr<f32>,
        part: Part<'_>,
        group: &mut Group,
        cancel: &AtomicBool,
    ) -> f64 {
        let dimension = self.fixed.dimension();
        let mut decrease = 0.0;
        for place in 0..part.solution.len() / dimension {
            let row = part.first_row + place;
            let (columns, values) = preferences.row(row);
            if columns.is_empty() {
                decrease += self.clear(&mut part.solution[place * dimension..][..dimension]);
                continue;
            }
            if !group.has_room(columns.len()) {
                if cancel.load(Ordering::Relaxed) {
                    return decrease;
                }
                decrease += self.solve(preferences, part.solution, group);
            }
            let ridge = self.settings.ridge(columns.len(), self.fixed.rows());
            group.take(Member { row, place, entries: 0..0, ridge, error: 0.0 }, values, &self.settings);
        }
        decrease + self.solve(preferences, part.solution, group)
    }

    /// Conjugate gradient on `A x = b` for each row of the group, from the `x` that is there; `A` is never formed. Empties
    /// the group; returns by how much it lowers the sum of `xᵀ A x - 2 bᵀ x`: a step of length `alpha` from a residual `r`
    /// lowers it by `alpha rᵀ r`.
    fn solve(&self, preferences: &Csr<f32>, solution: &mut [f32], group: &mut Group) -> f64 {
        let dimension = self.fixed.dimension();
        let Group { members, confidences, pulls, residuals, directions, products } = group;
        let used = members.len() * dimension;
        let vector = |slot: usize| slot * dimension..(slot + 1) * dimension;
        let solution_of = |member: &Member| vector(member.place);
        let (residuals, directions) =
            (&mut residuals.as_mut_slice()[..used], &mut directions.as_mut_slice()[..used]);
        let products = &mut products.as_mut_slice()[..used];
        for (slot, member) in members.iter().enumerate() {
            directions[vector(slot)].copy_from_slice(&solution[solution_of(member)]);
        }
        self.background.multiply(directions, residuals);
        for (slot, member) in members.iter_mut().enumerate() {
            let (x, residual) = (&directions[vector(slot)], &mut residuals[vector(slot)]);
            let entries = member.entries.clone();
            axpy(member.ridge, x, residual);
            NormalTerms::new(self.fixed, preferences, member.row, &confidences[entries.clone()]).add(
                Some(&pulls[entries]),
                x,
                residual,
            );
            scale(-1.0, residual);
            member.error = dot(residual, residual);
        }
        directions.copy_from_slice(residuals);
        let mut decrease = 0.0;
        for step in 1..=self.cg_steps {
            self.background.multiply(directions, products);
            for (slot, member) in members.iter_mut().enumerate() {
                let (direction, residual) = (&mut directions[vector(slot)], &mut residuals[vector(slot)]);
                let product = &mut products[vector(slot)];
                let entries = member.entries.clone();
                let terms = NormalTerms::new(self.fixed, preferences, member.row, &confidences[entries]);
                axpy(member.ridge, direction, product);
                // Of the last step only the length counts, which the whole product is not needed for.
                let last = step == self.cg_steps;
                let curvature = if last {
                    dot(direction, product) + terms.curvature(direction)
                } else {
                    terms.add(None, direction, product);
                    dot(direction, product)
                };
                if curvature <= f32::MIN_POSITIVE || curvature.is_nan() {
                    direction.fill(0.0);
                    continue;
                }
                let length = member.error / curvature;
                axpy(length, direction, &mut solution[solution_of(member)]);
                decrease += f64::from(length) * f64::from(member.error);
                if !last {
                    axpy(-length, product, residual);
                    let smaller = dot(residual, residual);
                    scale(smaller / member.error, direction);
                    axpy(1.0, residual, direction);
                    member.error = smaller;
                }
            }
        }
        group.clear();
        decrease
    }

    /// The solution where nothing is known: zeros. Returns by how much that lowers `xᵀ A x`.
    fn clear(&self, x: &mut [f32]) -> f64 {
        if x.iter().all(|&value| value == 0.0) {
            return 0.0;
        }
        let mut product = vec![0.0; x.len()];
        self.background.multiply(x, &mut product);
        axpy(self.settings.ridge(0, self.fixed.rows()), x, &mut product);
        let decrease = f64::from(dot(x, &product));
        x.fill(0.0);
        decrease
    }
}

impl Group {
    fn new(dimension: usize) -> Self {
        let vectors = || Matrix::zeros(SIDE_BY_SIDE, dimension);
        Self {
            members: Vec::with_capacity(SIDE_BY_SIDE),
            confidences: Vec::new(),
            pulls: Vec::new(),
            residuals: vectors(),
            directions: vectors(),
            products: vectors(),
        }
    }

    /// Whether a row of so many entries fits in.
    fn has_room(&self, entries: usize) -> bool {
        let numbers = (self.confidences.len() + entries) * self.products.dimension();
        self.members.is_empty() || self.members.len() < SIDE_BY_SIDE && numbers <= CACHED_NUMBERS
    }

    fn take(&mut self, member: Member, preferences: &[f32], settings: &FoldInSettings) {
        let first = self.confidences.len();
        let observations = || preferences.iter().map(|&preference| settings.observation(preference));
        self.confidences.extend(observations().map(|(confidence, _)| confidence));
        self.pulls.extend(observations().map(|(confidence, target)| -confidence * target));
        self.members.push(Member { entries: first..self.confidences.len(), ..member });
    }

    fn clear(&mut self) {
        self.members.clear();
        self.confidences.clear();
        self.pulls.clear();
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
