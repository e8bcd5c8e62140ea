//! The one file that knows `hnsw_rs`: it inserts all points, fast and roughly, and hands out the links of the lowest layer.
//! Bettering them and searching is done elsewhere.
//!
//! What it guards against: `Hnsw::new` ends the process above 256 connections; a distance that is negative or not a number
//! panics; parallel insertion into an empty graph leaves points unlinked; links of a layer may lead to points that are not
//! in it.

use std::sync::atomic::{AtomicBool, Ordering};

use cinedex_domain::{Progress, Step};
use cinedex_vectors::{MatrixView, dot};
use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use rayon::prelude::*;

use crate::IndexError;

/// Links of a point in each layer, twice as many in the lowest, and candidates kept while it is linked: so few that insertion is
/// fast. With fewer candidates than links `hnsw_rs` keeps all of them.
const CONNECTIONS: usize = 16;
const EF_CONSTRUCTION: usize = 8;
/// Points inserted one after another before insertion goes parallel.
const SERIAL_START: usize = 1000;
/// Points between two looks at the cancel flag.
const BATCH: usize = 2048;
const MAX_LAYERS: usize = 16;

/// Links as they were built, before anything is laid out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawGraph {
    /// The highest layer of each point: of many points few are high, whatever their vectors.
    pub(crate) levels: Vec<u8>,
    /// The points that each links to in the lowest layer, which holds all, nearest first.
    pub(crate) links: Vec<Vec<u32>>,
}

/// Builds over normalised, finite, distinct vectors, inserted in the order given, on the caller's rayon pool.
pub(crate) fn build_graph(
    vectors: MatrixView<'_>,
    insertion_order: &[u32],
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<RawGraph, IndexError> {
    let count = vectors.rows();
    let mut graph = RawGraph { levels: vec![0; count], links: vec![Vec::new(); count] };
    if count == 0 {
        return Ok(graph);
    }
    let hnsw = Hnsw::new(CONNECTIONS, count, MAX_LAYERS, EF_CONSTRUCTION, Angle);
    let serial = SERIAL_START.min(count);
    let mut done = 0;
    while done < count {
        if cancel.load(Ordering::Relaxed) {
            return Err(IndexError::Cancelled);
        }
        let end = if done < serial { serial } else { (done + BATCH).min(count) };
        let batch = &insertion_order[done..end];
        let insert = |&point: &u32| hnsw.insert_slice((vectors.row(point as usize), point as usize));
        if done < serial {
            batch.iter().for_each(insert);
        } else {
            batch.par_iter().for_each(insert);
        }
        done = end;
        progress(Step::new("linking movies", done as u64, Some(count as u64)));
    }
    read_links(&hnsw, &mut graph);
    Ok(graph)
}

/// Half of the squared distance of unit vectors: never negative, never not a number.
struct Angle;

impl Distance<f32> for Angle {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        (1.0 - dot(a, b)).max(0.0)
    }
}

fn read_links(hnsw: &Hnsw<'_, f32, Angle>, graph: &mut RawGraph) {
    let points = hnsw.get_point_indexation();
    for layer in 0..hnsw.get_max_level() {
        for point in points.get_layer_iterator(layer) {
            let id = point.get_origin_id();
            graph.levels[id] = layer as u8;
            let layers = point.get_neighborhood_id();
            let linked = layers.first().map_or(&[][..], Vec::as_slice);
            let links = &mut graph.links[id];
            for other in linked.iter().map(|neighbour| neighbour.d_id as u32) {
                if other as usize != id && !links.contains(&other) {
                    links.push(other);
                }
            }
        }
    }
}
