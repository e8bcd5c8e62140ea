//! `dataset.json`: what a data set says about itself.

use std::collections::BTreeMap;

use cinedex_domain::RatingScale;
use serde::{Deserialize, Serialize};

/// The version of `dataset.json` and of the tables beside it that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// `dataset.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetManifest {
    /// Version of the format, see [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The data set's name, which is its directory's.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// When it was imported, RFC 3339 UTC.
    pub created: String,
    /// Rows of its tables.
    pub counts: Counts,
    /// The scale of ratings.
    pub rating_scale: RatingScale,
    /// Milliseconds UTC of the first and last interaction with a time; `None` if none has one.
    pub interaction_range_ms: Option<(i64, i64)>,
    /// The files it was made from.
    pub inputs: Vec<InputFile>,
    /// The tables, by file name.
    pub tables: BTreeMap<String, TableFile>,
    /// Rows that were left out.
    pub rejected: Rejected,
    /// What a reader should know, in sentences: for example users without a place.
    pub notices: Vec<String>,
}

impl DatasetManifest {
    /// A sha256 that stands for the whole data set in a bundle: it changes with any table.
    pub fn tables_sha256(&self) -> String {
        let all: Vec<&str> = self.tables.values().map(|table| table.sha256.as_str()).collect();
        cinedex_storage::sha256_bytes(all.concat().as_bytes())
    }

    /// The sha256 that stands for the data set in `model.json`: that of its interactions, so that facts of films may change.
    pub fn sha256(&self) -> &str {
        self.tables.get(crate::INTERACTIONS_FILE).map_or("", |table| table.sha256.as_str())
    }
}

/// Where a data set comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// A short word: `movielens-25m`, `csv`, `parquet`, `demo`.
    pub kind: String,
    /// A title to show.
    pub title: String,
    /// The licence, and what must be shown or is forbidden; empty if unknown.
    pub licence: String,
    /// Where it is published.
    pub url: Option<String>,
}

/// Rows of the tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Movies, with or without interactions.
    pub movies: u64,
    /// Users, with or without interactions.
    pub users: u64,
    /// Interactions, repeated pairs included.
    pub interactions: u64,
    /// Movies with at least one interaction.
    pub rated_movies: u64,
}

/// A file that a data set was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Its name, without the path of the machine that imported it.
    pub file: String,
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Length.
    pub bytes: u64,
}

/// A table of the data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Length.
    pub bytes: u64,
}

/// Rows that were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// In all.
    pub total: u64,
    /// By reason.
    pub by_reason: BTreeMap<String, u64>,
}
