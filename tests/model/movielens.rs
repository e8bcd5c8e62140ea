//! The bars on real data: the evaluator against figures that are known to the last digit, and the trainer against the
//! published ones. Needs the splits of MovieLens under `CINEDEX_SHARED`.

// Readers of known files, outside of the test functions themselves.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use cinedex_domain::{MovieIndex, UserIndex, silent};
use cinedex_model::{
    Case, Evaluation, IalsParameters, IalsRanker, Popularity, Protocol, Ranker, evaluate, like_counts,
    preferences, recent_like_counts, train_ials,
};
use cinedex_vectors::Csr;

/// Rows `user, item, timestamp` of one file; without the third column the time is 0.
type Rows = Vec<(u32, u32, i64)>;

/// A split in dense rows: users of training in the order of their first appearance, movies by number.
struct Split {
    training: Csr<f32>,
    events: Vec<(MovieIndex, i64)>,
    movies: HashMap<u32, MovieIndex>,
    users: HashMap<u32, u32>,
}

impl Split {
    fn new(rows: &Rows) -> Self {
        let mut numbers: Vec<u32> = rows.iter().map(|row| row.1).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let movies: HashMap<u32, MovieIndex> = numbers.into_iter().zip((0..).map(MovieIndex)).collect();
        let mut users = HashMap::new();
        for row in rows {
            let next = users.len() as u32;
            users.entry(row.0).or_insert(next);
        }
        let events = rows.iter().map(|row| (UserIndex(users[&row.0]), movies[&row.1], 1.0, row.2));
        let training = preferences(users.len(), movies.len(), events);
        let events = rows.iter().map(|row| (movies[&row.1], row.2)).collect();
        Self { training, events, movies, users }
    }

    /// One case a user of `held_out`, with the history of `known`.
    fn cases(&self, known: &Rows, held_out: &Rows) -> Vec<Case> {
        let mut cases: HashMap<u32, Case> = HashMap::new();
        for (user, movie, _) in held_out {
            let case = cases.entry(*user).or_insert_with(|| Case {
                user: self.users.get(user).copied(),
                history: Vec::new(),
                targets: Vec::new(),
            });
            case.targets.push(self.movies[movie]);
        }
        for (user, movie, _) in known {
            if let Some(case) = cases.get_mut(user) {
                case.history.push((self.movies[movie], 1.0));
            }
        }
        let mut cases: Vec<(u32, Case)> = cases.into_iter().collect();
        cases.sort_by_key(|(user, _)| *user);
        cases.into_iter().map(|(_, case)| case).collect()
    }

    fn judge(&self, ranker: &dyn Ranker, cases: &[Case], protocol: &Protocol) -> Evaluation {
        evaluate(ranker, cases, protocol, &like_counts(&self.training))
    }
}

fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("CINEDEX_SHARED").map(PathBuf::from);
    if shared.is_none() {
        eprintln!("skipped: CINEDEX_SHARED is not set");
    }
    shared
}

fn read(shared: &std::path::Path, name: &str) -> Rows {
    let text = std::fs::read_to_string(shared.join("splits").join(name)).unwrap();
    let row = |line: &str| {
        let mut fields = line.split(',').map(|field| field.trim().parse::<i64>().unwrap());
        let mut next = || fields.next();
        (next().unwrap() as u32, next().unwrap() as u32, next().unwrap_or(0))
    };
    text.lines().skip(1).map(row).collect()
}

fn check(evaluation: &Evaluation, metric: &str, expect: f64) {
    let found = evaluation.metrics[metric];
    assert!((found - expect).abs() < 0.5 * 10f64.powi(-5) + 1e-9, "{metric} is {found}, not {expect}");
}

fn strong(name: &str) -> Option<(Split, Vec<Case>)> {
    let shared = shared()?;
    let file = |part: &str| read(&shared, &format!("{name}/{part}.csv"));
    let split = Split::new(&file("train"));
    let cases = split.cases(&file("test_tr"), &file("test_te"));
    Some((split, cases))
}

#[test]
fn popularity_prints_the_known_figures() {
    let figures = [("ml-1m", [0.17792, 0.23970, 0.21059]), ("ml-latest-small", [0.17035, 0.24785, 0.21327])];
    for (name, [recall_20, recall_50, ndcg_100]) in figures {
        let Some((split, cases)) = strong(name) else { return };
        let evaluation =
            split.judge(&Popularity::new(&like_counts(&split.training)), &cases, &Protocol::strong());
        check(&evaluation, "recall@20", recall_20);
        check(&evaluation, "recall@50", recall_50);
        check(&evaluation, "ndcg@100", ndcg_100);
    }
}

#[test]
fn recent_popularity_beats_popularity_over_time() {
    let Some(shared) = shared() else { return };
    let training = read(&shared, "ml-1m-temporal-global/train.csv");
    let split = Split::new(&training);
    let cases = split.cases(&training, &read(&shared, "ml-1m-temporal-global/test.csv"));
    let recent = Popularity::recent(&recent_like_counts(split.movies.len(), &split.events, 0.1));
    let popularity = Popularity::new(&like_counts(&split.training));
    let expect = [(&recent, 0.19094, 0.05670), (&popularity, 0.17788, 0.04572)];
    for (ranker, ndcg, recall) in expect {
        let evaluation = split.judge(ranker, &cases, &Protocol::temporal());
        check(&evaluation, "ndcg@10", ndcg);
        check(&evaluation, "recall@10", recall);
    }
}

#[test]
fn ials_reaches_the_published_quality() {
    let Some((split, cases)) = strong("ml-1m") else { return };
    let parameters = IalsParameters { dimension: 64, regularization: 0.007, ..IalsParameters::default() };
    let start = Instant::now();
    let factors = train_ials(&split.training, &parameters, &silent, &false.into()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let ranker = IalsRanker::new(factors.movies, parameters.fold_in());
    let evaluation = split.judge(&ranker, &cases, &Protocol::strong());
    eprintln!(
        "trained in {seconds:.2} s, judged in {:.2} s: {:?}",
        evaluation.evaluate_seconds, evaluation.metrics
    );
    assert!(evaluation.metrics["recall@20"] >= 0.335);
    assert!(evaluation.metrics["ndcg@100"] >= 0.410);
}
