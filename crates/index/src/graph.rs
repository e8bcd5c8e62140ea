//! `graph.bin`: the graph of movies by direction as arrays, read in place, and the search on it. Lock-free; it knows nothing of
//! `hnsw_rs`. The walk compares codes; what it finds is scored in full by the caller's definition.
//!
//! A node is a direction: movies whose normalised embeddings are equal share one, and movies without an embedding have none.

use std::path::Path;

use cinedex_domain::Metric;
use cinedex_vectors::{CodedQuery, CodesView, TopK, code_stride};

use crate::beam::{Beam, Coded, Effort, Links, MAX_NODES};
use crate::container::{Container, Section, SectionData, write_container};
use crate::error::Fault;
use crate::freeze::Frozen;
use crate::{Allowed, FileEntry, IndexError};

const KIND: &str = "graph";
/// Marks a movie without an embedding.
pub(crate) const NO_NODE: u32 = u32::MAX;

/// Which movies share which node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Members {
    /// Node of each movie, or [`NO_NODE`].
    pub(crate) node_of_movie: Vec<u32>,
    /// `node_count + 1` positions in `movies`.
    pub(crate) offsets: Vec<u32>,
    /// Movies of each node, ascending.
    pub(crate) movies: Vec<u32>,
}

impl Members {
    /// From the node of each movie.
    pub(crate) fn new(node_of_movie: Vec<u32>, nodes: usize) -> Self {
        let mut offsets = vec![0u32; nodes + 1];
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

/// Writes the graph; `norms` are the lengths of the movies' embeddings. Returns the header's checksum.
pub(crate) fn write_graph(
    path: &Path,
    frozen: &Frozen,
    members: &Members,
    norms: &[f32],
) -> Result<u64, IndexError> {
    let mut longest = vec![0f32; frozen.old.len()];
    for (&node, &norm) in members.node_of_movie.iter().zip(norms) {
        if node != NO_NODE {
            longest[node as usize] = longest[node as usize].max(norm);
        }
    }
    let vectors = &frozen.vectors;
    let lengthened: Vec<f32> =
        vectors.scales.iter().zip(&longest).map(|(scale, norm)| scale * norm).collect();
    let sections = [
        SectionData::new("codes", &vectors.codes),
        SectionData::new("unit_scales", &vectors.scales),
        SectionData::new("scales", &lengthened),
        SectionData::new("node_of_movie", &members.node_of_movie),
        SectionData::new("member_offsets", &members.offsets),
        SectionData::new("members", &members.movies),
        SectionData::new("offsets", &frozen.offsets),
        SectionData::new("links", &frozen.links),
    ];
    write_container(path, KIND, &sections)
}

/// An open graph, of which every number was checked.
#[derive(Debug)]
pub(crate) struct Graph {
    dimension: usize,
    codes: Section<u8>,
    /// What makes codes unit vectors.
    unit_scales: Section<f32>,
    /// What makes them the longest embedding among the node's movies.
    scales: Section<f32>,
    node_of_movie: Section<u32>,
    member_offsets: Section<u32>,
    members: Section<u32>,
    offsets: Section<u32>,
    links: Section<u32>,
}

/// What is sought, and how far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seek<'a> {
    /// How movies compare with the query.
    pub(crate) metric: Metric,
    /// As long as an embedding; for the cosine of length 1.
    pub(crate) query: &'a [f32],
    /// The node whose neighbours are sought, if it is one.
    pub(crate) from: Option<u32>,
    /// Nodes kept.
    pub(crate) ef: usize,
    /// Nodes scored after which it gives up.
    pub(crate) limit: usize,
}

/// What a search on the graph took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Nodes scored.
    pub(crate) scored: usize,
    /// Whether it went on to its end.
    pub(crate) complete: bool,
}

struct LinksView<'a> {
    offsets: &'a [u32],
    links: &'a [u32],
}

impl Links for LinksView<'_> {
    #[inline]
    fn of(&self, node: u32) -> &[u32] {
        range_of(self.offsets, self.links, node)
    }
}

impl Graph {
    /// Opens and checks: finite vectors, links to nodes, each embedded movie in exactly one node.
    pub(crate) fn open(
        path: &Path,
        entry: &FileEntry,
        movie_count: usize,
        dimension: usize,
    ) -> Result<Self, IndexError> {
        let container = Container::open(path, KIND, entry)?;
        let unit_scales = container.section::<f32>("unit_scales")?;
        let nodes = unit_scales.len();
        if nodes > movie_count.min(MAX_NODES) {
            let (section, found) = ("unit_scales".to_owned(), nodes as u64);
            let expected = movie_count.min(MAX_NODES) as u64;
            return Err(container.fault(Fault::Length { section, expected, found }));
        }
        let scales = container.section_of::<f32>("scales", nodes)?;
        for (name, scales) in [("unit_scales", &unit_scales), ("scales", &scales)] {
            container.check_finite(name, scales)?;
        }
        let codes = container.section_of::<u8>("codes", nodes.saturating_mul(code_stride(dimension)))?;
        let links = container.section::<u32>("links")?;
        container.check_below("links", &links, nodes)?;
        let offsets = container.offsets("offsets", nodes, links.len())?;
        let node_of_movie = container.section_of::<u32>("node_of_movie", movie_count)?;
        let members = container.section::<u32>("members")?;
        let member_offsets = container.offsets("member_offsets", nodes, members.len())?;
        let graph = Self {
            dimension,
            codes,
            unit_scales,
            scales,
            node_of_movie,
            member_offsets,
            members,
            offsets,
            links,
        };
        graph.check_members(&container)?;
        Ok(graph)
    }

    /// Distinct directions.
    pub(crate) fn node_count(&self) -> usize {
        self.unit_scales.len()
    }

    /// The node of a movie; `None` without an embedding or beyond the end.
    pub(crate) fn node_of(&self, movie: u32) -> Option<u32> {
        self.node_of_movie.get(movie as usize).copied().filter(|&node| node != NO_NODE)
    }

    /// Walks to the movies of highest score that `accept` lets through, and pushes them with what `score` says of them into
    /// `top`. A query of zeros, of another length, or with a number that is not finite finds nothing.
    ///
    /// The walk begins at the node itself where there is one, at the nearest entrances, and at node 0, from which all nodes can
    /// be reached: it waits behind all others.
    pub(crate) fn search(
        &self,
        seek: &Seek<'_>,
        accept: impl Fn(u32) -> bool,
        mut score: impl FnMut(&[u32], &mut [f32]),
        top: &mut TopK,
    ) -> Walk {
        let nothing = Walk { scored: 0, complete: true };
        if seek.query.len() != self.dimension || seek.ef == 0 || self.node_count() == 0 {
            return nothing;
        }
        let query = CodedQuery::new(seek.query);
        if query.scale() == 0.0 {
            return nothing;
        }
        let scales: &[f32] = match seek.metric {
            Metric::Cosine => &self.unit_scales,
            Metric::InnerProduct => &self.scales,
        };
        let space = Coded { codes: CodesView::new(&self.codes, self.dimension), scales };
        let links = LinksView { offsets: &self.offsets, links: &self.links };
        let (offsets, members): (&[u32], &[u32]) = (&self.member_offsets, &self.members);
        let accept_node = |node| range_of(offsets, members, node).iter().any(|&movie| accept(movie));
        let mut movies = Vec::with_capacity(seek.ef.min(self.node_count()));
        let walk = Beam::with(|beam| {
            let mut starts: Vec<u32> = seek.from.into_iter().collect();
            beam.enter(space, &query, &mut starts);
            starts.push(0);
            let effort = Effort { ef: seek.ef, limit: seek.limit };
            let complete = beam.search(space, &links, &query, &starts, effort, accept_node);
            for (_, node) in beam.found() {
                movies
                    .extend(range_of(offsets, members, node).iter().copied().filter(|&movie| accept(movie)));
            }
            Walk { scored: beam.scored(), complete }
        });
        let mut scores = vec![0.0; movies.len()];
        score(&movies, &mut scores);
        for (&movie, &score) in movies.iter().zip(&scores) {
            top.push(movie, score);
        }
        walk
    }

    /// How many neighbours a node has, and how many of them are allowed.
    pub(crate) fn allowed_around(&self, node: u32, allowed: &Allowed) -> (usize, usize) {
        let links = range_of(&self.offsets, &self.links, node);
        let members = |other| range_of(&self.member_offsets, &self.members, other);
        let is_allowed = |&&other: &&u32| members(other).iter().any(|&movie| allowed.contains(movie));
        (links.len(), links.iter().filter(is_allowed).count())
    }

    fn check_members(&self, container: &Container) -> Result<(), IndexError> {
        let section = || "members".to_owned();
        let contradiction =
            || container.fault(Fault::Contradiction { section: section(), other: "node_of_movie" });
        container.check_below("members", &self.members, self.node_of_movie.len())?;
        let (offsets, members, nodes): (&[u32], &[u32], &[u32]) =
            (&self.member_offsets, &self.members, &self.node_of_movie);
        for node in 0..self.node_count() as u32 {
            let movies = range_of(offsets, members, node);
            if movies.is_empty() || movies.windows(2).any(|pair| pair[0] >= pair[1]) {
                let position = offsets[node as usize] as usize;
                return Err(container.fault(Fault::Order { section: section(), position }));
            }
            if movies.iter().any(|&movie| nodes[movie as usize] != node) {
                return Err(contradiction());
            }
        }
        let embedded = nodes.iter().filter(|&&node| node != NO_NODE).count();
        if embedded == members.len() { Ok(()) } else { Err(contradiction()) }
    }
}

#[inline]
fn range_of<'a>(offsets: &[u32], values: &'a [u32], row: u32) -> &'a [u32] {
    &values[offsets[row as usize] as usize..offsets[row as usize + 1] as usize]
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use cinedex_domain::silent;
    use cinedex_vectors::{Matrix, Scored, dot, norm};
    use proptest::prelude::*;

    use super::*;
    use crate::freeze::freeze;
    use crate::freeze::tests::{directions, numbers};
    use crate::hnsw::build_graph;
    use crate::refine::Refinement;

    /// A graph over rows of any length but zero, of which the last `twins` share the node of the first.
    fn graph(rows: &Matrix, twins: usize) -> Graph {
        let distinct = rows.rows() - twins;
        let mut unit = Matrix::zeros(distinct, rows.dimension());
        for row in 0..distinct {
            unit.row_mut(row).copy_from_slice(rows.row(row));
            assert!(cinedex_vectors::normalize(unit.row_mut(row)));
        }
        let never = AtomicBool::new(false);
        let raw = build_graph(unit.view(), &numbers(distinct as u32), &silent, &never).unwrap();
        let refinement = Refinement::new(8, 64);
        let frozen = freeze(&raw, unit.view(), &refinement, &silent, &never).unwrap();
        let mut nodes = vec![0; rows.rows()];
        for (node, &row) in (0..).zip(&frozen.old) {
            nodes[row as usize] = node;
        }
        let first = nodes[0];
        nodes[distinct..].fill(first);
        let norms: Vec<f32> = (0..rows.rows()).map(|row| norm(rows.row(row))).collect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("graph.bin");
        let checksum = write_graph(&path, &frozen, &Members::new(nodes, distinct), &norms).unwrap();
        let bytes = std::fs::metadata(&path).unwrap().len();
        let entry = FileEntry { bytes, sha256: String::new(), xxh3: format!("{checksum:016x}") };
        Graph::open(&path, &entry, rows.rows(), rows.dimension()).unwrap()
    }

    fn score(metric: Metric, query: &[f32], row: &[f32]) -> f32 {
        let length = if metric == Metric::Cosine { norm(row) } else { 1.0 };
        dot(query, row) / length
    }

    fn found(
        graph: &Graph,
        rows: &Matrix,
        seek: &Seek<'_>,
        k: usize,
        accept: impl Fn(u32) -> bool,
    ) -> Vec<Scored> {
        let mut top = TopK::new(k);
        let scores = |movies: &[u32], out: &mut [f32]| {
            for (&movie, out) in movies.iter().zip(out) {
                *out = score(seek.metric, seek.query, rows.row(movie as usize));
            }
        };
        graph.search(seek, accept, scores, &mut top);
        top.into_sorted()
    }

    fn exact(rows: &Matrix, seek: &Seek<'_>, k: usize, accept: impl Fn(u32) -> bool) -> Vec<Scored> {
        let mut top = TopK::new(k);
        for movie in (0..rows.rows() as u32).filter(|&movie| accept(movie)) {
            top.push(movie, score(seek.metric, seek.query, rows.row(movie as usize)));
        }
        top.into_sorted()
    }

    fn seek(query: &[f32], ef: usize) -> Seek<'_> {
        Seek { metric: Metric::Cosine, query, from: None, ef, limit: usize::MAX }
    }

    #[test]
    fn recall_is_high_on_many_shapes_with_and_without_a_filter() {
        for (centres, count) in [(1, 2000), (7, 1500), (300, 1500), (2000, 2000)] {
            let mut rows = directions(count, 24, centres);
            for row in 0..count {
                cinedex_vectors::scale(1.0 / (1.0 + row as f32), rows.row_mut(row));
            }
            let graph = graph(&rows, 0);
            let unit = directions(count, 24, centres);
            for odd_only in [false, true] {
                let accept = |movie: u32| !odd_only || movie % 2 == 1;
                let (mut good, mut starting) = (0, 0);
                for row in (0..count).step_by(40) {
                    let seek = seek(unit.row(row), 64);
                    let expect = exact(&rows, &seek, 10, accept);
                    let hits = |found: Vec<Scored>| found.iter().filter(|hit| expect.contains(hit)).count();
                    good += hits(found(&graph, &rows, &seek, 10, accept));
                    let from = Seek { from: graph.node_of(row as u32), ..seek };
                    starting += hits(found(&graph, &rows, &from, 10, accept));
                }
                let wanted = count.div_ceil(40) * 10;
                assert!(good * 100 >= wanted * 96, "{centres} {odd_only}: {good} of {wanted}");
                assert!(starting * 100 >= wanted * 97, "{centres} {odd_only}: {starting} of {wanted}");
            }
        }
    }

    #[test]
    fn small_graphs_are_searched_whole() {
        for count in 1..50 {
            let rows = directions(count, 5, 3);
            let graph = graph(&rows, 0);
            let seek = seek(rows.row(count / 2), 64);
            assert_eq!(found(&graph, &rows, &seek, 60, |_| true), exact(&rows, &seek, 60, |_| true));
            let product = Seek { metric: Metric::InnerProduct, ..seek };
            assert_eq!(found(&graph, &rows, &product, 60, |_| true), exact(&rows, &product, 60, |_| true));
        }
    }

    #[test]
    fn movies_of_one_direction_share_a_node_and_are_all_found() {
        let mut rows = directions(120, 6, 4);
        let first = rows.row(0).to_vec();
        for row in 100..120 {
            rows.row_mut(row).copy_from_slice(&first);
            cinedex_vectors::scale(row as f32, rows.row_mut(row));
        }
        let graph = graph(&rows, 20);
        assert_eq!((graph.node_count(), graph.members.len()), (100, 120));
        let product = Seek { metric: Metric::InnerProduct, ..seek(&first, 8) };
        let best: Vec<u32> =
            found(&graph, &rows, &product, 3, |_| true).iter().map(|hit| hit.index).collect();
        assert_eq!(best, [119, 118, 117]);
        let only = found(&graph, &rows, &seek(&first, 8), 5, |movie| movie == 110);
        assert_eq!(only.iter().map(|hit| hit.index).collect::<Vec<_>>(), [110]);
    }

    #[test]
    fn what_is_no_query_finds_nothing() {
        let rows = directions(40, 4, 2);
        let graph = graph(&rows, 0);
        for query in [&[0.0; 4][..], &[f32::NAN; 4], &[f32::INFINITY; 4], &[1.0; 3], &[1.0; 5], &[]] {
            assert_eq!(found(&graph, &rows, &seek(query, 10), 5, |_| true), []);
        }
        assert_eq!(found(&graph, &rows, &seek(&[1.0; 4], 0), 5, |_| true), []);
        let limited = Seek { limit: 3, ..seek(&[1.0; 4], 10) };
        let walk = graph.search(&limited, |_| true, |_, _| (), &mut TopK::new(5));
        assert!(!walk.complete && walk.scored < 40);
    }

    #[test]
    fn members_are_grouped_by_node() {
        let members = Members::new(vec![1, NO_NODE, 0, 1], 2);
        assert_eq!((members.offsets, members.movies), (vec![0, 1, 3], vec![2, 0, 3]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn only_what_is_let_through_is_found_once_and_scored_in_full(
            count in 1usize..120, centres in 1usize..9, ef in 1usize..40, k in 0usize..30, keep in 1u32..9, product: bool,
        ) {
            let rows = directions(count, 7, centres);
            let graph = graph(&rows, 0);
            let metric = if product { Metric::InnerProduct } else { Metric::Cosine };
            for row in (0..count).step_by(17) {
                let seek = Seek { metric, ..seek(rows.row(row), ef) };
                let hits = found(&graph, &rows, &seek, k, |movie| movie % keep == 0);
                prop_assert!(hits.len() <= k);
                for pair in hits.windows(2) {
                    let (a, b) = (pair[0], pair[1]);
                    prop_assert!(a.score > b.score || a.score == b.score && a.index < b.index);
                }
                for hit in hits {
                    prop_assert_eq!(hit.index % keep, 0);
                    prop_assert_eq!(hit.score, score(metric, rows.row(row), rows.row(hit.index as usize)));
                }
            }
        }
    }
}
