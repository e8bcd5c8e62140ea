//! Training: seconds for one epoch of iALS (CG 3, all cores) at d = 32 to 512, on all opinions of the demo world and of
//! MovieLens 1M; beside it, printed, the quality of 16 epochs under the strong protocol at d = 64 and 128. Excluded: reading
//! the data set.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod world;

use std::hint::black_box;

use cinedex_dataset::{Dataset, Opinions};
use cinedex_domain::{PreferencePolicy, silent};
use cinedex_model::{IalsParameters, train_ials};
use cinedex_pipeline::{EvaluateRequest, ProtocolKind, evaluate_dataset, preference_matrix};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn benches(criterion: &mut Criterion) {
    let testing = std::env::args().any(|argument| argument == "--test");
    let mut group = criterion.benchmark_group("train_one_epoch");
    group.sample_size(10);
    for world in world::worlds() {
        let dataset = Dataset::load(&world.data, world.name).expect("imported");
        let matrix = preference_matrix(&Opinions::of(&dataset, &PreferencePolicy::default()));
        group.throughput(Throughput::Elements(matrix.entry_count() as u64));
        for dimension in [32, 64, 128, 256, 512] {
            let parameters = IalsParameters { dimension, epochs: 1, ..IalsParameters::default() };
            group.bench_function(BenchmarkId::new(world.name, dimension), |bencher| {
                bencher.iter(|| {
                    black_box(train_ials(&matrix, &parameters, &silent, &world::NEVER).expect("learned"))
                });
            });
            if !testing && [64, 128].contains(&dimension) {
                print_quality(&world, dimension);
            }
        }
    }
    group.finish();
}

fn print_quality(world: &world::World, dimension: usize) {
    let request = EvaluateRequest {
        parameters: IalsParameters { dimension, ..IalsParameters::default() },
        ..EvaluateRequest::default()
    };
    let judged = evaluate_dataset(
        &world.data,
        &world.indexes,
        world.name,
        ProtocolKind::Strong,
        &request,
        &silent,
        &world::NEVER,
    );
    let judged = judged.expect("judged");
    println!(
        "{} d={dimension}, 16 epochs: recall@20 {:.4}, ndcg@100 {:.4}, trained in {:.2} s",
        world.name, judged[0].metrics["recall@20"], judged[0].metrics["ndcg@100"], judged[0].train_seconds
    );
}

criterion_group!(all, benches);
criterion_main!(all);
