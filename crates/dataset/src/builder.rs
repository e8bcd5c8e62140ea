//! Makes a data set, whole or not at all. It knows the tables, not where rows come from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cinedex_domain::{InteractionKind, Movie, MovieId, RatingScale, User, UserId};
use cinedex_storage::{AtomicDirectory, InteractionRow, InteractionWriter, Interner, StorageError};
use cinedex_storage::{sha256_file, write_movies, write_users};

use crate::MODELS_FOLDER;
use crate::edit::link_tree;
use crate::manifest::{Counts, DatasetManifest, FORMAT_VERSION, InputFile, Rejected, Source, TableFile};
use crate::{DataRoot, DatasetError, Rejection};
use crate::{INTERACTIONS_FILE, MANIFEST_FILE, MOVIES_FILE, USERS_FILE};

/// How many rejections are kept as examples.
const EXAMPLES: usize = 20;

/// How an import deals with what is there and with malformed rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportOptions {
    /// Whether an existing data set of the name is replaced. Its models go with it: they were learned from what goes.
    pub replace: bool,
    /// The import fails if more than this share of all rows read is malformed, 0 to 1.
    pub max_rejected_share: f64,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { replace: false, max_rejected_share: 0.01 }
    }
}

/// What an import made.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ImportReport {
    /// The new `dataset.json`.
    pub manifest: DatasetManifest,
    /// The first 20 rejections.
    pub examples: Vec<Rejection>,
    /// Wall-clock time from [`DatasetBuilder::create`] to the end.
    pub seconds: f64,
}

/// Gathers a data set in a temporary directory beside its place. Movies and users stay in memory, interactions stream to disk.
/// Dropped before [`finish`](Self::finish), it leaves nothing.
pub struct DatasetBuilder {
    name: String,
    target: PathBuf,
    options: ImportOptions,
    started: Instant,
    directory: AtomicDirectory,
    movie_rows: Interner,
    movies: Vec<Movie>,
    user_rows: Interner,
    users: Vec<User>,
    interactions: InteractionWriter,
    range_ms: Option<(i64, i64)>,
    ratings: Option<(f32, f32)>,
    scale: Option<RatingScale>,
    rejected: BTreeMap<&'static str, u64>,
    examples: Vec<Rejection>,
    inputs: Vec<InputFile>,
    notices: Vec<String>,
}

impl DatasetBuilder {
    /// Starts a data set. Refuses an invalid name, a share outside 0 to 1, an existing data set unless it is to be replaced,
    /// and in any case a directory of the name that is something else.
    pub fn create(root: &DataRoot, name: &str, options: &ImportOptions) -> Result<Self, DatasetError> {
        let target = root.path_of(name)?;
        if !(0.0..=1.0).contains(&options.max_rejected_share) {
            let found = options.max_rejected_share.to_string();
            let reason = "it is a share of rows, 0 to 1";
            return Err(DatasetError::InvalidOption { name: "the share of rejected rows", found, reason });
        }
        if target.symlink_metadata().is_ok() {
            let empty = fs::read_dir(&target).is_ok_and(|mut entries| entries.next().is_none());
            if !empty && !target.join(MANIFEST_FILE).is_file() {
                let reason =
                    format!("it is in the data set's place and has no {MANIFEST_FILE}; move it away");
                return Err(DatasetError::WrongLayout { path: target, reason });
            }
            if !options.replace {
                return Err(DatasetError::Exists { name: name.to_owned() });
            }
        }
        let directory = AtomicDirectory::create(&target)?;
        let interactions = InteractionWriter::create(&directory.path().join(INTERACTIONS_FILE))?;
        Ok(Self {
            name: name.to_owned(),
            target,
            options: options.clone(),
            started: Instant::now(),
            directory,
            movie_rows: Interner::new(),
            movies: Vec::new(),
            user_rows: Interner::new(),
            users: Vec::new(),
            interactions,
            range_ms: None,
            ratings: None,
            scale: None,
            rejected: BTreeMap::new(),
            examples: Vec::new(),
            inputs: Vec::new(),
            notices: Vec::new(),
        })
    }

    /// Adds a movie; false, and nothing changed, if its id is there already: reject the row then.
    #[must_use = "a repeated id is to be rejected"]
    pub fn add_movie(&mut self, movie: Movie) -> bool {
        let new = self.movie_rows.code(movie.movie_id.as_str()).is_none();
        if new {
            self.movie_rows.intern(movie.movie_id.as_str());
            self.movies.push(movie);
        }
        new
    }

    /// A movie that was added, to complete it from a further file. Its id must stay.
    pub fn movie_mut(&mut self, movie_id: &str) -> Option<&mut Movie> {
        let row = self.movie_rows.code(movie_id)?;
        self.movies.get_mut(row as usize)
    }

    /// Adds a user; false, and nothing changed, if its id is there already: reject the row then.
    #[must_use = "a repeated id is to be rejected"]
    pub fn add_user(&mut self, user: User) -> bool {
        let new = self.user_rows.code(user.user_id.as_str()).is_none();
        if new {
            self.user_rows.intern(user.user_id.as_str());
            self.users.push(user);
        }
        new
    }

    /// Adds an interaction; repeated pairs of user and movie are all kept. Movies and users that are never added are made
    /// from interactions, a movie with its id as title. The row must be sound: ids of 1 to 256 bytes, a finite value, a place
    /// as a `Location` writes itself; reject it otherwise. An error ends the import.
    pub fn add_interaction(&mut self, row: InteractionRow<'_>) -> Result<(), DatasetError> {
        self.interactions.push(row)?;
        if let Some(time) = row.timestamp_ms {
            self.range_ms =
                Some(self.range_ms.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        }
        if let (InteractionKind::Rating, Some(value)) = (row.kind, row.value) {
            self.ratings =
                Some(self.ratings.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
        }
        Ok(())
    }

    /// Reports a malformed row, which is left out.
    pub fn reject(&mut self, rejection: Rejection) {
        *self.rejected.entry(rejection.reason).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(rejection);
        }
    }

    /// Notes a file that the data set is made from, and hashes it.
    pub fn add_input_file(&mut self, path: &Path) -> Result<(), DatasetError> {
        let bytes = fs::metadata(path).map_err(DatasetError::io("inspect", path))?.len();
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.inputs.push(InputFile { file, sha256: sha256_file(path)?, bytes });
        Ok(())
    }

    /// Notes an input that is not a plain file, for example a zip's entry, hashed by the caller.
    pub fn add_input(&mut self, input: InputFile) {
        self.inputs.push(input);
    }

    /// Adds a sentence that a reader of the data set should know.
    pub fn add_notice(&mut self, notice: impl Into<String>) {
        self.notices.push(notice.into());
    }

    /// Sets the scale of ratings. Without it, it is the range seen, or half a star to five stars where nothing or only one
    /// value was seen.
    pub fn set_rating_scale(&mut self, scale: RatingScale) {
        self.scale = Some(scale);
    }

    /// Writes the tables and `dataset.json` and puts them in place. Refuses too many rejected rows, and a source without an
    /// interaction; nothing is stored then.
    pub fn finish(mut self, source: Source) -> Result<ImportReport, DatasetError> {
        self.check_rejected()?;
        if self.interactions.row_count() == 0 {
            return Err(DatasetError::NoInteractions { path: self.target });
        }
        let counts = self.complete();
        self.movies.sort_unstable_by(|left, right| left.movie_id.cmp(&right.movie_id));
        self.users.sort_unstable_by(|left, right| left.user_id.cmp(&right.user_id));
        write_movies(&self.directory.path().join(MOVIES_FILE), &self.movies)?;
        write_users(&self.directory.path().join(USERS_FILE), &self.users)?;
        self.interactions.finish()?;
        let manifest = DatasetManifest {
            format_version: FORMAT_VERSION,
            name: self.name.clone(),
            source,
            created: now(),
            counts,
            rating_scale: self.scale.unwrap_or_else(|| seen_scale(self.ratings)),
            interaction_range_ms: self.range_ms,
            inputs: self.inputs,
            tables: describe_tables(self.directory.path())?,
            rejected: Rejected {
                total: self.rejected.values().sum(),
                by_reason: self.rejected.iter().map(|(&reason, &count)| (reason.to_owned(), count)).collect(),
            },
            notices: self.notices,
        };
        write_manifest(self.directory.path(), &manifest)?;
        let committed = if self.options.replace {
            keep_models(&self.target, self.directory.path())?;
            self.directory.commit_replace()
        } else {
            self.directory.commit_new()
        };
        match committed {
            Ok(_) => {}
            Err(StorageError::TargetExists { .. }) => return Err(DatasetError::Exists { name: self.name }),
            Err(error) => return Err(error.into()),
        }
        let seconds = self.started.elapsed().as_secs_f64();
        Ok(ImportReport { manifest, examples: self.examples, seconds })
    }

    fn check_rejected(&mut self) -> Result<(), DatasetError> {
        let rejected: u64 = self.rejected.values().sum();
        let rows = rejected + (self.movies.len() + self.users.len()) as u64 + self.interactions.row_count();
        let too_many = rejected as f64 > self.options.max_rejected_share * rows as f64;
        let Some(first) = self.examples.first().filter(|_| too_many) else { return Ok(()) };
        Err(DatasetError::TooManyRejected {
            rejected,
            rows,
            max_rejected_share: self.options.max_rejected_share,
            first: Box::new(first.clone()),
            examples: std::mem::take(&mut self.examples),
        })
    }

    /// Adds the movies and users that only interactions name.
    fn complete(&mut self) -> Counts {
        for id in self.interactions.movies().iter().filter(|id| self.movie_rows.code(id).is_none()) {
            let movie_id = MovieId::new(id).expect("the writer checks ids");
            self.movies.push(Movie::new(movie_id, id));
        }
        for id in self.interactions.users().iter().filter(|id| self.user_rows.code(id).is_none()) {
            self.users.push(User::new(UserId::new(id).expect("the writer checks ids")));
        }
        Counts {
            movies: self.movies.len() as u64,
            users: self.users.len() as u64,
            interactions: self.interactions.row_count(),
            rated_movies: self.interactions.movies().len() as u64,
        }
    }
}

/// Models may have been trained elsewhere and cannot be made again here: a data set that is replaced hands them on.
fn keep_models(old: &Path, new: &Path) -> Result<(), DatasetError> {
    let (from, to) = (old.join(MODELS_FOLDER), new.join(MODELS_FOLDER));
    if !from.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(&to).map_err(DatasetError::io("create", &to))?;
    link_tree(&from, &to, &[])
}

/// The present, RFC 3339 UTC in whole seconds.
pub(crate) fn now() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// Checksum and length of the three tables in `directory`.
pub(crate) fn describe_tables(directory: &Path) -> Result<BTreeMap<String, TableFile>, DatasetError> {
    let mut tables = BTreeMap::new();
    for file in [MOVIES_FILE, USERS_FILE, INTERACTIONS_FILE] {
        let path = directory.join(file);
        let bytes = fs::metadata(&path).map_err(DatasetError::io("inspect", &path))?.len();
        tables.insert(file.to_owned(), TableFile { sha256: sha256_file(&path)?, bytes });
    }
    Ok(tables)
}

/// Writes `dataset.json`, indented for people.
pub(crate) fn write_manifest(directory: &Path, manifest: &DatasetManifest) -> Result<(), DatasetError> {
    let path = directory.join(MANIFEST_FILE);
    let mut text =
        serde_json::to_string_pretty(manifest).expect("a manifest has only string keys and finite numbers");
    text.push('\n');
    fs::write(&path, text).map_err(DatasetError::io("write", &path))
}

fn seen_scale(seen: Option<(f32, f32)>) -> RatingScale {
    seen.and_then(|(lowest, highest)| RatingScale::new(lowest, highest).ok())
        .unwrap_or(RatingScale::FIVE_STARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    fn row<'a>(user_id: &'a str, movie_id: &'a str) -> InteractionRow<'a> {
        let (value, timestamp_ms) = (Some(4.0), Some(5));
        InteractionRow {
            user_id,
            movie_id,
            kind: InteractionKind::Rating,
            value,
            timestamp_ms,
            location: None,
        }
    }

    fn source() -> Source {
        Source { kind: "test".into(), title: "Test".into(), licence: String::new(), url: None }
    }

    fn root() -> (tempfile::TempDir, DataRoot) {
        let folder = tempfile::tempdir().unwrap();
        let root = DataRoot::new(folder.path().join("data"));
        (folder, root)
    }

    fn names(root: &DataRoot) -> Vec<String> {
        let entries = fs::read_dir(root.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn movies_and_users_that_only_interactions_name_are_made() {
        let (_folder, root) = root();
        let mut builder = DatasetBuilder::create(&root, "set", &ImportOptions::default()).unwrap();
        assert!(builder.add_movie(Movie::new(MovieId::new("10").unwrap(), "Ten")));
        assert!(!builder.add_movie(Movie::new(MovieId::new("10").unwrap(), "Again")));
        assert!(builder.add_user(User::new(UserId::new("b").unwrap())));
        assert!(!builder.add_user(User::new(UserId::new("b").unwrap())));
        builder.movie_mut("10").unwrap().year = Some(2010);
        assert!(builder.movie_mut("2").is_none());
        for (user, movie) in [("a", "2"), ("a", "2"), ("b", "10")] {
            builder.add_interaction(row(user, movie)).unwrap();
        }
        builder
            .add_interaction(InteractionRow { value: Some(1.0), timestamp_ms: Some(-7), ..row("b", "9") })
            .unwrap();
        let report = builder.finish(source()).unwrap();
        let expect = Counts { movies: 3, users: 2, interactions: 4, rated_movies: 3 };
        assert_eq!((report.manifest.counts, report.manifest.interaction_range_ms), (expect, Some((-7, 5))));
        assert_eq!(report.manifest.rating_scale, RatingScale::new(1.0, 4.0).unwrap());
        assert_eq!(root.list().unwrap(), [report.manifest]);
        let dataset = Dataset::load(&root, "set").unwrap();
        let titles: Vec<&str> = dataset.movies.iter().map(|movie| movie.title.as_str()).collect();
        assert_eq!(titles, ["2", "9", "Ten"]);
        assert_eq!(dataset.interactions.movies.iter().map(|movie| movie.0).collect::<Vec<_>>(), [0, 0, 2, 1]);
        assert_eq!(dataset.interactions.users.iter().map(|user| user.0).collect::<Vec<_>>(), [0, 0, 1, 1]);
    }

    #[test]
    fn a_dropped_or_refused_import_leaves_nothing() {
        let (_folder, root) = root();
        drop(DatasetBuilder::create(&root, "set", &ImportOptions::default()).unwrap());
        let builder = DatasetBuilder::create(&root, "set", &ImportOptions::default()).unwrap();
        assert!(matches!(builder.finish(source()), Err(DatasetError::NoInteractions { .. })));
        assert!(names(&root).is_empty());
    }

    #[test]
    fn an_existing_data_set_is_replaced_only_on_demand() {
        let (_folder, root) = root();
        let import = |replace, movie: &str| {
            let options = ImportOptions { replace, ..ImportOptions::default() };
            let mut builder = DatasetBuilder::create(&root, "set", &options)?;
            builder.add_interaction(row("a", movie))?;
            builder.finish(source())
        };
        import(false, "old").unwrap();
        assert!(matches!(import(false, "new"), Err(DatasetError::Exists { .. })));
        assert_eq!(Dataset::load(&root, "set").unwrap().movies[0].title, "old");
        let options = ImportOptions { replace: true, ..ImportOptions::default() };
        assert!(DatasetBuilder::create(&root, "set", &options).unwrap().finish(source()).is_err());
        assert_eq!(Dataset::load(&root, "set").unwrap().movies[0].title, "old");
        import(true, "new").unwrap();
        assert_eq!(Dataset::load(&root, "set").unwrap().movies[0].title, "new");
        assert_eq!(names(&root), ["set"]);
    }

    #[test]
    fn two_imports_of_one_name_do_not_overwrite_each_other() {
        let (_folder, root) = root();
        let start = || {
            let mut builder = DatasetBuilder::create(&root, "set", &ImportOptions::default()).unwrap();
            builder.add_interaction(row("a", "1")).unwrap();
            builder
        };
        let (first, second) = (start(), start());
        first.finish(source()).unwrap();
        assert!(matches!(second.finish(source()), Err(DatasetError::Exists { .. })));
    }

    #[test]
    fn a_directory_that_is_no_data_set_is_never_replaced() {
        let (_folder, root) = root();
        fs::create_dir_all(root.path().join("photos")).unwrap();
        fs::write(root.path().join("photos/cat.jpg"), "x").unwrap();
        let options = ImportOptions { replace: true, ..ImportOptions::default() };
        assert!(matches!(
            DatasetBuilder::create(&root, "photos", &options),
            Err(DatasetError::WrongLayout { .. })
        ));
    }

    fn check_rejected(rejected: u64, accepted: u64, share: f64, expect: bool) {
        let (_folder, root) = root();
        let options = ImportOptions { max_rejected_share: share, ..ImportOptions::default() };
        let mut builder = DatasetBuilder::create(&root, "set", &options).unwrap();
        (0..accepted).for_each(|_| builder.add_interaction(row("a", "1")).unwrap());
        (0..rejected).for_each(|line| {
            builder.reject(Rejection::new("r.csv", line + 2, "rating", "not a number", "x"));
        });
        match builder.finish(source()) {
            Ok(report) => {
                assert!(expect, "{rejected} of {}", accepted + rejected);
                assert_eq!(report.manifest.rejected.total, rejected);
                assert_eq!(report.examples.len() as u64, rejected.min(20));
                assert_eq!(report.manifest.rejected.by_reason.values().sum::<u64>(), rejected);
            }
            Err(DatasetError::TooManyRejected { rejected: found, rows, examples, .. }) => {
                assert!(!expect && names(&root).is_empty());
                assert_eq!((found, rows), (rejected, accepted + rejected));
                assert_eq!(examples.len() as u64, rejected.min(20));
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn more_rejected_rows_than_allowed_fail_the_import() {
        check_rejected(0, 1, 0.0, true);
        check_rejected(1, 99, 0.01, true);
        check_rejected(2, 98, 0.01, false);
        check_rejected(25, 75, 0.25, true);
        check_rejected(1, 1000, 0.0, false);
        check_rejected(30, 0, 0.5, false);
    }

    #[test]
    fn a_share_is_between_0_and_1() {
        let (_folder, root) = root();
        for share in [-0.1, 1.1, f64::NAN] {
            let options = ImportOptions { max_rejected_share: share, ..ImportOptions::default() };
            assert!(DatasetBuilder::create(&root, "set", &options).is_err());
        }
    }
}
