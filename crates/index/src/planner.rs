//! Which strategy answers a question: the cheapest of those that find enough, by costs that were measured when the bundle was
//! built. It knows nothing of vectors and files; it is arithmetic on a table.
//!
//! A filter leaves a share of the rows. The scan reads on until nothing better can come, which is about as far as for `k / share`
//! results without a filter; scoring one by one costs by the row; the graph walks until it has met `ef` allowed nodes, about as
//! far as with a breadth of `ef / share`, where the share is that around the query: filters follow genres, and so do vectors.

use serde::{Deserialize, Serialize};

/// Steps in which [`Planner::regions`] looks at sizes: parts of the size.
const REGION_STEPS: usize = 32;

/// Filters that leave more, such as those that take away what a user has seen, are none to the graph.
const FILTERED_BELOW: f64 = 0.9;

/// How much cheaper the scan must promise to be than scoring one by one.
const DOUBT: f64 = 1.15;

/// How a question is answered. Whatever the strategy, all that match are found where fewer than `k` match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The exact scan over all rows, which skips what is not allowed.
    Scan,
    /// The allowed rows, scored one by one: exact.
    Each,
    /// A beam that walks the graph through all nodes and keeps the allowed ones, at most `ef` of them.
    Graph {
        /// Breadth of the beam; fewer than `k` are taken as `k`.
        ef: u32,
    },
}

/// Costs at some sizes; between them they run straight in logarithms, before the first they are as at the first, and after the
/// last they grow with the size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<CostPoint>", into = "Vec<CostPoint>")]
pub struct CostCurve(Vec<CostPoint>);

impl From<Vec<CostPoint>> for CostCurve {
    /// What was stored is made to fit as what was measured is.
    fn from(points: Vec<CostPoint>) -> Self {
        Self::new(points)
    }
}

impl From<CostCurve> for Vec<CostPoint> {
    fn from(curve: CostCurve) -> Self {
        curve.0
    }
}

/// What one size costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostPoint {
    /// What the cost depends on, above 0.
    pub size: f64,
    /// Median microseconds a query.
    pub microseconds: f64,
}

impl CostCurve {
    /// From measurements in any order. Equal sizes are averaged, and a cost that falls with the size is noise: the larger size
    /// gets that of the smaller.
    pub fn new(mut points: Vec<CostPoint>) -> Self {
        let is_some = |value: f64| value > 0.0 && value.is_finite();
        points.retain(|point| is_some(point.size) && is_some(point.microseconds));
        points.sort_by(|left, right| left.size.total_cmp(&right.size));
        let mut curve: Vec<CostPoint> = Vec::with_capacity(points.len());
        for group in points.chunk_by(|left, right| right.size <= left.size * 1.02) {
            let mean = group.iter().map(|point| point.microseconds).sum::<f64>() / group.len() as f64;
            let before = curve.last().map_or(0.0, |point| point.microseconds);
            curve.push(CostPoint { size: group[0].size, microseconds: mean.max(before) });
        }
        Self(curve)
    }

    /// The measured points, ascending.
    pub fn points(&self) -> &[CostPoint] {
        &self.0
    }

    /// The cost of a size; infinite where nothing was measured.
    pub fn at(&self, size: f64) -> f64 {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return f64::INFINITY };
        if size <= first.size {
            return first.microseconds;
        }
        if size >= last.size {
            return last.microseconds * size / last.size;
        }
        let after = self.0.partition_point(|point| point.size <= size);
        let (low, high) = (self.0[after - 1], self.0[after]);
        let share = (size / low.size).ln() / (high.size / low.size).ln();
        low.microseconds * (high.microseconds / low.microseconds).powf(share)
    }
}

/// What one kind of question costs and when the graph is good enough for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planner {
    /// Breadth with which the graph reaches the target recall for up to ten results; `None`: it does not, or costs more than
    /// the exact answer without a filter, and is never asked for ten.
    pub ef_for_10: Option<u32>,
    /// The same for eleven to a hundred. Beyond a hundred nothing was measured, and the answer is exact.
    pub ef_for_100: Option<u32>,
    /// Breadth for up to ten where a filter leaves less than nine tenths: that with which every filter that was tried reaches the
    /// target recall.
    pub filtered_ef_for_10: Option<u32>,
    /// The same for eleven to a hundred.
    pub filtered_ef_for_100: Option<u32>,
    /// Cost of the scan by `k / share`.
    pub scan: CostCurve,
    /// Cost of scoring one by one by allowed rows.
    pub each: CostCurve,
    /// Cost of the graph by `ef / share`.
    pub graph: CostCurve,
    /// Microseconds of the graph for each node that it scores; a walk that scores more nodes than the exact answer costs is given
    /// up for it.
    pub microseconds_a_node: f64,
}

/// What is to be done, and when to give up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    /// What is done first.
    pub(crate) strategy: Strategy,
    /// What is done if the graph comes short: the cheaper of the exact ones.
    pub(crate) exact: Strategy,
    /// Nodes that the graph may score.
    pub(crate) nodes: usize,
    /// What the strategy should cost, in microseconds.
    pub(crate) microseconds: f64,
}

impl Planner {
    /// Plans for `k` of `allowed` rows out of `rows`. `share_around` says which share of what lies around the query is allowed;
    /// it is asked only where that matters.
    pub(crate) fn plan(
        &self,
        k: usize,
        allowed: usize,
        rows: usize,
        share_around: impl FnOnce() -> f64,
    ) -> Plan {
        let share = allowed as f64 / rows.max(1) as f64;
        let scan = self.scan.at(k as f64 / share.max(1e-9));
        let each = self.each.at(allowed as f64);
        // One by one costs what it costs; how far the scan must read depends on what is allowed, and it must promise more.
        let (exact, microseconds) =
            if scan * DOUBT < each { (Strategy::Scan, scan) } else { (Strategy::Each, each) };
        let exact = Plan { strategy: exact, exact, nodes: 0, microseconds };
        let Some(ef) = self.breadth(k, share < FILTERED_BELOW) else { return exact };
        // Where everything around is allowed the graph costs least: if that is too much, nobody need look around.
        if self.graph.at(f64::from(ef)) >= microseconds {
            return exact;
        }
        let around = if allowed >= rows { 1.0 } else { share_around() };
        let graph = self.graph.at(f64::from(ef) / around.max(1e-9));
        if graph >= microseconds {
            return exact;
        }
        let nodes = (microseconds / self.microseconds_a_node.max(1e-6)).ceil() as usize;
        Plan { strategy: Strategy::Graph { ef }, nodes, microseconds: graph, ..exact }
    }

    /// What answers `k` results as ever more of `rows` rows are allowed, at random: each strategy with the number up to which
    /// it does, the last up to all.
    pub fn regions(&self, k: usize, rows: usize) -> Vec<(Strategy, usize)> {
        let mut regions: Vec<(Strategy, usize)> = Vec::new();
        let larger =
            |allowed: &usize| (*allowed < rows).then(|| (allowed + allowed.div_ceil(REGION_STEPS)).min(rows));
        for allowed in std::iter::successors((rows > 0).then(|| k.clamp(1, rows)), larger) {
            let share = allowed as f64 / rows as f64;
            let strategy = self.plan(k, allowed, rows, || share).strategy;
            match regions.last_mut() {
                Some(last) if last.0 == strategy => last.1 = allowed,
                _ => regions.push((strategy, allowed)),
            }
        }
        regions
    }

    /// The breadth that was measured for `k` results, with a filter or without.
    pub(crate) fn breadth(&self, k: usize, filtered: bool) -> Option<u32> {
        match (k, filtered) {
            (0..=10, false) => self.ef_for_10,
            (0..=10, true) => self.filtered_ef_for_10,
            (11..=100, false) => self.ef_for_100,
            (11..=100, true) => self.filtered_ef_for_100,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> CostCurve {
        let point = |&(size, microseconds): &(f64, f64)| CostPoint { size, microseconds };
        CostCurve::new(points.iter().map(point).collect())
    }

    /// 100,000 rows: the scan reads 1 µs a thousand, one by one costs 20 a thousand, the graph 20 µs and then by its breadth.
    fn planner() -> Planner {
        Planner {
            ef_for_10: Some(32),
            filtered_ef_for_10: Some(32),
            scan: curve(&[(10.0, 100.0), (100_000.0, 100.0)]),
            each: curve(&[(100.0, 2.0), (100_000.0, 2000.0)]),
            graph: curve(&[(32.0, 20.0), (320.0, 200.0)]),
            microseconds_a_node: 0.1,
            ..Planner::default()
        }
    }

    fn check(k: usize, allowed: usize, around: f64, expect: Strategy) {
        let plan = planner().plan(k, allowed, 100_000, || around);
        assert_eq!(plan.strategy, expect, "{k} of {allowed}, {around} around: {plan:?}");
    }

    #[test]
    fn the_cheapest_is_planned() {
        let graph = Strategy::Graph { ef: 32 };
        check(10, 100_000, 0.0, graph);
        check(10, 50_000, 0.5, graph);
        // 20 µs at a fifth of the neighbours becomes 100, as much as the scan.
        check(10, 50_000, 0.21, graph);
        check(10, 50_000, 0.19, Strategy::Scan);
        check(10, 4000, 0.1, Strategy::Each);
        // Friends all around, though few in all.
        check(10, 4000, 1.0, graph);
        check(10, 900, 1.0, Strategy::Each);
        check(11, 100_000, 1.0, Strategy::Scan);
        check(101, 4000, 1.0, Strategy::Each);
        check(0, 0, 1.0, Strategy::Each);
    }

    #[test]
    fn nobody_looks_around_where_it_does_not_matter() {
        let never = || panic!("looked around");
        planner().plan(10, 100_000, 100_000, never);
        planner().plan(10, 500, 100_000, never);
        planner().plan(100, 50_000, 100_000, never);
    }

    #[test]
    fn a_walk_is_given_up_when_it_has_cost_as_much_as_the_exact_answer() {
        let plan = planner().plan(10, 50_000, 100_000, || 1.0);
        assert_eq!((plan.exact, plan.nodes, plan.microseconds), (Strategy::Scan, 1000, 20.0));
    }

    #[test]
    fn regions_run_from_few_to_all() {
        let regions = planner().regions(10, 100_000);
        let strategies: Vec<Strategy> = regions.iter().map(|region| region.0).collect();
        assert_eq!(strategies, [Strategy::Each, Strategy::Scan, Strategy::Graph { ef: 32 }]);
        assert!((5500..=5750).contains(&regions[0].1), "{regions:?}");
        assert!((19_000..=20_000).contains(&regions[1].1), "{regions:?}");
        assert_eq!(regions[2].1, 100_000);
        assert!(planner().regions(10, 0).is_empty());
        assert_eq!(Planner::default().regions(10, 3), [(Strategy::Each, 3)]);
    }

    #[test]
    fn a_curve_runs_straight_in_logarithms_and_never_falls() {
        let curve = curve(&[(100.0, 20.0), (10.0, 5.0), (1000.0, 10.0), (10.1, 15.0), (0.0, 1.0)]);
        let check = |size: f64, expect: f64| {
            assert!((curve.at(size) - expect).abs() < 1e-9, "{size}: {} is not {expect}", curve.at(size));
        };
        check(1.0, 10.0);
        check(10.0, 10.0);
        check(1000.0_f64.sqrt(), 200.0_f64.sqrt());
        check(100.0, 20.0);
        check(1000.0, 20.0);
        check(5000.0, 100.0);
        assert_eq!(curve.points().len(), 3);
        assert_eq!(CostCurve::default().at(3.0), f64::INFINITY);
    }
}
