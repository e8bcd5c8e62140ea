//! One open version: every file verified, mapped and checked, and the questions it answers. Immutable and shared.

use std::path::Path;

use cinedex_domain::{Location, Metric, ModelSettings, MovieFilter, MovieIndex, UserIndex};
use cinedex_vectors::{MatrixView, Scored};
use serde::{Deserialize, Serialize};

use crate::calibrate::{Subjects, calibrate, genre_sets};
use crate::catalogue::{Catalogue, MovieView};
use crate::container::{Container, Section};
use crate::error::Fault;
use crate::searcher::Searcher;
use crate::users::{StoredHistories, Users};
use crate::{Allowed, Calibration, FileEntry, IndexError, Manifest, PopularityIndex, UnknownGenre, Version};

pub(crate) const CATALOGUE: &str = "catalogue.bin";
pub(crate) const FACTORS: &str = "movie_factors.bin";
pub(crate) const SCAN: &str = "scan.bin";
pub(crate) const GRAPH: &str = "graph.bin";
pub(crate) const USERS: &str = "users.bin";
pub(crate) const USER_FACTORS: &str = "user_factors.bin";
pub(crate) const USER_SCAN: &str = "user_scan.bin";
pub(crate) const USER_GRAPH: &str = "user_graph.bin";
pub(crate) const HISTORIES: &str = "histories.bin";
pub(crate) const POPULARITY: &str = "popularity.bin";
pub(crate) const FACTORS_KIND: &str = "movie_factors";
pub(crate) const USER_FACTORS_KIND: &str = "user_factors";

/// Every file that a bundle can have.
pub(crate) const FILES: [&str; 10] =
    [CATALOGUE, FACTORS, SCAN, GRAPH, USERS, USER_FACTORS, USER_SCAN, USER_GRAPH, HISTORIES, POPULARITY];

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
    films: Searcher,
    people: Option<Searcher>,
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

    /// Opens and checks a version's directory; files are read by as many threads as there are processors.
    pub(crate) fn open(directory: &Path, version: &Version) -> Result<Self, IndexError> {
        let manifest = Manifest::read(directory, version)?;
        let stored = Files { directory, manifest: &manifest };
        let dimension = manifest.settings.dimension;
        if !DIMENSIONS.contains(&dimension) {
            return Err(stored.malformed("settings.dimension is not from 1 to 65536"));
        }
        let (count, user_count) = (stored.count_of_movies()?, stored.count_of_users()?);
        let (catalogue, (films, people)) = rayon::join(
            || stored.read_catalogue(count),
            || {
                rayon::join(
                    || stored.read_films(count, dimension),
                    || stored.read_people(user_count, count, dimension),
                )
            },
        );
        let catalogue = catalogue?;
        let (MovieVectors { factors, gramian, mean, unit_gramian }, films) = films?;
        let (People { users, user_factors, histories, popularity }, people) = people?;
        Ok(Self {
            version: version.clone(),
            catalogue,
            factors,
            gramian,
            mean,
            unit_gramian,
            films,
            people,
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
        let subjects = Subjects { films: &self.films, people: self.people.as_ref(), genres: &genres };
        calibrate(&subjects, self.settings().metric, &self.manifest.parameters)
    }

    /// Films by their vectors.
    pub(crate) fn films(&self) -> &Searcher {
        &self.films
    }

    /// Users by their vectors; `None` without user factors.
    pub(crate) fn people(&self) -> Option<&Searcher> {
        self.people.as_ref()
    }
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

    fn read_films(&self, count: usize, dimension: usize) -> Result<(MovieVectors, Searcher), IndexError> {
        let vectors = self.read_factors(count, dimension)?;
        let searcher = self.open_searcher([SCAN, GRAPH], vectors.factors.clone(), dimension)?;
        Ok((vectors, searcher))
    }

    fn read_people(
        &self,
        user_count: usize,
        movie_count: usize,
        dimension: usize,
    ) -> Result<(People, Option<Searcher>), IndexError> {
        let (path, entry) = self.entry(USERS)?;
        let users = Users::open(&path, entry, user_count)?;
        let user_factors = self.read_user_factors(user_count, dimension)?;
        let (path, entry) = self.entry(HISTORIES)?;
        let histories = StoredHistories::open(&path, entry, user_count, movie_count)?;
        let (path, entry) = self.entry(POPULARITY)?;
        let popularity = PopularityIndex::open(&path, entry, movie_count)?;
        let open =
            |factors: &Section<f32>| self.open_searcher([USER_SCAN, USER_GRAPH], factors.clone(), dimension);
        let searcher = user_factors.as_ref().map(open).transpose()?;
        Ok((People { users, user_factors, histories, popularity }, searcher))
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

    /// A scan and, where the bundle has it, a graph over `rows`.
    fn open_searcher(
        &self,
        [scan, graph]: [&'static str; 2],
        rows: Section<f32>,
        dimension: usize,
    ) -> Result<Searcher, IndexError> {
        let scan = self.entry(scan)?;
        // Films always have a graph, users where there are many.
        let there = graph == GRAPH || self.manifest.files.contains_key(graph);
        let graph = there.then(|| self.entry(graph)).transpose()?;
        let graph = graph.as_ref().map(|(path, entry)| (path.as_path(), *entry));
        Searcher::open(rows, dimension, (&scan.0, scan.1), graph)
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
