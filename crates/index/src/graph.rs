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
