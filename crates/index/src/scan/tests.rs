//! The scan against plain comparisons of everything, in double precision and bit for bit.

use cinedex_domain::Metric;
use cinedex_vectors::{Matrix, Scored, norm_f64};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Scan, write_scan};
use crate::container::{Container, SectionData, write_container};
use crate::input::for_metric;
use crate::tests::world::clustered;
use crate::{Allowed, FileEntry};

const METRICS: [Metric; 2] = [Metric::InnerProduct, Metric::Cosine];

fn entry_of(path: &std::path::Path, checksum: u64) -> FileEntry {
    let bytes = std::fs::metadata(path).unwrap().len();
    FileEntry { bytes, sha256: String::new(), xxh3: format!("{checksum:016x}") }
}

fn open(rows: &Matrix) -> Scan {
    let directory = tempfile::tempdir().unwrap();
    let (path, factors) = (directory.path().join("scan.bin"), directory.path().join("factors.bin"));
    let checksum =
        write_container(&factors, "factors", &[SectionData::new("factors", rows.as_slice())]).unwrap();
    let container = Container::open(&factors, "factors", &entry_of(&factors, checksum)).unwrap();
    let checksum = write_scan(&path, rows.view()).unwrap();
    let section = container.section("factors").unwrap();
    Scan::open(&path, &entry_of(&path, checksum), section, rows.dimension()).unwrap()
}

/// Every allowed row that is not zero, by the scan's own scores.
fn all_of(scan: &Scan, metric: Metric, query: &[f32], allowed: &Allowed) -> Vec<Scored> {
    let rows = allowed.iter().filter(|&row| scan.embedded().contains(row));
    let mut scored: Vec<Scored> =
        rows.map(|index| Scored { index, score: scan.score(metric, query, index) }).collect();
    scored.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap().then(a.index.cmp(&b.index)));
    scored
}

fn check(scan: &Scan, rows: &Matrix, queries: &Matrix, allowed: &Allowed, ks: &[usize]) {
    for metric in METRICS {
        let queries: Vec<Vec<f32>> =
            (0..queries.rows()).map(|row| for_metric(metric, queries.row(row))).collect();
        let together: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
        for &k in ks {
            let batch = scan.search_batch(metric, &together, k, allowed);
            for (query, batched) in queries.iter().zip(batch) {
                let mut expect = all_of(scan, metric, query, allowed);
                check_scores(rows, metric, query, &expect);
                expect.truncate(k);
                assert_eq!(scan.search_all(metric, query, k, allowed), expect, "{metric:?} {k}");
                assert_eq!(scan.search_each(metric, query, k, allowed), expect, "{metric:?} {k}");
                assert_eq!(scan.search_all(metric, query, k, allowed), expect, "{metric:?} {k}");
                assert_eq!(batched, expect, "{metric:?} {k}");
            }
        }
    }
}

/// Holds scores against double precision.
fn check_scores(rows: &Matrix, metric: Metric, query: &[f32], scored: &[Scored]) {
    for scored in scored {
        let row = rows.row(scored.index as usize);
        let product: f64 = row.iter().zip(query).map(|(&x, &q)| f64::from(x) * f64::from(q)).sum();
        let (score, size) = match metric {
            Metric::InnerProduct => (product, norm_f64(row) * norm_f64(query)),
            Metric::Cosine => (product / norm_f64(row), 1.0),
        };
        let difference = (f64::from(scored.score) - score).abs();
        assert!(difference <= 1e-5 * size + 1e-37, "{metric:?} {score} {}", scored.score);
    }
}

/// Numbers of ordinary and of extreme size, and few enough of them for ties.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => (-3i8..=3).prop_map(f32::from),
        4 => -1f32..1.0,
        1 => -1e10f32..1e10,
        1 => -1e-38f32..1e-38,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => Just(1e-45),
    ]
}

/// Rows, some of them zero, some equal to others or a multiple of them.
fn table() -> impl Strategy<Value = Matrix> {
    let row = |dimension| {
        prop_oneof![
            3 => prop::collection::vec(number(), dimension),
            3 => prop::collection::vec(-1f32..1.0, dimension),
            2 => prop::collection::vec((-2i8..=2).prop_map(f32::from), dimension),
            1 => Just(vec![0.0; dimension]),
        ]
    };
    let copies = prop::collection::vec(
        (any::<prop::sample::Index>(), prop_oneof![Just(1.0f32), Just(-0.5), Just(0.3)]),
        0..40,
    );
    prop_oneof![1usize..9, Just(64), Just(65)]
        .prop_flat_map(move |dimension| {
            (prop::collection::vec(row(dimension), 1..160), copies.clone(), Just(dimension))
        })
        .prop_map(|(mut rows, copies, dimension)| {
            for (from, factor) in copies {
                let copy = rows[from.index(rows.len())].iter().map(|value| value * factor).collect();
                rows.push(copy);
            }
            Matrix::from_packed(dimension, rows.concat())
        })
}

fn some_of(rows: usize, seed: u64, one_in: u64) -> Allowed {
    let mut allowed = Allowed::none(rows);
    let hash = |row: u64| (row + 1).wrapping_mul(seed | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let chosen = (0..rows as u64).filter(|&row| hash(row).is_multiple_of(one_in));
    allowed.extend(chosen.map(|row| row as u32));
    allowed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn it_finds_what_comparing_all_finds_ties_included(
        rows in table(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        fresh in prop::collection::vec(number(), 65),
        seed: u64,
        one_in in prop::sample::select(vec![1u64, 2, 10, 100]),
    ) {
        let scan = open(&rows);
        let dimension = rows.dimension();
        let mut queries = fresh[..dimension].to_vec();
        for pick in picks {
            queries.extend_from_slice(rows.row(pick.index(rows.rows())));
        }
        let allowed = some_of(rows.rows(), seed, one_in);
        check(&scan, &rows, &Matrix::from_packed(dimension, queries), &allowed, &[0, 1, 10, 1000]);
    }
}

#[test]
fn long_tails_are_cut_and_nothing_is_lost() {
    let mut generator = ChaCha8Rng::seed_from_u64(7);
    for dimension in [24, 64, 128] {
        let rows = clustered(5000, dimension, &mut generator);
        let queries = clustered(6, dimension, &mut generator);
        let scan = open(&rows);
        for one_in in [1, 3, 30, 1000] {
            check(&scan, &rows, &queries, &some_of(5000, 3, one_in), &[1, 10, 100]);
        }
    }
}

#[test]
fn what_cannot_be_searched_finds_nothing() {
    let rows = Matrix::from_packed(2, [1.0, 0.0, 0.0, 0.0, 0.0, 2.0]);
    let (scan, all) = (open(&rows), Allowed::all(3));
    for query in [&[f32::NAN, 0.0][..], &[f32::INFINITY, 0.0], &[1e13, 0.0], &[1.0], &[1.0; 3], &[]] {
        assert!(scan.search_all(Metric::InnerProduct, query, 3, &all).is_empty(), "{query:?}");
    }
    let found = scan.search_all(Metric::InnerProduct, &[1.0, 1.0], 9, &all);
    assert_eq!(found.iter().map(|scored| scored.index).collect::<Vec<_>>(), [2, 0]);
    let completed = scan.complete(found, 9, &all);
    assert_eq!(completed[2], Scored { index: 1, score: 0.0 });
    assert!(scan.search_batch(Metric::Cosine, &[], 3, &all).is_empty());
}
