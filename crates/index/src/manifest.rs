//! `manifest.json`: what a bundle is, where it came from, what was measured, and every file with its checksums.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cinedex_domain::ModelSettings;
use serde::{Deserialize, Serialize};

use crate::bundle::FILES;
use crate::error::{Fault, excerpt};
use crate::{BuildOptions, Calibration, IndexError, Provenance, Version};

/// The format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 3;

/// The manifest's name in a bundle.
pub(crate) const MANIFEST: &str = "manifest.json";

/// A longer manifest is not read.
const LARGEST_MANIFEST_BYTES: u64 = 16 << 20;

/// The first document of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] when it was written.
    pub format_version: u32,
    /// When, RFC 3339 in UTC.
    pub created: String,
    /// Data set and model, with their SHA-256.
    pub inputs: Provenance,
    /// How the model is served.
    pub settings: ModelSettings,
    /// What the graph was built with.
    pub parameters: BuildOptions,
    /// How much of everything there is.
    pub counts: Counts,
    /// What building took.
    pub build: BuildFigures,
    /// What was measured on the finished index, and what follows for the planner.
    pub calibration: Calibration,
    /// Every other file of the bundle by name.
    pub files: BTreeMap<String, FileEntry>,
}

/// How much of everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Movies of the catalogue.
    pub movies: u64,
    /// Of these, how many have an embedding.
    pub embedded_movies: u64,
    /// Of these, those whose vectors the Gramian and the mean are of.
    pub spread_movies: u64,
    /// Users.
    pub users: u64,
    /// Entries of all histories.
    pub history_entries: u64,
    /// Places, the world included.
    pub places: u64,
    /// Distinct directions among the embeddings of movies, the nodes of the graph.
    pub graph_nodes: u64,
    /// Links of the graph's lowest layer.
    pub graph_links: u64,
    /// Nodes that the finished graph could not reach and that were linked.
    pub relinked_nodes: u64,
}

/// What building took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildFigures {
    /// Seconds for the graph.
    pub graph_seconds: f64,
    /// Seconds for writing all files.
    pub write_seconds: f64,
    /// Seconds for measuring.
    pub calibration_seconds: f64,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// XXH3 of 64 bits, hex, of the header, which has the checksum of every section.
    pub xxh3: String,
}

impl Manifest {
    /// The bytes that are written and that name the version.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("numbers and strings always serialize");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the manifest in `directory` and holds it against the version's name.
    pub(crate) fn read(directory: &Path, version: &Version) -> Result<Self, IndexError> {
        let path = directory.join(MANIFEST);
        let bytes = read_bounded(&path)?;
        // The format comes first: an older manifest deserves its remedy, whatever else it holds.
        let malformed = |error: serde_json::Error| {
            IndexError::damaged(&path, Fault::MalformedManifest { reason: error.to_string() })
        };
        let Format { format_version } = serde_json::from_slice(&bytes).map_err(malformed)?;
        check_format(&path, format_version)?;
        if !cinedex_storage::sha256_bytes(&bytes).starts_with(version.hash()) {
            return Err(IndexError::damaged(&path, Fault::ManifestHash));
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(malformed)?;
        // Names become paths: only those that this program gives.
        match manifest.files.keys().find(|name| !FILES.contains(&name.as_str())) {
            Some(name) => {
                let reason = format!("unknown file {:?}", excerpt(name));
                Err(IndexError::damaged(&path, Fault::MalformedManifest { reason }))
            }
            None => Ok(manifest),
        }
    }
}

/// Compares a format version with the one that is read.
pub(crate) fn check_format(path: &Path, found: u32) -> Result<(), IndexError> {
    let (path, expected) = (path.to_owned(), FORMAT_VERSION);
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(IndexError::OlderFormat { path, found, expected }),
        std::cmp::Ordering::Greater => Err(IndexError::NewerFormat { path, found, expected }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

#[derive(Deserialize)]
struct Format {
    format_version: u32,
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, IndexError> {
    let size = file_size(path)?;
    if size > LARGEST_MANIFEST_BYTES {
        return Err(IndexError::damaged(path, Fault::Size { expected: LARGEST_MANIFEST_BYTES, found: size }));
    }
    fs::read(path).map_err(|source| IndexError::io("read", path, source))
}

/// The size of a regular file, not following links.
pub(crate) fn file_size(path: &Path) -> Result<u64, IndexError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(_) => Err(IndexError::damaged(path, Fault::NotAFile)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(IndexError::damaged(path, Fault::Missing))
        }
        Err(source) => Err(IndexError::io("read", path, source)),
    }
}
