//! What a bundle is built from, as plain data, and the checks that it fits together. It knows nothing of files.

use cinedex_domain::{Location, Metric, ModelSettings, Movie, UserId};
use cinedex_vectors::{Csr, MatrixView, norm_f64};
use serde::{Deserialize, Serialize};

use crate::bundle::DIMENSIONS;
use crate::error::InputFault;

/// A vector longer than this is refused: products of two such vectors still fit into `f32`.
const LARGEST_NORM: f64 = 1e12;

/// Everything that goes into a bundle.
#[derive(Debug, Clone, Copy)]
pub struct BundleInput<'a> {
    /// The catalogue, in canonical order of ids.
    pub movies: &'a [Movie],
    /// `movie_count × dimension`; a row of zeros is a movie without an embedding.
    pub movie_factors: MatrixView<'a>,
    /// All users, in canonical order of ids.
    pub users: &'a [UserId],
    /// The latest known place of each user.
    pub locations: &'a [Option<Location>],
    /// `user_count × dimension`; `None` if every user is folded in from the history.
    pub user_factors: Option<MatrixView<'a>>,
    /// What each user did.
    pub histories: &'a Histories,
    /// What is popular where.
    pub popularity: &'a PlacePopularity,
    /// How the model is served.
    pub settings: &'a ModelSettings,
    /// `dimension × dimension`: the sum over movies of `y yᵀ`.
    pub gramian: MatrixView<'a>,
    /// How taste scores spread.
    pub spread: SpreadInput<'a>,
    /// Recent likes of each movie, at least 0.
    pub recent_counts: &'a [f32],
    /// Where it all came from.
    pub provenance: &'a Provenance,
}

/// What the spread of taste scores over the movies follows from: moments of the vectors that make the scores, those of
/// length 1 where the model's metric is the cosine.
#[derive(Debug, Clone, Copy)]
pub struct SpreadInput<'a> {
    /// How many movies' vectors the moments are of.
    pub movies: usize,
    /// The mean of these vectors; a value a dimension.
    pub mean: &'a [f32],
    /// Where the metric is the cosine, the sum of `u uᵀ` with `u` of length 1; `dimension × dimension`. Otherwise the
    /// Gramian serves, and this is `None`.
    pub unit_gramian: Option<MatrixView<'a>>,
}

/// Where a bundle came from, kept in its manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name of the data set.
    pub dataset: String,
    /// SHA-256 of the data set's manifest.
    pub dataset_sha256: String,
    /// Title of the data set, for people.
    pub title: String,
    /// Licence notice of the data set's source.
    pub licence_notice: String,
    /// Name of the model.
    pub model: String,
    /// SHA-256 of the model's manifest.
    pub model_sha256: String,
    /// The last live event that was trained on, where there is a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_position: Option<u64>,
    /// How many users in a thousand, drawn by their id, the model has not learned from, so that bundles of the same draw can be
    /// compared on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_per_mille: Option<u32>,
}

/// The histories of all users, one after another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histories {
    /// `user_count + 1` ascending positions, from 0 to the number of entries: where each user's entries begin.
    pub offsets: Vec<u64>,
    /// The movie of each entry.
    pub movies: Vec<u32>,
    /// The signed preference of each entry.
    pub preferences: Vec<f32>,
    /// Milliseconds UTC of each entry; `i64::MIN` if unknown.
    pub timestamps_ms: Vec<i64>,
}

impl Histories {
    /// Histories of `user_count` users who did nothing.
    pub fn empty(user_count: usize) -> Self {
        Self { offsets: vec![0; user_count + 1], ..Self::default() }
    }
}

/// How often each movie was chosen in each place, and how strongly a place leans on the larger one around it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacePopularity {
    /// The places; row 0 is the world, every other place comes after its parent.
    pub places: Vec<Place>,
    /// `place × movie` counts, at least 0; the row of a place includes those of the places in it.
    pub counts: Csr<f32>,
    /// Strength of the larger place's rate, in events, by level: world (shrunk towards equal rates), country, subdivision,
    /// city. A level beyond the end takes the last value.
    pub prior: Vec<f32>,
}

/// One place of [`PlacePopularity`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `None` for the world.
    pub location: Option<Location>,
    /// Row of the nearest larger place that is known; `None` for the world.
    pub parent: Option<u32>,
    /// Events in this place and the places in it.
    pub events: u64,
}

impl PlacePopularity {
    /// Nothing is known but that there is a world.
    pub fn empty(movie_count: usize) -> Self {
        let world = Place { location: None, parent: None, events: 0 };
        Self { places: vec![world], counts: Csr::from_triplets(1, movie_count, []), prior: vec![0.0] }
    }
}

/// Checks that the parts fit together and that every number can be searched.
pub(crate) fn check_input(input: &BundleInput<'_>) -> Result<(), InputFault> {
    let movies = input.movies.len();
    if movies == 0 {
        return Err(InputFault::NoMovies);
    }
    let limit = (u32::MAX - 1) as usize;
    for (what, found) in [("movies", movies), ("users", input.users.len())] {
        if found > limit {
            return Err(InputFault::TooMany { what, found, limit });
        }
    }
    let dimension = input.settings.dimension;
    if !DIMENSIONS.contains(&dimension) {
        let (name, found) = ("dimension", dimension.to_string());
        return Err(InputFault::Parameter { name, found, allowed: "1 to 65536" });
    }
    let matrices = [
        ("movie factors", Some(input.movie_factors), movies),
        ("user factors", input.user_factors, input.users.len()),
        ("gramian", Some(input.gramian), dimension),
        ("gramian of unit vectors", input.spread.unit_gramian, dimension),
    ];
    for (what, matrix, rows) in matrices {
        if let Some(matrix) = matrix {
            check_matrix(what, matrix, rows, dimension)?;
        }
    }
    check_spread(input)?;
    check_numbers("recent likes", input.recent_counts, movies, |count| count.is_finite() && count >= 0.0)?;
    check_rows("locations of users", input.users.len(), input.locations.len())?;
    check_order("movies", input.movies.iter().map(|movie| &movie.movie_id))?;
    check_order("users", input.users)?;
    check_histories(input.histories, input.users.len(), movies)?;
    check_places(input.popularity, movies)
}

/// A query as a metric compares it: by cosine it has length 1, unless it is zero.
pub(crate) fn for_metric(metric: Metric, query: &[f32]) -> Vec<f32> {
    let norm = if metric == Metric::Cosine { norm_f64(query) } else { 1.0 };
    let divisor = if norm > 0.0 { norm } else { 1.0 };
    query.iter().map(|&value| (f64::from(value) / divisor) as f32).collect()
}

/// Whether a vector of this length can be searched; not if the length is not a number.
pub(crate) fn is_sensible(norm: f64) -> bool {
    norm <= LARGEST_NORM
}

fn check_matrix(
    what: &'static str,
    matrix: MatrixView<'_>,
    rows: usize,
    dimension: usize,
) -> Result<(), InputFault> {
    if matrix.dimension() != dimension {
        return Err(InputFault::Dimension { what, expected: dimension, found: matrix.dimension() });
    }
    check_rows(what, rows, matrix.rows())?;
    // The Gramian's entries are sums of products of two movies' factors.
    let sums = what.starts_with("gramian");
    let fits = |norm: f64| if sums { norm.is_finite() } else { is_sensible(norm) };
    match (0..rows).find(|&row| !fits(norm_f64(matrix.row(row)))) {
        Some(row) => Err(InputFault::NotFinite { what, row }),
        None => Ok(()),
    }
}

fn check_rows(what: &'static str, expected: usize, found: usize) -> Result<(), InputFault> {
    if expected == found { Ok(()) } else { Err(InputFault::Rows { what, expected, found }) }
}

fn check_spread(input: &BundleInput<'_>) -> Result<(), InputFault> {
    let SpreadInput { mean, unit_gramian, .. } = input.spread;
    let cosine = input.settings.metric == Metric::Cosine;
    if cosine != unit_gramian.is_some() {
        let expected = if cosine { input.settings.dimension } else { 0 };
        let found = unit_gramian.map_or(0, MatrixView::rows);
        return Err(InputFault::Rows { what: "gramian of unit vectors", expected, found });
    }
    check_numbers("mean of movie factors", mean, input.settings.dimension, f32::is_finite)
}

fn check_numbers(
    what: &'static str,
    numbers: &[f32],
    expected: usize,
    is_sound: impl Fn(f32) -> bool,
) -> Result<(), InputFault> {
    check_rows(what, expected, numbers.len())?;
    match numbers.iter().position(|&number| !is_sound(number)) {
        Some(row) => Err(InputFault::NotFinite { what, row }),
        None => Ok(()),
    }
}

fn check_order<'a, T: Ord + 'a>(
    what: &'static str,
    ids: impl IntoIterator<Item = &'a T>,
) -> Result<(), InputFault> {
    let mut previous = None;
    for (row, id) in ids.into_iter().enumerate() {
        if previous.is_some_and(|previous| previous >= id) {
            return Err(InputFault::Order { what, row });
        }
        previous = Some(id);
    }
    Ok(())
}

fn check_histories(histories: &Histories, users: usize, movies: usize) -> Result<(), InputFault> {
    let what = "histories";
    check_rows(what, users + 1, histories.offsets.len())?;
    let entries = histories.movies.len();
    check_rows("preferences of histories", entries, histories.preferences.len())?;
    check_rows("times of histories", entries, histories.timestamps_ms.len())?;
    if histories.offsets[0] != 0 || histories.offsets[users] != entries as u64 {
        return Err(InputFault::OutOfRange { what, row: users });
    }
    if let Some(row) = histories.offsets.windows(2).position(|pair| pair[0] > pair[1]) {
        return Err(InputFault::OutOfRange { what, row });
    }
    if let Some(row) = histories.movies.iter().position(|&movie| movie as usize >= movies) {
        return Err(InputFault::OutOfRange { what: "movies of histories", row });
    }
    match histories.preferences.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(InputFault::NotFinite { what: "preferences of histories", row }),
        None => Ok(()),
    }
}

fn check_places(popularity: &PlacePopularity, movies: usize) -> Result<(), InputFault> {
    let places = &popularity.places;
    check_rows("popularity counts", places.len(), popularity.counts.row_count())?;
    if popularity.counts.column_count() != movies {
        let found = popularity.counts.column_count();
        return Err(InputFault::Rows { what: "movies of popularity counts", expected: movies, found });
    }
    let fault = |row, reason| Err(InputFault::Place { row, reason });
    if places.first().is_none_or(|world| world.location.is_some() || world.parent.is_some()) {
        return fault(0, "the first place must be the world, without location and parent");
    }
    let mut seen = std::collections::HashSet::new();
    for (row, place) in places.iter().enumerate().skip(1) {
        let Some(location) = &place.location else {
            return fault(row, "only the first place is the world");
        };
        if !seen.insert(location) {
            return fault(row, "the same location twice");
        }
        let Some(parent) = place.parent.filter(|&parent| (parent as usize) < row) else {
            return fault(row, "a place comes after its parent");
        };
        let around = places[parent as usize].location.as_ref();
        if around.is_some_and(|around| !is_inside(location, around)) {
            return fault(row, "its parent is not a larger place around it");
        }
    }
    if popularity.counts.values().iter().any(|count| !count.is_finite() || *count < 0.0) {
        return fault(0, "a count is negative or not finite");
    }
    if popularity.prior.iter().any(|prior| !prior.is_finite() || *prior < 0.0) {
        return fault(0, "a prior is negative or not finite");
    }
    Ok(())
}

/// Whether `around` is the country or subdivision in which `location` lies.
pub(crate) fn is_inside(location: &Location, around: &Location) -> bool {
    location.folded().strip_prefix(around.folded()).is_some_and(|rest| rest.starts_with('/'))
}
