//! Films, people and what they did: from published or own files to a data set under `data/`. It knows nothing of training and
//! serving.
//!
//! Principal types: [`DataRoot`] names data sets, [`DatasetBuilder`] is how every importer makes one (whole or not at all),
//! [`Dataset`] is one in memory. Importers: [`import_movielens`], [`import_table`] (an app's own CSV or Parquet),
//! [`demo::import_demo`]; [`enrich_imdb`] completes one, [`split`] divides one.
//!
//! ```
//! use cinedex_dataset::{DataRoot, Dataset, ImportOptions, TableFormat, TableImport, import_table};
//!
//! # let folder = tempfile::tempdir()?;
//! let events = folder.path().join("ratings.csv");
//! std::fs::write(&events, "userId,movieId,rating,timestamp\n1,318,5.0,964982703\n1,50,3.5,964982704\n")?;
//! let root = DataRoot::new(folder.path().join("data"));
//! let import = TableImport::new(TableFormat::Csv { delimiter: b',', header: true }, vec![events]);
//! let report = import_table(&root, "mine", &import, &ImportOptions::default(), &cinedex_domain::silent)?;
//! assert_eq!(report.manifest.counts.interactions, 2);
//! let dataset = Dataset::load(&root, "mine")?;
//! assert_eq!(dataset.movies[dataset.interactions.movies[0].row()].movie_id.as_str(), "318");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod builder;
mod coverage;
mod csv_records;
pub mod demo;
mod download;
mod edit;
mod error;
mod imdb;
mod live;
mod load;
mod manifest;
mod movielens;
mod opinions;
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
pub use live::LiveChanges;
pub use load::{Dataset, Interactions};
pub use manifest::{Counts, DatasetManifest, FORMAT_VERSION, InputFile, Rejected, Source, TableFile};
pub use movielens::{MovieLensOptions, import_movielens};
pub use opinions::Opinions;
pub use rejection::Rejection;
pub use root::DataRoot;
pub use table_import::{TableFormat, TableImport, TimeUnit, import_table};

/// The file of a data set that holds its manifest.
pub const MANIFEST_FILE: &str = "dataset.json";
/// The table of movies.
pub const MOVIES_FILE: &str = "movies.parquet";
/// The table of users.
pub const USERS_FILE: &str = "users.parquet";
/// The folder of a data set that holds its models.
pub const MODELS_FOLDER: &str = "models";
/// The table of interactions.
pub const INTERACTIONS_FILE: &str = "interactions.parquet";
