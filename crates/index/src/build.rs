//! Makes a bundle: checks the parts, writes the files, builds and freezes the graph, measures it, and names the directory by
//! the manifest that results. Nothing is visible before everything is written.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cinedex_domain::{Progress, Step};
use cinedex_storage::{AtomicDirectory, sha256_bytes, sha256_file};
use cinedex_vectors::{Matrix, MatrixView, norm_f64};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::bundle::{
    CATALOGUE, FACTORS, FACTORS_KIND, GRAPH, HISTORIES, POPULARITY, SCAN, USER_FACTORS, USER_FACTORS_KIND,
    USER_GRAPH, USER_SCAN, USERS,
};
use crate::calibrate::{Subjects, calibrate, genre_sets};
use crate::catalogue::write_catalogue;
use crate::container::{Container, SectionData, write_container};
use crate::error::InputFault;
use crate::freeze::{Frozen, freeze};
use crate::graph::{Members, NO_NODE, write_graph};
use crate::hnsw::build_graph;
use crate::input::check_input;
use crate::manifest::{FORMAT_VERSION, MANIFEST};
use crate::popularity::write_popularity;
use crate::refine::Refinement;
use crate::scan::write_scan;
use crate::searcher::Searcher;
use crate::users::{write_histories, write_users};
use crate::{
    BuildFigures, BundleInput, Calibration, Counts, FileEntry, IndexError, IndexRoot, Manifest, Version,
};

/// What the graph is built with and how it is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildOptions {
    /// Half of the links that a node may have: 4 to 64.
    pub connections: usize,
    /// Candidates kept while a node's links are chosen: 8 to 2000.
    pub ef_construction: usize,
    /// Threads; 0: as many as there are processors. With 1 the graph is the same each time.
    pub threads: usize,
    /// Seed of the order of insertion and of the queries measured.
    pub seed: u64,
    /// Movies drawn as queries when measuring: at most this many, 1 to 100,000.
    pub recall_queries: usize,
    /// Share of the exact best that the graph must find to be asked, .5 to 1; with 1 every answer is exact.
    pub target_recall: f64,
    /// Users from whom on a graph is built over them too; with fewer, their neighbours are found by the exact scan in less time
    /// than matters.
    pub user_graph_from: usize,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            ef_construction: 200,
            threads: 0,
            seed: 42,
            recall_queries: 500,
            target_recall: 0.99,
            user_graph_from: 100_000,
        }
    }
}

impl BuildOptions {
    /// Checks every range.
    pub fn validate(&self) -> Result<(), InputFault> {
        let ranges = [
            ("connections", self.connections, 4..=64, "4 to 64"),
            ("ef_construction", self.ef_construction, 8..=2000, "8 to 2000"),
            ("threads", self.threads, 0..=1024, "0 to 1024"),
            ("recall_queries", self.recall_queries, 1..=100_000, "1 to 100000"),
        ];
        for (name, found, range, allowed) in ranges {
            if !range.contains(&found) {
                return Err(InputFault::Parameter { name, found: found.to_string(), allowed });
            }
        }
        if !(0.5..=1.0).contains(&self.target_recall) {
            let found = self.target_recall.to_string();
            return Err(InputFault::Parameter { name: "target_recall", found, allowed: "0.5 to 1" });
        }
        Ok(())
    }
}

/// What was built.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildReport {
    /// Its name.
    pub version: Version,
    /// Everything measured: `manifest.calibration`, `manifest.counts`, `manifest.build`.
    pub manifest: Manifest,
    /// Size of all files.
    pub bytes: u64,
    /// Seconds in all.
    pub seconds: f64,
}

/// Builds a bundle under `root` and measures it. It is not activated: see [`IndexRoot::activate`]. `cancel` is looked at often
/// enough to stop within a second or two; then, and on every error, nothing is left behind.
pub fn build(
    root: &IndexRoot,
    input: &BundleInput<'_>,
    options: &BuildOptions,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<BuildReport, IndexError> {
    let start = Instant::now();
    options.validate()?;
    check_input(input)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool = pool.map_err(|error| {
        IndexError::io("start the threads for", root.path(), std::io::Error::other(error))
    })?;
    root.sweep();
    let staging = AtomicDirectory::create(&root.path().join("building"))?;
    let work = Work { directory: staging.path(), input, options, progress, cancel };
    let made = pool.install(|| work.make())?;
    progress(Step::new("storing", 0, None));
    let (manifest, version) = work.describe(made)?;
    if cancel.load(Ordering::Relaxed) {
        return Err(IndexError::Cancelled);
    }
    let target = AtomicDirectory::create(&root.path().join(version.as_str()))?;
    for name in manifest.files.keys().map(String::as_str).chain([MANIFEST]) {
        let (from, to) = (staging.path().join(name), target.path().join(name));
        protect(&from)?;
        fs::rename(&from, to).map_err(|source| IndexError::io("move", &from, source))?;
    }
    target.commit_new()?;
    let bytes = manifest.files.values().map(|file| file.bytes).sum();
    Ok(BuildReport { version, manifest, bytes, seconds: start.elapsed().as_secs_f64() })
}

/// What making the files found out.
struct Made {
    checksums: BTreeMap<String, u64>,
    counts: Counts,
    build: BuildFigures,
    calibration: Calibration,
}

/// Distinct directions of the embeddings and the movies that share them.
struct Directions {
    vectors: Matrix,
    node_of_movie: Vec<u32>,
    embedded: usize,
}

struct Work<'a> {
    directory: &'a Path,
    input: &'a BundleInput<'a>,
    options: &'a BuildOptions,
    progress: Progress<'a>,
    cancel: &'a AtomicBool,
}

impl Work<'_> {
    fn make(&self) -> Result<Made, IndexError> {
        let start = Instant::now();
        let mut checksums = self.write_tables()?;
        let write_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let directions = directions_of(self.input.movie_factors);
        let (frozen, checksum) = self.write_graph(self.input.movie_factors, &directions, GRAPH)?;
        checksums.insert(GRAPH.to_owned(), checksum);
        if let Some(users) =
            self.input.user_factors.filter(|users| users.rows() >= self.options.user_graph_from)
        {
            let (_, checksum) = self.write_graph(users, &directions_of(users), USER_GRAPH)?;
            checksums.insert(USER_GRAPH.to_owned(), checksum);
        }
        let graph_seconds = start.elapsed().as_secs_f64();
        if self.cancel.load(Ordering::Relaxed) {
            return Err(IndexError::Cancelled);
        }
        (self.progress)(Step::new("measuring", 0, None));
        let start = Instant::now();
        let calibration = self.measure(&checksums)?;
        let calibration_seconds = start.elapsed().as_secs_f64();
        let counts = Counts {
            movies: self.input.movies.len() as u64,
            embedded_movies: directions.embedded as u64,
            spread_movies: self.input.spread.movies as u64,
            users: self.input.users.len() as u64,
            history_entries: self.input.histories.movies.len() as u64,
            places: self.input.popularity.places.len() as u64,
            graph_nodes: frozen.old.len() as u64,
            graph_links: frozen.links.len() as u64,
            relinked_nodes: frozen.relinked as u64,
        };
        let build = BuildFigures { graph_seconds, write_seconds, calibration_seconds };
        Ok(Made { checksums, counts, build, calibration })
    }

    /// Everything but the graph, and each flat file's checksum.
    fn write_tables(&self) -> Result<BTreeMap<String, u64>, IndexError> {
        let input = self.input;
        let path = |name: &str| self.directory.join(name);
        let mut checksums = BTreeMap::new();
        let mut wrote = |name: &str, checksum: u64| {
            checksums.insert(name.to_owned(), checksum);
            (self.progress)(Step::new("writing tables", checksums.len() as u64, Some(8)));
        };
        wrote(CATALOGUE, write_catalogue(&path(CATALOGUE), input.movies)?);
        let mut factors = vec![
            SectionData::new("factors", input.movie_factors.as_slice()),
            SectionData::new("gramian", input.gramian.as_slice()),
            SectionData::new("mean", input.spread.mean),
        ];
        if let Some(gramian) = input.spread.unit_gramian {
            factors.push(SectionData::new("unit_gramian", gramian.as_slice()));
        }
        wrote(FACTORS, write_container(&path(FACTORS), FACTORS_KIND, &factors)?);
        wrote(SCAN, write_scan(&path(SCAN), input.movie_factors)?);
        wrote(USERS, write_users(&path(USERS), input.users, input.locations)?);
        if let Some(factors) = input.user_factors {
            let sections = [SectionData::new("factors", factors.as_slice())];
            wrote(USER_FACTORS, write_container(&path(USER_FACTORS), USER_FACTORS_KIND, &sections)?);
            wrote(USER_SCAN, write_scan(&path(USER_SCAN), factors)?);
        }
        wrote(HISTORIES, write_histories(&path(HISTORIES), input.histories)?);
        let popularity = write_popularity(&path(POPULARITY), input.popularity, input.recent_counts)?;
        wrote(POPULARITY, popularity);
        Ok(checksums)
    }

    fn write_graph(
        &self,
        factors: MatrixView<'_>,
        directions: &Directions,
        name: &str,
    ) -> Result<(Frozen, u64), IndexError> {
        let vectors = directions.vectors.view();
        // Movies of like id are often alike; the first thousand should be spread over all.
        let mut order: Vec<u32> = (0..vectors.rows() as u32).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(self.options.seed));
        let raw = build_graph(vectors, &order, self.progress, self.cancel)?;
        let refinement = Refinement::new(self.options.connections, self.options.ef_construction);
        let frozen = freeze(&raw, vectors, &refinement, self.progress, self.cancel)?;
        let mut new = vec![NO_NODE; vectors.rows()];
        for (number, &node) in (0..).zip(&frozen.old) {
            new[node as usize] = number;
        }
        let renumbered = |&node: &u32| if node == NO_NODE { NO_NODE } else { new[node as usize] };
        let node_of_movie = directions.node_of_movie.iter().map(renumbered).collect();
        let members = Members::new(node_of_movie, vectors.rows());
        let norms: Vec<f32> = (0..factors.rows()).map(|row| norm_f64(factors.row(row)) as f32).collect();
        let checksum = write_graph(&self.directory.join(name), &frozen, &members, &norms)?;
        Ok((frozen, checksum))
    }

    /// Measures the files as they will be served.
    fn measure(&self, checksums: &BTreeMap<String, u64>) -> Result<Calibration, IndexError> {
        let input = self.input;
        let genres = genre_sets(input.movies.iter().map(|movie| movie.genres.iter().map(String::as_str)));
        let films = self.searcher(checksums, FACTORS_KIND, [FACTORS, SCAN, GRAPH], input.movies.len())?;
        let names = [USER_FACTORS, USER_SCAN, USER_GRAPH];
        let people = |_| self.searcher(checksums, USER_FACTORS_KIND, names, input.users.len());
        let people = input.user_factors.map(people).transpose()?;
        let subjects = Subjects { films: &films, people: people.as_ref(), genres: &genres };
        Ok(calibrate(&subjects, input.settings.metric, self.options))
    }

    fn searcher(
        &self,
        checksums: &BTreeMap<String, u64>,
        kind: &'static str,
        [factors, scan, graph]: [&str; 3],
        rows: usize,
    ) -> Result<Searcher, IndexError> {
        let dimension = self.input.settings.dimension;
        let file = |name: &str| {
            let path = self.directory.join(name);
            entry_of(&path, checksums[name]).map(|entry| (path, entry))
        };
        let factors = file(factors)?;
        let container = Container::open(&factors.0, kind, &factors.1)?;
        let rows = container.section_of::<f32>("factors", rows.saturating_mul(dimension))?;
        let scan = file(scan)?;
        let graph = checksums.contains_key(graph).then(|| file(graph)).transpose()?;
        let graph = graph.as_ref().map(|(path, entry)| (path.as_path(), entry));
        Searcher::open(rows, dimension, (&scan.0, &scan.1), graph)
    }

    /// Writes the manifest, of which the version follows.
    fn describe(&self, made: Made) -> Result<(Manifest, Version), IndexError> {
        let mut files = BTreeMap::new();
        for (name, checksum) in made.checksums {
            let path = self.directory.join(&name);
            let entry = FileEntry { sha256: sha256_file(&path)?, ..entry_of(&path, checksum)? };
            files.insert(name, entry);
        }
        let now = jiff::Timestamp::now();
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            created: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            inputs: self.input.provenance.clone(),
            settings: self.input.settings.clone(),
            parameters: self.options.clone(),
            counts: made.counts,
            build: made.build,
            calibration: made.calibration,
            files,
        };
        let bytes = manifest.to_bytes();
        let version = Version::of(now, &sha256_bytes(&bytes))?;
        let path = self.directory.join(MANIFEST);
        fs::write(&path, bytes).map_err(|source| IndexError::io("write", &path, source))?;
        Ok((manifest, version))
    }
}

/// Takes away every right to write: what is mapped must not change, and an accident should fail. Elsewhere than on Unix a
/// read-only file could not be removed either.
fn protect(path: &Path) -> Result<(), IndexError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path)
            .map(|metadata| fs::Permissions::from_mode(metadata.permissions().mode() & 0o444))
            .and_then(|permissions| fs::set_permissions(path, permissions))
            .map_err(|source| IndexError::io("protect", path, source))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn entry_of(path: &Path, checksum: u64) -> Result<FileEntry, IndexError> {
    let bytes = crate::manifest::file_size(path)?;
    Ok(FileEntry { bytes, sha256: String::new(), xxh3: format!("{checksum:016x}") })
}

/// Rows of length 1; rows of zeros stay.
fn normalized(rows: MatrixView<'_>) -> Matrix {
    let mut matrix = rows.to_matrix();
    for row in 0..matrix.rows() {
        let values = matrix.row_mut(row);
        let norm = norm_f64(values);
        if norm > 0.0 {
            for value in values {
                // Adding zero makes a negative zero positive, so that equal directions have equal bytes.
                *value = (f64::from(*value) / norm) as f32 + 0.0;
            }
        }
    }
    matrix
}

/// Leaves out zeros and keeps one of equal directions.
fn directions_of(factors: MatrixView<'_>) -> Directions {
    let unit = normalized(factors);
    let mut nodes: HashMap<&[u8], u32> = HashMap::new();
    let mut firsts: Vec<usize> = Vec::new();
    let mut node_of_movie = vec![NO_NODE; unit.rows()];
    let mut embedded = 0;
    for (movie, node) in node_of_movie.iter_mut().enumerate() {
        let row = unit.row(movie);
        if row.iter().all(|&value| value == 0.0) {
            continue;
        }
        embedded += 1;
        *node = *nodes.entry(crate::mapping::bytes_of(row)).or_insert_with(|| {
            firsts.push(movie);
            firsts.len() as u32 - 1
        });
    }
    let mut vectors = Matrix::zeros(firsts.len(), unit.dimension());
    for (node, &movie) in firsts.iter().enumerate() {
        vectors.row_mut(node).copy_from_slice(unit.row(movie));
    }
    Directions { vectors, node_of_movie, embedded }
}
