//! Retrieval from a bundle, one thread, factors of the demo world and of MovieLens 1M at the default dimension: similar films
//! as the planner answers them, the exact inner-product scan for users, the whole recommendation for a user without and with a weight for what was
//! liked last, popularity by place, a filter's bitset. Recall and
//! latency of the graph at every breadth, as measured when the bundle was built, are printed. Queries walk through the
//! catalogue. Excluded: opening the bundle.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod world;

use std::hint::black_box;

use cinedex_domain::{MovieFilter, MovieIndex, UserIndex};
use cinedex_index::{Bundle, FilterKind};
use cinedex_recommender::{EngineOptions, Snapshot, UserRequest};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn benches(criterion: &mut Criterion) {
    for world in world::worlds() {
        let bundle = world.bundle();
        print_calibration(world.name, &bundle);
        let all = bundle.filter(&MovieFilter::default()).expect("no genre is named");
        let mut group = criterion.benchmark_group(format!("retrieval/{}", world.name));
        let mut movie = 0u32;
        for k in [10, 100] {
            group.bench_function(BenchmarkId::new("similar", k), |bencher| {
                bencher.iter(|| {
                    movie = (movie + 17) % bundle.movie_count() as u32;
                    black_box(bundle.similar(MovieIndex(movie), k, &all))
                });
            });
        }
        let users = bundle.user_factors().expect("iALS has users");
        let mut user = 0;
        for k in [10, 100] {
            group.bench_function(BenchmarkId::new("for_user_exact", k), |bencher| {
                bencher.iter(|| {
                    user = (user + 17) % users.rows();
                    black_box(bundle.for_user(users.row(user), k, &all))
                });
            });
        }
        let place = bundle.user_location(UserIndex(0)).cloned();
        group.bench_function("popular_20", |bencher| {
            bencher.iter(|| {
                let popularity = bundle.popularity();
                let resolved = popularity.resolve(place.as_ref(), 100);
                black_box(popularity.ranking(resolved.place, 20, &all));
            });
        });
        let filter = MovieFilter {
            genres_any: vec!["drama".to_owned(), "comedy".to_owned()],
            year_min: Some(1980),
            ..MovieFilter::default()
        };
        group.bench_function("filter", |bencher| {
            bencher.iter(|| black_box(bundle.filter(&filter).expect("known")));
        });
        for (case, bundle) in
            [("recommend_20", bundle), ("recommend_20_recent", world.bundle_with_recent(1.0))]
        {
            let snapshot = Snapshot::new(bundle, EngineOptions::default().min_events);
            let request = UserRequest { limit: 20, ..UserRequest::default() };
            let mut user = 0;
            group.bench_function(case, |bencher| {
                bencher.iter(|| {
                    user = (user + 17) % snapshot.user_count() as u32;
                    let user_id = snapshot.bundle().user_id(UserIndex(user));
                    black_box(snapshot.for_user(user_id, &request).expect("no genre is named").items.len())
                });
            });
        }
        group.finish();
    }
}

fn print_calibration(name: &str, bundle: &Bundle) {
    let measured = &bundle.manifest().calibration.similar;
    for cell in measured.cells.iter().filter(|cell| cell.filter == FilterKind::None) {
        println!("{name}: exact scan for {} similar {:.1} µs", cell.k, cell.scan_microseconds);
    }
    for breadth in &measured.breadths {
        println!(
            "{name}: graph ef {} recall@10 {:.3}, {:.1} µs",
            breadth.ef, breadth.recall_at_10, breadth.microseconds
        );
    }
}

criterion_group!(all, benches);
criterion_main!(all);
