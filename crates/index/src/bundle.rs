//! One open version: every file verified, mapped and checked, and the questions it answers. Immutable and shared.

use std::path::Path;

use cinedex_domain::{Location, Metric, ModelSettings, MovieFilter, MovieIndex, UserIndex};
use cinedex_vectors::{MatrixView, Scored};
use serde::{Deserialize, Serialize};

use crate::calibrate::{calibrate, genre_sets};
use crate::catalogue::{Catalogue, MovieView};
use crate::container::{Container, Section};
use crate::error::Fault;
use crate::graph::Graph;
use crate::input::norm_of;
use crate::planner::Strategy;
use crate::scan::Scan;
use crate::searcher::{Query, Searcher};
use crate::users::{StoredHistories, Users};
use crate::{Allowed, Calibration, FileEntry, IndexError, Manifest, PopularityIndex, UnknownGenre, Version};

pub(crate) const CATALOGUE: &str = "catalogue.bin";
pub(crate) const FACTORS: &str = "movie_factors.bin";
pub(crate) const SCAN: &str = "scan.bin";
pub(crate) const GRAPH: &str = "graph.bin";
pub(crate) const USERS: &str = "users.bin";
pub(crate) const USER_FACTORS: &str = "user_factors.bin";
pub(crate) const HISTORIES: &str = "histories.bin";
pub(crate) const POPULARITY: &str = "popularity.bin";
pub(crate) const FACTORS_KIND: &str = "movie_factors";
pub(crate) const USER_FACTORS_KIND: &str = "user_factors";

/// Every file that a bundle can have.
pub(crate) const FILES: [&str; 8] =
    [CATALOGUE, FACTORS, SCAN, GRAPH, USERS, USER_FACTORS, HISTORIES, POPULARITY];

/// Lengths of vectors: longer ones cannot be coded.
pub(crate) const DIMENSIONS: std::ops::RangeInclusive<usize> = 1..=65_536;

/// Which index answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retrieval {
    /// The exact scan: recall 1.
    Exact,
    /// The graph: recall as measured at build.
    Graph,
}

impl Retrieval {
    /// `exact` or `graph`, as the API says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Graph => "graph",
        }
    }
}

/// Movies or users found.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieved {
    /// Descending score, ties by ascending index.
    pub items: Vec<Scored>,
    /// Which index answered.
    pub retrieval: Retrieval,
}

/// One user's history, in the order of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct History<'a> {
    /// Movie of each entry.
    pub movies: &'a [u32],
    /// Signed preference of each entry.
    pub preferences: &'a [f32],
    /// Milliseconds UTC of each entry; `i64::MIN` if unknown.
    pub timestamps_ms: &'a [i64],
}

/// Moments of the movies' vectors as scores use them (of length 1 where the metric is the cosine), from which the spread of a
/// user's taste scores follows.
#[derive(Debug, Clone, Copy)]
pub struct Spread<'a> {
    /// Their mean.
    pub mean: &'a [f32],
    /// `dimension × dimension`: their sum of `y yᵀ`.
    pub gramian: MatrixView<'a>,
    /// How many movies' vectors they are: of those with an embedding, the ones that users are solved against.
    pub movies: usize,
}

/// One open version of the index. All questions are answered without locks (but for the short one around the popularity of
/// places) and without reading files.
///
/// Its files are mapped, not read, and were checked when it was opened. Removing them is harmless, the maps keep them;
/// changing one in place while it is open is outside what can be survived: answers become wrong, and a shorter file ends the
/// process. Bundles are replaced, never edited, and their files are read-only to make an accident fail.
#[derive(Debug)]
pub struct Bundle {
    version: Version,
    manifest: Manifest,
    catalogue: Catalogue,
    factors: Section<f32>,
    gramian: Section<f32>,
    mean: Section<f32>,
    /// For a cosine model only.
    unit_gramian: Option<Section<f32>>,
    searcher: Searcher,
    users: Users,
    user_factors: Option<Section<f32>>,
    histories: StoredHistories,
    popularity: PopularityIndex,
}

impl Bundle {
    /// Its name.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Where it came from and what was measured.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How the model is served.
    pub fn settings(&self) -> &ModelSettings {
        &self.manifest.settings
    }

    /// How many movies the catalogue has.
    pub fn movie_count(&self) -> usize {
        self.catalogue.len()
    }

    /// The facts of a movie; a [`MovieIndex`] is a row of the catalogue, in canonical order of ids. Panics if the movie is of
    /// another bundle.
    pub fn movie(&self, movie: MovieIndex) -> MovieView<'_> {
        self.catalogue.movie(movie)
    }

    /// The row of a movie.
    pub fn movie_index(&self, movie_id: &str) -> Option<MovieIndex> {
        self.catalogue.ids.find(movie_id).map(MovieIndex)
    }

    /// `movie_count × dimension`; a row of zeros is a movie without an embedding.
    pub fn movie_factors(&self) -> MatrixView<'_> {
        MatrixView::new(&self.factors, self.settings().dimension)
    }

    /// Whether a movie has an embedding. Panics if the movie is of another bundle.
    pub fn has_embedding(&self, movie: MovieIndex) -> bool {
        self.searcher.embedded().contains(movie.0)
    }

    /// `dimension × dimension`: the sum over movies of `y yᵀ`.
    pub fn gramian(&self) -> MatrixView<'_> {
        MatrixView::new(&self.gramian, self.settings().dimension)
    }

    /// What the spread of taste scores follows from.
    pub fn spread(&self) -> Spread<'_> {
        let gramian = self.unit_gramian.as_ref().unwrap_or(&self.gramian);
        let gramian = MatrixView::new(gramian, self.settings().dimension);
        Spread { mean: &self.mean, gramian, movies: self.manifest.counts.spread_movies as usize }
    }

    /// How many users are known.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// The row of a user.
    pub fn user_index(&self, user_id: &str) -> Option<UserIndex> {
        self.users.index(user_id)
    }

    /// The id of a user. Panics if the user is of another bundle, as do the other questions about users.
    pub fn user_id(&self, user: UserIndex) -> &str {
        self.users.id(user)
    }

    /// The latest known place of a user.
    pub fn user_location(&self, user: UserIndex) -> Option<&Location> {
        self.users.location(user)
    }

    /// `user_count × dimension`; `None` if every user is folded in from the history.
    pub fn user_factors(&self) -> Option<MatrixView<'_>> {
        self.user_factors.as_ref().map(|factors| MatrixView::new(factors, self.settings().dimension))
    }

    /// What a user did before training.
    pub fn history(&self, user: UserIndex) -> History<'_> {
        self.histories.of(user)
    }

    /// What is popular where.
    pub fn popularity(&self) -> &PopularityIndex {
        &self.popularity
    }

    /// All genres, sorted, in the catalogue's spelling.
    pub fn genres(&self) -> &[String] {
        &self.catalogue.known_genres
    }

    /// The movies that pass a filter.
    pub fn filter(&self, filter: &MovieFilter) -> Result<Allowed, UnknownGenre> {
        self.catalogue.allowed(filter)
    }

    /// The `k` allowed movies of highest cosine to `movie`, itself left out: never fewer than `k` where `k` allowed movies have
    /// an embedding. A movie without an embedding resembles nothing. Panics if `allowed` is of another bundle.
    pub fn similar(&self, movie: MovieIndex, k: usize, allowed: &Allowed) -> Retrieved {
        let planner = &self.manifest.calibration.similar.planner;
        let search = |query: &Query<'_>| self.searcher.search(query, k, allowed, planner);
        self.similar_query(movie).map_or(NOTHING, |query| search(&query))
    }

    /// The same by a given strategy, whatever the planner says.
    pub fn similar_by(
        &self,
        movie: MovieIndex,
        k: usize,
        allowed: &Allowed,
        strategy: Strategy,
    ) -> Retrieved {
        let search = |query: &Query<'_>| self.searcher.search_by(query, k, allowed, strategy);
        self.similar_query(movie).map_or(NOTHING, |query| search(&query))
    }

    /// What the planner would have [`Bundle::similar`] do first.
    pub fn plan_similar(&self, movie: MovieIndex, k: usize, allowed: &Allowed) -> Strategy {
        let planner = &self.manifest.calibration.similar.planner;
        let plan = |query: &Query<'_>| self.searcher.plan(query, k, allowed, planner).strategy;
        self.similar_query(movie).map_or(Strategy::Each, |query| plan(&query))
    }

    /// The `k` allowed movies that score highest for a user's vector (by inner product; by cosine where the model says so):
    /// never fewer than `k` where `k` are allowed. Movies without an embedding come last. A vector of another length or with a
    /// number that is not finite finds nothing. Panics if `allowed` is of another bundle.
    pub fn for_user(&self, vector: &[f32], k: usize, allowed: &Allowed) -> Retrieved {
        let planner = &self.manifest.calibration.for_user.planner;
        self.for_vector(vector, k, allowed, |query| self.searcher.search(query, k, allowed, planner))
    }

    /// The same by a given strategy, whatever the planner says.
    pub fn for_user_by(&self, vector: &[f32], k: usize, allowed: &Allowed, strategy: Strategy) -> Retrieved {
        self.for_vector(vector, k, allowed, |query| self.searcher.search_by(query, k, allowed, strategy))
    }

    /// What the planner would have [`Bundle::for_user`] do first.
    pub fn plan_for_user(&self, vector: &[f32], k: usize, allowed: &Allowed) -> Strategy {
        let query = Query { metric: self.settings().metric, vector, row: None };
        self.searcher.plan(&query, k, allowed, &self.manifest.calibration.for_user.planner).strategy
    }

    fn similar_query(&self, movie: MovieIndex) -> Option<Query<'_>> {
        let vector = self.searcher.unit(movie.0)?;
        Some(Query { metric: Metric::Cosine, vector, row: Some(movie.0) })
    }

    fn for_vector(
        &self,
        vector: &[f32],
        k: usize,
        allowed: &Allowed,
        search: impl Fn(&Query<'_>) -> Retrieved,
    ) -> Retrieved {
        if !self.searcher.is_searchable(vector) {
            return NOTHING;
        }
        let metric = self.settings().metric;
        let unit = (metric == Metric::Cosine).then(|| unit_of(vector));
        let mut found = search(&Query { metric, vector: unit.as_deref().unwrap_or(vector), row: None });
        let missing = k.min(allowed.count()) - found.items.len();
        if missing > 0 {
            let score = found.items.last().map_or(0.0, |last| last.score.min(0.0));
            let embedded = self.searcher.embedded();
            let rest = allowed.iter().filter(|&movie| !embedded.contains(movie)).take(missing);
            found.items.extend(rest.map(|index| Scored { index, score }));
        }
        found
    }

    /// Opens and checks a version's directory; files are read by as many threads as there are processors.
    pub(crate) fn open(directory: &Path, version: &Version) -> Result<Self, IndexError> {
        let manifest = Manifest::read(directory, version)?;
        let files = Files { directory, manifest: &manifest };
        let dimension = manifest.settings.dimension;
        if !DIMENSIONS.contains(&dimension) {
            return Err(files.malformed("settings.dimension is not from 1 to 65536"));
        }
        let (count, user_count) = (files.count_of_movies()?, files.count_of_users()?);
        let ((catalogue, vectors), ((scan, graph), people)) = rayon::join(
            || rayon::join(|| files.read_catalogue(count), || files.read_factors(count, dimension)),
            || {
                let indexes = || {
                    rayon::join(|| files.read_scan(count, dimension), || files.read_graph(count, dimension))
                };
                rayon::join(indexes, || files.read_people(user_count, count, dimension))
            },
        );
        let catalogue = catalogue?;
        let MovieVectors { factors, gramian, mean, unit_gramian } = vectors?;
        let People { users, user_factors, histories, popularity } = people?;
        let searcher = Searcher::new(scan?, graph?, count);
        Ok(Self {
            version: version.clone(),
            catalogue,
            factors,
            gramian,
            mean,
            unit_gramian,
            searcher,
            users,
            user_factors,
            histories,
            popularity,
            manifest,
        })
    }

    /// Follows another calibration.
    #[cfg(test)]
    pub(crate) fn calibrate_as(&mut self, calibration: crate::Calibration) {
        self.manifest.calibration = calibration;
    }

    /// Measures again what was measured when it was built.
    pub(crate) fn measure(&self) -> Calibration {
        let genres = |movie| self.movie(MovieIndex(movie)).genres().iter();
        let genres = genre_sets((0..self.movie_count() as u32).map(genres));
        let users = self.user_factors();
        calibrate(&self.searcher, users, self.settings().metric, &genres, &self.manifest.parameters)
    }
}

const NOTHING: Retrieved = Retrieved { items: Vec::new(), retrieval: Retrieval::Exact };

/// At length 1; a vector of zeros stays.
fn unit_of(vector: &[f32]) -> Vec<f32> {
    let norm = norm_of(vector);
    let divisor = if norm > 0.0 { norm } else { 1.0 };
    vector.iter().map(|&value| (f64::from(value) / divisor) as f32).collect()
}

/// What `movie_factors.bin` holds.
struct MovieVectors {
    factors: Section<f32>,
    gramian: Section<f32>,
    mean: Section<f32>,
    unit_gramian: Option<Section<f32>>,
}

/// What the files of users hold, and what many of them liked.
struct People {
    users: Users,
    user_factors: Option<Section<f32>>,
    histories: StoredHistories,
    popularity: PopularityIndex,
}

/// The files of a directory as its manifest names them.
struct Files<'a> {
    directory: &'a Path,
    manifest: &'a Manifest,
}

impl Files<'_> {
    fn entry(&self, name: &'static str) -> Result<(std::path::PathBuf, &FileEntry), IndexError> {
        let entry = self.manifest.files.get(name);
        let entry = entry.ok_or_else(|| self.malformed(&format!("{name} is not among the files")))?;
        Ok((self.directory.join(name), entry))
    }

    fn malformed(&self, reason: &str) -> IndexError {
        let path = self.directory.join(crate::manifest::MANIFEST);
        IndexError::damaged(&path, Fault::MalformedManifest { reason: reason.to_owned() })
    }

    /// Movies as the manifest counts them, to which every file is held.
    fn count_of_movies(&self) -> Result<usize, IndexError> {
        match self.manifest.counts.movies {
            0 => Err(self.malformed("counts.movies is 0")),
            count if count >= u64::from(u32::MAX) => {
                Err(self.malformed("counts.movies is beyond all indices"))
            }
            count => Ok(count as usize),
        }
    }

    fn count_of_users(&self) -> Result<usize, IndexError> {
        match self.manifest.counts.users {
            count if count >= u64::from(u32::MAX) => {
                Err(self.malformed("counts.users is beyond all indices"))
            }
            count => Ok(count as usize),
        }
    }

    fn read_catalogue(&self, count: usize) -> Result<Catalogue, IndexError> {
        let (path, entry) = self.entry(CATALOGUE)?;
        Catalogue::open(&path, entry, count)
    }

    fn read_scan(&self, count: usize, dimension: usize) -> Result<Scan, IndexError> {
        let (path, entry) = self.entry(SCAN)?;
        Scan::open(&path, entry, count, dimension)
    }

    fn read_graph(&self, count: usize, dimension: usize) -> Result<Graph, IndexError> {
        let (path, entry) = self.entry(GRAPH)?;
        Graph::open(&path, entry, count, dimension)
    }

    fn read_people(
        &self,
        user_count: usize,
        movie_count: usize,
        dimension: usize,
    ) -> Result<People, IndexError> {
        let (path, entry) = self.entry(USERS)?;
        let users = Users::open(&path, entry, user_count)?;
        let user_factors = self.read_user_factors(user_count, dimension)?;
        let (path, entry) = self.entry(HISTORIES)?;
        let histories = StoredHistories::open(&path, entry, user_count, movie_count)?;
        let (path, entry) = self.entry(POPULARITY)?;
        let popularity = PopularityIndex::open(&path, entry, movie_count)?;
        Ok(People { users, user_factors, histories, popularity })
    }

    fn read_factors(&self, movies: usize, dimension: usize) -> Result<MovieVectors, IndexError> {
        let (path, entry) = self.entry(FACTORS)?;
        let container = Container::open(&path, FACTORS_KIND, entry)?;
        let values = |rows: usize| rows.saturating_mul(dimension);
        let read = |name: &str, rows: usize| {
            let section = container.section_of::<f32>(name, values(rows))?;
            container.check_finite(name, &section)?;
            Ok::<_, IndexError>(section)
        };
        Ok(MovieVectors {
            factors: read("factors", movies)?,
            gramian: read("gramian", dimension)?,
            mean: read("mean", 1)?,
            unit_gramian: match self.manifest.settings.metric {
                Metric::InnerProduct => None,
                Metric::Cosine => Some(read("unit_gramian", dimension)?),
            },
        })
    }

    fn read_user_factors(&self, users: usize, dimension: usize) -> Result<Option<Section<f32>>, IndexError> {
        if !self.manifest.files.contains_key(USER_FACTORS) {
            return Ok(None);
        }
        let (path, entry) = self.entry(USER_FACTORS)?;
        let container = Container::open(&path, USER_FACTORS_KIND, entry)?;
        let values = users.saturating_mul(dimension);
        let factors = container.section_of::<f32>("factors", values)?;
        container.check_finite("factors", &factors)?;
        Ok(Some(factors))
    }
}
