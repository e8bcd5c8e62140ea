//! From links as they were built to arrays as they are searched: what cannot be reached is linked, points are renumbered so
//! that neighbours lie close in memory, and every layer becomes one array of links.

use std::collections::VecDeque;

use cinedex_vectors::{Matrix, MatrixView, dot};

use crate::hnsw::RawGraph;

/// A graph as arrays. Points are numbered so that layer `l` holds the points `0..layers[l].rows()` and point 0 is the entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frozen {
    /// `old[new]`: the point's number before.
    pub(crate) old: Vec<u32>,
    /// From the lowest layer, which holds every point, to the highest.
    pub(crate) layers: Vec<FrozenLayer>,
    /// Points that could not be reached and were linked.
    pub(crate) relinked: usize,
}

/// Links of one layer: those of a point are `links[offsets[point]..offsets[point + 1]]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FrozenLayer {
    pub(crate) offsets: Vec<u64>,
    pub(crate) links: Vec<u32>,
}

/// Links, renumbers and lays out a graph over `vectors`. `connections` is the number of links it was built for.
pub(crate) fn freeze(mut graph: RawGraph, vectors: MatrixView<'_>, connections: usize) -> Frozen {
    let count = graph.levels.len();
    if count == 0 {
        return Frozen { old: Vec::new(), layers: Vec::new(), relinked: 0 };
    }
    let relinked = link_unreached(&mut graph, vectors, 2 * connections);
    let old = renumber(&graph);
    let mut new = vec![0; count];
    for (number, &point) in (0..).zip(&old) {
        new[point as usize] = number;
    }
    let top = graph.levels[graph.entry as usize];
    let layers = (0..=top)
        .map(|layer| {
            let mut frozen = FrozenLayer { offsets: vec![0], links: Vec::new() };
            for &point in old.iter().take_while(|&&point| graph.levels[point as usize] >= layer) {
                let links = &graph.links[point as usize][usize::from(layer)];
                frozen.links.extend(links.iter().map(|&other| new[other as usize]));
                frozen.offsets.push(frozen.links.len() as u64);
            }
            frozen
        })
        .collect();
    Frozen { old, layers, relinked }
}

/// The vectors in the order of the frozen graph.
pub(crate) fn permuted(vectors: MatrixView<'_>, old: &[u32]) -> Matrix {
    let mut matrix = Matrix::zeros(old.len(), vectors.dimension());
    for (row, &point) in old.iter().enumerate() {
        matrix.row_mut(row).copy_from_slice(vectors.row(point as usize));
    }
    matrix
}

/// Makes every point reachable from the entry in the lowest layer: insertion drops the farthest link of a full point, and that
/// may have been the only one that led to another. Returns how many were linked.
fn link_unreached(graph: &mut RawGraph, vectors: MatrixView<'_>, full: usize) -> usize {
    let mut reached = vec![false; graph.levels.len()];
    reach(graph, graph.entry, &mut reached);
    let mut relinked = 0;
    loop {
        // First by the links that lead out: the nearest reached neighbour that has room links back.
        let mut progress = false;
        for point in 0..graph.levels.len() as u32 {
            if reached[point as usize] {
                continue;
            }
            let links = |point: u32| &graph.links[point as usize][0];
            let known = links(point).iter().copied().filter(|&other| reached[other as usize]);
            let room = known.clone().find(|&other| links(other).len() < full);
            if let Some(other) = room.or_else(|| known.min_by_key(|&other| links(other).len())) {
                graph.links[other as usize][0].push(point);
                reach(graph, point, &mut reached);
                relinked += 1;
                progress = true;
            }
        }
        if progress {
            continue;
        }
        // Then an island: its first point and the nearest reached point link to each other.
        let Some(island) = reached.iter().position(|&reached| !reached) else { return relinked };
        let nearest = (0..reached.len()).filter(|&other| reached[other]).max_by(|&a, &b| {
            let score = |other| dot(vectors.row(other), vectors.row(island));
            score(a).total_cmp(&score(b))
        });
        let nearest = nearest.expect("the entry is reached");
        graph.links[nearest][0].push(island as u32);
        graph.links[island][0].push(nearest as u32);
        reach(graph, island as u32, &mut reached);
        relinked += 1;
    }
}

fn reach(graph: &RawGraph, from: u32, reached: &mut [bool]) {
    let mut waiting = vec![from];
    reached[from as usize] = true;
    while let Some(point) = waiting.pop() {
        for &other in &graph.links[point as usize][0] {
            if !std::mem::replace(&mut reached[other as usize], true) {
                waiting.push(other);
            }
        }
    }
}

/// The entry first, then by descending level, within a level in breadth-first order of the lowest layer.
fn renumber(graph: &RawGraph) -> Vec<u32> {
    let mut order = Vec::with_capacity(graph.levels.len());
    let mut seen = vec![false; graph.levels.len()];
    let mut waiting = VecDeque::from([graph.entry]);
    seen[graph.entry as usize] = true;
    while let Some(point) = waiting.pop_front() {
        order.push(point);
        for &other in &graph.links[point as usize][0] {
            if !std::mem::replace(&mut seen[other as usize], true) {
                waiting.push_back(other);
            }
        }
    }
    // Stable: the entry is of the highest level and was first.
    order.sort_by_key(|&point| std::cmp::Reverse(graph.levels[point as usize]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(levels: &[u8], entry: u32, links: &[&[u32]]) -> RawGraph {
        let links = links.iter().zip(levels).map(|(links, &level)| {
            let mut layers = vec![links.to_vec()];
            layers.resize(usize::from(level) + 1, Vec::new());
            layers
        });
        RawGraph { levels: levels.to_vec(), entry, links: links.collect() }
    }

    fn reachable(frozen: &Frozen) -> usize {
        let layer = &frozen.layers[0];
        let (mut seen, mut waiting) = (vec![false; frozen.old.len()], vec![0usize]);
        while let Some(point) = waiting.pop() {
            if !std::mem::replace(&mut seen[point], true) {
                let range = layer.offsets[point] as usize..layer.offsets[point + 1] as usize;
                waiting.extend(layer.links[range].iter().map(|&other| other as usize));
            }
        }
        seen.iter().filter(|&&seen| seen).count()
    }

    #[test]
    fn unreachable_points_and_islands_are_linked() {
        // 2 links out but is not linked; 3 and 4 know only each other; 5 knows nobody.
        let vectors = Matrix::from_packed(2, [1.0, 0.0, 0.8, 0.6, 0.6, 0.8, 0.0, 1.0, -0.6, 0.8, -1.0, 0.0]);
        let raw = graph(&[0, 1, 0, 0, 0, 0], 1, &[&[1], &[0], &[0], &[4], &[3], &[]]);
        let frozen = freeze(raw, vectors.view(), 4);
        assert_eq!((reachable(&frozen), frozen.relinked), (6, 3));
        assert_eq!((frozen.old[0], frozen.layers.len()), (1, 2));
        assert_eq!(frozen.layers[1].offsets, [0, 0]);
    }

    #[test]
    fn nothing_and_one_point_freeze() {
        let vectors = Matrix::from_packed(2, [1.0, 0.0]);
        assert_eq!(freeze(graph(&[], 0, &[]), Matrix::zeros(0, 2).view(), 4).layers.len(), 0);
        let one = freeze(graph(&[2], 0, &[&[]]), vectors.view(), 4);
        assert_eq!((one.old, one.layers.len()), (vec![0], 3));
    }
}
