//! What could not be stored or read back, with the path and, where there is one, the row.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// Why a table, file or directory could not be stored or read. Every variant names its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `open`, `create`, `rename`…
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Not a Parquet file, or a truncated or damaged one.
    #[error("{} is not a readable parquet file: {source}; make it again", path.display())]
    UnreadableTable {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A table could not be encoded or written.
    #[error("cannot write the table {}: {source}", path.display())]
    UnwritableTable {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A column that must be there is not.
    #[error("{} has no column \"{column}\"; its columns are: {}", path.display(), found.join(", "))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that was looked for.
        column: String,
        /// The columns that are there.
        found: Vec<String>,
    },
    /// A column is of a type that cannot hold its meaning.
    #[error("column \"{column}\" of {} is {found}, expected {expected}", path.display())]
    WrongColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The types that are accepted.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// A value that its column may not hold.
    #[error("row {row} of {}, column \"{column}\": {reason}", path.display())]
    InvalidValue {
        /// The file.
        path: PathBuf,
        /// Row in the file, from 1.
        row: u64,
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An embedding with a component that is NaN or infinite.
    #[error("the embedding of \"{id}\" in {} has component {component} = {value}; every component must be finite", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Whose embedding.
        id: String,
        /// Which component, from 0.
        component: usize,
        /// The value.
        value: f64,
    },
    /// An embedding of another length than those before it.
    #[error("row {row} of {} (id \"{id}\") has an embedding of {found} components, those before have {expected}", path.display())]
    WrongDimension {
        /// The file.
        path: PathBuf,
        /// Row in the file, from 1.
        row: u64,
        /// Whose embedding.
        id: String,
        /// Components of the embeddings before.
        expected: usize,
        /// Components of this one.
        found: usize,
    },
    /// An id that occurs twice in a table of unique ids.
    #[error("id \"{id}\" occurs twice, in row {row} of {} for the second time", path.display())]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// Row in the file, from 1.
        row: u64,
        /// The id.
        id: String,
    },
    /// A table or directory of part files without a row.
    #[error("{} holds no rows", path.display())]
    EmptyTable {
        /// The file or directory.
        path: PathBuf,
    },
    /// A directory that would be overwritten.
    #[error("{} exists already; nothing was changed", path.display())]
    TargetExists {
        /// The directory.
        path: PathBuf,
    },
}

impl StorageError {
    /// For `map_err`: the system refused `action` on `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err`: the decoder refused the table at `path`.
    pub(crate) fn unreadable<E: Error + Send + Sync + 'static>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::UnreadableTable { path, source: Box::new(source) }
    }

    /// For `map_err`: the encoder refused the table at `path`.
    pub(crate) fn unwritable<E: Error + Send + Sync + 'static>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::UnwritableTable { path, source: Box::new(source) }
    }
}
