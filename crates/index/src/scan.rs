//! `scan.bin`: what the exact scan needs beside the vectors themselves, rows by descending length. The vectors are those of
//! another file, so that they are stored once; here each is coded as bytes.
//!
//! One pass over the codes says of every row what it may score at most, by inner product or by cosine alike; only what may
//! still be among the best `k` is scored in full, and by inner product the scan ends where by the Cauchy-Schwarz inequality no
//! shorter row can reach the k-th best. Nothing is left out that could enter: recall is 1.

mod search;
#[cfg(test)]
mod tests;

use std::path::Path;

use cinedex_domain::Metric;
use cinedex_vectors::{
    CodesView, MatrixView, Scored, TopK, code_stride, dot_f64, dots_of, encode, norm, norm_f64,
};

use self::search::{Scratch, Search};
use crate::container::{Container, Section, SectionData, write_container};
use crate::error::Fault;
use crate::input::is_sensible;
use crate::{Allowed, FileEntry, IndexError};

const KIND: &str = "scan";
/// Rows scored together, one by one.
const GROUP: usize = 64;
/// A shorter row's cosine is computed in double precision: its products would vanish.
const SHORT: f32 = 1e-15;

/// Orders rows by length, codes and writes them; returns the header's checksum.
pub(crate) fn write_scan(path: &Path, rows: MatrixView<'_>) -> Result<u64, IndexError> {
    let lengths: Vec<f32> = (0..rows.rows()).map(|row| norm_f64(rows.row(row)) as f32).collect();
    let mut order: Vec<u32> = (0..rows.rows() as u32).collect();
    order.sort_by(|&a, &b| lengths[b as usize].total_cmp(&lengths[a as usize]));
    let stride = code_stride(rows.dimension());
    let mut codes = vec![0; rows.rows() * stride];
    let (mut scales, mut errors) = (Vec::with_capacity(order.len()), Vec::with_capacity(order.len()));
    for (&row, out) in order.iter().zip(codes.chunks_exact_mut(stride)) {
        let code = encode(rows.row(row as usize), out);
        scales.push(code.scale);
        errors.push(code.error);
    }
    let norms: Vec<f32> = order.iter().map(|&row| lengths[row as usize]).collect();
    let sections = [
        SectionData::new("order", &order),
        SectionData::new("norms", &norms),
        SectionData::new("scales", &scales),
        SectionData::new("errors", &errors),
        SectionData::new("codes", &codes),
    ];
    write_container(path, KIND, &sections)
}

/// Exact search of a table of vectors.
#[derive(Debug)]
pub(crate) struct Scan {
    dimension: usize,
    /// The vectors, by row.
    rows: Section<f32>,
    order: Section<u32>,
    norms: Section<f32>,
    scales: Section<f32>,
    errors: Section<f32>,
    codes: Section<u8>,
    /// Rows that are not zero.
    embedded: Allowed,
    /// How many; they stand first in `order`.
    embedded_count: usize,
}

impl Scan {
    /// Opens and checks, for the vectors `rows`: every row once, lengths that descend, scales and errors that are some.
    pub(crate) fn open(
        path: &Path,
        entry: &FileEntry,
        rows: Section<f32>,
        dimension: usize,
    ) -> Result<Self, IndexError> {
        let container = Container::open(path, KIND, entry)?;
        let count = rows.len() / dimension;
        let order = container.section_of::<u32>("order", count)?;
        container.check_below("order", &order, count)?;
        let norms = Self::terms(&container, "norms", count)?;
        let scales = Self::terms(&container, "scales", count)?;
        let errors = Self::terms(&container, "errors", count)?;
        let codes = container.section_of::<u8>("codes", count.saturating_mul(code_stride(dimension)))?;
        if let Some(position) = norms.windows(2).position(|pair| pair[0] < pair[1]) {
            return Err(container.fault(Fault::Order { section: "norms".to_owned(), position: position + 1 }));
        }
        let embedded_count = norms.partition_point(|&norm| norm > 0.0);
        let (mut seen, mut embedded) = (Allowed::none(count), Allowed::none(count));
        seen.extend(order.iter().copied());
        embedded.extend(order[..embedded_count].iter().copied());
        if seen.count() != count {
            // As many as there are, but not all of them: one stands twice.
            return Err(container.fault(Fault::Order { section: "order".to_owned(), position: 0 }));
        }
        Ok(Self { dimension, rows, order, norms, scales, errors, codes, embedded, embedded_count })
    }

    /// Rows that are not zero.
    pub(crate) fn embedded(&self) -> &Allowed {
        &self.embedded
    }

    /// The score by which rows are ranked, whoever finds them: by inner product `<q, x>`, by cosine `<q, x> / |x|`, for which
    /// the query has length 1. Equal rows score equally; by cosine a row of zeros
    /// scores what is not a number. Panics if there is no such row.
    pub(crate) fn score(&self, metric: Metric, query: &[f32], row: u32) -> f32 {
        let mut score = [0.0];
        self.scores_of(metric, query, &[row], &mut score);
        score[0]
    }

    /// The scores of several rows, into `out`.
    pub(crate) fn scores_of(&self, metric: Metric, query: &[f32], rows: &[u32], out: &mut [f32]) {
        let vectors = self.vectors();
        dots_of(vectors, rows, query, out);
        if metric == Metric::Cosine {
            for (&row, score) in rows.iter().zip(out) {
                *score = cosine(query, vectors.row(row as usize), *score);
            }
        }
    }

    /// As [`search_all`](Self::search_all), by scoring the allowed rows one by one.
    pub(crate) fn search_each(
        &self,
        metric: Metric,
        query: &[f32],
        k: usize,
        allowed: &Allowed,
    ) -> Vec<Scored> {
        assert_eq!(allowed.len(), self.order.len(), "the filter is of these rows");
        if !self.is_searchable(query) {
            return Vec::new();
        }
        let mut top = TopK::new(k);
        let (mut rows, mut scores) = ([0; GROUP], [0.0; GROUP]);
        let mut candidates = allowed.iter().filter(|&row| self.embedded.contains(row));
        loop {
            let mut count = 0;
            for (place, row) in rows.iter_mut().zip(&mut candidates) {
                *place = row;
                count += 1;
            }
            self.scores_of(metric, query, &rows[..count], &mut scores[..count]);
            for (&row, &score) in rows[..count].iter().zip(&scores) {
                top.push(row, score);
            }
            if count < GROUP {
                return top.into_sorted();
            }
        }
    }

    /// The `k` allowed rows of highest score that are not zero: descending, ties ascending index; all of them if they are
    /// fewer; by a pass over all codes. By cosine the query has length 1. A query of another length, with a number that is not
    /// finite, or longer than 1e12 finds nothing. Panics if `allowed` is over another number of rows.
    pub(crate) fn search_all(
        &self,
        metric: Metric,
        query: &[f32],
        k: usize,
        allowed: &Allowed,
    ) -> Vec<Scored> {
        self.search_batch(metric, &[query], k, allowed).pop().unwrap_or_default()
    }

    /// As [`search_all`](Self::search_all) for each of `queries`, in one pass that reads the codes once for all.
    pub(crate) fn search_batch(
        &self,
        metric: Metric,
        queries: &[&[f32]],
        k: usize,
        allowed: &Allowed,
    ) -> Vec<Vec<Scored>> {
        assert_eq!(allowed.len(), self.order.len(), "the filter is of these rows");
        let mut scratch = Scratch::default();
        let mut searches: Vec<Option<Search<'_>>> = queries
            .iter()
            .map(|query| {
                self.is_searchable(query).then(|| Search::new(self, metric, query, TopK::new(k), allowed))
            })
            .collect();
        let mut start = 0;
        // As long as there are not `k`, every row is a candidate.
        let mut size = k.clamp(search::FIRST_ROWS, search::MOST_ROWS).next_multiple_of(16);
        while start < self.embedded_count {
            let end = self.embedded_count.min(start + size);
            let mut going = false;
            for search in searches.iter_mut().flatten() {
                going |= search.advance(start..end, &mut scratch);
            }
            if !going {
                break;
            }
            start = end;
            size = (2 * size).min(search::MOST_ROWS);
        }
        searches.into_iter().map(|search| search.map_or_else(Vec::new, Search::into_sorted)).collect()
    }

    /// Fills up what was [found](Self::search_all) with allowed rows of zeros until there are `k`, ascending; they score less
    /// than the last found and at most 0.
    pub(crate) fn complete(&self, mut found: Vec<Scored>, k: usize, allowed: &Allowed) -> Vec<Scored> {
        let score = found.last().map_or(0.0, |last| last.score.next_down().min(0.0));
        let rest = allowed.iter().filter(|&row| !self.embedded.contains(row));
        let missing = k.saturating_sub(found.len());
        found.extend(rest.take(missing).map(|index| Scored { index, score }));
        found
    }

    /// Whether a query has this table's length and is itself not too long.
    pub(crate) fn is_searchable(&self, query: &[f32]) -> bool {
        query.len() == self.dimension && is_sensible(norm_f64(query))
    }

    /// The vector of a row. Panics out of range.
    pub(crate) fn row(&self, row: u32) -> &[f32] {
        self.vectors().row(row as usize)
    }

    fn vectors(&self) -> MatrixView<'_> {
        MatrixView::new(&self.rows, self.dimension)
    }

    fn coded(&self) -> CodesView<'_> {
        CodesView::new(&self.codes, self.dimension)
    }

    /// Numbers that lengths can be.
    fn terms(container: &Container, name: &str, count: usize) -> Result<Section<f32>, IndexError> {
        let section = container.section_of::<f32>(name, count)?;
        match section.iter().position(|&term| !(term >= 0.0 && is_sensible(f64::from(term)))) {
            None => Ok(section),
            Some(position) => Err(container.fault(Fault::NotFinite { section: name.to_owned(), position })),
        }
    }
}

/// The cosine, of which the inner product is known; `unit` has length 1.
fn cosine(unit: &[f32], row: &[f32], product: f32) -> f32 {
    let length = norm(row);
    let cosine = if length < SHORT {
        let wide = |x: &[f32]| x.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        (dot_f64(&wide(unit), &wide(row)) / norm_f64(row)) as f32
    } else {
        product / length
    };
    cosine.clamp(-1.0, 1.0)
}
