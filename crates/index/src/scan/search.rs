//! One query on its way through the codes.
//!
//! With `x = s c + a` and `q = t p + b` (codes `c`, `p`; `|a|` and `|b|` are what coding lost),
//! `<x, q> = s t <c, p> + <s c, b> + <a, q> <= s t <c, p> + (|x| + |a|) |b| + |a| |q|`.
//! By inner product a row may enter if that reaches the k-th best score so far, by cosine if it reaches that score times `|x|`.

use std::ops::Range;

use cinedex_domain::Metric;
use cinedex_vectors::{Bound, CodedQuery, RowTerms, Scored, TopK};

use super::Scan;
use crate::Allowed;

/// Rows of the first stretch: until there are `k`, every row is a candidate.
pub(super) const FIRST_ROWS: usize = 64;
/// Rows of the longest stretch: their products stay in the nearest cache.
pub(super) const MOST_ROWS: usize = 512;
/// Candidates scored together.
const GROUP: usize = 16;

/// Working memory, which several queries may share.
pub(super) struct Scratch {
    products: Vec<i32>,
    places: Vec<u32>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { products: vec![0; MOST_ROWS], places: Vec::with_capacity(MOST_ROWS) }
    }
}

/// A query and the best found so far.
pub(super) struct Search<'a> {
    scan: &'a Scan,
    metric: Metric,
    query: &'a [f32],
    coded: CodedQuery,
    /// Share of a product of lengths that rounding in single precision can make of a score or of its bound.
    rounding: f32,
    allowed: &'a Allowed,
    top: TopK,
    done: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        scan: &'a Scan,
        metric: Metric,
        query: &'a [f32],
        top: TopK,
        allowed: &'a Allowed,
    ) -> Self {
        // A sum of `d` products is off by at most `d` half-epsilons of the product of the lengths; the rest is room.
        let rounding = 2.0 * (query.len() as f32 + 32.0) * f32::EPSILON;
        let done = top.threshold() == f32::INFINITY;
        Self { scan, metric, query, coded: CodedQuery::new(query), rounding, allowed, top, done }
    }

    /// Looks at the next rows, at most [`MOST_ROWS`]; `false` if neither these nor any behind them can enter.
    pub(super) fn advance(&mut self, range: Range<usize>, scratch: &mut Scratch) -> bool {
        self.top.settle();
        self.done |= self.metric == Metric::InnerProduct && !self.can_enter(range.start);
        if self.done {
            return false;
        }
        let scan = self.scan;
        let products = &mut scratch.products[..range.len()];
        scan.coded().inner_products(range.start, &self.coded, products);
        let terms = RowTerms {
            scales: &scan.scales[range.clone()],
            errors: &scan.errors[range.clone()],
            norms: &scan.norms[range.clone()],
        };
        let order = &scan.order[range];
        let bound = self.bound();
        scratch.places.clear();
        bound.candidates(terms, products, &mut scratch.places);
        let mut group = Group::default();
        for &place in &scratch.places {
            let row = order[place as usize];
            if self.allowed.contains(row) && group.is_full_with(row) {
                self.score(&mut group);
            }
        }
        self.score(&mut group);
        true
    }

    /// The best, descending, ties ascending index.
    pub(super) fn into_sorted(self) -> Vec<Scored> {
        self.top.into_sorted()
    }

    fn score(&mut self, group: &mut Group) {
        let rows = &group.rows[..group.count];
        let mut scores = [0.0; GROUP];
        self.scan.scores_of(self.metric, self.query, rows, &mut scores[..group.count]);
        for (&row, &score) in rows.iter().zip(&scores) {
            self.top.push(row, score);
        }
        group.count = 0;
    }

    /// Whether a row as long as the one at `position` can reach the k-th best by inner product.
    fn can_enter(&self, position: usize) -> bool {
        let most = self.coded.norm() * self.scan.norms[position] * (1.0 + self.rounding) + f32::MIN_POSITIVE;
        most >= self.top.threshold()
    }

    fn bound(&self) -> Bound {
        let (norm, error) = (self.coded.norm(), self.coded.error());
        let reach = norm + error;
        let rounding = self.rounding * reach;
        let bound = Bound {
            product: self.coded.scale(),
            error: reach * (1.0 + self.rounding),
            norm: error + rounding,
            // What lies below the smallest normal number is lost.
            least: -f32::MIN_POSITIVE,
        };
        let threshold = self.top.threshold();
        match self.metric {
            Metric::InnerProduct => Bound { least: threshold + bound.least, ..bound },
            Metric::Cosine => Bound { norm: bound.norm + rounding - threshold, ..bound },
        }
    }
}

/// Candidates that wait to be scored together.
#[derive(Default)]
struct Group {
    rows: [u32; GROUP],
    count: usize,
}

impl Group {
    /// Takes one more; whether that was the last that fits.
    fn is_full_with(&mut self, row: u32) -> bool {
        self.rows[self.count] = row;
        self.count += 1;
        self.count == GROUP
    }
}
