//! What is live costs: a taste folded in from 5, 50 and 500 films at 64 and 128 dimensions, alone and with the whole list of 20 that
//! follows; the list of a user of whom nothing is live beside 10,000 of whom something is, from a view and from its snapshot; and
//! hearing an event. One thread, 10,000 films of random vectors, one user in the bundle for each list. Excluded: the log.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[path = "world/catalogue.rs"]
mod catalogue;
#[path = "world/pairs.rs"]
mod pairs;

use std::hint::black_box;
use std::path::PathBuf;

use cinedex_domain::{Event, InteractionKind, MovieId, MovieIndex, UserId};
use cinedex_feedback::{Entry, Logged};
use cinedex_index::{BuildOptions, IndexRoot};
use cinedex_model::{Factors, FoldIn, ShortHistory};
use cinedex_recommender::{Engine, EngineOptions, UserRequest};
use cinedex_vectors::Matrix;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pairs::Random;

const MOVIES: usize = 10_000;
const HISTORIES: [usize; 3] = [5, 50, 500];
const CROWD: usize = 10_000;

fn benches(criterion: &mut Criterion) {
    for dimension in [64, 128] {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("benches/live");
        let root = IndexRoot::new(folder.join(dimension.to_string()));
        let factors = Factors { users: random(1000, dimension, 1), movies: random(MOVIES, dimension, 2) };
        catalogue::publish(&root, &factors, &BuildOptions { recall_queries: 20, ..BuildOptions::default() });
        let engine = Engine::open(root, EngineOptions::default()).expect("a live bundle");
        let mut log = Log { position: 0, random: Random(3) };
        for films in HISTORIES {
            engine.hear(&log.likes(&format!("likes {films}"), films));
        }
        for user in 0..CROWD {
            engine.hear(&log.likes(&format!("visitor {user}"), 3));
        }
        lists(criterion, dimension, &engine);
        let mut group = criterion.benchmark_group(format!("live/{dimension}"));
        group.bench_function("hear", |bencher| {
            bencher.iter_batched(
                || {
                    let user = format!("visitor {}", log.random.below(CROWD));
                    log.likes(&user, 1)
                },
                |logged| engine.hear(&logged),
                criterion::BatchSize::SmallInput,
            );
        });
        group.finish();
        println!("{:?}", engine.live().status());
    }
}

fn lists(criterion: &mut Criterion, dimension: usize, engine: &Engine) {
    let mut group = criterion.benchmark_group(format!("live/{dimension}"));
    let view = engine.view().expect("a live bundle");
    let snapshot = view.snapshot();
    let bundle = snapshot.bundle();
    let settings = bundle.settings().fold_in.expect("the model folds in");
    let fold_in = FoldIn::new(bundle.movie_factors(), bundle.gramian(), settings);
    let request = UserRequest { limit: 20, ..UserRequest::default() };
    for films in HISTORIES {
        let history: Vec<(MovieIndex, f32)> =
            (0..films).map(|film| (MovieIndex((film * 19) as u32), 1.0)).collect();
        group.bench_function(BenchmarkId::new("fold_in", films), |bencher| {
            bencher.iter(|| black_box(fold_in.vector(&history)));
        });
        if films <= dimension {
            let short = ShortHistory::new(&fold_in, films).expect("the equation has a solution");
            group.bench_function(BenchmarkId::new("fold_in_short", films), |bencher| {
                bencher.iter(|| black_box(short.vector(&fold_in, &history)));
            });
        }
        let user = format!("likes {films}");
        group.bench_function(BenchmarkId::new("for_user", films), |bencher| {
            bencher
                .iter(|| black_box(view.for_user(&user, &request).expect("no genre is named").items.len()));
        });
    }
    for (name, of_view) in [("nothing_live_snapshot", false), ("nothing_live_view", true)] {
        let mut user = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                user = (user + 17) % 1000;
                let user_id = user.to_string();
                let list = if of_view {
                    view.for_user(&user_id, &request)
                } else {
                    snapshot.for_user(&user_id, &request)
                };
                black_box(list.expect("no genre is named").items.len())
            });
        });
    }
    group.finish();
}

/// Entries as the log would tell them.
struct Log {
    position: u64,
    random: Random,
}

impl Log {
    fn likes(&mut self, user: &str, films: usize) -> Vec<Logged> {
        let like = |_| {
            self.position += 1;
            let at_ms = 1_700_000_000_000 + self.position as i64 * 100;
            let city =
                ["US/CA/Fresno", "US/NY/New York", "KR/11/Seoul", "FR/IDF/Paris"][self.random.below(4)];
            let event = Event {
                user_id: UserId::new(user).expect("short"),
                movie_id: MovieId::new(&self.random.below(MOVIES).to_string()).expect("short"),
                kind: InteractionKind::Like,
                value: None,
                timestamp_ms: at_ms,
                location: Some(city.parse().expect("a place")),
                event_id: None,
            };
            Logged { position: self.position, received_ms: at_ms, entry: Entry::Interaction(event) }
        };
        (0..films).map(like).collect()
    }
}

fn random(rows: usize, dimension: usize, seed: u64) -> Matrix {
    let mut random = Random(seed);
    let values: Vec<f32> =
        (0..rows * dimension).map(|_| (random.below(2000) as f32 / 1000.0 - 1.0) / 10.0).collect();
    Matrix::from_packed(dimension, &values)
}

criterion_group!(all, benches);
criterion_main!(all);
