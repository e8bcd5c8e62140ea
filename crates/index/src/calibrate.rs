//! Measures a finished graph against the exact scan, on movies drawn as queries, and says when each is to be asked.

use std::time::Instant;

use cinedex_domain::Metric;
use cinedex_vectors::{MatrixView, Scored};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::input::for_metric;
use crate::scan::Scan;
use crate::similar::Similar;
use crate::{Allowed, Breadth, BuildOptions, Calibration, Planner};

/// The recall that the planner's breadth must reach.
const TARGET_RECALL: f64 = 0.99;
const BREADTHS: [usize; 12] = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768];
/// A filter that leaves less is answered by the scan: filters correlate with the vectors (genres do), and then the graph
/// wanders among movies that it may not answer.
const GRAPH_FROM_SHARE: f64 = 0.75;
/// Queries timed; recall is measured on more.
const TIMED: usize = 100;
/// Queries answered exactly in one pass.
const TOGETHER: usize = 16;
/// Products computed for exact answers at most, so that measuring a large catalogue stays short.
const EXACT_PRODUCTS: usize = 200_000_000;

/// A movie drawn as a query, and its exact answer.
struct Query {
    movie: u32,
    exact: Vec<Scored>,
}

/// Measures. `users` are vectors for which the inner-product scan is timed. Runs on the caller's rayon pool; timings are of one
/// thread.
pub(crate) fn calibrate(
    similar: &Similar,
    scan: &Scan,
    users: Option<MatrixView<'_>>,
    metric: Metric,
    options: &BuildOptions,
) -> Calibration {
    let all = Allowed::all(scan.embedded().len());
    let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
    let for_user_microseconds = time_users(scan, users, metric, &mut generator);
    let embedded = similar.graph().embedded();
    if embedded.len() < 2 {
        return Calibration { for_user_microseconds, ..Calibration::default() };
    }
    let affordable = (EXACT_PRODUCTS / embedded.len()).max(100);
    let drawn =
        sample(&mut generator, embedded.len(), options.recall_queries.min(affordable).min(embedded.len()));
    let movies: Vec<u32> = drawn.into_iter().map(|position| embedded[position]).collect();
    let queries: Vec<Query> = movies
        .par_chunks(TOGETHER)
        .flat_map_iter(|movies| exact_answers(similar, scan, movies, &all))
        .collect();
    let timed = &queries[..queries.len().min(TIMED)];
    let exact_microseconds =
        median(timed.iter().map(|query| microseconds(|| similar.by_scan(scan, query.movie, 10, &all))));
    let tried = try_breadths(similar, scan, &queries, &all);
    let fits = |recall: fn(&Breadth) -> Option<f64>| {
        move |breadth: &&Breadth| recall(breadth).is_some_and(|found| found >= TARGET_RECALL)
    };
    let best = |recall: fn(&Breadth) -> Option<f64>| tried.iter().find(fits(recall)).or(tried.last());
    let ten = best(|breadth| Some(breadth.recall_at_10)).cloned();
    let hundred = best(|breadth| breadth.recall_at_100).cloned();
    let (Some(ten), Some(hundred)) = (ten, hundred) else {
        return Calibration { for_user_microseconds, ..Calibration::default() };
    };
    let reached = ten.recall_at_10 >= TARGET_RECALL;
    let hundred_reached = hundred.recall_at_100.is_some_and(|recall| recall >= TARGET_RECALL);
    let per_movie = exact_microseconds / embedded.len() as f64;
    let planner = Planner {
        graph_from_movies: reached.then(|| (ten.microseconds / per_movie.max(1e-9)).ceil().max(1.0) as u64),
        graph_from_share: GRAPH_FROM_SHARE,
        ef_for_10: ten.ef,
        ef_for_100: hundred_reached.then_some(hundred.ef.max(ten.ef)),
    };
    Calibration {
        queries: queries.len() as u64,
        recall_at_10: ten.recall_at_10,
        recall_at_100: hundred.recall_at_100.unwrap_or_default(),
        exact_microseconds,
        graph_microseconds: ten.microseconds,
        graph_microseconds_at_100: hundred.microseconds,
        for_user_microseconds,
        tried,
        planner,
    }
}

fn exact_answers(similar: &Similar, scan: &Scan, movies: &[u32], all: &Allowed) -> Vec<Query> {
    let vectors = movies.iter().flat_map(|&movie| {
        let node = similar.graph().node_of(movie).expect("it was drawn from the embedded movies");
        similar.graph().vector(node)
    });
    let vectors: Vec<f32> = vectors.copied().collect();
    let vectors = MatrixView::new(&vectors, vectors.len() / movies.len());
    let found = scan.search_batch(Metric::Cosine, vectors, 101, all);
    let without_itself = |(&movie, mut exact): (&u32, Vec<Scored>)| {
        exact.retain(|other| other.index != movie);
        exact.truncate(100);
        Query { movie, exact }
    };
    movies.iter().zip(found).map(without_itself).collect()
}

/// From narrow to wide, until both recalls reach the target.
fn try_breadths(similar: &Similar, scan: &Scan, queries: &[Query], all: &Allowed) -> Vec<Breadth> {
    let mut tried = Vec::new();
    for ef in BREADTHS {
        let answer = |query: &Query, k: usize| similar.by_graph(scan, query.movie, k, ef, all);
        let recall = |k: usize| -> f64 {
            let shares = queries.par_iter().map(|query| recall_of(&answer(query, k), &query.exact, k));
            shares.sum::<f64>() / queries.len() as f64
        };
        let timed = &queries[..queries.len().min(TIMED)];
        let breadth = Breadth {
            ef: ef as u64,
            recall_at_10: recall(10),
            recall_at_100: (ef >= 100).then(|| recall(100)),
            microseconds: median(timed.iter().map(|query| microseconds(|| answer(query, 10)))),
        };
        let enough = breadth.recall_at_10 >= TARGET_RECALL
            && breadth.recall_at_100.is_some_and(|recall| recall >= TARGET_RECALL);
        tried.push(breadth);
        if enough {
            break;
        }
    }
    tried
}

/// The share of the `k` nearest that was found. Where several are equally near, any of them will do.
fn recall_of(found: &[Scored], exact: &[Scored], k: usize) -> f64 {
    let wanted = k.min(exact.len());
    let Some(last) = wanted.checked_sub(1).map(|last| exact[last].score) else { return 1.0 };
    let good = found.iter().filter(|scored| scored.score >= last - 1e-6).count();
    good.min(wanted) as f64 / wanted as f64
}

fn time_users(scan: &Scan, users: Option<MatrixView<'_>>, metric: Metric, generator: &mut ChaCha8Rng) -> f64 {
    let Some(users) = users.filter(|users| users.rows() > 0) else { return 0.0 };
    let drawn = sample(generator, users.rows(), TIMED.min(users.rows())).into_vec();
    let all = Allowed::all(scan.embedded().len());
    let queries = drawn.into_iter().map(|row| for_metric(metric, users.row(row)));
    median(queries.map(|query| microseconds(|| scan.search(metric, &query, 10, &all))))
}

fn microseconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed().as_secs_f64() * 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
