//! The nearest rows to a row or a vector, of films or of users: one exact scan, perhaps a graph, and the plan by which one of
//! them is asked. What the graph leaves short, an exact strategy answers.

use cinedex_domain::Metric;
use cinedex_vectors::{Scored, TopK};

use crate::graph::{Graph, Walk, cosine};
use crate::planner::{Plan, Planner, Strategy};
use crate::scan::Scan;
use crate::{Allowed, Retrieval, Retrieved};

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

/// A scan and a graph over the same rows.
#[derive(Debug)]
pub(crate) struct Searcher {
    scan: Scan,
    graph: Graph,
    embedded: Allowed,
}

impl Searcher {
    /// Over `rows` rows.
    pub(crate) fn new(scan: Scan, graph: Graph, rows: usize) -> Self {
        let mut embedded = Allowed::none(rows);
        embedded.extend((0..rows as u32).filter(|&row| scan.is_embedded(row)));
        Self { scan, graph, embedded }
    }

    /// The rows that have a vector.
    pub(crate) fn embedded(&self) -> &Allowed {
        &self.embedded
    }

    /// The graph.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Whether a vector can be searched for: of the right length, and no longer than can be multiplied.
    pub(crate) fn is_searchable(&self, vector: &[f32]) -> bool {
        self.scan.is_searchable(vector)
    }

    /// The unit vector of a row; `None` without one.
    pub(crate) fn unit(&self, row: u32) -> Option<&[f32]> {
        self.graph.node_of(row).map(|node| self.graph.vector(node))
    }

    /// The `k` best allowed rows that have a vector, descending, ties ascending index: as planned.
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

    /// What [`Searcher::search`] does first.
    pub(crate) fn plan(&self, query: &Query<'_>, k: usize, allowed: &Allowed, planner: &Planner) -> Plan {
        assert_eq!(allowed.len(), self.embedded.len(), "the filter is over the rows of this bundle");
        planner.plan(k, allowed.count(), allowed.len(), || {
            let share = allowed.count() as f64 / allowed.len().max(1) as f64;
            let node = query.row.and_then(|row| self.graph.node_of(row));
            let (near, near_allowed) = node.map_or((0, 0), |node| self.graph.allowed_around(node, allowed));
            (near_allowed as f64 + PRIOR_NEIGHBOURS * share) / (near as f64 + PRIOR_NEIGHBOURS)
        })
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
        // One more than wanted, because the row itself is found first.
        let wanted = k.saturating_add(usize::from(query.row.is_some()));
        let mut top = TopK::new(wanted);
        let from = query.row.and_then(|row| self.graph.node_of(row));
        let ef = (ef as usize).max(wanted).min(self.embedded.len());
        let walk = self.graph.search(query.vector, from, ef, limit, allowed, &mut top);
        (without(top.into_sorted(), query.row, k), walk)
    }

    /// By an exact strategy; the scan stands in for the graph.
    fn exact(&self, query: &Query<'_>, k: usize, allowed: &Allowed, strategy: Strategy) -> Retrieved {
        let wanted = k.saturating_add(usize::from(query.row.is_some()));
        let found = match (query.metric, query.row, strategy) {
            (Metric::Cosine, Some(_), Strategy::Each) => {
                let mut top = TopK::new(wanted);
                for row in allowed.iter() {
                    if let Some(node) = self.graph.node_of(row) {
                        top.push(row, cosine(self.graph.vector(node), query.vector));
                    }
                }
                top.into_sorted()
            }
            (Metric::Cosine, Some(_), _) => {
                let mut top = TopK::new(wanted);
                self.graph.scan(query.vector, |row| allowed.contains(row), &mut top);
                top.into_sorted()
            }
            (_, _, Strategy::Each) => self.scan.search_each(query.vector, wanted, allowed),
            _ => self.scan.search(query.vector, wanted, allowed),
        };
        Retrieved { items: without(found, query.row, k), retrieval: Retrieval::Exact }
    }

    /// Whether nothing that matches is missing for want of results.
    fn is_enough(&self, items: &[Scored], query: &Query<'_>, k: usize, allowed: &Allowed) -> bool {
        items.len() >= k || {
            let itself = query.row.is_some_and(|row| allowed.contains(row) && self.embedded.contains(row));
            items.len() >= allowed.count_common(&self.embedded) - usize::from(itself)
        }
    }
}

/// At most `k` of what was found, the row asked about left out.
fn without(mut found: Vec<Scored>, row: Option<u32>, k: usize) -> Vec<Scored> {
    found.retain(|hit| Some(hit.index) != row);
    found.truncate(k);
    found
}
