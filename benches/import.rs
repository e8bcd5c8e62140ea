//! Import: rows a second from MovieLens CSV to Parquet. Data: a generated folder of 1,000,000 ratings by 6,500 users of
//! 20,000 films (seed 1), and the demo world, whose figure includes imagining its people. One writer thread. Excluded: making
//! the CSV.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod world;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use cinedex_dataset::demo::{DemoParameters, import_demo};
use cinedex_dataset::{DataRoot, ImportOptions, MovieLensOptions, import_movielens};
use cinedex_domain::silent;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const RATINGS: u64 = 1_000_000;
const MOVIES: u64 = 20_000;
const RATINGS_A_USER: u64 = 154;

/// A folder as MovieLens 25M has it; ratings by a multiplicative generator.
fn folder() -> PathBuf {
    let folder = world::scratch().join("generated");
    if folder.join("ratings.csv").is_file() {
        return folder;
    }
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut movies = String::from("movieId,title,genres\r\n");
    for movie in 1..=MOVIES {
        write!(movies, "{movie},\"Film {movie}, The (1999)\",Comedy|Drama\r\n").expect("memory");
    }
    let mut ratings = String::from("userId,movieId,rating,timestamp\r\n");
    let mut state = 1u64;
    for row in 0..RATINGS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (user, movie) = (row / RATINGS_A_USER + 1, (state >> 33) % MOVIES + 1);
        let (half_stars, time) = ((state >> 29) % 10 + 1, 1_000_000_000 + (state >> 40));
        write!(ratings, "{user},{movie},{}.{},{time}\r\n", half_stars / 2, half_stars % 2 * 5)
            .expect("memory");
    }
    std::fs::write(folder.join("movies.csv"), movies).expect("written");
    std::fs::write(folder.join("ratings.csv"), ratings).expect("written");
    folder
}

fn import(source: &Path) -> u64 {
    let root = DataRoot::new(world::scratch().join("imported"));
    let options = ImportOptions { replace: true, ..ImportOptions::default() };
    let report =
        import_movielens(&root, "generated", source, &options, &MovieLensOptions::default(), &silent);
    report.expect("a good folder").manifest.counts.interactions
}

fn benches(criterion: &mut Criterion) {
    let source = folder();
    let mut group = criterion.benchmark_group("import");
    group.sample_size(10).throughput(Throughput::Elements(RATINGS));
    group.bench_function("movielens_csv_1m_rows", |bencher| bencher.iter(|| black_box(import(&source))));
    let root = DataRoot::new(world::scratch().join("imported"));
    let options = ImportOptions { replace: true, ..ImportOptions::default() };
    group.bench_function("demo_world_1m_rows", |bencher| {
        bencher.iter(|| {
            import_demo(&root, "demo", &options, &DemoParameters::default(), &silent).expect("a world")
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
