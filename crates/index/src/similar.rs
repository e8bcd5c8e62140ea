//! Similar movies by cosine: the planner chooses between graph and scan, and the scan is the rescue of the graph.

use cinedex_domain::Metric;
use cinedex_vectors::{Scored, TopK};

use crate::graph::Graph;
use crate::scan::Scan;
use crate::{Allowed, Planner, Retrieval, Retrieved};

/// The graph and when to ask it.
#[derive(Debug)]
pub(crate) struct Similar {
    graph: Graph,
    planner: Planner,
}

impl Similar {
    /// Follows `planner` on `graph`.
    pub(crate) fn new(graph: Graph, planner: Planner) -> Self {
        Self { graph, planner }
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
    pub(crate) fn search(&self, scan: &Scan, movie: u32, k: usize, allowed: &Allowed) -> Retrieved {
        let nothing = Retrieved { items: Vec::new(), retrieval: Retrieval::Exact };
        if self.graph.node_of(movie).is_none() {
            return nothing;
        }
        let itself = usize::from(allowed.contains(movie));
        let available = allowed.count_common(scan.embedded()).saturating_sub(itself);
        if k == 0 || available == 0 {
            return nothing;
        }
        if let Some(ef) = self.plan(k, available, scan.embedded().count()) {
            let items = self.by_graph(scan, movie, k, ef, allowed);
            if items.len() >= k.min(available) {
                return Retrieved { items, retrieval: Retrieval::Graph };
            }
        }
        Retrieved { items: self.by_scan(scan, movie, k, allowed), retrieval: Retrieval::Exact }
    }

    /// The graph, whatever the planner says. A movie without an embedding finds nothing.
    pub(crate) fn by_graph(
        &self,
        scan: &Scan,
        movie: u32,
        k: usize,
        ef: usize,
        allowed: &Allowed,
    ) -> Vec<Scored> {
        let Some(node) = self.graph.node_of(movie) else { return Vec::new() };
        let (mut found, mut top) = (TopK::new(k), TopK::new(k));
        let accept = |other| other != movie && allowed.contains(other);
        self.graph.search(node, ef, accept, &mut found);
        let query = self.graph.vector(node);
        for Scored { index, .. } in found.into_sorted() {
            top.push(index, scan.score(Metric::Cosine, query, index));
        }
        top.into_sorted()
    }

    /// The scan, whatever the planner says. A movie without an embedding finds nothing.
    pub(crate) fn by_scan(&self, scan: &Scan, movie: u32, k: usize, allowed: &Allowed) -> Vec<Scored> {
        let Some(node) = self.graph.node_of(movie) else { return Vec::new() };
        // One more, for the movie itself is among the nearest.
        let mut found = scan.search(Metric::Cosine, self.graph.vector(node), k.saturating_add(1), allowed);
        found.retain(|other| other.index != movie);
        found.truncate(k);
        found
    }

    /// The breadth with which to ask the graph, or `None` for the scan. What the graph costs grows with its breadth, what the
    /// scan costs with the movies that are allowed.
    fn plan(&self, k: usize, available: usize, embedded: usize) -> Option<usize> {
        let from_movies = self.planner.graph_from_movies?;
        let ef = self.breadth(k)?;
        let scaled = u128::from(from_movies) * ef as u128 / u128::from(self.planner.ef_for_10.max(1));
        let share = available as f64 / embedded.max(1) as f64;
        // The movie asked for is never available: a catalogue without a filter must still count as whole.
        let whole = available + 1 >= embedded;
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
