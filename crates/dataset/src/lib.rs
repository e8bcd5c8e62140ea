//! Films, people and what they did: from published or own files to a data set under `data/`.

mod archive;
mod builder;
mod coverage;
mod csv_records;
pub mod demo;
mod download;
mod edit;
mod error;
mod imdb;
mod load;
mod manifest;
mod movielens;
mod places;
mod rejection;
mod root;
pub mod split;
mod table_import;
mod titles;

pub use archive::ArchiveLimits;
pub use builder::{DatasetBuilder, ImportOptions, ImportReport};
pub use coverage::{Coverage, FieldCoverage};
pub use download::{DownloadOptions, DownloadReport, GROUPLENS_URL, PUBLICATIONS, Publication, download};
pub use edit::DatasetEdit;
pub use error::DatasetError;
pub use imdb::{EnrichReport, EnrichedFile, enrich_imdb};
pub use load::{Dataset, Interactions};
pub use manifest::{Counts, DatasetManifest, FORMAT_VERSION, InputFile, Rejected, Source, TableFile};
pub use movielens::{MovieLensOptions, import_movielens};
pub use rejection::Rejection;
pub use root::DataRoot;
pub use table_import::{TableFormat, TableImport, TimeUnit, import_table};

/// The file of a data set that holds its manifest.
pub const MANIFEST_FILE: &str = "dataset.json";
/// The table of movies.
pub const MOVIES_FILE: &str = "movies.parquet";
/// The table of users.
pub const USERS_FILE: &str = "users.parquet";
/// The table of interactions.
pub const INTERACTIONS_FILE: &str = "interactions.parquet";
