//! Similar movies by cosine: the planner chooses between graph and scan, and the scan is the rescue of the graph.

use cinedex_vectors::{Scored, TopK};

use crate::graph::{Graph, cosine};
use crate::{Allowed, Planner, Retrieval, Retrieved};

/// Below this share of the movies the allowed ones are scored one by one.
const FEW: usize = 8;

/// The graph and when to ask it.
#[derive(Debug)]
pub(crate) struct Similar {
    graph: Graph,
    embedded: Allowed,
    planner: Planner,
}

impl Similar {
    /// Follows `planner` on `graph`, over `movie_count` movies.
    pub(crate) fn new(graph: Graph, movie_count: usize, planner: Planner) -> Self {
        let mut embedded = Allowed::none(movie_count);
        embedded.extend(graph.embedded().iter().copied());
        Self { graph, embedded, planner }
    }

    /// Follows another planner.
    #[cfg(test)]
    pub(crate) fn plan_by(&mut self, planner: Planner) {
        self.planner = planner;
    }

    /// The graph.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The `k` allowed movies of highest cosine to `movie`, itself left out: descending, ties ascending index. A movie
    /// without an embedding resembles nothing.
    pub(crate) fn search(&self, movie: u32, k: usize, allowed: &Allowed) -> Retrieved {
        let nothing = Retrieved { items: Vec::new(), retrieval: Retrieval::Exact };
        let Some(node) = self.graph.node_of(movie) else { return nothing };
        let itself = usize::from(allowed.contains(movie));
        let available = allowed.count_common(&self.embedded).saturating_sub(itself);
        if k == 0 || available == 0 {
            return nothing;
        }
        if let Some(ef) = self.plan(k, available) {
            let items = self.by_graph(node, movie, k, ef, allowed);
            if items.len() >= k.min(available) {
                return Retrieved { items, retrieval: Retrieval::Graph };
            }
        }
        Retrieved { items: self.by_scan(node, movie, k, available, allowed), retrieval: Retrieval::Exact }
    }

    /// The graph, whatever the planner says.
    pub(crate) fn by_graph(
        &self,
        node: u32,
        movie: u32,
        k: usize,
        ef: usize,
        allowed: &Allowed,
    ) -> Vec<Scored> {
        let mut top = TopK::new(k);
        let accept = |other| other != movie && allowed.contains(other);
        self.graph.search(node, ef, accept, &mut top);
        top.into_sorted()
    }

    /// The scan, whatever the planner says; `available` says how many movies are to be looked at.
    pub(crate) fn by_scan(
        &self,
        node: u32,
        movie: u32,
        k: usize,
        available: usize,
        allowed: &Allowed,
    ) -> Vec<Scored> {
        let mut top = TopK::new(k);
        let query = self.graph.vector(node);
        if available * FEW < self.graph.node_count() {
            for other in allowed.iter().filter(|&other| other != movie) {
                if let Some(node) = self.graph.node_of(other) {
                    top.push(other, cosine(self.graph.vector(node), query));
                }
            }
        } else {
            self.graph.scan(query, |other| other != movie && allowed.contains(other), &mut top);
        }
        top.into_sorted()
    }

    /// The breadth with which to ask the graph, or `None` for the scan. What the graph costs grows with its breadth, what the
    /// scan costs with the movies that are allowed.
    fn plan(&self, k: usize, available: usize) -> Option<usize> {
        let from_movies = self.planner.graph_from_movies?;
        let ef = self.breadth(k)?;
        let scaled = u128::from(from_movies) * ef as u128 / u128::from(self.planner.ef_for_10.max(1));
        let share = available as f64 / self.embedded.count().max(1) as f64;
        // The movie asked for is never available: a catalogue without a filter must still count as whole.
        let whole = available + 1 >= self.embedded.count();
        (available as u128 >= scaled && (whole || share >= self.planner.graph_from_share)).then_some(ef)
    }

    /// Only what was measured: between ten and a hundred the breadth for a hundred, beyond that the scan.
    fn breadth(&self, k: usize) -> Option<usize> {
        let ef = match k {
            0..=10 => self.planner.ef_for_10,
            11..=100 => self.planner.ef_for_100?,
            _ => return None,
        };
        Some((ef as usize).max(k))
    }
}
