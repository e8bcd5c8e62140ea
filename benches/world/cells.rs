//! Every strategy on every kind of filter, and what the planner does there: recall against scores computed one by one, and
//! mean microseconds a query on one thread, strategies taking turns. A filter allows 50, 10, 1 or .1 % of the films: at random, or
//! like a genre, where four in five are those nearest to a film and the rest are anybody; there the query is of the genre
//! ("genre") or any film ("foreign"). Eight filters of each kind.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark uses its part of this module")]

use std::time::Instant;

use cinedex_index::{Allowed, Bundle, Strategy};
use cinedex_vectors::{Matrix, MatrixView, TopK, dot};
use serde_json::{Value, json};

use crate::catalogue::unit_rows;
use crate::pairs::Random;
use crate::questions::{Question, Way, ask, quantiles};

const FILTERS: usize = 8;
const SHARES: [f64; 4] = [0.5, 0.1, 0.01, 0.001];
const ENOUGH: f64 = 0.99;
/// A score this far below the last of the exact answer still counts as equal to it.
const TIE: f32 = 1e-6;
/// Queries after which a strategy that is ten times slower than the planner is left.
const GLIMPSE: usize = 4;

/// What is tried.
pub struct Plan {
    /// Without filters, what is tried is every strategy on the whole catalogue.
    pub filters: bool,
    pub queries: usize,
    pub rounds: usize,
    pub breadths: Vec<u32>,
}

/// A row of a movie or a user, and the number of its filter.
struct Query {
    row: u32,
    filter: usize,
}

/// Prints a line of JSON for each question, kind of filter, share and number of results.
pub fn print_cells(bundle: &Bundle, plan: &Plan) {
    let unit = unit_rows(bundle.movie_factors());
    for question in [Question::Similar, Question::ForUser] {
        let kinds: &[&str] = match question {
            Question::Similar => &["none", "random", "genre", "foreign"],
            Question::ForUser => &["none", "random", "genre"],
        };
        for &kind in if plan.filters { kinds } else { &kinds[..1] } {
            let shares = if kind == "none" { &[1.0][..] } else { &SHARES };
            for &share in shares {
                let cell = Cell::new(bundle, &unit, question, kind, share, plan.queries);
                for k in [10, 100] {
                    println!("{}", cell.measure(k, plan));
                }
            }
        }
    }
}

struct Cell<'a> {
    bundle: &'a Bundle,
    /// The rows that scores are products with: of length 1 for similar films.
    rows: MatrixView<'a>,
    question: Question,
    kind: &'a str,
    share: f64,
    filters: Vec<Allowed>,
    queries: Vec<Query>,
}

impl<'a> Cell<'a> {
    fn new(
        bundle: &'a Bundle,
        unit: &'a Matrix,
        question: Question,
        kind: &'a str,
        share: f64,
        queries: usize,
    ) -> Self {
        let mut random = Random(0xf117 + (share * 1e4) as u64);
        let filters: Vec<Allowed> =
            (0..FILTERS).map(|_| filter(kind, share, unit.view(), &mut random)).collect();
        let askers = match question {
            Question::Similar => unit.rows(),
            Question::ForUser => bundle.user_count(),
        };
        let queries = (0..queries)
            .map(|number| {
                let filter = number % FILTERS;
                let inside = kind == "genre" && question == Question::Similar;
                let drawn = (0..1_000_000).map(|_| random.below(askers) as u32);
                let mut fitting = drawn.filter(|&row| !inside || filters[filter].contains(row));
                Query { row: fitting.next().expect("the filter allows some"), filter }
            })
            .collect();
        let rows = if question == Question::Similar { unit.view() } else { bundle.movie_factors() };
        Self { bundle, rows, question, kind, share, filters, queries }
    }

    fn vector(&self, query: &Query) -> &[f32] {
        match self.question {
            Question::Similar => self.rows.row(query.row as usize),
            Question::ForUser => self.bundle.user_factors().expect("users").row(query.row as usize),
        }
    }

    fn is_answer(&self, query: &Query, row: u32) -> bool {
        self.filters[query.filter].contains(row) && !(self.question == Question::Similar && row == query.row)
    }

    /// Of each query, how many there are to be found and the score of the last.
    fn exact(&self, k: usize) -> Vec<(usize, f32)> {
        let mut exact = Vec::new();
        for query in &self.queries {
            let mut best = TopK::new(k);
            let vector = self.vector(query);
            for row in self.filters[query.filter].iter().filter(|&row| self.is_answer(query, row)) {
                best.push(row, dot(self.rows.row(row as usize), vector));
            }
            let best = best.into_sorted();
            exact.push((best.len(), best.last().map_or(0.0, |last| last.score)));
        }
        exact
    }

    fn measure(&self, k: usize, plan: &Plan) -> Value {
        let exact = self.exact(k);
        let planned = Way(None);
        let mut tried = vec![Tried::new(planned)];
        tried.extend([Strategy::Scan, Strategy::Each].map(|strategy| Tried::new(Way(Some(strategy)))));
        let breadths = plan.breadths.iter().filter(|&&ef| ef as usize >= k);
        tried.extend(breadths.map(|&ef| Tried::new(Way(Some(Strategy::Graph { ef })))));
        let glimpse = GLIMPSE.min(self.queries.len());
        let mut limit = f64::INFINITY;
        for one in &mut tried {
            one.times = self.time(one.way, k, glimpse);
            limit = limit.min(10.0 * one.mean());
        }
        tried.retain(|one| one.way == planned || one.mean() <= limit);
        for one in &mut tried {
            (one.recall, one.short) = self.recall(one.way, k, &exact);
            one.times = vec![f64::INFINITY; self.queries.len()];
        }
        keep_narrowest(&mut tried);
        for _ in 0..plan.rounds {
            for one in &mut tried {
                // What the one before left in the caches must not count.
                self.time(one.way, k, self.queries.len());
                let times = self.time(one.way, k, self.queries.len());
                one.times.iter_mut().zip(times).for_each(|(least, time)| *least = least.min(time));
            }
        }
        self.report(k, &tried)
    }

    fn report(&self, k: usize, tried: &[Tried]) -> Value {
        let fits = |one: &&Tried| one.way.0.is_some() && one.recall >= ENOUGH && one.short == 0;
        let best = tried.iter().filter(fits).min_by(|a, b| a.mean().total_cmp(&b.mean()));
        let planned = &tried[0];
        json!({
            "question": if self.question == Question::Similar { "similar" } else { "for_user" },
            "filter": self.kind, "share": self.share, "k": k, "queries": self.queries.len(),
            "planned_recall": planned.recall, "planned_short": planned.short,
            "planned_microseconds": planned.mean(),
            "best": best.map(|one| one.way.name()), "best_microseconds": best.map(Tried::mean),
            "cost_ratio": best.map(|one| planned.mean() / one.mean()),
            "tried": tried.iter().map(Tried::to_json).collect::<Vec<_>>(),
        })
    }

    /// Microseconds of each of the first queries.
    fn time(&self, way: Way, k: usize, queries: usize) -> Vec<f64> {
        let answer = |query: &Query| {
            let began = Instant::now();
            std::hint::black_box(ask(
                self.bundle,
                self.question,
                query.row,
                k,
                &self.filters[query.filter],
                way,
            ));
            began.elapsed().as_secs_f64() * 1e6
        };
        self.queries[..queries].iter().map(answer).collect()
    }

    /// The share of the best that is found, where any of equals will do, and the number of queries that got fewer than there are.
    fn recall(&self, way: Way, k: usize, exact: &[(usize, f32)]) -> (f64, usize) {
        let (mut sum, mut short) = (0.0, 0);
        for (query, &(count, last)) in self.queries.iter().zip(exact) {
            let found = ask(self.bundle, self.question, query.row, k, &self.filters[query.filter], way).items;
            short += usize::from(found.len() < count);
            let mut rows: Vec<u32> = found.iter().map(|item| item.index).collect();
            rows.sort_unstable();
            rows.dedup();
            let vector = self.vector(query);
            let bound = last - TIE * last.abs().max(1.0);
            let is_good = |row: &&u32| {
                self.is_answer(query, **row) && dot(self.rows.row(**row as usize), vector) >= bound
            };
            let good = rows.iter().filter(is_good).count().min(count);
            sum += if count == 0 { 1.0 } else { good as f64 / count as f64 };
        }
        (sum / self.queries.len() as f64, short)
    }
}

struct Tried {
    way: Way,
    recall: f64,
    short: usize,
    /// Microseconds of each query in its fastest round, so that what disturbs the processor does not count.
    times: Vec<f64>,
}

impl Tried {
    fn new(way: Way) -> Self {
        Self { way, recall: 0.0, short: 0, times: Vec::new() }
    }

    fn mean(&self) -> f64 {
        self.times.iter().sum::<f64>() / self.times.len() as f64
    }

    fn to_json(&self) -> Value {
        json!({
            "strategy": self.way.name(), "recall": self.recall, "short": self.short,
            "microseconds": self.mean(), "quantiles": quantiles(self.times.clone()),
        })
    }
}

/// Leaves out breadths beyond the second that finds enough: they only take longer.
fn keep_narrowest(tried: &mut Vec<Tried>) {
    let mut enough = 0;
    tried.retain(|one| {
        let graph = matches!(one.way.0, Some(Strategy::Graph { .. }));
        let kept = !graph || enough < 2;
        enough += usize::from(graph && one.recall >= ENOUGH);
        kept
    });
}

fn filter(kind: &str, share: f64, unit: MatrixView<'_>, random: &mut Random) -> Allowed {
    let movies = unit.rows();
    let wanted = ((movies as f64 * share).round() as usize).clamp(1, movies);
    if wanted == movies {
        return Allowed::all(movies);
    }
    let mut allowed = Allowed::none(movies);
    let mut count = 0;
    if kind != "random" {
        let centre = unit.row(random.below(movies));
        let mut nearest: Vec<(f32, u32)> =
            (0..movies).map(|row| (-dot(unit.row(row), centre), row as u32)).collect();
        nearest.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        count = wanted * 4 / 5;
        allowed.extend(nearest[..count].iter().map(|&(_, row)| row));
    }
    while count < wanted {
        let row = random.below(movies) as u32;
        count += usize::from(!allowed.contains(row));
        allowed.insert(row);
    }
    allowed
}
