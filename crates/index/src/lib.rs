//! What a server loads: the bundle, a directory of checksummed flat files that is written whole, verified, memory-mapped
//! and never changed. It answers which movies are nearest ([`Bundle::similar`], [`Bundle::for_user`]), which users are of like
//! taste ([`Bundle::user_neighbors`]), which movies a filter allows ([`Bundle::filter`]) and what is popular where
//! ([`PopularityIndex`]). It knows nothing of requests, training or data sets.
//!
//! - [`build`] makes a bundle from a [`BundleInput`] and measures it; it does not make it live.
//! - [`IndexRoot`] is the directory of all versions, of the `CURRENT` pointer and of the `HISTORY` of what was live.
//! - [`Bundle`] is one open version, immutable and shared between threads.
//!
//! For-user is maximum inner product, similar is cosine; see [`Retrieval`] for which index answered.
//!
//! ```
//! use cinedex_domain::{MovieFilter, MovieIndex};
//! use cinedex_index::{IndexError, IndexRoot};
//!
//! fn nearest(root: &IndexRoot, movie_id: &str) -> Result<Vec<String>, IndexError> {
//!     let (bundle, _refused) = root.open_current_or_last_good()?;
//!     let Some(movie) = bundle.movie_index(movie_id) else { return Ok(Vec::new()) };
//!     let drama = MovieFilter { genres_any: vec!["Drama".into()], ..MovieFilter::default() };
//!     let found = bundle.similar(movie, 10, &bundle.filter(&drama)?);
//!     Ok(found.items.iter().map(|hit| bundle.movie(MovieIndex(hit.index)).title().to_owned()).collect())
//! }
//! # let root = IndexRoot::new(std::env::temp_dir().join("cinedex-no-such-index"));
//! # assert!(nearest(&root, "318").is_err());
//! ```

mod allowed;
mod beam;
mod build;
mod bundle;
mod calibrate;
mod calibration;
mod catalogue;
mod container;
mod error;
mod filters;
mod freeze;
mod graph;
mod history;
mod hnsw;
mod input;
mod lists;
mod manifest;
mod mapping;
mod nearest;
mod numbers;
mod planner;
mod popularity;
mod refine;
mod root;
mod scan;
mod searcher;
#[cfg(test)]
mod tests;
mod text;
mod users;
mod version;

pub use allowed::Allowed;
pub use build::{BuildOptions, BuildReport, build};
pub use bundle::{Bundle, History, Retrieval, Retrieved, Spread};
pub use calibration::{Breadth, Calibration, Cell, FilterKind, GraphFigures, Measured};
pub use catalogue::MovieView;
pub use error::{Fault, IndexError, InputFault, UnknownGenre};
pub use input::{BundleInput, Histories, Place, PlacePopularity, Provenance, SpreadInput};
pub use lists::Names;
pub use manifest::{BuildFigures, Counts, FORMAT_VERSION, FileEntry, Manifest};
pub use planner::{CostCurve, CostPoint, Planner, Strategy};
pub use popularity::{Added, PlaceIndex, PopularityIndex, ResolvedPlace};
pub use root::{CurrentStamp, IndexRoot, VerifyReport, VersionSummary};
pub use version::Version;
