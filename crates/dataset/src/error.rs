//! What kept a data set from being made, found or read.

use std::io;
use std::path::{Path, PathBuf};

use cinedex_storage::StorageError;

use crate::Rejection;

/// Why a data set could not be made, found or read. Nothing already stored is lost by any of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A table or directory could not be stored or read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `open`, `read`…
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A name that no data set may have.
    #[error("\"{name}\" cannot name a data set: use 1 to 64 of a-z 0-9 . _ -, the first a letter or digit")]
    InvalidName {
        /// The name, cut to a printable length.
        name: String,
    },
    /// A data set whose directory leads out of the data root.
    #[error("{} is a link out of the data root", path.display())]
    OutsideRoot {
        /// The path.
        path: PathBuf,
    },
    /// No data set of this name.
    #[error("there is no data set \"{name}\" in {}; see cinedex dataset list", root.display())]
    NotFound {
        /// The name asked for.
        name: String,
        /// The root searched.
        root: PathBuf,
    },
    /// A data set of this name is there, and replacing it was not asked for.
    #[error("the data set \"{name}\" exists already; use --replace to replace it, or another --name")]
    Exists {
        /// The name.
        name: String,
    },
    /// A `dataset.json` that is not one, or is of another version.
    #[error("{} is not a data set's manifest: {reason}; import the data set again", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A table that is not the one that was imported.
    #[error("{} is damaged or was changed after the import: its {what} is {found}, expected {expected}; import it again with --replace", path.display())]
    DamagedTable {
        /// The file.
        path: PathBuf,
        /// What does not agree.
        what: &'static str,
        /// As `dataset.json` has it.
        expected: String,
        /// As the file has it.
        found: String,
    },
    /// A folder or file that is not laid out as the importer needs it.
    #[error("{} is not laid out as expected: {reason}", path.display())]
    WrongLayout {
        /// The folder or file.
        path: PathBuf,
        /// What was missing or superfluous, and what would do.
        reason: String,
    },
    /// A column that a flag or the layout names is not in the file.
    #[error("{} has no column \"{column}\" for the {role}; its columns are: {}", path.display(), found.join(", "))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// What it would mean.
        role: &'static str,
        /// The columns that are there.
        found: Vec<String>,
    },
    /// More rows were malformed than is allowed; nothing was stored.
    #[error(
        "{rejected} of {rows} rows were rejected, more than {:.3} %; nothing was stored; first: {first}; \
         raise --max-rejected to go on without them", max_rejected_share * 100.0
    )]
    TooManyRejected {
        /// Rows rejected.
        rejected: u64,
        /// Rows read in all.
        rows: u64,
        /// The share that is allowed.
        max_rejected_share: f64,
        /// The first rejection.
        first: Box<Rejection>,
        /// The first 20, the first included.
        examples: Vec<Rejection>,
    },
    /// A source without a single interaction.
    #[error("{} holds no interactions, so there is nothing to learn from", path.display())]
    NoInteractions {
        /// The data set's directory that would have been.
        path: PathBuf,
    },
    /// A setting that cannot be.
    #[error("{name} cannot be {found}: {reason}")]
    InvalidOption {
        /// The setting.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        reason: &'static str,
    },
    /// An archive that climbs out, is too large, encrypted or damaged.
    #[error("{} is not an archive that can be imported: {reason}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A download that failed or whose bytes are not the published ones.
    #[error("cannot download {url}: {reason}")]
    Download {
        /// The address.
        url: String,
        /// What went wrong, with the remedy.
        reason: String,
    },
    /// A split that leaves nothing to learn from or to be judged on.
    #[error("{} cannot be split: {reason}", name)]
    Split {
        /// The data set or file.
        name: String,
        /// What is missing.
        reason: String,
    },
    /// A malformed row where none may be skipped.
    #[error("{rejection}")]
    MalformedRow {
        /// The row.
        rejection: Box<Rejection>,
    },
}

impl DatasetError {
    /// For `map_err`: the system refused `action` on `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
