//! What was measured on a finished index, as the manifest keeps it. Measuring is done elsewhere.

use serde::{Deserialize, Serialize};

use crate::Planner;

/// What was measured, by the kind of question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Films similar to a film: by cosine, films drawn as queries.
    pub similar: Measured,
    /// Films for a user: by the model's metric, vectors of real users drawn as queries.
    pub for_user: Measured,
    /// Users of like taste: by cosine, users drawn as queries.
    pub neighbors: Measured,
}

/// What was measured of one kind of question, on one thread, and what follows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Queries behind the figures without a filter; 0 if there was nothing to measure.
    pub queries: u64,
    /// Rows that have a vector.
    pub rows: u64,
    /// The graph without a filter, by breadth, up to the first that reaches the target recall for ten and for a hundred; empty
    /// without a graph.
    pub breadths: Vec<Breadth>,
    /// Every strategy under filters, the first two cells without one.
    pub cells: Vec<Cell>,
    /// What is done from these figures.
    pub planner: Planner,
}

/// One breadth of the graph and what it gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breadth {
    /// Candidates kept while searching.
    pub ef: u32,
    /// Share of the exact ten best that was found.
    pub recall_at_10: f64,
    /// Share of the exact hundred best that was found; absent where `ef` is below 100.
    pub recall_at_100: Option<f64>,
    /// Median microseconds a query.
    pub microseconds: f64,
    /// Median number of nodes scored.
    pub nodes: f64,
}

/// What a filter has to do with the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterKind {
    /// Everything is allowed.
    None,
    /// Rows at random.
    Random,
    /// A genre, or rows around one, and queries near it.
    Like,
    /// The same, and queries far from it.
    Unlike,
}

/// Every strategy on one kind of filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// What is allowed.
    pub filter: FilterKind,
    /// Allowed rows, the mean over the filters tried.
    pub allowed: u64,
    /// Results wanted.
    pub k: u64,
    /// Median microseconds of the scan over all rows.
    pub scan_microseconds: f64,
    /// Median microseconds of scoring the allowed rows one by one.
    pub each_microseconds: f64,
    /// The graph at the planner's breadth for `k`; absent without one.
    pub graph: Option<GraphFigures>,
    /// Median microseconds of what the planner does.
    pub planned_microseconds: f64,
    /// Recall of what the planner does.
    pub planned_recall: f64,
    /// Share of the queries that the planner has the graph answer.
    pub planned_graph: f64,
}

/// What the graph gives on one kind of filter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphFigures {
    /// Share of the exact best that was found.
    pub recall: f64,
    /// Median microseconds.
    pub microseconds: f64,
}

impl Measured {
    /// Recall of the ten best as the planner would have the graph find them without a filter; `None` if it never does.
    pub fn graph_recall_at_10(&self) -> Option<f64> {
        let ef = self.planner.ef_for_10?;
        self.breadths.iter().find(|breadth| breadth.ef == ef).map(|breadth| breadth.recall_at_10)
    }

    /// The same for the hundred best.
    pub fn graph_recall_at_100(&self) -> Option<f64> {
        let ef = self.planner.ef_for_100?;
        self.breadths.iter().find(|breadth| breadth.ef == ef)?.recall_at_100
    }
}
