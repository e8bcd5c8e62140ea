//! The nearest rows to a row or a vector, of films or of users: one exact scan, perhaps a graph, and the plan by which one of
//! them is asked. What the graph leaves short, an exact strategy answers.

use std::path::Path;

use cinedex_domain::Metric;
use cinedex_vectors::{Scored, TopK};

use crate::container::Section;
use crate::error::Fault;
use crate::graph::{Graph, Seek, Walk};
use crate::input::for_metric;
use crate::planner::{Plan, Planner, Strategy};
use crate::scan::Scan;
use crate::{Allowed, FileEntry, IndexError, Retrieval, Retrieved};

/// Neighbours that count as much as the share of all when the share around a query is estimated: a node has few.
const PRIOR_NEIGHBOURS: f64 = 2.0;

/// What is searched for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    /// How rows compare.
    pub(crate) metric: Metric,
    /// Of length 1 where rows compare by the cosine.
    pub(crate) vector: &'a [f32],
    /// The row whose neighbours are sought; it is left out of the answer.
    pub(crate) row: Option<u32>,
}

impl Query<'_> {
    /// How many to find so that `k` are left without the row itself.
    fn wanted(&self, k: usize) -> usize {
        k.saturating_add(usize::from(self.row.is_some()))
    }

    /// At most `k` of what was found, without the row itself.
    fn without_row(&self, mut found: Vec<Scored>, k: usize) -> Vec<Scored> {
        if self.row.is_some() {
            found.retain(|hit| Some(hit.index) != self.row);
        }
        found.truncate(k);
        found
    }
}

/// A scan and perhaps a graph over the same rows.
#[derive(Debug)]
pub(crate) struct Searcher {
    scan: Scan,
    graph: Option<Graph>,
    all: Allowed,
}

impl Searcher {
    /// Opens the scan of `rows`, `count × dimension`, and the graph if there is one.
    pub(crate) fn open(
        rows: Section<f32>,
        dimension: usize,
        scan: (&Path, &FileEntry),
        graph: Option<(&Path, &FileEntry)>,
    ) -> Result<Self, IndexError> {
        let count = rows.len() / dimension;
        let (scan, opened) = rayon::join(
            || Scan::open(scan.0, scan.1, rows, dimension),
            || {
                graph
                    .map(|(path, entry)| {
                        Ok::<_, IndexError>((path, Graph::open(path, entry, count, dimension)?))
                    })
                    .transpose()
            },
        );
        let scan = scan?;
        let Some((path, graph)) = opened? else { return Ok(Self::new(scan, None)) };
        // Or a row would be found by the graph and be added once more as one without a vector.
        let disagrees = |row| graph.node_of(row).is_some() != scan.embedded().contains(row);
        if (0..count as u32).any(disagrees) {
            let (section, other) = ("node_of_movie".to_owned(), "the scan's rows without a vector");
            return Err(IndexError::damaged(path, Fault::Contradiction { section, other }));
        }
        Ok(Self::new(scan, Some(graph)))
    }

    fn new(scan: Scan, graph: Option<Graph>) -> Self {
        let all = Allowed::all(scan.embedded().len());
        Self { scan, graph, all }
    }

    /// The exact scan.
    pub(crate) fn scan(&self) -> &Scan {
        &self.scan
    }

    /// Whether there is a graph with nodes.
    pub(crate) fn has_graph(&self) -> bool {
        self.graph.as_ref().is_some_and(|graph| graph.node_count() > 0)
    }

    /// Which rows have a vector.
    pub(crate) fn embedded(&self) -> &Allowed {
        self.scan.embedded()
    }

    /// All rows.
    pub(crate) fn all(&self) -> &Allowed {
        &self.all
    }

    /// The vector of a row at length 1; `None` without one.
    pub(crate) fn unit(&self, row: u32) -> Option<Vec<f32>> {
        self.embedded().contains(row).then(|| for_metric(Metric::Cosine, self.scan.row(row)))
    }

    /// The `k` best allowed rows that have a vector, descending, ties ascending index: as planned. Never fewer than `k` where so
    /// many match.
    pub(crate) fn search(
        &self,
        query: &Query<'_>,
        k: usize,
        allowed: &Allowed,
        planner: &Planner,
    ) -> Retrieved {
        let plan = self.plan(query, k, allowed, planner);
        if let Strategy::Graph { ef } = plan.strategy {
            let (items, walk) = self.walk(query, k, ef, plan.nodes, allowed);
            if walk.complete && self.is_enough(&items, query, k, allowed) {
                return Retrieved { items, retrieval: Retrieval::Graph };
            }
        }
        self.exact(query, k, allowed, plan.exact)
    }

    /// The same by a given strategy. Where the graph comes short of what matches, the scan answers.
    pub(crate) fn search_by(
        &self,
        query: &Query<'_>,
        k: usize,
        allowed: &Allowed,
        strategy: Strategy,
    ) -> Retrieved {
        if let Strategy::Graph { ef } = strategy {
            let (items, _) = self.walk(query, k, ef, usize::MAX, allowed);
            if self.is_enough(&items, query, k, allowed) {
                return Retrieved { items, retrieval: Retrieval::Graph };
            }
        }
        self.exact(query, k, allowed, strategy)
    }

    /// The exact answers to several queries that compare alike, in one pass.
    pub(crate) fn search_together(
        &self,
        queries: &[Query<'_>],
        k: usize,
        allowed: &Allowed,
    ) -> Vec<Vec<Scored>> {
        let Some(first) = queries.first() else { return Vec::new() };
        let vectors: Vec<&[f32]> = queries.iter().map(|query| query.vector).collect();
        let found = self.scan.search_batch(first.metric, &vectors, first.wanted(k), allowed);
        queries.iter().zip(found).map(|(query, found)| query.without_row(found, k)).collect()
    }

    /// What [`Searcher::search`] does first.
    pub(crate) fn plan(&self, query: &Query<'_>, k: usize, allowed: &Allowed, planner: &Planner) -> Plan {
        assert_eq!(allowed.len(), self.embedded().len(), "the filter is over these rows");
        planner.plan(k, allowed.count(), allowed.len(), || self.share_around(query, allowed))
    }

    /// The graph alone, which may come short; gives up after `limit` nodes.
    pub(crate) fn walk(
        &self,
        query: &Query<'_>,
        k: usize,
        ef: u32,
        limit: usize,
        allowed: &Allowed,
    ) -> (Vec<Scored>, Walk) {
        let wanted = query.wanted(k);
        let Some(graph) = self.graph.as_ref().filter(|_| self.scan.is_searchable(query.vector)) else {
            return (Vec::new(), Walk { scored: 0, complete: true });
        };
        let mut top = TopK::new(wanted);
        let from = query.row.and_then(|row| graph.node_of(row));
        let ef = (ef as usize).max(wanted).min(self.embedded().count());
        let seek = Seek { metric: query.metric, query: query.vector, from, ef, limit };
        let everything = allowed.count() == allowed.len();
        let accept = |row: u32| everything || allowed.contains(row);
        let score =
            |rows: &[u32], out: &mut [f32]| self.scan.scores_of(query.metric, query.vector, rows, out);
        let walk = graph.search(&seek, accept, score, &mut top);
        (query.without_row(top.into_sorted(), k), walk)
    }

    /// By an exact strategy; the scan stands in for the graph.
    fn exact(&self, query: &Query<'_>, k: usize, allowed: &Allowed, strategy: Strategy) -> Retrieved {
        let wanted = query.wanted(k);
        let found = match strategy {
            Strategy::Each => self.scan.search_each(query.metric, query.vector, wanted, allowed),
            _ => self.scan.search_all(query.metric, query.vector, wanted, allowed),
        };
        Retrieved { items: query.without_row(found, k), retrieval: Retrieval::Exact }
    }

    /// The share of what lies around the query that is allowed: of the row's own neighbours in the graph.
    fn share_around(&self, query: &Query<'_>, allowed: &Allowed) -> f64 {
        let share = allowed.count() as f64 / allowed.len().max(1) as f64;
        let node = |graph: &Graph| Some(graph.allowed_around(graph.node_of(query.row?)?, allowed));
        let (near, near_allowed) = self.graph.as_ref().and_then(node).unwrap_or_default();
        (near_allowed as f64 + PRIOR_NEIGHBOURS * share) / (near as f64 + PRIOR_NEIGHBOURS)
    }

    /// Whether nothing that matches is missing for want of results.
    fn is_enough(&self, items: &[Scored], query: &Query<'_>, k: usize, allowed: &Allowed) -> bool {
        items.len() >= k || {
            let itself = query.row.is_some_and(|row| allowed.contains(row) && self.embedded().contains(row));
            items.len() >= allowed.count_common(self.embedded()) - usize::from(itself)
        }
    }
}
