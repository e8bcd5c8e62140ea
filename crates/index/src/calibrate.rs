//! Measures every strategy of a finished index on drawn queries, with and without filters, and makes the planner's table of it.
//!
//! Measuring is bounded: a latency is the median of at most [`TIMED`] queries or of as many as fit into [`TIMED_SECONDS`], and
//! fewer queries are drawn where the rows are many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use cinedex_domain::Metric;
use cinedex_vectors::{Scored, axpy, dot, norm};
use rand::seq::IteratorRandom;
use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::calibration::{Breadth, Cell, FilterKind, GraphFigures, Measured};
use crate::input::for_metric;
use crate::planner::{CostCurve, CostPoint, Planner, Strategy};
use crate::searcher::{Query, Searcher};
use crate::{Allowed, BuildOptions, Calibration, Retrieval};

const BREADTHS: [u32; 14] = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
/// Recall of ten and of a hundred, where it was measured.
const RECALLS: [fn(&Breadth) -> Option<f64>; 2] =
    [|breadth| Some(breadth.recall_at_10), |breadth| breadth.recall_at_100];
/// Parts of the step between two breadths in which the least that will do is looked for.
const FINER: u32 = 4;
/// Shares that filters leave.
const SHARES: [f64; 4] = [0.5, 0.1, 0.01, 0.001];
/// Queries answered exactly in one pass.
const TOGETHER: usize = 16;
/// Queries of a latency at most, and at least.
const TIMED: usize = 60;
const TIMED_AT_LEAST: usize = 7;
/// What a latency may take beyond the least queries.
const TIMED_SECONDS: f64 = 0.04;
/// Queries under each filter.
const FILTERED: usize = 60;
/// Genres, or the like, of each share.
const GENRES: usize = 2;
/// Rows scored for exact answers at most, by kind of question.
const EXACT_ROWS: usize = 200_000_000;
/// A walk is measured no further than this many times the cost of the exact answer.
const HOPELESS: f64 = 8.0;
/// Rows behind the mean direction of a genre at most.
const CENTRE_ROWS: usize = 1000;

/// What there is to measure.
pub(crate) struct Subjects<'a> {
    pub(crate) films: &'a Searcher,
    pub(crate) people: Option<&'a Searcher>,
    /// Filters that people use.
    pub(crate) genres: &'a [Allowed],
}

/// Measures all questions. `metric` is the model's. Runs on the caller's rayon pool; timings are of one thread.
pub(crate) fn calibrate(subjects: &Subjects<'_>, metric: Metric, options: &BuildOptions) -> Calibration {
    let Subjects { films, people, genres } = *subjects;
    let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
    let mut like = |searcher: &Searcher, genres| {
        let drawn = drawn_rows(searcher, searcher, options, &mut generator);
        let query = |(row, vector)| Query { metric: Metric::Cosine, vector, row: Some(row) };
        let queries = drawn.iter().map(|(row, vector)| query((*row, &vector[..]))).collect();
        Sample { searcher, queries, genres }.measure(options, &mut generator)
    };
    let similar = like(films, Some(genres));
    let neighbors = people.map(|people| like(people, None)).unwrap_or_default();
    let for_user = people.map(|people| {
        let drawn = drawn_rows(people, films, options, &mut generator);
        let drawn: Vec<Vec<f32>> =
            drawn.iter().map(|(row, _)| for_metric(metric, people.scan().row(*row))).collect();
        let queries = drawn.iter().map(|vector| Query { metric, vector, row: None }).collect();
        Sample { searcher: films, queries, genres: Some(genres) }.measure(options, &mut generator)
    });
    Calibration { similar, for_user: for_user.unwrap_or_default(), neighbors }
}

/// Rows that have a vector, with it at length 1: fewer where what they are to be compared with is large.
fn drawn_rows(
    from: &Searcher,
    compared: &Searcher,
    options: &BuildOptions,
    generator: &mut ChaCha8Rng,
) -> Vec<(u32, Vec<f32>)> {
    let affordable = (EXACT_ROWS / compared.embedded().count().max(1)).max(TIMED);
    let drawn = from.embedded().iter().sample(generator, options.recall_queries.min(affordable));
    drawn.into_iter().filter_map(|row| Some((row, from.unit(row)?))).collect()
}

/// The films of each genre.
pub(crate) fn genre_sets<'a, L>(films: impl ExactSizeIterator<Item = L>) -> Vec<Allowed>
where
    L: IntoIterator<Item = &'a str>,
{
    let count = films.len();
    let mut sets: BTreeMap<&str, Allowed> = BTreeMap::new();
    for (film, genres) in (0..).zip(films) {
        for genre in genres {
            sets.entry(genre).or_insert_with(|| Allowed::none(count)).insert(film);
        }
    }
    sets.into_values().collect()
}

/// What is measured.
struct Sample<'a> {
    searcher: &'a Searcher,
    /// What was drawn.
    queries: Vec<Query<'a>>,
    /// Filters that people use; `None` where the question takes none.
    genres: Option<&'a [Allowed]>,
}

/// A query, what is allowed, and the exact answer.
struct Task<'a> {
    query: Query<'a>,
    allowed: Arc<Allowed>,
    exact: Vec<Scored>,
}

/// Tasks under filters of one kind and share.
struct Filter<'a> {
    kind: FilterKind,
    /// Mean share of the rows that is allowed.
    share: f64,
    tasks: Vec<Task<'a>>,
}

impl Sample<'_> {
    /// Measures. Runs on the caller's rayon pool; timings are of one thread.
    fn measure(&self, options: &BuildOptions, generator: &mut ChaCha8Rng) -> Measured {
        let rows = self.searcher.embedded().count();
        if rows < 2 || self.queries.is_empty() {
            return Measured { rows: rows as u64, ..Measured::default() };
        }
        let drawn = &self.queries[..];
        let all = Arc::new(Allowed::all(self.searcher.embedded().len()));
        let tasks = self.tasks(drawn, &all);
        let breadths = self.breadths(&tasks, options.target_recall);
        let [ef_for_10, ef_for_100] = RECALLS.map(|recall| {
            let fits =
                |breadth: &&Breadth| recall(breadth).is_some_and(|found| found >= options.target_recall);
            breadths.iter().find(fits).filter(|_| options.target_recall < 1.0).map(|breadth| breadth.ef)
        });
        let mut planner = Planner { ef_for_10, ef_for_100, ..Planner::default() };
        let filters = self.filters(drawn, &all, generator);
        let plain: Vec<&Filter<'_>> = filters
            .iter()
            .filter(|filter| matches!(filter.kind, FilterKind::None | FilterKind::Random))
            .collect();
        self.learn_costs(&mut planner, &breadths, &plain);
        self.learn_filtered_breadths(&mut planner, &filters, options.target_recall);
        let cells =
            filters.iter().flat_map(|filter| [10, 100].map(|k| self.cell(filter, k, &planner))).collect();
        Measured { queries: tasks.len() as u64, rows: rows as u64, breadths, cells, planner }
    }

    /// The exact answers, by the scan many queries in one pass.
    fn tasks<'a>(&self, queries: &[Query<'a>], allowed: &Arc<Allowed>) -> Vec<Task<'a>> {
        let few = allowed.count() * 8 < allowed.len();
        let answers = |queries: &[Query<'a>]| -> Vec<Task<'a>> {
            let exact: Vec<Vec<Scored>> = if few {
                let each = |query| self.searcher.search_by(query, 100, allowed, Strategy::Each).items;
                queries.iter().map(each).collect()
            } else {
                self.searcher.search_together(queries, 100, allowed)
            };
            let task =
                |(query, exact): (&Query<'a>, _)| Task { query: *query, allowed: Arc::clone(allowed), exact };
            queries.iter().zip(exact).map(task).collect()
        };
        queries.par_chunks(TOGETHER).flat_map_iter(answers).collect()
    }

    /// Tasks without a filter and, where the question takes filters, under all kinds of them.
    fn filters<'a>(
        &self,
        drawn: &[Query<'a>],
        all: &Arc<Allowed>,
        generator: &mut ChaCha8Rng,
    ) -> Vec<Filter<'a>> {
        let few = &drawn[..drawn.len().min(FILTERED)];
        let mut filters = vec![Filter { kind: FilterKind::None, share: 1.0, tasks: self.tasks(few, all) }];
        let Some(genres) = self.genres else { return filters };
        let rows = all.len();
        for share in SHARES {
            let mut random = Allowed::none(rows);
            random.extend(sample(generator, rows, count_of(share, rows)).into_iter().map(|row| row as u32));
            let tasks = self.tasks(few, &Arc::new(random));
            filters.push(Filter {
                kind: FilterKind::Random,
                share: count_of(share, rows) as f64 / rows as f64,
                tasks,
            });
            let (mut like, mut unlike, mut found) = (Vec::new(), Vec::new(), 0);
            for genre in self.genres_of(genres, share, generator) {
                let sorted = self.by_likeness(drawn, &genre);
                let half = (FILTERED / GENRES).min(drawn.len());
                found += genre.count();
                like.extend(self.tasks(&sorted[..half], &genre));
                unlike.extend(self.tasks(&sorted[sorted.len() - half..], &genre));
            }
            let share = found as f64 / (GENRES * rows) as f64;
            filters.push(Filter { kind: FilterKind::Like, share, tasks: like });
            filters.push(Filter { kind: FilterKind::Unlike, share, tasks: unlike });
        }
        filters
    }

    /// Filters that leave about a share: the genres that come nearest, and where none comes within a factor of two, the rows
    /// around one drawn at random.
    fn genres_of(&self, genres: &[Allowed], share: f64, generator: &mut ChaCha8Rng) -> Vec<Arc<Allowed>> {
        let rows = self.searcher.embedded().len();
        let distance = |genre: &Allowed| (genre.count() as f64 / rows as f64 / share).ln().abs();
        let mut near: Vec<&Allowed> =
            genres.iter().filter(|genre| distance(genre) < std::f64::consts::LN_2).collect();
        near.sort_by(|left, right| distance(left).total_cmp(&distance(right)));
        let mut found: Vec<Arc<Allowed>> = near.into_iter().take(GENRES).cloned().map(Arc::new).collect();
        let embedded: Vec<u32> = self.searcher.embedded().iter().collect();
        while found.len() < GENRES {
            let Some(centre) = self.searcher.unit(embedded[generator.random_range(0..embedded.len())]) else {
                continue;
            };
            let mut order = self.likeness_of_all(&embedded, &centre);
            let count = count_of(share, rows).min(order.len());
            order.select_nth_unstable_by(count - 1, |left, right| left.0.total_cmp(&right.0));
            let mut around = Allowed::none(rows);
            around.extend(order[..count].iter().map(|&(_, row)| row));
            found.push(Arc::new(around));
        }
        found
    }

    /// Cosine to a direction, negated, and row.
    fn likeness_of_all(&self, rows: &[u32], centre: &[f32]) -> Vec<(f32, u32)> {
        let score = |rows: &[u32]| {
            let mut scores = vec![0.0; rows.len()];
            self.searcher.scan().scores_of(Metric::Cosine, centre, rows, &mut scores);
            scores.into_iter().map(|score| -score).zip(rows.iter().copied()).collect::<Vec<_>>()
        };
        rows.par_chunks(4096).flat_map_iter(score).collect()
    }

    /// The queries by descending cosine to the mean direction of a set.
    fn by_likeness<'a>(&self, queries: &[Query<'a>], set: &Allowed) -> Vec<Query<'a>> {
        let mut centre = vec![0.0; queries[0].vector.len()];
        let step = set.count().div_ceil(CENTRE_ROWS).max(1);
        for unit in set.iter().step_by(step).filter_map(|row| self.searcher.unit(row)) {
            axpy(1.0, &unit, &mut centre);
        }
        let likeness =
            |query: &Query<'_>| dot(query.vector, &centre) / norm(query.vector).max(f32::MIN_POSITIVE);
        let mut sorted = queries.to_vec();
        sorted.sort_by(|left, right| likeness(right).total_cmp(&likeness(left)));
        sorted
    }

    /// From narrow to wide, until both recalls reach the target, with smaller steps where each does.
    fn breadths(&self, tasks: &[Task<'_>], target: f64) -> Vec<Breadth> {
        let mut tried = Vec::new();
        if !self.searcher.has_graph() {
            return tried;
        }
        for ef in BREADTHS {
            let breadth = self.breadth(tasks, ef);
            let enough = RECALLS.iter().all(|recall| recall(&breadth).is_some_and(|found| found >= target));
            tried.push(breadth);
            if enough {
                break;
            }
        }
        for recall in RECALLS {
            let reaches = |breadth: &Breadth| recall(breadth).is_some_and(|found| found >= target);
            let Some(place) = tried.iter().position(reaches).filter(|&place| place > 0) else { continue };
            for (steps, ef) in finer(tried[place - 1].ef, tried[place].ef).enumerate() {
                let breadth = self.breadth(tasks, ef);
                let enough = reaches(&breadth);
                tried.insert(place + steps, breadth);
                if enough {
                    break;
                }
            }
        }
        tried
    }

    /// What one breadth finds and costs.
    fn breadth(&self, tasks: &[Task<'_>], ef: u32) -> Breadth {
        let walk = |task: &Task<'_>, k| self.searcher.walk(&task.query, k, ef, usize::MAX, &task.allowed);
        let recall = |k: usize| -> f64 {
            let shares = tasks.par_iter().map(|task| recall_of(&walk(task, k).0, &task.exact, k));
            shares.sum::<f64>() / tasks.len() as f64
        };
        let nodes = tasks.iter().take(TIMED).map(|task| walk(task, 10).1.scored as f64);
        Breadth {
            ef,
            recall_at_10: recall(10),
            recall_at_100: (ef >= 100).then(|| recall(100)),
            nodes: median(nodes.collect()),
            microseconds: time(tasks, |task| drop(walk(task, 10))),
        }
    }

    /// Fills the planner's curves from what is not filtered and from filters at random.
    fn learn_costs(&self, planner: &mut Planner, breadths: &[Breadth], filters: &[&Filter<'_>]) {
        let rows = self.searcher.embedded().len();
        let (mut scan, mut each, mut graph) = (Vec::new(), Vec::new(), Vec::new());
        for filter in filters {
            let share = filter.share;
            for k in [10, 100] {
                let took = |strategy| {
                    time(&filter.tasks, |task| {
                        drop(self.searcher.search_by(&task.query, k, &task.allowed, strategy));
                    })
                };
                scan.push(CostPoint { size: k as f64 / share, microseconds: took(Strategy::Scan) });
                let allowed = share * rows as f64;
                each.push(CostPoint { size: allowed, microseconds: took(Strategy::Each) });
            }
            for ef in planner.ef_for_10.iter().filter(|_| share < 1.0) {
                let microseconds = time(&filter.tasks, |task| {
                    drop(self.searcher.walk(&task.query, 10, *ef, usize::MAX, &task.allowed));
                });
                graph.push(CostPoint { size: f64::from(*ef) / share, microseconds });
            }
        }
        graph.extend(
            breadths
                .iter()
                .map(|breadth| CostPoint { size: f64::from(breadth.ef), microseconds: breadth.microseconds }),
        );
        let a_node = |breadth: &Breadth| breadth.microseconds / breadth.nodes.max(1.0);
        planner.scan = CostCurve::new(scan);
        planner.each = CostCurve::new(each);
        planner.graph = CostCurve::new(graph);
        planner.microseconds_a_node = breadths.iter().map(a_node).fold(0.0, f64::max);
        // Without a filter the graph costs least in comparison: what is no faster there is never asked.
        let (scan, graph) = (&planner.scan, &planner.graph);
        let faster = |k: f64| move |ef: &u32| graph.at(f64::from(*ef)) < scan.at(k);
        (planner.ef_for_10, planner.ef_for_100) =
            (planner.ef_for_10.filter(faster(10.0)), planner.ef_for_100.filter(faster(100.0)));
    }

    /// Widens the beam until what is planned reaches the target under every filter.
    fn learn_filtered_breadths(&self, planner: &mut Planner, filters: &[Filter<'_>], target: f64) {
        for k in [10, 100] {
            let Some(least) = planner.breadth(k, false) else { continue };
            let with = |ef| {
                let mut wider = planner.clone();
                let breadth =
                    if k == 10 { &mut wider.filtered_ef_for_10 } else { &mut wider.filtered_ef_for_100 };
                *breadth = Some(ef);
                wider
            };
            let reaches = |ef: &u32| {
                let planner = with(*ef);
                filters[1..].iter().all(|filter| self.planned_recall(filter, k, &planner) >= target)
            };
            let steps = || std::iter::once(least).chain(BREADTHS.into_iter().filter(|&ef| ef > least));
            let Some(enough) = steps().find(reaches) else { continue };
            let below = steps().take_while(|&ef| ef < enough).last().unwrap_or(enough);
            let least = finer(below, enough).find(reaches).unwrap_or(enough);
            *planner = with(least);
        }
    }

    fn planned_recall(&self, filter: &Filter<'_>, k: usize, planner: &Planner) -> f64 {
        let found = |task: &Task<'_>| self.searcher.search(&task.query, k, &task.allowed, planner).items;
        let shares = filter.tasks.par_iter().map(|task| recall_of(&found(task), &task.exact, k));
        shares.sum::<f64>() / filter.tasks.len() as f64
    }

    /// Every strategy under one filter.
    fn cell(&self, filter: &Filter<'_>, k: usize, planner: &Planner) -> Cell {
        let (searcher, tasks) = (self.searcher, &filter.tasks[..]);
        let by =
            |strategy| time(tasks, |task| drop(searcher.search_by(&task.query, k, &task.allowed, strategy)));
        let mean = |value: &(dyn Fn(&Task<'_>) -> f64 + Sync)| {
            tasks.par_iter().map(value).sum::<f64>() / tasks.len() as f64
        };
        let filtered = filter.kind != FilterKind::None;
        // Where the planner never asks the graph under a filter, what it would give is still worth knowing.
        let ef = planner.breadth(k, filtered).or(planner.breadth(k, false));
        let (scan_microseconds, each_microseconds) = (by(Strategy::Scan), by(Strategy::Each));
        // A walk that costs many times the exact answer need not be known to its end.
        let exact = scan_microseconds.min(each_microseconds);
        let limit = (HOPELESS * exact / planner.microseconds_a_node.max(1e-6)) as usize;
        let graph = ef.map(|ef| {
            let walk = |task: &Task<'_>| searcher.walk(&task.query, k, ef, limit, &task.allowed).0;
            GraphFigures {
                recall: mean(&|task| recall_of(&walk(task), &task.exact, k)),
                microseconds: time(tasks, |task| drop(walk(task))),
            }
        });
        let answer = |task: &Task<'_>| searcher.search(&task.query, k, &task.allowed, planner);
        let is_graph = |task: &Task<'_>| answer(task).retrieval == Retrieval::Graph;
        Cell {
            filter: filter.kind,
            allowed: (filter.share * searcher.embedded().len() as f64).round() as u64,
            k: k as u64,
            scan_microseconds,
            each_microseconds,
            graph,
            planned_microseconds: time(tasks, |task| drop(answer(task))),
            planned_recall: self.planned_recall(filter, k, planner),
            planned_graph: mean(&|task| f64::from(u8::from(is_graph(task)))),
        }
    }
}

/// Breadths between two.
fn finer(low: u32, high: u32) -> impl Iterator<Item = u32> {
    (1..FINER).map(move |part| low + (high - low) * part / FINER).filter(move |&ef| ef > low)
}

/// How many rows a share is, at least one.
fn count_of(share: f64, rows: usize) -> usize {
    ((share * rows as f64).round() as usize).clamp(1, rows)
}

/// The share of the `k` best that was found. Where several are equally good, any of them will do.
fn recall_of(found: &[Scored], exact: &[Scored], k: usize) -> f64 {
    let wanted = k.min(exact.len());
    let Some(last) = wanted.checked_sub(1).map(|last| exact[last].score) else { return 1.0 };
    let good = found.iter().filter(|scored| scored.score >= last - 1e-6).count();
    good.min(wanted) as f64 / wanted as f64
}

/// Median microseconds of the work, one task after another.
fn time(tasks: &[Task<'_>], work: impl Fn(&Task<'_>)) -> f64 {
    let start = Instant::now();
    let mut took = Vec::new();
    for task in tasks.iter().cycle().take(TIMED) {
        if took.len() >= TIMED_AT_LEAST && start.elapsed().as_secs_f64() > TIMED_SECONDS {
            break;
        }
        let start = Instant::now();
        work(task);
        took.push(start.elapsed().as_secs_f64() * 1e6);
    }
    median(took)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
