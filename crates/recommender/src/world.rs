//! A small world with an obvious answer, for tests: two disjoint tastes, a few places, one movie without an embedding.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use cinedex_domain::{
    BlendSettings, FoldInSettings, Location, Metric, ModelSettings, Movie, MovieId, PreferencePolicy,
    RatingScale, UserId, silent,
};
use cinedex_index::{
    BuildOptions, BundleInput, Histories, IndexRoot, Place, PlacePopularity, Provenance, SpreadInput,
    Version, build,
};
use cinedex_model::TasteMoments;
use cinedex_vectors::{Csr, Matrix};
use tempfile::TempDir;

use crate::{Engine, EngineOptions};

/// Movies of each taste: ids 1 to 10 are action, 11 to 20 romance, 21 has no embedding.
pub(crate) const EACH: usize = 10;
pub(crate) const MOVIES: usize = 2 * EACH + 1;
/// Users of odd ids love action, those of even ids romance; 3 and 4 have no embedding.
const USERS: usize = 12;

pub(crate) struct World {
    pub(crate) metric: Metric,
    pub(crate) fold_in: bool,
    pub(crate) user_factors: bool,
    pub(crate) popularity_weight: f32,
    pub(crate) half_life: f32,
    pub(crate) recent_weight: f32,
    pub(crate) log_position: Option<u64>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            metric: Metric::InnerProduct,
            fold_in: true,
            user_factors: true,
            popularity_weight: 0.0,
            half_life: 5.0,
            recent_weight: 0.0,
            log_position: None,
        }
    }
}

/// Builds worlds into a directory of their own.
pub(crate) struct Bench {
    pub(crate) root: IndexRoot,
    _directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { root: IndexRoot::new(directory.path()), _directory: directory }
    }

    pub(crate) fn build(&self, world: &World) -> Version {
        let movies = movies();
        let factors = factors();
        let users: Vec<UserId> = (1..=USERS).map(|user| UserId::new(&user.to_string()).unwrap()).collect();
        let mut locations = vec![None; USERS];
        (locations[0], locations[1]) = (Some("US/CA/Fresno".parse().unwrap()), Some("KR".parse().unwrap()));
        // User 1 liked action, user 2 romance but not movie 1, user 3 did nothing yet, user 4 liked romance; all others are
        // known by their embeddings alone.
        let mut offsets = vec![8; USERS + 1];
        offsets[..5].copy_from_slice(&[0, 3, 6, 6, 8]);
        let histories = Histories {
            offsets,
            movies: vec![0, 1, 2, 10, 11, 0, 12, 13],
            preferences: vec![1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0],
            timestamps_ms: vec![1, 2, 3, 1, 2, 3, 1, 2],
        };
        let user_factors = user_factors();
        let settings = settings(world);
        let gramian = cinedex_model::gramian(factors.view());
        let TasteMoments { movies: spread_movies, mean, unit_gramian } =
            TasteMoments::of(factors.view(), world.metric);
        let input = BundleInput {
            movies: &movies,
            movie_factors: factors.view(),
            users: &users,
            locations: &locations,
            user_factors: world.user_factors.then(|| user_factors.view()),
            histories: &histories,
            popularity: &popularity(),
            settings: &settings,
            gramian: gramian.view(),
            spread: SpreadInput {
                movies: spread_movies,
                mean: &mean,
                unit_gramian: unit_gramian.as_ref().map(Matrix::view),
            },
            recent_counts: &recent_counts(),
            provenance: &Provenance { log_position: world.log_position, ..Provenance::default() },
        };
        self.publish(&input)
    }

    /// Builds any bundle and makes it live.
    pub(crate) fn publish(&self, input: &BundleInput<'_>) -> Version {
        let options = BuildOptions { threads: 1, recall_queries: 10, ..BuildOptions::default() };
        let report = build(&self.root, input, &options, &silent, &AtomicBool::new(false)).unwrap();
        self.root.activate(&report.version).unwrap();
        report.version
    }

    pub(crate) fn engine(&self, world: &World) -> Engine {
        self.build(world);
        Engine::open(self.root.clone(), EngineOptions::default()).unwrap()
    }
}

pub(crate) fn settings(world: &World) -> ModelSettings {
    ModelSettings {
        algorithm: "test".into(),
        dimension: 4,
        metric: world.metric,
        fold_in: world.fold_in.then_some(FoldInSettings {
            regularization: 0.01,
            unobserved_weight: 0.1,
            frequency_exponent: 0.0,
            negative_target: -1.0,
            negative_weight: 1.0,
        }),
        blend: BlendSettings {
            popularity_weight: world.popularity_weight,
            half_life_interactions: world.half_life,
            recent_weight: world.recent_weight,
            ..BlendSettings::NONE
        },
        preference: PreferencePolicy::default(),
        rating_scale: RatingScale::FIVE_STARS,
    }
}

fn movies() -> Vec<Movie> {
    (1..=MOVIES)
        .map(|number| {
            let action = number <= EACH;
            let title = if action { format!("Chase {number}") } else { format!("Kiss {number}") };
            let mut movie = Movie::new(MovieId::new(&number.to_string()).unwrap(), title);
            movie.genres = vec![if action { "Action" } else { "Romance" }.to_owned()];
            movie.year = Some(1980 + number as u16);
            movie
        })
        .collect()
}

/// Columns: action, a little of everything, romance, a direction of each movie's own.
fn factors() -> Matrix {
    let mut factors = Matrix::zeros(MOVIES, 4);
    for movie in 0..2 * EACH {
        let (row, strength) = (factors.row_mut(movie), 1.0 - (movie % EACH) as f32 * 0.02);
        row[if movie < EACH { 0 } else { 2 }] = strength;
        row[1] = 0.05;
        row[3] = if movie % 2 == 0 { 0.1 } else { -0.1 };
    }
    factors
}

/// Columns as those of the movies, of many lengths.
fn user_factors() -> Matrix {
    let mut factors = Matrix::zeros(USERS, 4);
    for user in [1, 2, 5, 6, 7, 8, 9, 10, 11, 12] {
        let (row, strength) = (factors.row_mut(user - 1), 1.0 - user as f32 * 0.05);
        row[if user % 2 == 1 { 0 } else { 2 }] = strength;
        row[1] = 0.1;
        row[3] = (user / 5) as f32 * 0.03;
    }
    factors
}

/// Lately movie 13 was liked most, then movie 4; nobody thought of the odd rows.
fn recent_counts() -> Vec<f32> {
    let mut counts: Vec<f32> =
        (0..MOVIES).map(|row| if row % 2 == 0 { (row % 7) as f32 } else { 0.0 }).collect();
    (counts[12], counts[3]) = (90.0, 30.0);
    counts
}

/// The world likes low ids; Korea likes movie 15, California movie 7; movie 21 is liked a little everywhere.
fn popularity() -> PlacePopularity {
    let place = |name: &str| name.parse::<Location>().unwrap();
    let table: [(Option<Location>, Option<u32>, u64, u32); 5] = [
        (None, None, 3000, 0),
        (Some(place("KR")), Some(0), 800, 14),
        (Some(place("US")), Some(0), 1500, 0),
        (Some(place("US/CA")), Some(2), 600, 6),
        (Some(place("US/CA/Fresno")), Some(3), 5, 6),
    ];
    let mut counts: BTreeMap<(u32, u32), f32> = BTreeMap::new();
    for (row, (_, _, events, favourite)) in table.iter().enumerate() {
        let share = *events as f32 / 1000.0;
        for movie in 0..MOVIES as u32 {
            let count = if movie == *favourite { 200.0 } else { (MOVIES as u32 - movie) as f32 };
            counts.insert((row as u32, movie), count * share);
        }
    }
    let triplets = counts.into_iter().map(|((row, movie), count)| (row, movie, count));
    PlacePopularity {
        counts: Csr::from_triplets(table.len(), MOVIES, triplets),
        places: table
            .into_iter()
            .map(|(location, parent, events, _)| Place { location, parent, events })
            .collect(),
        prior: vec![10.0, 10.0, 10.0, 10.0],
    }
}
