//! `scan.bin`: movies by descending length of their vectors, for the exact best inner products. By the Cauchy-Schwarz
//! inequality no row from some point on can reach the k-th best so far, and there the scan ends.

use std::path::Path;

use cinedex_vectors::{Matrix, MatrixView, Scored, TopK, dot, inner_products};

use crate::container::{Container, Section, SectionData, write_container};
use crate::error::Fault;
use crate::input::{is_sensible, norm_of};
use crate::{Allowed, FileEntry, IndexError};

const KIND: &str = "scan";
/// Rows scored at a time.
const BLOCK: usize = 64;

/// Sorts rows by length and writes them; returns the header's checksum.
pub(crate) fn write_scan(path: &Path, rows: MatrixView<'_>) -> Result<u64, IndexError> {
    let lengths: Vec<f32> = (0..rows.rows()).map(|row| length_of(rows.row(row))).collect();
    let mut order: Vec<u32> = (0..rows.rows() as u32).collect();
    order.sort_by(|&a, &b| lengths[b as usize].total_cmp(&lengths[a as usize]));
    let mut sorted = Matrix::zeros(rows.rows(), rows.dimension());
    for (position, &row) in order.iter().enumerate() {
        sorted.row_mut(position).copy_from_slice(rows.row(row as usize));
    }
    let sorted_lengths: Vec<f32> = order.iter().map(|&row| lengths[row as usize]).collect();
    let sections = [
        SectionData::new("order", &order),
        SectionData::new("norms", &sorted_lengths),
        SectionData::new("vectors", sorted.as_slice()),
    ];
    write_container(path, KIND, &sections)
}

/// Exact maximum inner product over all movies.
#[derive(Debug)]
pub(crate) struct Scan {
    dimension: usize,
    order: Section<u32>,
    norms: Section<f32>,
    vectors: Section<f32>,
    /// Where each movie stands in `order`.
    position_of: Vec<u32>,
    /// Rows with a vector; those without stand at the end.
    embedded: usize,
}

impl Scan {
    /// Opens and checks: every movie once, lengths that are those of the vectors and descend.
    pub(crate) fn open(
        path: &Path,
        entry: &FileEntry,
        movie_count: usize,
        dimension: usize,
    ) -> Result<Self, IndexError> {
        let container = Container::open(path, KIND, entry)?;
        let order = container.section_of::<u32>("order", movie_count)?;
        let norms = container.section_of::<f32>("norms", movie_count)?;
        let values = movie_count.saturating_mul(dimension);
        let vectors = container.section_of::<f32>("vectors", values)?;
        container.check_below("order", &order, movie_count)?;
        let mut position_of = vec![u32::MAX; movie_count];
        for (position, &movie) in order.iter().enumerate() {
            if std::mem::replace(&mut position_of[movie as usize], position as u32) != u32::MAX {
                return Err(container.fault(Fault::Order { section: "order".to_owned(), position }));
            }
        }
        for (position, row) in vectors.chunks_exact(dimension).enumerate() {
            if !is_sensible(norm_of(row)) {
                let section = "vectors".to_owned();
                return Err(container.fault(Fault::NotFinite { section, position: position * dimension }));
            }
            if norms[position] != length_of(row) {
                let section = "norms".to_owned();
                return Err(container.fault(Fault::Contradiction { section, other: "vectors" }));
            }
        }
        if let Some(position) = norms.windows(2).position(|pair| pair[0] < pair[1]) {
            return Err(container.fault(Fault::Order { section: "norms".to_owned(), position: position + 1 }));
        }
        let embedded = norms.partition_point(|&norm| norm > 0.0);
        Ok(Self { dimension, order, norms, vectors, position_of, embedded })
    }

    /// Whether a movie has a vector. Panics out of range.
    pub(crate) fn is_embedded(&self, movie: u32) -> bool {
        (self.position_of[movie as usize] as usize) < self.embedded
    }

    /// Whether a query can be scored: of the right length and finite, not longer than 1e12.
    pub(crate) fn is_searchable(&self, query: &[f32]) -> bool {
        query.len() == self.dimension && is_sensible(norm_of(query))
    }

    /// The `k` allowed movies with a vector of highest inner product: descending, ties ascending index.
    pub(crate) fn search(&self, query: &[f32], k: usize, allowed: &Allowed) -> Vec<Scored> {
        let mut top = TopK::new(k);
        self.score_blocks(query, norm_of(query) as f32, allowed, &mut top);
        top.into_sorted()
    }

    /// The same, by scoring the allowed movies one by one.
    pub(crate) fn search_each(&self, query: &[f32], k: usize, allowed: &Allowed) -> Vec<Scored> {
        let mut top = TopK::new(k);
        self.score_each(query, allowed, &mut top);
        top.into_sorted()
    }

    fn score_each(&self, query: &[f32], allowed: &Allowed, top: &mut TopK) {
        let vectors = MatrixView::new(&self.vectors, self.dimension);
        for movie in allowed.iter() {
            let Some(&position) = self.position_of.get(movie as usize) else { return };
            if (position as usize) < self.embedded {
                top.push(movie, dot(vectors.row(position as usize), query));
            }
        }
    }

    fn score_blocks(&self, query: &[f32], length: f32, allowed: &Allowed, top: &mut TopK) {
        let (order, norms, vectors): (&[u32], &[f32], &[f32]) = (&self.order, &self.norms, &self.vectors);
        // Rounding of a sum of products is at most this share of the product of the lengths, with room to spare.
        let rounding = (self.dimension as f32 + 16.0) * f32::EPSILON;
        let mut scores = [0.0; BLOCK];
        for start in (0..self.embedded).step_by(BLOCK) {
            let bound = length * norms[start];
            if bound * (1.0 + 2.0 * rounding) + f32::MIN_POSITIVE < top.threshold() {
                break;
            }
            let rows = BLOCK.min(self.embedded - start);
            let block = &vectors[start * self.dimension..(start + rows) * self.dimension];
            let block = MatrixView::new(block, self.dimension);
            inner_products(block, query, &mut scores[..rows]);
            let slack = 2.0 * rounding * bound + f32::MIN_POSITIVE;
            for (row, &rough) in scores[..rows].iter().enumerate() {
                // The blocked kernel rounds otherwise than `dot`, by which every score is given: equal vectors must tie.
                let movie = order[start + row];
                if rough + slack >= top.threshold() && allowed.contains(movie) {
                    top.push(movie, dot(block.row(row), query));
                }
            }
        }
    }
}

fn length_of(row: &[f32]) -> f32 {
    norm_of(row) as f32
}
