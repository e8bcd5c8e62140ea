//! The directory of all versions and the `CURRENT` pointer: what is there, what is live, and how that changes.

use std::fs;
use std::path::{Path, PathBuf};

use cinedex_storage::{sha256_file, write_file_atomically};

use crate::calibrate::calibrate;
use crate::error::{Fault, excerpt};
use crate::manifest::{MANIFEST, file_size};
use crate::{Bundle, Calibration, IndexError, Manifest, Version};

/// The pointer's name.
const CURRENT: &str = "CURRENT";
/// A longer pointer is not one.
const LARGEST_POINTER_BYTES: u64 = 1024;
/// By how much recall may differ when it is measured again: the graph is the same, but only as good as its queries are many.
const RECALL_TOLERANCE: f64 = 0.02;

/// The directory of all versions. What is not named like a version is none of its business: a sub-root, a note, a temporary
/// directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRoot {
    path: PathBuf,
}

/// One line of the list of versions.
#[derive(Debug)]
pub struct VersionSummary {
    /// Its name.
    pub version: Version,
    /// Whether `CURRENT` names it.
    pub live: bool,
    /// Size of all its files as the manifest records it; 0 if the manifest is unreadable.
    pub bytes: u64,
    /// Its manifest, or why it cannot be read.
    pub manifest: Result<Manifest, IndexError>,
}

/// What verifying found: everything is as it was built.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyReport {
    /// What was verified.
    pub version: Version,
    /// Files whose SHA-256 was compared.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// Measured again, with the same queries.
    pub calibration: Calibration,
}

impl IndexRoot {
    /// A directory, which need not exist until something is built.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All versions, newest first; none if the directory does not exist. Only manifests are read.
    pub fn versions(&self) -> Result<Vec<VersionSummary>, IndexError> {
        let live = self.current().ok().flatten();
        let summary = |version: Version| {
            let manifest = Manifest::read(&self.directory(&version), &version);
            let files = manifest.iter().flat_map(|manifest| manifest.files.values());
            let bytes = files.map(|file| file.bytes).sum();
            VersionSummary { live: live.as_ref() == Some(&version), version, bytes, manifest }
        };
        Ok(self.names()?.into_iter().map(summary).collect())
    }

    /// The live version; `None` if none was ever activated. A pointer that names no version is an error.
    pub fn current(&self) -> Result<Option<Version>, IndexError> {
        let path = self.path.join(CURRENT);
        match file_size(&path) {
            Err(IndexError::Damaged { fault: Fault::Missing, .. }) => return Ok(None),
            Err(error) => return Err(error),
            Ok(found) if found > LARGEST_POINTER_BYTES => {
                return Err(IndexError::damaged(
                    &path,
                    Fault::Size { expected: LARGEST_POINTER_BYTES, found },
                ));
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&path).map_err(|source| IndexError::io("read", &path, source))?;
        let text = String::from_utf8_lossy(&bytes);
        let pointer = |_| IndexError::damaged(&path, Fault::Pointer { found: excerpt(&text) });
        text.trim_end().parse().map(Some).map_err(pointer)
    }

    /// Makes a version live, after comparing the SHA-256 of every file and opening it. The pointer is replaced atomically.
    pub fn activate(&self, version: &Version) -> Result<(), IndexError> {
        self.check_hashes(version)?;
        drop(self.open(version)?);
        Ok(write_file_atomically(&self.path.join(CURRENT), format!("{version}\n").as_bytes())?)
    }

    /// Removes a version; the live one is refused. Processes that have it open keep their maps.
    pub fn remove(&self, version: &Version) -> Result<(), IndexError> {
        let directory = self.existing(version)?;
        if self.current()?.as_ref() == Some(version) {
            return Err(IndexError::VersionLive { version: version.clone() });
        }
        // Out of sight first, so that a crash half-way leaves no half version.
        let aside = self.path.join(format!(".{version}.removed"));
        fs::rename(&directory, &aside).map_err(|source| IndexError::io("rename", &directory, source))?;
        fs::remove_dir_all(&aside).map_err(|source| IndexError::io("remove", &aside, source))
    }

    /// Removes all but the live version and the `keep` newest others. Returns what was removed. Without a live version nothing
    /// is removed.
    pub fn prune(&self, keep: usize) -> Result<Vec<Version>, IndexError> {
        let Some(live) = self.current()? else { return Ok(Vec::new()) };
        let others = self.names()?.into_iter().filter(|version| *version != live);
        let old: Vec<Version> = others.skip(keep).collect();
        old.iter().try_for_each(|version| self.remove(version))?;
        Ok(old)
    }

    /// Opens a version: sizes, headers and checksums of all blocks are verified, and every number checked that could lead
    /// astray.
    pub fn open(&self, version: &Version) -> Result<Bundle, IndexError> {
        Bundle::open(&self.existing(version)?, version)
    }

    /// Opens the live version. If the pointer or the bundle is damaged, the newest one that can be opened, and why the live one
    /// was refused.
    pub fn open_current_or_last_good(&self) -> Result<(Bundle, Option<IndexError>), IndexError> {
        let (current, refused) = match self.current() {
            Ok(None) => return Err(IndexError::NoCurrent { root: self.path.clone() }),
            Ok(Some(version)) => match self.open(&version) {
                Ok(bundle) => return Ok((bundle, None)),
                Err(error) => (Some(version), error),
            },
            Err(error) => (None, error),
        };
        for version in self.names()?.into_iter().filter(|version| Some(version) != current.as_ref()) {
            if let Ok(bundle) = self.open(&version) {
                return Ok((bundle, Some(refused)));
            }
        }
        Err(IndexError::NothingUsable { root: self.path.clone(), reason: Box::new(refused) })
    }

    /// Compares the SHA-256 of every file, looks for files that do not belong, opens the bundle and measures recall again.
    pub fn verify(&self, version: &Version) -> Result<VerifyReport, IndexError> {
        let manifest = self.check_hashes(version)?;
        let bundle = self.open(version)?;
        let (similar, scan) = bundle.measured();
        let movies = bundle.movies().len();
        let calibration = calibrate(similar, scan, bundle.user_factors(), movies, &manifest.parameters);
        let (recorded, found) = (manifest.calibration.recall_at_10, calibration.recall_at_10);
        if found < recorded - RECALL_TOLERANCE {
            let path = self.directory(version).join(crate::bundle::GRAPH);
            return Err(IndexError::damaged(&path, Fault::Recall { recorded, found }));
        }
        let bytes = manifest.files.values().map(|file| file.bytes).sum();
        Ok(VerifyReport { version: version.clone(), files: manifest.files.len(), bytes, calibration })
    }

    fn directory(&self, version: &Version) -> PathBuf {
        self.path.join(version.as_str())
    }

    fn existing(&self, version: &Version) -> Result<PathBuf, IndexError> {
        let directory = self.directory(version);
        if fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(directory);
        }
        Err(IndexError::UnknownVersion { version: version.clone(), root: self.path.clone() })
    }

    /// Directories named like a version, newest first.
    fn names(&self) -> Result<Vec<Version>, IndexError> {
        let failed = |source| IndexError::io("list", &self.path, source);
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut versions: Vec<Version> = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(version) = version
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                versions.push(version);
            }
        }
        versions.sort_unstable_by(|left, right| right.cmp(left));
        Ok(versions)
    }

    fn check_hashes(&self, version: &Version) -> Result<Manifest, IndexError> {
        let directory = self.existing(version)?;
        let manifest = Manifest::read(&directory, version)?;
        let entries =
            fs::read_dir(&directory).map_err(|source| IndexError::io("list", &directory, source))?;
        for entry in entries {
            let name = entry.map_err(|source| IndexError::io("list", &directory, source))?.file_name();
            if name != MANIFEST && !name.to_str().is_some_and(|name| manifest.files.contains_key(name)) {
                return Err(IndexError::damaged(&directory.join(name), Fault::Unexpected));
            }
        }
        for (name, entry) in &manifest.files {
            let path = directory.join(name);
            let found = file_size(&path)?;
            if found != entry.bytes {
                return Err(IndexError::damaged(&path, Fault::Size { expected: entry.bytes, found }));
            }
            if sha256_file(&path)? != entry.sha256 {
                return Err(IndexError::damaged(&path, Fault::ForeignFile));
            }
        }
        Ok(manifest)
    }
}
