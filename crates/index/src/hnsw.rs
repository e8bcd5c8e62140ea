//! The one file that knows `hnsw_rs`: it builds the graph and hands out its links. Searching is done elsewhere.
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

/// Points inserted one after another before insertion goes parallel.
const SERIAL_START: usize = 1000;
/// Points between two looks at the cancel flag.
const BATCH: usize = 2048;
const MAX_LAYERS: usize = 16;

/// Links as they were built, before anything is laid out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawGraph {
    /// The highest layer of each point.
    pub(crate) levels: Vec<u8>,
    /// A point of the highest layer.
    pub(crate) entry: u32,
    /// For each point and each of its layers from 0, the points of that layer it links to, nearest first.
    pub(crate) links: Vec<Vec<Vec<u32>>>,
}

/// Builds over normalised, finite, distinct vectors, inserted in the order given. `connections` and `ef_construction` are
/// in their checked ranges; the caller's rayon pool does the work.
pub(crate) fn build_graph(
    vectors: MatrixView<'_>,
    insertion_order: &[u32],
    connections: usize,
    ef_construction: usize,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<RawGraph, IndexError> {
    let count = vectors.rows();
    let mut graph = RawGraph { levels: vec![0; count], entry: 0, links: vec![Vec::new(); count] };
    if count == 0 {
        return Ok(graph);
    }
    let hnsw = Hnsw::new(connections, count, MAX_LAYERS, ef_construction, Angle);
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
    let mut neighbours = Vec::with_capacity(graph.links.len());
    for layer in 0..hnsw.get_max_level() {
        for (slot, point) in points.get_layer_iterator(layer).enumerate() {
            let id = point.get_origin_id();
            graph.levels[id] = layer as u8;
            if slot == 0 {
                // Layers ascend, so that the last one that has a point names the entry.
                graph.entry = id as u32;
            }
            neighbours.push((id, point.get_neighborhood_id()));
        }
    }
    for (id, layers) in neighbours {
        let level = graph.levels[id];
        let mut own = Vec::with_capacity(usize::from(level) + 1);
        for layer in 0..=level {
            let linked = layers.get(usize::from(layer)).map_or(&[][..], Vec::as_slice);
            let ids = linked.iter().map(|neighbour| neighbour.d_id as u32);
            let belongs = |&other: &u32| other as usize != id && graph.levels[other as usize] >= layer;
            let mut kept: Vec<u32> = Vec::with_capacity(linked.len());
            for other in ids.filter(belongs) {
                if !kept.contains(&other) {
                    kept.push(other);
                }
            }
            own.push(kept);
        }
        graph.links[id] = own;
    }
}
