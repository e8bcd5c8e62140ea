//! Similar, for-user, popularity and users, against oracles in plain double precision.

use cinedex_domain::{Location, Metric, MovieFilter, MovieIndex, UserIndex};
use cinedex_vectors::{Matrix, MatrixView, Scored};
use proptest::prelude::*;

use super::world::{World, eager_calibration};
use crate::{Allowed, Bundle, Calibration, PlaceIndex, Retrieval};

fn product(a: &[f32], b: &[f32]) -> f64 {
    // Adding zero makes a negative zero positive: the two are one score.
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() + 0.0
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// Checks a ranking against the scores of all candidates: descending, ties ascending, nothing better left out, nothing twice.
fn check(found: &[Scored], k: usize, candidates: &[(u32, f64)]) {
    let mut sorted = candidates.to_vec();
    sorted.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    assert_eq!(found.len(), k.min(candidates.len()));
    let close = 1e-5 * (1.0 + sorted.first().map_or(0.0, |best| best.1.abs()));
    for (position, scored) in found.iter().enumerate() {
        let own = candidates.iter().find(|candidate| candidate.0 == scored.index).expect("a candidate").1;
        assert!((own - f64::from(scored.score)).abs() < close, "{scored:?} scores {own}");
        assert!((own - sorted[position].1).abs() < close, "{scored:?} instead of {:?}", sorted[position]);
    }
    for pair in found.windows(2) {
        let order =
            pair[0].score > pair[1].score || pair[0].score == pair[1].score && pair[0].index < pair[1].index;
        assert!(order, "{pair:?}");
    }
}

fn indices(found: &[Scored]) -> Vec<u32> {
    found.iter().map(|scored| scored.index).collect()
}

fn similar_candidates(factors: MatrixView<'_>, movie: u32, allowed: &Allowed) -> Vec<(u32, f64)> {
    let own = factors.row(movie as usize);
    let embedded = |row: &u32| factors.row(*row as usize).iter().any(|&value| value != 0.0);
    let others = allowed.iter().filter(|&row| row != movie).filter(embedded);
    others.map(|row| (row, cosine(own, factors.row(row as usize)))).collect()
}

fn user_candidates(factors: MatrixView<'_>, vector: &[f32], allowed: &Allowed) -> Vec<(u32, f64)> {
    allowed.iter().map(|row| (row, product(vector, factors.row(row as usize)))).collect()
}

/// Small whole numbers: sums of products are exact in `f32`, so that ties are real.
fn lattice(rows: usize, dimension: usize) -> impl Strategy<Value = Matrix> {
    proptest::collection::vec(-3i8..=3, rows * dimension).prop_map(move |values| {
        Matrix::from_packed(dimension, values.into_iter().map(f32::from).collect::<Vec<_>>())
    })
}

fn some_of(count: usize) -> impl Strategy<Value = Allowed> {
    (0..count.max(1), proptest::collection::vec(any::<bool>(), count)).prop_map(move |(rare, bits)| {
        let mut allowed = Allowed::none(count);
        let kept =
            bits.iter().enumerate().filter(|(row, bit)| **bit && (rare % 3 != 0 || row % 17 == rare % 17));
        kept.for_each(|(row, _)| allowed.insert(row as u32));
        allowed
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn the_best_for_a_user_are_exact_with_ties(
        (factors, allowed) in (1usize..150, 1usize..5).prop_flat_map(|(rows, dimension)| (lattice(rows, dimension), some_of(rows))),
        query in proptest::collection::vec(-3i8..=3, 5),
        k in prop::sample::select(vec![0usize, 1, 3, 10, 1000]),
    ) {
        let mut world = World::new(factors.rows(), 1, factors.dimension());
        world.factors = factors;
        let directory = tempfile::tempdir().unwrap();
        let bundle = world.open(directory.path());
        let query: Vec<f32> = query.into_iter().map(f32::from).take(world.factors.dimension()).collect();
        let found = bundle.for_user(&query, k, &allowed);
        let embedded = |row: &u32| world.factors.row(*row as usize).iter().any(|&value| value != 0.0);
        let mut expect = user_candidates(world.factors.view(), &query, &allowed);
        // Movies without an embedding come last.
        expect.sort_by(|left, right| {
            embedded(&right.0).cmp(&embedded(&left.0)).then(right.1.total_cmp(&left.1)).then(left.0.cmp(&right.0))
        });
        expect.truncate(k);
        prop_assert_eq!(indices(&found.items), expect.iter().map(|&(row, _)| row).collect::<Vec<_>>());
        prop_assert!(found.items.is_sorted_by(|left, right| left.score >= right.score));
    }

    #[test]
    fn the_most_similar_are_exact(
        (factors, allowed) in (1usize..150, 1usize..5).prop_flat_map(|(rows, dimension)| (lattice(rows, dimension), some_of(rows))),
        movie in 0usize..150,
        k in prop::sample::select(vec![0usize, 1, 3, 10, 1000]),
    ) {
        let mut world = World::new(factors.rows(), 1, factors.dimension());
        world.factors = factors;
        let movie = (movie % world.factors.rows()) as u32;
        let directory = tempfile::tempdir().unwrap();
        let bundle = world.open(directory.path());
        let found = bundle.similar(MovieIndex(movie), k, &allowed);
        if bundle.has_embedding(MovieIndex(movie)) {
            let candidates = similar_candidates(world.factors.view(), movie, &allowed);
            if found.retrieval == Retrieval::Exact {
                check(&found.items, k, &candidates);
            }
            prop_assert_eq!(found.items.len(), k.min(candidates.len()));
        } else {
            prop_assert!(found.items.is_empty());
        }
    }
}

#[test]
fn pruning_leaves_nothing_out_on_vectors_of_all_lengths() {
    let world = World::new(3000, 20, 24);
    let directory = tempfile::tempdir().unwrap();
    let bundle = world.open(directory.path());
    let users = world.user_factors.as_ref().unwrap();
    for row in 0..20 {
        for k in [1, 10, 100] {
            for allowed in [Allowed::all(3000), every(3000, 3), every(3000, 100)] {
                let found = bundle.for_user(users.row(row), k, &allowed);
                check(&found.items, k, &user_candidates(world.factors.view(), users.row(row), &allowed));
            }
        }
    }
}

fn every(count: usize, step: usize) -> Allowed {
    let mut allowed = Allowed::none(count);
    (0..count).step_by(step).for_each(|row| allowed.insert(row as u32));
    allowed
}

/// A bundle whose planner always asks the graph.
fn eager(world: &World, directory: &std::path::Path) -> Bundle {
    let mut bundle = world.open(directory);
    bundle.calibrate_as(eager_calibration(64, Some(160)));
    bundle
}

#[test]
fn the_graph_finds_nearly_all_and_is_rescued_when_it_cannot() {
    let world = World::new(6000, 1, 16);
    let directory = tempfile::tempdir().unwrap();
    let bundle = eager(&world, directory.path());
    let all = Allowed::all(6000);
    let (mut hits, mut wanted) = (0, 0);
    for movie in (0..6000).step_by(97) {
        let found = bundle.similar(MovieIndex(movie), 10, &all);
        assert_eq!((found.retrieval, found.items.len()), (Retrieval::Graph, 10));
        let mut exact = similar_candidates(world.factors.view(), movie, &all);
        exact.sort_by(|left, right| right.1.total_cmp(&left.1));
        hits += found.items.iter().filter(|item| f64::from(item.score) >= exact[9].1 - 1e-6).count();
        wanted += 10;
    }
    assert!(hits as f64 / f64::from(wanted) > 0.98, "{hits} of {wanted}");
    let bundle = world.open(tempfile::tempdir().unwrap().path());
    let measured = &bundle.manifest().calibration.similar.breadths;
    let last = measured.last().unwrap();
    assert!(last.recall_at_10 >= 0.99 && last.recall_at_100.unwrap() >= 0.99, "{measured:?}");
    let bundle = eager(&world, directory.path());
    let few = every(6000, 500);
    let found = bundle.similar(MovieIndex(3), 12, &few);
    check(&found.items, 12, &similar_candidates(world.factors.view(), 3, &few));
    for k in [150, 6000, 1_000_000_000] {
        assert_eq!(bundle.similar(MovieIndex(5), k, &all).items.len(), k.min(5999));
    }
}

#[test]
fn the_graph_answers_only_for_as_many_as_it_was_measured_for() {
    let world = World::new(3000, 1, 16);
    let directory = tempfile::tempdir().unwrap();
    let mut bundle = eager(&world, directory.path());
    let retrieval = |bundle: &Bundle, k| bundle.similar(MovieIndex(5), k, &Allowed::all(3000)).retrieval;
    for (k, expect) in [(10, Retrieval::Graph), (100, Retrieval::Graph), (101, Retrieval::Exact)] {
        assert_eq!(retrieval(&bundle, k), expect, "{k}");
    }
    bundle.calibrate_as(eager_calibration(64, None));
    assert_eq!((retrieval(&bundle, 10), retrieval(&bundle, 11)), (Retrieval::Graph, Retrieval::Exact));
    bundle.calibrate_as(Calibration::default());
    assert_eq!(retrieval(&bundle, 10), Retrieval::Exact);
}

#[test]
fn three_hundred_identical_and_three_hundred_parallel_vectors_are_all_found() {
    let mut world = World::new(3000, 1, 16);
    let (one, other) = (world.factors.row(7).to_vec(), world.factors.row(8).to_vec());
    for copy in 0..300 {
        world.factors.row_mut(100 + copy * 3).copy_from_slice(&one);
        let scaled: Vec<f32> = other.iter().map(|value| value * (0.37 + copy as f32)).collect();
        world.factors.row_mut(101 + copy * 3).copy_from_slice(&scaled);
    }
    let directory = tempfile::tempdir().unwrap();
    let bundle = eager(&world, directory.path());
    let all = Allowed::all(3000);
    let copies: Vec<u32> = (0..300).map(|copy| 100 + copy * 3).collect();
    assert_eq!(indices(&bundle.similar(MovieIndex(7), 300, &all).items), copies);
    assert_eq!(indices(&bundle.similar(MovieIndex(100), 2, &all).items), [7, 103]);
    let parallel = bundle.similar(MovieIndex(8), 300, &all);
    assert!(parallel.items.iter().all(|item| item.score > 0.999_999), "{:?}", parallel.items.last());
    // The same through the graph, which answers for up to a hundred.
    let through = bundle.similar(MovieIndex(7), 100, &all);
    assert_eq!((indices(&through.items), through.retrieval), (copies[..100].to_vec(), Retrieval::Graph));
    let through = bundle.similar(MovieIndex(8), 100, &all);
    assert!(through.items.iter().all(|item| item.score > 0.999_999), "{:?}", through.items.last());
    assert_eq!((through.items.len(), through.retrieval), (100, Retrieval::Graph));
    for movie in [7, 8, 20] {
        let found = bundle.similar(MovieIndex(movie), 400, &all);
        check(&found.items, 400, &similar_candidates(world.factors.view(), movie, &all));
    }
}

#[test]
fn movies_without_an_embedding_are_left_out_of_similar_and_come_last_for_a_user() {
    let mut world = World::new(40, 1, 8);
    (0..20).for_each(|row| world.factors.row_mut(row * 2).fill(0.0));
    let directory = tempfile::tempdir().unwrap();
    let bundle = world.open(directory.path());
    let all = Allowed::all(40);
    assert!(bundle.similar(MovieIndex(0), 5, &all).items.is_empty());
    assert_eq!(bundle.similar(MovieIndex(1), 100, &all).items.len(), 19);
    let found = bundle.for_user(&[-1.0; 8], 40, &all);
    assert_eq!(found.items.len(), 40);
    assert_eq!(indices(&found.items[20..]), (0..20).map(|row| row * 2).collect::<Vec<_>>());
    assert!(found.items.is_sorted_by(|left, right| left.score >= right.score));
}

#[test]
fn a_vector_that_cannot_be_searched_finds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = World::new(30, 1, 4).open(directory.path());
    let all = Allowed::all(30);
    for vector in
        [&[f32::NAN; 4][..], &[f32::INFINITY, 0.0, 0.0, 0.0], &[1.0; 3], &[1.0; 5], &[], &[f32::MAX; 4]]
    {
        assert!(bundle.for_user(vector, 10, &all).items.is_empty(), "{vector:?}");
    }
    assert_eq!(indices(&bundle.for_user(&[0.0; 4], 3, &all).items), [0, 1, 2]);
}

#[test]
fn a_model_that_compares_by_cosine_ranks_by_cosine() {
    let mut world = World::new(200, 5, 8);
    world.settings.metric = Metric::Cosine;
    world.unit_gramian = Some(world.gramian.clone());
    let directory = tempfile::tempdir().unwrap();
    let bundle = world.open(directory.path());
    let all = Allowed::all(200);
    let vector = world.user_factors.as_ref().unwrap().row(3).to_vec();
    let candidates: Vec<(u32, f64)> =
        (0..200).map(|row| (row, cosine(&vector, world.factors.row(row as usize)))).collect();
    check(&bundle.for_user(&vector, 20, &all).items, 20, &candidates);
    assert_eq!(bundle.movie_factors().row(3), world.factors.row(3));
}

#[test]
fn one_movie_and_one_user_and_none_are_served() {
    for (movies, users, embedded) in [(1, 1, true), (1, 0, false), (2, 0, true)] {
        let mut world = World::new(movies, users, 1);
        if !embedded {
            world.factors.as_mut_slice().fill(0.0);
        }
        world.user_factors = None;
        let directory = tempfile::tempdir().unwrap();
        let bundle = world.open(directory.path());
        let all = Allowed::all(movies);
        assert_eq!(bundle.similar(MovieIndex(0), 10, &all).items.len(), movies - 1);
        assert_eq!(bundle.for_user(&[1.0], 10, &all).items.len(), movies);
        assert_eq!((bundle.user_count(), bundle.user_factors().is_none()), (users, true));
    }
}

#[test]
fn users_places_and_histories_are_as_given() {
    let world = World::new(50, 30, 4);
    let directory = tempfile::tempdir().unwrap();
    let bundle = world.open(directory.path());
    for (row, id) in world.users.iter().enumerate() {
        let user = UserIndex(row as u32);
        assert_eq!(bundle.user_index(id.as_str()), Some(user));
        assert_eq!(bundle.user_id(user), id.as_str());
        assert_eq!(bundle.user_location(user), world.locations[row].as_ref());
        let history = bundle.history(user);
        let range = world.histories.offsets[row] as usize..world.histories.offsets[row + 1] as usize;
        assert_eq!(history.movies, &world.histories.movies[range.clone()]);
        assert_eq!(history.timestamps_ms, &world.histories.timestamps_ms[range]);
        assert_eq!(history.preferences.len(), history.movies.len());
    }
    for unknown in ["", "30", "007", "é", "-1"] {
        assert_eq!(bundle.user_index(unknown), None);
    }
    let movies = (0..bundle.movie_count() as u32).map(|row| bundle.movie(MovieIndex(row)).to_movie());
    assert_eq!(movies.collect::<Vec<_>>(), world.movies);
    assert_eq!((bundle.movie_index("49"), bundle.movie_index("50")), (Some(MovieIndex(49)), None));
    assert_eq!(bundle.movie_factors().as_slice(), world.factors.as_slice());
    assert_eq!(bundle.genres(), ["Comedy", "Crime", "Drama"]);
    let crime = MovieFilter { genres_any: vec!["crime".into()], ..MovieFilter::default() };
    assert_eq!(bundle.filter(&crime).unwrap().count(), 17);
}

#[test]
fn rates_shrink_towards_the_place_around_and_back_off_says_who_speaks() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = World::new(4, 1, 2).open(directory.path());
    let popularity = bundle.popularity();
    let close = |place: u32, expect: [f32; 4]| {
        let rates = popularity.rates(PlaceIndex(place));
        assert!(rates.iter().zip(expect).all(|(rate, expect)| (rate - expect).abs() < 1e-6), "{rates:?}");
    };
    close(0, [0.6, 0.4, 0.0, 0.0]);
    // (60 + 10 · .6) / 90, (20 + 10 · .4) / 90
    close(1, [66.0 / 90.0, 24.0 / 90.0, 0.0, 0.0]);
    // (0 + 20 r) / 40, (20 + 20 r) / 40
    close(2, [33.0 / 90.0, 0.5 + 12.0 / 90.0, 0.0, 0.0]);
    close(3, [30.0 / 90.0, (0.5 + 12.0 / 90.0) * 40.0 / 44.0, 4.0 / 44.0, 0.0]);
    let resolve = |text: &str, min_events| {
        let location: Location = text.parse().unwrap();
        let found = popularity.resolve(Some(&location), min_events);
        (found.location.map(|place| place.as_str().to_owned()), found.events)
    };
    assert_eq!(resolve("us/ca/fresno", 1), (Some("US/CA/Fresno".to_owned()), 4));
    assert_eq!(resolve("US/CA/Fresno", 5), (Some("US/CA".to_owned()), 20));
    assert_eq!(resolve("US/CA/Nowhere", 1), (Some("US/CA".to_owned()), 20));
    assert_eq!(resolve("US/NY", 1), (Some("US".to_owned()), 80));
    assert_eq!(resolve("US/NY", 81), (None, 100));
    assert_eq!(resolve("FR", 1_000_000), (None, 100));
    assert_eq!(popularity.resolve(None, 0).place, PlaceIndex::WORLD);
    let mut allowed = Allowed::all(4);
    assert_eq!(indices(&popularity.ranking(PlaceIndex(0), 9, &allowed)), [0, 1, 2, 3]);
    assert_eq!(indices(&popularity.ranking(PlaceIndex(2), 2, &allowed)), [1, 0]);
    allowed.remove(1);
    assert_eq!(indices(&popularity.ranking(PlaceIndex(2), 2, &allowed)), [0, 2]);
    assert!(popularity.ranking(PlaceIndex(2), 0, &allowed).is_empty());
}

#[test]
fn threads_share_one_bundle() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = eager(&World::new(2000, 1, 8), directory.path());
    let all = Allowed::all(2000);
    let expect: Vec<_> = (0..200).map(|movie| bundle.similar(MovieIndex(movie), 10, &all)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (movie, expect) in (0..).zip(&expect) {
                    assert_eq!(&bundle.similar(MovieIndex(movie), 10, &all), expect);
                }
            });
        }
    });
}
