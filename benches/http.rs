//! End to end over HTTP: one keep-alive connection on loopback, request after request, client and server on the same machine:
//! the time includes both. Cached: the same request again; uncached: the cache is off. Demo world and MovieLens 1M.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod world;

use std::hint::black_box;
use std::sync::Arc;

use cinedex_domain::MovieIndex;
use cinedex_index::IndexRoot;
use cinedex_recommender::{Engine, EngineOptions};
use cinedex_server::{RunningServer, ServerOptions, start};
use criterion::{Criterion, criterion_group, criterion_main};

fn server(indexes: &IndexRoot, cache_bytes: u64) -> RunningServer {
    let engine = Arc::new(Engine::open(indexes.clone(), EngineOptions::default()).expect("a live bundle"));
    let options = ServerOptions { bind: ([127, 0, 0, 1], 0).into(), cache_bytes, ..ServerOptions::default() };
    start(engine, &options).expect("a free port")
}

fn benches(criterion: &mut Criterion) {
    for world in world::worlds() {
        let movie = world.bundle().movie(MovieIndex(0)).movie_id().to_owned();
        let requests = [
            ("similar", format!("/v1/movies/{movie}/similar")),
            ("for_user", "/v1/users/42/recommendations".to_owned()),
            ("new_user", "/v1/users/nobody/recommendations?location=US".to_owned()),
            ("popular", "/v1/popular?location=US".to_owned()),
        ];
        let mut group = criterion.benchmark_group(format!("http/{}", world.name));
        for (kind, cache_bytes) in [("cached", 64 << 20), ("uncached", 0)] {
            let server = server(&world.indexes, cache_bytes);
            let agent = ureq::agent();
            for (name, path) in &requests {
                let url = format!("http://{}{path}", server.address());
                group.bench_function(format!("{name}/{kind}"), |bencher| {
                    bencher.iter(|| {
                        let mut answer = agent.get(&url).call().expect("an answer");
                        black_box(answer.body_mut().read_to_vec().expect("a body"))
                    });
                });
            }
            server.stop().expect("stopped");
        }
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
