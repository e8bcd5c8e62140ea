//! `hnsw_rs` as its users run it: the graph that it builds, searched by its own search, with the distance that our own build
//! gives it, which has the widest instructions of the processor.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark uses its part of this module")]

use cinedex_vectors::{MatrixView, Scored, dot};
use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use rayon::prelude::*;

const SERIAL_START: usize = 1000;

/// `1 - cosine` of rows of length 1.
pub struct Angle;

impl Distance<f32> for Angle {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        (1.0 - dot(a, b)).max(0.0)
    }
}

/// Inserts rows of length 1 in their order, the first thousand one after another.
pub fn build(unit: MatrixView<'_>, connections: usize, ef_construction: usize) -> Hnsw<'static, f32, Angle> {
    let hnsw = Hnsw::new(connections, unit.rows(), 16, ef_construction, Angle);
    let serial = SERIAL_START.min(unit.rows());
    (0..serial).for_each(|row| hnsw.insert_slice((unit.row(row), row)));
    (serial..unit.rows()).into_par_iter().for_each(|row| hnsw.insert_slice((unit.row(row), row)));
    hnsw
}

/// The `k` nearest of a row, itself left out.
pub fn search(
    hnsw: &Hnsw<'_, f32, Angle>,
    unit: MatrixView<'_>,
    row: u32,
    k: usize,
    ef: usize,
) -> Vec<Scored> {
    let found = hnsw.search(unit.row(row as usize), k + 1, ef);
    let scored = |distance: f32, id: usize| Scored { index: id as u32, score: 1.0 - distance };
    let others = found.iter().map(|hit| scored(hit.distance, hit.d_id)).filter(|hit| hit.index != row);
    others.take(k).collect()
}
