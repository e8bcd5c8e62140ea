//! What could not be learned, judged, stored or read.

use std::error::Error;
use std::path::PathBuf;

use cinedex_domain::DomainError;
use cinedex_storage::StorageError;

/// Why a model could not be trained, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A hyper-parameter outside its range.
    #[error("{name} is {found}: it must be {expected}")]
    InvalidParameter {
        /// Name of the field.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A table that is not the one that `model.json` was written with.
    #[error("{} has sha256 {found}, model.json says {expected}: it was altered; train again, or take the entry out of \"tables\"", path.display())]
    AlteredTable {
        /// The table.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// That of `model.json`.
        expected: String,
    },
    /// Nobody likes anything in the data.
    #[error(
        "there is nothing to learn from: no positive preference among {entries} entries; check the rating scale"
    )]
    NothingToLearn {
        /// Preferences there are, all of them negative.
        entries: usize,
    },
    /// A preference that is not a number, or larger than any.
    #[error(
        "the preference of user row {user} for movie row {movie} is {found}: it must be a number of size up to 10000"
    )]
    SenselessPreference {
        /// Row of the user.
        user: usize,
        /// Row of the movie.
        movie: usize,
        /// The preference.
        found: f32,
    },
    /// A state to go on from that belongs to another training.
    #[error("cannot go on: users and movies have (rows, dimension) {found:?}, expected {expected:?}")]
    UnfitState {
        /// Rows and dimension of users and of movies in the state.
        found: ((usize, usize), (usize, usize)),
        /// What this training has.
        expected: ((usize, usize), (usize, usize)),
    },
    /// A catalogue beyond what a model of all pairs of movies can hold.
    #[error(
        "ease weighs every pair of movies, and {found} movies are more than the {most} that memory is meant for: \
         leave out movies that few people saw, or use ials"
    )]
    TooManyMovies {
        /// Movies there are.
        found: usize,
        /// The most there may be.
        most: usize,
    },
    /// A closed form that single precision cannot solve.
    #[error(
        "the equations of ease cannot be solved at regularization {regularization}: raise the regularization"
    )]
    IllConditioned {
        /// The regularisation.
        regularization: f32,
    },
    /// Training was told to stop.
    #[error("training was cancelled")]
    Cancelled,
    /// The factors are no longer numbers.
    #[error("training diverged in epoch {epoch}: raise the regularization")]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
    },
    /// The system gave no threads.
    #[error("cannot start {threads} threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Tables or directories.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// `model.json` could not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// `model.json` is not what it should be.
    #[error("{} is not a model manifest: {source}", path.display())]
    MalformedManifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// `model.json` of another version.
    #[error("{} has format version {found}, this program reads {expected}: train the model again", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u64,
        /// Version that is read.
        expected: u32,
    },
    /// Embeddings that do not fit together.
    #[error("{} has embeddings of {found} numbers, expected {expected} as in {reference}", path.display())]
    UnequalDimensions {
        /// The file.
        path: PathBuf,
        /// Length found.
        found: usize,
        /// Length expected.
        expected: usize,
        /// Where the expectation comes from.
        reference: &'static str,
    },
    /// An id that cannot be one.
    #[error("{} has an unusable id", path.display())]
    UnusableId {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: DomainError,
    },
}
