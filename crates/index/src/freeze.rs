//! From links as they were built to arrays as they are searched: nodes are renumbered so that neighbours lie close in memory, and
//! what cannot be reached is linked.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;

use cinedex_domain::Progress;
use cinedex_vectors::{CodedQuery, CodesView, MatrixView, code_stride, encode};

use crate::IndexError;
use crate::beam::{Beam, Coded, Effort, Links, entrances};
use crate::error::InputFault;
use crate::hnsw::RawGraph;
use crate::refine::{Refinement, Slots, refine};

/// Candidates kept while the nearest node is sought to which an island is linked.
const ISLAND_EF: usize = 32;

/// A graph as arrays. Its first nodes, as many as [`entrances`] says, are drawn from all; the others follow so that neighbours
/// lie close. All can be reached from node 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frozen {
    /// `old[new]`: the node's number before.
    pub(crate) old: Vec<u32>,
    /// The nodes' vectors, coded.
    pub(crate) vectors: CodedVectors,
    /// Links of node `n` are `links[offsets[n]..offsets[n + 1]]`.
    pub(crate) offsets: Vec<u32>,
    pub(crate) links: Vec<u32>,
    /// Nodes that could not be reached and were linked.
    pub(crate) relinked: usize,
}

/// Vectors as codes, a row and a scale each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CodedVectors {
    pub(crate) dimension: usize,
    pub(crate) codes: Vec<u8>,
    pub(crate) scales: Vec<f32>,
}

impl CodedVectors {
    /// Codes the rows of the numbers `order`.
    pub(crate) fn new(vectors: MatrixView<'_>, order: &[u32]) -> Self {
        let stride = code_stride(vectors.dimension());
        let mut codes = vec![0; order.len() * stride];
        let rows = order.iter().zip(codes.chunks_exact_mut(stride));
        let scales = rows.map(|(&row, out)| encode(vectors.row(row as usize), out).scale).collect();
        Self { dimension: vectors.dimension(), codes, scales }
    }

    /// Borrows them.
    pub(crate) fn view(&self) -> Coded<'_> {
        Coded { codes: CodesView::new(&self.codes, self.dimension), scales: &self.scales }
    }
}

/// Renumbers and betters a graph over unit `vectors`, and makes all of it reachable.
pub(crate) fn freeze(
    raw: &RawGraph,
    vectors: MatrixView<'_>,
    refinement: &Refinement,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<Frozen, IndexError> {
    let old = order_of(raw);
    let coded = CodedVectors::new(vectors, &old);
    let mut new = vec![0; old.len()];
    for (number, &node) in (0..).zip(&old) {
        new[node as usize] = number;
    }
    let lists = old
        .iter()
        .map(|&node| raw.links[node as usize].iter().map(|&other| new[other as usize]).collect::<Vec<u32>>());
    let slots = Slots::new(lists, old.len(), refinement.capacity);
    let slots = refine(coded.view(), slots, refinement, progress, cancel)?;
    let mut lists = Lists(slots.iter().map(<[u32]>::to_vec).collect());
    let relinked = lists.link_unreached(coded.view(), refinement.capacity);
    let mut offsets = vec![0];
    let mut links = Vec::with_capacity(lists.0.iter().map(Vec::len).sum());
    for list in &lists.0 {
        links.extend_from_slice(list);
        offsets.push(u32::try_from(links.len()).map_err(|_| InputFault::TooManyLinks)?);
    }
    Ok(Frozen { old, vectors: coded, offsets, links, relinked })
}

/// Draws the entrances, those of the highest layers; the others in breadth-first order.
fn order_of(raw: &RawGraph) -> Vec<u32> {
    let count = raw.levels.len();
    let mut order = Vec::with_capacity(count);
    let mut seen = vec![false; count];
    let mut waiting = VecDeque::new();
    for start in 0..count as u32 {
        if !std::mem::replace(&mut seen[start as usize], true) {
            waiting.push_back(start);
        }
        while let Some(node) = waiting.pop_front() {
            order.push(node);
            for &other in &raw.links[node as usize] {
                if !std::mem::replace(&mut seen[other as usize], true) {
                    waiting.push_back(other);
                }
            }
        }
    }
    let mut highest = order.clone();
    highest.sort_by_key(|&node| std::cmp::Reverse(raw.levels[node as usize]));
    highest.truncate(entrances(count));
    for &node in &highest {
        seen[node as usize] = false;
    }
    highest.extend(order.into_iter().filter(|&node| seen[node as usize]));
    highest
}

struct Lists(Vec<Vec<u32>>);

impl Links for Lists {
    fn of(&self, node: u32) -> &[u32] {
        &self.0[node as usize]
    }
}

impl Lists {
    /// Makes every node reachable from node 0: what was dropped from a full list may have been the only link that led to another.
    /// Returns how many were linked.
    fn link_unreached(&mut self, space: Coded<'_>, full: usize) -> usize {
        let mut reached = vec![false; self.0.len()];
        if reached.is_empty() {
            return 0;
        }
        self.reach(0, &mut reached);
        let mut relinked = 0;
        loop {
            // First by the links that lead out: the nearest reached neighbour that has room links back.
            let mut progress = false;
            for node in 0..self.0.len() as u32 {
                if reached[node as usize] {
                    continue;
                }
                let known = self.of(node).iter().copied().filter(|&other| reached[other as usize]);
                let room = known.clone().find(|&other| self.of(other).len() < full);
                if let Some(other) = room.or_else(|| known.min_by_key(|&other| self.of(other).len())) {
                    self.0[other as usize].push(node);
                    self.reach(node, &mut reached);
                    relinked += 1;
                    progress = true;
                }
            }
            if progress {
                continue;
            }
            // Then an island: its first node and the nearest that a walk finds from node 0 link to each other.
            let Some(island) = reached.iter().position(|&reached| !reached) else { return relinked };
            let island = island as u32;
            let mut query = CodedQuery::new(&[]);
            query.set_codes(space.codes.row(island as usize));
            let nearest = Beam::with(|beam| {
                beam.search(space, self, &query, &[0], Effort::of(ISLAND_EF), |_| true);
                beam.found().next()
            });
            let (_, nearest) = nearest.expect("the walk finds at least where it begins");
            self.0[nearest as usize].push(island);
            self.0[island as usize].push(nearest);
            self.reach(island, &mut reached);
            relinked += 1;
        }
    }

    fn reach(&self, from: u32, reached: &mut [bool]) {
        let mut waiting = vec![from];
        reached[from as usize] = true;
        while let Some(node) = waiting.pop() {
            for &other in self.of(node) {
                if !std::mem::replace(&mut reached[other as usize], true) {
                    waiting.push(other);
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use cinedex_domain::silent;
    use cinedex_vectors::{Matrix, normalize};

    use super::*;

    /// `0..count`.
    pub(crate) fn numbers(count: u32) -> Vec<u32> {
        (0..count).collect()
    }

    /// Unit vectors around as many centres.
    pub(crate) fn directions(count: usize, dimension: usize, centres: usize) -> Matrix {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let middles: Vec<f32> = (0..centres * dimension).map(|_| next()).collect();
        let mut matrix = Matrix::zeros(count, dimension);
        for row in 0..count {
            let middle = &middles[row % centres * dimension..][..dimension];
            for (value, &middle) in matrix.row_mut(row).iter_mut().zip(middle) {
                *value = middle + 0.7 * next();
            }
            assert!(normalize(matrix.row_mut(row)));
        }
        matrix
    }

    fn reachable(frozen: &Frozen) -> usize {
        let (mut seen, mut waiting) = (vec![false; frozen.old.len()], vec![0usize]);
        while let Some(node) = waiting.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                let range = frozen.offsets[node] as usize..frozen.offsets[node + 1] as usize;
                waiting.extend(frozen.links[range].iter().map(|&other| other as usize));
            }
        }
        seen.iter().filter(|&&seen| seen).count()
    }

    fn frozen(raw: &RawGraph, vectors: &Matrix, rounds: Vec<usize>) -> Frozen {
        let refinement = Refinement { capacity: 4, rounds, spread: 1.0 };
        freeze(raw, vectors.view(), &refinement, &silent, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn unreachable_nodes_and_islands_are_linked() {
        // 2 links out but is not linked; 3 and 4 know only each other; 5 knows nobody.
        let vectors = Matrix::from_packed(2, [1.0, 0.0, 0.8, 0.6, 0.6, 0.8, 0.0, 1.0, -0.6, 0.8, -1.0, 0.0]);
        let links = [&[1][..], &[0], &[0], &[4], &[3], &[]].map(<[u32]>::to_vec).to_vec();
        let raw = RawGraph { levels: vec![1, 1, 0, 0, 0, 0], links };
        let as_it_is = frozen(&raw, &vectors, vec![]);
        assert_eq!((reachable(&as_it_is), as_it_is.relinked), (6, 3));
        assert_eq!((as_it_is.old, as_it_is.links.len()), (vec![0, 1, 2, 3, 4, 5], 5 + 5));
        assert_eq!(reachable(&frozen(&raw, &vectors, vec![8])), 6);
    }

    #[test]
    fn islands_of_many_stay_reachable_through_refinement() {
        // Six groups so far apart that no node's candidates reach beyond its own.
        let vectors = directions(300, 16, 6);
        let links = (0..300u32).map(|node| vec![(node + 6) % 300, (node + 12) % 300]).collect();
        let raw = RawGraph { levels: vec![0; 300], links };
        let refined = frozen(&raw, &vectors, vec![8, 8]);
        assert_eq!(reachable(&refined), 300);
        let mut once = refined.old.clone();
        once.sort_unstable();
        assert_eq!(once, numbers(300));
    }

    #[test]
    fn nothing_and_one_node_freeze() {
        let nothing = frozen(&RawGraph { levels: vec![], links: vec![] }, &Matrix::zeros(0, 2), vec![8]);
        assert_eq!((nothing.old.len(), nothing.offsets), (0, vec![0]));
        let one = RawGraph { levels: vec![2], links: vec![vec![]] };
        let one = frozen(&one, &Matrix::from_packed(2, [1.0, 0.0]), vec![8]);
        assert_eq!((one.old, one.offsets, one.links), (vec![0], vec![0, 0], vec![]));
    }

    #[test]
    fn the_entrances_are_the_highest_and_the_others_follow_their_links() {
        let links = [&[3][..], &[0], &[1], &[2]].map(<[u32]>::to_vec).to_vec();
        let raw = RawGraph { levels: vec![0, 2, 0, 1], links };
        assert_eq!(order_of(&raw), [1, 3, 0, 2]);
    }
}
