//! `graph.bin`: the graph of similar movies as arrays, read in place, and the search on it. Lock-free; it knows nothing of
//! `hnsw_rs`. Search is Algorithm 5 of Malkov & Yashunin 2018 (greedy descent, then a beam in the lowest layer).
//!
//! A node is a direction: movies whose normalised embeddings are equal share one, and movies without an embedding have none.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use cinedex_vectors::{MatrixView, TopK, dot};

use crate::container::{Container, Section, SectionData, write_container};
use crate::error::Fault;
use crate::freeze::Frozen;
use crate::input::norm_of;
use crate::{Allowed, FileEntry, IndexError};

const KIND: &str = "graph";
/// Marks a movie without an embedding.
pub(crate) const NO_NODE: u32 = u32::MAX;
const MAX_LAYERS: usize = 16;

/// Which movies share which node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Members {
    /// Node of each movie, or [`NO_NODE`].
    pub(crate) node_of_movie: Vec<u32>,
    /// `node_count + 1` positions in `movies`.
    pub(crate) offsets: Vec<u64>,
    /// Movies of each node, ascending.
    pub(crate) movies: Vec<u32>,
}

impl Members {
    /// From the node of each movie.
    pub(crate) fn new(node_of_movie: Vec<u32>, nodes: usize) -> Self {
        let mut offsets = vec![0u64; nodes + 1];
        let embedded = |node: &&u32| **node != NO_NODE;
        node_of_movie.iter().filter(embedded).for_each(|&node| offsets[node as usize + 1] += 1);
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        let mut next = offsets.clone();
        let mut movies = vec![0; offsets[nodes] as usize];
        for (movie, &node) in (0..).zip(&node_of_movie) {
            if node != NO_NODE {
                movies[next[node as usize] as usize] = movie;
                next[node as usize] += 1;
            }
        }
        Self { node_of_movie, offsets, movies }
    }
}

/// Writes the graph; `vectors` are in its order. Returns the header's checksum.
pub(crate) fn write_graph(
    path: &Path,
    frozen: &Frozen,
    vectors: MatrixView<'_>,
    members: &Members,
) -> Result<u64, IndexError> {
    let sizes: Vec<u32> = frozen.layers.iter().map(|layer| layer.offsets.len() as u32 - 1).collect();
    let mut sections = vec![
        SectionData::new("vectors", vectors.as_slice()),
        SectionData::new("node_of_movie", &members.node_of_movie),
        SectionData::new("member_offsets", &members.offsets),
        SectionData::new("members", &members.movies),
        SectionData::new("layer_sizes", &sizes),
    ];
    for (number, layer) in frozen.layers.iter().enumerate() {
        sections.push(SectionData::new(format!("offsets.{number}"), &layer.offsets));
        sections.push(SectionData::new(format!("neighbours.{number}"), &layer.links));
    }
    write_container(path, KIND, &sections)
}

/// What a search on the graph took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Nodes scored.
    pub(crate) scored: usize,
    /// Whether it went on to its end.
    pub(crate) complete: bool,
}

/// An open graph, of which every number was checked.
#[derive(Debug)]
pub(crate) struct Graph {
    dimension: usize,
    vectors: Section<f32>,
    node_of_movie: Section<u32>,
    member_offsets: Section<u64>,
    members: Section<u32>,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    offsets: Section<u64>,
    links: Section<u32>,
}

impl Layer {
    fn view(&self) -> LayerView<'_> {
        LayerView { offsets: &self.offsets, links: &self.links }
    }
}

#[derive(Clone, Copy)]
struct LayerView<'a> {
    offsets: &'a [u64],
    links: &'a [u32],
}

impl<'a> LayerView<'a> {
    #[inline]
    fn of(self, node: u32) -> &'a [u32] {
        &self.links[self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize]
    }
}

impl Graph {
    /// Opens and checks: unit vectors, links to nodes of their layer, each embedded movie in exactly one node.
    pub(crate) fn open(
        path: &Path,
        entry: &FileEntry,
        movie_count: usize,
        dimension: usize,
    ) -> Result<Self, IndexError> {
        let container = Container::open(path, KIND, entry)?;
        let sizes = container.section::<u32>("layer_sizes")?;
        let nodes = sizes.first().map_or(0, |&size| size as usize);
        let fault = |fault| Err(container.fault(fault));
        let section = || "layer_sizes".to_owned();
        if sizes.len() > MAX_LAYERS {
            let (expected, found) = (MAX_LAYERS as u64, sizes.len() as u64);
            return fault(Fault::Length { section: section(), expected, found });
        }
        if let Some(position) = sizes.windows(2).position(|pair| pair[0] < pair[1]) {
            return fault(Fault::Order { section: section(), position: position + 1 });
        }
        if let Some(position) = sizes.iter().position(|&size| size == 0) {
            return fault(Fault::Order { section: section(), position });
        }
        let values = nodes.saturating_mul(dimension);
        let vectors = container.section_of::<f32>("vectors", values)?;
        let is_unit = |row: &[f32]| (norm_of(row) - 1.0).abs() < 1e-3;
        if let Some(row) = vectors.chunks_exact(dimension).position(|row| !is_unit(row)) {
            return fault(Fault::NotFinite { section: "vectors".to_owned(), position: row * dimension });
        }
        let mut layers = Vec::with_capacity(sizes.len());
        for (number, &size) in sizes.iter().enumerate() {
            let name = format!("neighbours.{number}");
            let links = container.section::<u32>(&name)?;
            container.check_below(&name, &links, size as usize)?;
            let offsets = container.offsets(&format!("offsets.{number}"), size as usize, links.len())?;
            layers.push(Layer { offsets, links });
        }
        let node_of_movie = container.section_of::<u32>("node_of_movie", movie_count)?;
        let members = container.section::<u32>("members")?;
        let member_offsets = container.offsets("member_offsets", nodes, members.len())?;
        let graph = Self { dimension, vectors, node_of_movie, member_offsets, members, layers };
        graph.check_members(&container)?;
        Ok(graph)
    }

    /// Distinct directions.
    pub(crate) fn node_count(&self) -> usize {
        self.member_offsets.len() - 1
    }

    /// The node of a movie; `None` without an embedding or beyond the end.
    pub(crate) fn node_of(&self, movie: u32) -> Option<u32> {
        self.node_of_movie.get(movie as usize).copied().filter(|&node| node != NO_NODE)
    }

    /// All unit vectors.
    pub(crate) fn view(&self) -> MatrixView<'_> {
        MatrixView::new(&self.vectors, self.dimension)
    }

    /// Walks a beam of `ef` to the allowed movies of highest cosine to a unit vector, into `top`. Gives up when `limit` nodes
    /// were scored.
    ///
    /// `from` is the node of a movie whose neighbours are sought. The beam begins there as well as where the descent ends: the
    /// node's own links lead to its neighbours even where a cluster has no link to the next that the descent could take.
    pub(crate) fn search(
        &self,
        query: &[f32],
        from: Option<u32>,
        ef: usize,
        limit: usize,
        allowed: &Allowed,
        top: &mut TopK,
    ) -> Walk {
        if ef == 0 || self.node_count() == 0 {
            return Walk { scored: 0, complete: true };
        }
        let vectors = self.view();
        let everything = allowed.count() == allowed.len();
        let accept = |movie: u32| everything || allowed.contains(movie);
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.reset(self.node_count());
            let accept_node = |node| self.members_of(node).iter().any(|&movie| accept(movie));
            // The entry waits behind all others, so that what is linked only from it is reached when nothing nearer is left.
            for start in from.into_iter().chain([self.descend(vectors, query), 0]) {
                scratch.offer(pack(dot(vectors.row(start as usize), query), start), ef, &accept_node);
            }
            let complete = self.beam(vectors, query, ef, limit, accept_node, scratch);
            for &Reverse(key) in &scratch.found {
                let (score, node) = unpack(key);
                let accepted = self.members_of(node).iter().filter(|&&movie| accept(movie));
                accepted.for_each(|&movie| top.push(movie, clamp(score)));
            }
            Walk { scored: scratch.touched.len(), complete }
        })
    }

    /// Movies of a node, ascending.
    fn members_of(&self, node: u32) -> &[u32] {
        &self.members
            [self.member_offsets[node as usize] as usize..self.member_offsets[node as usize + 1] as usize]
    }

    /// How many neighbours a node has, and how many of them are allowed.
    pub(crate) fn allowed_around(&self, node: u32, allowed: &Allowed) -> (usize, usize) {
        let links = self.layers[0].view().of(node);
        let is_allowed = |&&other: &&u32| self.members_of(other).iter().any(|&movie| allowed.contains(movie));
        (links.len(), links.iter().filter(is_allowed).count())
    }

    fn descend(&self, vectors: MatrixView<'_>, query: &[f32]) -> u32 {
        let mut best = (dot(vectors.row(0), query), 0);
        for layer in self.layers[1..].iter().rev().map(Layer::view) {
            loop {
                let before = best.1;
                for &node in layer.of(before) {
                    let score = dot(vectors.row(node as usize), query);
                    if score > best.0 {
                        best = (score, node);
                    }
                }
                if best.1 == before {
                    break;
                }
            }
        }
        best.1
    }

    /// Leaves in `scratch.found` at most `ef` accepted nodes; `false` if it gave up.
    fn beam(
        &self,
        vectors: MatrixView<'_>,
        query: &[f32],
        ef: usize,
        limit: usize,
        accept: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> bool {
        let layer = self.layers[0].view();
        while let Some(key) = scratch.waiting.pop() {
            if key < scratch.worst(ef) {
                break;
            }
            if scratch.touched.len() >= limit {
                return false;
            }
            // Which neighbours are new is known before any is scored, so that the processor can fetch their vectors together.
            let mut unseen = std::mem::take(&mut scratch.unseen);
            unseen.clear();
            unseen.extend(layer.of(unpack(key).1).iter().copied().filter(|&node| !scratch.is_visited(node)));
            for &node in &unseen {
                scratch.offer(pack(dot(vectors.row(node as usize), query), node), ef, &accept);
            }
            scratch.unseen = unseen;
        }
        true
    }

    fn check_members(&self, container: &Container) -> Result<(), IndexError> {
        let section = || "members".to_owned();
        let contradiction =
            || container.fault(Fault::Contradiction { section: section(), other: "node_of_movie" });
        container.check_below("members", &self.members, self.node_of_movie.len())?;
        for node in 0..self.node_count() {
            let range = self.member_offsets[node] as usize..self.member_offsets[node + 1] as usize;
            let movies = &self.members[range.clone()];
            if movies.is_empty() || movies.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(container.fault(Fault::Order { section: section(), position: range.start }));
            }
            if movies.iter().any(|&movie| self.node_of_movie[movie as usize] != node as u32) {
                return Err(contradiction());
            }
        }
        let embedded = self.node_of_movie.iter().filter(|&&node| node != NO_NODE).count();
        if embedded == self.members.len() { Ok(()) } else { Err(contradiction()) }
    }
}

#[inline]
fn clamp(cosine: f32) -> f32 {
    cosine.clamp(-1.0, 1.0)
}

thread_local! {
    /// Working memory of searches, one a thread, so that a search allocates nothing.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    /// One bit a node.
    visited: Vec<u64>,
    /// Nodes whose bit is set.
    touched: Vec<u32>,
    /// Unvisited neighbours of the node at hand.
    unseen: Vec<u32>,
    /// Nodes to be expanded, the nearest on top.
    waiting: BinaryHeap<u64>,
    /// The best accepted nodes, the farthest on top.
    found: BinaryHeap<Reverse<u64>>,
}

impl Scratch {
    fn reset(&mut self, nodes: usize) {
        for node in self.touched.drain(..) {
            self.visited[node as usize / 64] = 0;
        }
        self.visited.resize(nodes.div_ceil(64).max(self.visited.len()), 0);
        self.waiting.clear();
        self.found.clear();
    }

    #[inline]
    fn is_visited(&self, node: u32) -> bool {
        self.visited[node as usize / 64] >> (node % 64) & 1 == 1
    }

    /// Takes a scored node unless it was taken before or is farther than all that is kept.
    #[inline]
    fn offer(&mut self, key: u64, ef: usize, accept: &impl Fn(u32) -> bool) {
        let node = unpack(key).1;
        let word = &mut self.visited[node as usize / 64];
        let bit = 1 << (node % 64);
        if *word & bit != 0 {
            return;
        }
        *word |= bit;
        self.touched.push(node);
        if key > self.worst(ef) {
            self.waiting.push(key);
            if accept(node) {
                self.found.push(Reverse(key));
                if self.found.len() > ef {
                    self.found.pop();
                }
            }
        }
    }

    /// What is not above this cannot enter any more.
    #[inline]
    fn worst(&self, ef: usize) -> u64 {
        if self.found.len() < ef { 0 } else { self.found.peek().map_or(0, |&Reverse(key)| key) }
    }
}

/// A score and a node as one number that orders by score, and among equal scores prefers the lower node.
#[inline]
fn pack(score: f32, node: u32) -> u64 {
    let bits = score.to_bits();
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(!node)
}

#[inline]
fn unpack(key: u64) -> (f32, u32) {
    let ordered = (key >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    (f32::from_bits(bits), !(key as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_numbers_order_by_score_and_then_by_node(a in -2f32..2.0, b in -2f32..2.0, m in 0u32..9, n in 0u32..9) {
            prop_assert_eq!(unpack(pack(a, m)), (a, m));
            prop_assert!(pack(a, m) > 0);
            if a != b {
                prop_assert_eq!(pack(a, m) > pack(b, n), a > b);
            }
            prop_assert_eq!(pack(a, m) > pack(a, n), m < n);
        }
    }

    #[test]
    fn members_are_grouped_by_node() {
        let members = Members::new(vec![1, NO_NODE, 0, 1], 2);
        assert_eq!((members.offsets, members.movies), (vec![0, 1, 3], vec![2, 0, 3]));
    }
}
