//! Questions that nobody should ask: vectors that are none, or of another length, and numbers of results from none to more than
//! there could ever be. Each gets all films, or none; never a panic.

use cinedex_domain::{Metric, MovieIndex, UserIndex};

use super::world::World;
use crate::{Allowed, Bundle, Strategy};

const MOVIES: usize = 300;
const USERS: usize = 40;
const DIMENSION: usize = 6;

/// None, some, all but one, all, one more, and far too many.
const WANTED: [usize; 9] =
    [0, 1, 10, MOVIES - 1, MOVIES, MOVIES + 1, u32::MAX as usize, usize::MAX - 1, usize::MAX];

const STRATEGIES: [Strategy; 5] = [
    Strategy::Scan,
    Strategy::Each,
    Strategy::Graph { ef: 0 },
    Strategy::Graph { ef: 12 },
    Strategy::Graph { ef: u32::MAX },
];

fn world(metric: Metric) -> World {
    let mut world = World::new(MOVIES, USERS, DIMENSION);
    // Films of which nothing was learned.
    (0..MOVIES).step_by(50).for_each(|row| world.factors.row_mut(row).fill(0.0));
    world.settings.metric = metric;
    world.unit_gramian = (metric == Metric::Cosine).then(|| world.gramian.clone());
    world
}

fn filters() -> [Allowed; 5] {
    let every = |step: usize, first: usize| {
        let mut allowed = Allowed::none(MOVIES);
        allowed.extend((first..MOVIES).step_by(step).map(|row| row as u32));
        allowed
    };
    [Allowed::all(MOVIES), every(2, 1), every(40, 3), every(MOVIES, 7), Allowed::none(MOVIES)]
}

fn both(ask: impl Fn(&Bundle)) {
    for metric in [Metric::InnerProduct, Metric::Cosine] {
        let directory = tempfile::tempdir().unwrap();
        ask(&world(metric).open(directory.path()));
    }
}

#[test]
fn vectors_that_are_none_find_nothing() {
    let number = |value: f32| {
        let mut vector = vec![0.5; DIMENSION];
        vector[2] = value;
        vector
    };
    let unusable = [
        number(f32::NAN),
        number(-f32::NAN),
        number(f32::INFINITY),
        number(f32::NEG_INFINITY),
        vec![f32::NAN; DIMENSION],
        vec![f32::INFINITY; DIMENSION],
        Vec::new(),
        vec![1.0; DIMENSION - 1],
        vec![1.0; DIMENSION + 1],
        vec![1.0; 100_000],
    ];
    both(|bundle| {
        for vector in &unusable {
            for allowed in &filters() {
                for k in WANTED {
                    assert!(bundle.for_user(vector, k, allowed).items.is_empty(), "{k} for {vector:?}");
                    for strategy in STRATEGIES {
                        let found = bundle.for_user_by(vector, k, allowed, strategy).items;
                        assert!(found.is_empty(), "{k} for {vector:?} by {strategy:?}");
                    }
                }
            }
            assert!(bundle.nearest_users(vector, 10).is_empty(), "{vector:?}");
        }
    });
}

#[test]
fn zero_tiny_and_huge_vectors_find_as_many_as_are_asked_for() {
    let tiny = vec![f32::from_bits(1); DIMENSION];
    let mixed = vec![1e11, -1e11, f32::MIN_POSITIVE, 0.0, -0.0, 1e-30];
    both(|bundle| {
        for vector in [&vec![0.0; DIMENSION], &vec![-0.0; DIMENSION], &tiny, &mixed] {
            for allowed in &filters() {
                for k in WANTED {
                    let found = bundle.for_user(vector, k, allowed).items;
                    assert_eq!(found.len(), k.min(allowed.count()), "{k} for {vector:?}");
                    assert!(found.iter().all(|scored| scored.score.is_finite()));
                    for strategy in STRATEGIES {
                        let found = bundle.for_user_by(vector, k, allowed, strategy).items;
                        assert_eq!(found.len(), k.min(allowed.count()), "{k} for {vector:?} by {strategy:?}");
                    }
                }
            }
        }
        assert!(bundle.nearest_users(&[0.0; DIMENSION], 10).is_empty(), "no taste, no likeness");
    });
}

#[test]
fn any_number_of_neighbours_may_be_asked_for() {
    both(|bundle| {
        for k in WANTED {
            for allowed in &filters() {
                for movie in [0, 1, 7, MOVIES as u32 - 1].map(MovieIndex) {
                    let others = allowed.iter().filter(|&other| other != movie.0);
                    let embedded = others.filter(|&other| bundle.has_embedding(MovieIndex(other))).count();
                    let expect = if bundle.has_embedding(movie) { k.min(embedded) } else { 0 };
                    assert_eq!(bundle.similar(movie, k, allowed).items.len(), expect, "{k} like {movie:?}");
                    for strategy in STRATEGIES {
                        let found = bundle.similar_by(movie, k, allowed, strategy).items;
                        assert_eq!(found.len(), expect, "{k} like {movie:?} by {strategy:?}");
                    }
                }
            }
            for user in [0, USERS as u32 - 1].map(UserIndex) {
                assert_eq!(bundle.user_neighbors(user, k).items.len(), k.min(USERS - 1), "{k} like {user:?}");
            }
        }
    });
}
