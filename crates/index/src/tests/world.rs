//! A small world to build bundles from: movies in clusters, users in places.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use cinedex_domain::{
    BlendSettings, FoldInSettings, Location, Metric, ModelSettings, Movie, MovieId, PreferencePolicy,
    RatingScale, UserId, silent,
};
use cinedex_vectors::{Csr, Matrix};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    BuildOptions, BuildReport, Bundle, BundleInput, Calibration, CostCurve, CostPoint, Histories, IndexError,
    IndexRoot, Measured, Place, PlacePopularity, Planner, Provenance, SpreadInput, Version, build,
};

pub(crate) struct World {
    pub(crate) movies: Vec<Movie>,
    pub(crate) factors: Matrix,
    pub(crate) users: Vec<UserId>,
    pub(crate) locations: Vec<Option<Location>>,
    pub(crate) user_factors: Option<Matrix>,
    pub(crate) histories: Histories,
    pub(crate) popularity: PlacePopularity,
    pub(crate) settings: ModelSettings,
    pub(crate) gramian: Matrix,
    pub(crate) mean: Vec<f32>,
    pub(crate) unit_gramian: Option<Matrix>,
    pub(crate) recent_counts: Vec<f32>,
    pub(crate) provenance: Provenance,
    pub(crate) options: BuildOptions,
}

impl World {
    pub(crate) fn new(movie_count: usize, user_count: usize, dimension: usize) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(7);
        let factors = clustered(movie_count, dimension, &mut generator);
        let users: Vec<UserId> = (0..user_count).map(|row| UserId::new(&row.to_string()).unwrap()).collect();
        let places = ["US/CA/Fresno", "US/CA", "KR/11"].map(|text| text.parse::<Location>().unwrap());
        let locations = (0..user_count).map(|row| places.get(row % 4).cloned()).collect();
        let mut histories = Histories::empty(0);
        for row in 0..user_count {
            for step in 0..(row % 3).min(movie_count) {
                histories.movies.push((row + step) as u32 % movie_count as u32);
                histories.preferences.push(1.0);
                histories.timestamps_ms.push(if step == 0 { i64::MIN } else { 1_000 });
            }
            histories.offsets.push(histories.movies.len() as u64);
        }
        let movies = (0..movie_count).map(movie).collect();
        Self {
            movies,
            factors,
            users,
            locations,
            user_factors: Some(clustered(user_count, dimension, &mut generator)),
            histories,
            popularity: popularity(movie_count),
            settings: settings(dimension),
            gramian: Matrix::zeros(dimension, dimension),
            mean: vec![0.5; dimension],
            unit_gramian: None,
            recent_counts: (0..movie_count).map(|row| (row % 5) as f32).collect(),
            provenance: Provenance { dataset: "world".into(), ..Provenance::default() },
            options: BuildOptions { recall_queries: 50, ..BuildOptions::default() },
        }
    }

    pub(crate) fn build(&self, root: &IndexRoot) -> Result<BuildReport, IndexError> {
        build(root, &self.input(), &self.options, &silent, &AtomicBool::new(false))
    }

    /// Built under `directory`, activated and open.
    pub(crate) fn open(&self, directory: &Path) -> Bundle {
        let root = IndexRoot::new(directory);
        let report = self.build(&root).unwrap();
        root.activate(&report.version).unwrap();
        root.open(&report.version).unwrap()
    }

    pub(crate) fn input(&self) -> BundleInput<'_> {
        BundleInput {
            movies: &self.movies,
            movie_factors: self.factors.view(),
            users: &self.users,
            locations: &self.locations,
            user_factors: self.user_factors.as_ref().map(Matrix::view),
            histories: &self.histories,
            popularity: &self.popularity,
            settings: &self.settings,
            gramian: self.gramian.view(),
            spread: SpreadInput {
                movies: self.movies.len(),
                mean: &self.mean,
                unit_gramian: self.unit_gramian.as_ref().map(Matrix::view),
            },
            recent_counts: &self.recent_counts,
            provenance: &self.provenance,
        }
    }
}

/// What has the planner ask the graph whenever it may.
pub(crate) fn eager_calibration(ef_for_10: u32, ef_for_100: Option<u32>) -> Calibration {
    let cost = |microseconds| CostCurve::new(vec![CostPoint { size: 1.0, microseconds }]);
    let planner = Planner {
        ef_for_10: Some(ef_for_10),
        ef_for_100,
        filtered_ef_for_10: Some(ef_for_10),
        filtered_ef_for_100: ef_for_100,
        scan: cost(1e12),
        each: cost(1e12),
        graph: cost(1.0),
        microseconds_a_node: 1.0,
    };
    let measured = || Measured { planner: planner.clone(), ..Measured::default() };
    Calibration { similar: measured(), for_user: measured(), neighbors: measured() }
}

fn movie(row: usize) -> Movie {
    let genres = [&["Drama"][..], &["Drama", "Crime"], &["Comedy"]][row % 3];
    let some = |texts: &[&str]| texts[..row % 3].iter().map(|&text| text.to_owned()).collect();
    Movie {
        year: Some(1950 + (row % 70) as u16),
        original_title: row.is_multiple_of(4).then(|| format!("Película {row}")),
        alternative_titles: some(&["A film", "또 다른 제목"]),
        countries: some(&["US", "KR"]),
        languages: some(&["en", "ko"]),
        tags: some(&["slow", "dusty"]),
        runtime_minutes: (!row.is_multiple_of(5)).then_some(80 + row as u16 % 90),
        minimum_age: row.is_multiple_of(3).then_some(12),
        adult: row.is_multiple_of(2).then_some(false),
        imdb_id: row.is_multiple_of(2).then(|| format!("tt{row:07}")),
        tmdb_id: row.is_multiple_of(3).then_some(row as u32),
        imdb_rating: (row % 3 == 1).then_some(6.5),
        imdb_votes: (row % 3 == 1).then_some(1000),
        genres: genres.iter().map(|&genre| genre.to_owned()).collect(),
        ..Movie::new(MovieId::new(&row.to_string()).unwrap(), format!("Movie {row}"))
    }
}

/// Rows around 20 centres, of lengths with a long tail.
pub(crate) fn clustered(rows: usize, dimension: usize, generator: &mut ChaCha8Rng) -> Matrix {
    let mut number = || generator.random_range(-1.0f32..1.0);
    let centres: Vec<f32> = (0..20 * dimension).map(|_| number()).collect();
    let mut matrix = Matrix::zeros(rows, dimension);
    for row in 0..rows {
        let length = 1.0 / (1.0 + number().abs() * 9.0);
        for (column, value) in matrix.row_mut(row).iter_mut().enumerate() {
            *value = length * (centres[row % 20 * dimension + column] + 0.7 * number());
        }
    }
    matrix
}

fn popularity(movie_count: usize) -> PlacePopularity {
    let place = |location: Option<&str>, parent, events| Place {
        location: location.map(|text| text.parse().unwrap()),
        parent,
        events,
    };
    let places = vec![
        place(None, None, 100),
        place(Some("US"), Some(0), 80),
        place(Some("US/CA"), Some(1), 20),
        place(Some("US/CA/Fresno"), Some(2), 4),
    ];
    let counts = [(0, 0, 60.0), (0, 1, 40.0), (1, 0, 60.0), (1, 1, 20.0), (2, 1, 20.0), (3, 2, 4.0)];
    let counts = counts.into_iter().filter(|&(_, movie, _)| (movie as usize) < movie_count);
    let counts = Csr::from_triplets(places.len(), movie_count, counts);
    PlacePopularity { places, counts, prior: vec![0.0, 10.0, 20.0, 40.0] }
}

fn settings(dimension: usize) -> ModelSettings {
    ModelSettings {
        algorithm: "ials".into(),
        dimension,
        metric: Metric::InnerProduct,
        fold_in: Some(FoldInSettings {
            regularization: 0.01,
            unobserved_weight: 0.2,
            frequency_exponent: 1.0,
            negative_target: 0.0,
            negative_weight: 1.0,
        }),
        blend: BlendSettings { popularity_weight: 0.5, ..BlendSettings::NONE },
        preference: PreferencePolicy::default(),
        rating_scale: RatingScale::FIVE_STARS,
    }
}

/// Gives back the right to write that building took from a bundle's files, for tests that damage them.
pub(crate) fn make_writable(root: &IndexRoot, version: &Version) {
    #[cfg(unix)]
    for entry in std::fs::read_dir(root.path().join(version.as_str())).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(entry.unwrap().path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
}
