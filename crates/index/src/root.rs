//! The directory of all versions and the `CURRENT` pointer: what is there, what is live, and how that changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cinedex_storage::{AtomicDirectory, sha256_file, write_file_atomically};

use crate::bundle::{GRAPH, USER_GRAPH};
use crate::error::{Fault, excerpt};
use crate::history::Activations;
use crate::manifest::{MANIFEST, file_size};
use crate::{Breadth, Bundle, Calibration, IndexError, Manifest, Measured, Version};

/// The pointer's name.
const CURRENT: &str = "CURRENT";
/// A longer pointer is not one.
const LARGEST_POINTER_BYTES: u64 = 1024;
/// By how much recall may differ when it is measured again: the graph is the same, but only as good as its queries are many.
const RECALL_TOLERANCE: f64 = 0.02;

/// Of a longer reason for a refusal the beginning is kept.
const LONGEST_REASON: usize = 2000;

/// The directory of all versions. What is not named like a version is none of its business: a sub-root, a note, a temporary
/// directory.
///
/// Beside the versions it holds `CURRENT`, the name of the live one; `HISTORY`, the names of those that were live, oldest
/// first; and `VERSION.refused` for a version that should not go live, with the reason. Processes that serve have the files
/// of a version mapped: a version is replaced by another one or removed whole, never edited in place. See [`Bundle`].
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
    /// Why it should not go live, if [`IndexRoot::mark_refused`] said so.
    pub refused: Option<String>,
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
    /// What was measured when it was built.
    pub recorded: Calibration,
}

/// Which writing of `CURRENT` was found: two stamps are equal if nothing was written between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentStamp(Option<(SystemTime, u64)>);

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
        loop {
            let stamp = self.current_stamp();
            let live = self.current().ok().flatten();
            let summaries = self.summaries(live.as_ref())?;
            // Another one that went live meanwhile may be too new for this list, and the one before it gone already.
            if self.current_stamp() == stamp {
                return Ok(summaries);
            }
        }
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

    /// When and as which file `CURRENT` was written last, to tell whether it was written again.
    pub fn current_stamp(&self) -> CurrentStamp {
        let metadata = fs::symlink_metadata(self.path.join(CURRENT));
        let stamp = metadata.and_then(|metadata| {
            #[cfg(unix)]
            let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
            #[cfg(not(unix))]
            let inode = 0;
            Ok((metadata.modified()?, inode))
        });
        CurrentStamp(stamp.ok())
    }

    /// Makes a version live, after comparing the SHA-256 of every file and opening it, even one that was marked as refused:
    /// the mark goes. The pointer is replaced atomically, and then the activation recorded.
    pub fn activate(&self, version: &Version) -> Result<(), IndexError> {
        self.check_hashes(version)?;
        let _changing = self.changing();
        drop(self.open(version)?);
        let mut activations = Activations::read(&self.path)?;
        // One that went live without this program, or before a crash could be recorded: it was live as well.
        if let Ok(Some(replaced)) = self.current()
            && activations.last() != Some(&replaced)
            && replaced != *version
            && self.open(&replaced).is_ok()
        {
            activations.push(&replaced);
        }
        write_file_atomically(&self.path.join(CURRENT), format!("{version}\n").as_bytes())?;
        activations.push(version);
        activations.write()?;
        self.unmark(version)
    }

    /// Records why a version should not go live; replaces an earlier reason. [`IndexRoot::versions`] tells it,
    /// [`IndexRoot::activate`] overrules it.
    pub fn mark_refused(&self, version: &Version, reason: &str) -> Result<(), IndexError> {
        self.existing(version)?;
        let reason: String = reason.trim().chars().take(LONGEST_REASON).collect();
        Ok(write_file_atomically(&self.marker(version), format!("{reason}\n").as_bytes())?)
    }

    /// Removes a version, its mark and its mention in the history; the live one is refused. Processes that have it open keep
    /// their maps.
    pub fn remove(&self, version: &Version) -> Result<(), IndexError> {
        let _changing = self.changing();
        self.remove_directory(version)?;
        Activations::read(&self.path)?.forget(std::slice::from_ref(version))
    }

    /// Keeps the live version and the `keep` others that were live most recently, whenever they were built. Removes the other
    /// ones that were live once, and of those that never were the ones built before all that is kept. Returns what was
    /// removed. Without a live version nothing is removed.
    pub fn prune(&self, keep: usize) -> Result<Vec<Version>, IndexError> {
        let _changing = self.changing();
        let Some(live) = self.current()? else { return Ok(Vec::new()) };
        let mut activations = Activations::read(&self.path)?;
        let there = self.names()?;
        let mut once_live = activations.newest_first();
        once_live.retain(|version| *version != live && there.contains(version));
        let kept = &once_live[..keep.min(once_live.len())];
        let oldest = kept.iter().chain([&live]).min().unwrap_or(&live);
        let goes = |version: &Version| {
            *version != live && !kept.contains(version) && (once_live.contains(version) || version < oldest)
        };
        let old: Vec<Version> = there.into_iter().filter(goes).collect();
        old.iter().try_for_each(|version| self.remove_directory(version))?;
        activations.forget(&old)?;
        Ok(old)
    }

    /// Opens a version: sizes, headers and checksums of all blocks are verified, and every number checked that could lead
    /// astray.
    pub fn open(&self, version: &Version) -> Result<Bundle, IndexError> {
        Bundle::open(&self.existing(version)?, version)
    }

    /// Opens the live version. If the pointer or the bundle is damaged or missing, the last good one: of those that were live
    /// before the one that can be opened and was live most recently; and why the live one was refused. A version that never
    /// was live is not taken.
    pub fn open_current_or_last_good(&self) -> Result<(Bundle, Option<IndexError>), IndexError> {
        let (current, refused) = match self.current() {
            Ok(None) => (None, IndexError::NoCurrent { root: self.path.clone() }),
            Ok(Some(version)) => match self.open(&version) {
                Ok(bundle) => return Ok((bundle, None)),
                Err(error) => (Some(version), error),
            },
            Err(error) => (None, error),
        };
        // Why the live one was refused matters more than a history that cannot be read.
        let once_live = Activations::read(&self.path).map_or_else(|_| Vec::new(), |read| read.newest_first());
        for version in once_live.iter().filter(|&version| Some(version) != current.as_ref()) {
            if let Ok(bundle) = self.open(version) {
                return Ok((bundle, Some(refused)));
            }
        }
        match refused {
            IndexError::NoCurrent { .. } => Err(refused),
            _ => Err(IndexError::NothingUsable { root: self.path.clone(), reason: Box::new(refused) }),
        }
    }

    /// Compares the SHA-256 of every file, looks for files that do not belong, opens the bundle and measures recall again.
    pub fn verify(&self, version: &Version) -> Result<VerifyReport, IndexError> {
        let manifest = self.check_hashes(version)?;
        let bundle = self.open(version)?;
        let calibration = bundle.measure();
        let before = &manifest.calibration;
        for (graph, recorded, found) in [
            (GRAPH, &before.similar, &calibration.similar),
            (GRAPH, &before.for_user, &calibration.for_user),
            (USER_GRAPH, &before.neighbors, &calibration.neighbors),
        ] {
            if let Some((recorded, found)) = recall_lost(recorded, found) {
                let path = self.directory(version).join(graph);
                return Err(IndexError::damaged(&path, Fault::Recall { recorded, found }));
            }
        }
        let bytes = manifest.files.values().map(|file| file.bytes).sum();
        let (files, recorded) = (manifest.files.len(), manifest.calibration);
        Ok(VerifyReport { version: version.clone(), files, bytes, recorded, calibration })
    }

    /// Removes what a process left that was killed while it put a version in place or removed one. What it left of its
    /// building goes with the next building.
    pub(crate) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let hidden = name.to_str().and_then(|name| name.strip_prefix('.')?.split_once('.'));
            let Some((version, rest)) = hidden else { continue };
            let Ok(version) = version.parse::<Version>() else { continue };
            if rest == "removed" {
                let _ = fs::remove_dir_all(entry.path());
            } else if rest.starts_with("tmp-") {
                // Nobody else will ever write this version; a directory that still is in use is spared.
                drop(AtomicDirectory::create(&self.directory(&version)));
            }
        }
    }

    fn summaries(&self, live: Option<&Version>) -> Result<Vec<VersionSummary>, IndexError> {
        let summary = |version: Version| {
            let manifest = Manifest::read(&self.directory(&version), &version);
            let files = manifest.iter().flat_map(|manifest| manifest.files.values());
            let bytes = files.map(|file| file.bytes).sum();
            let refused = self.refusal(&version);
            VersionSummary { live: live == Some(&version), version, refused, bytes, manifest }
        };
        Ok(self.names()?.into_iter().map(summary).collect())
    }

    /// Held while the pointer, the history or what they name changes, against other threads and processes: one that activates
    /// a version must not meet one that removes it. Where the file system knows no locks, nothing is held.
    fn changing(&self) -> Option<File> {
        let folder = File::open(&self.path).ok()?;
        folder.lock().ok()?;
        Some(folder)
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

    fn remove_directory(&self, version: &Version) -> Result<(), IndexError> {
        let directory = self.existing(version)?;
        if self.current()?.as_ref() == Some(version) {
            return Err(IndexError::VersionLive { version: version.clone() });
        }
        // Out of sight first, so that a crash half-way leaves no half version.
        let aside = self.path.join(format!(".{version}.removed"));
        fs::rename(&directory, &aside).map_err(|source| IndexError::io("rename", &directory, source))?;
        self.unmark(version)?;
        match fs::remove_dir_all(&aside) {
            // A building that began meanwhile swept it away.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| IndexError::io("remove", &aside, source)),
        }
    }

    fn marker(&self, version: &Version) -> PathBuf {
        self.path.join(format!("{version}.refused"))
    }

    fn unmark(&self, version: &Version) -> Result<(), IndexError> {
        let path = self.marker(version);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(IndexError::io("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// The reason on a version's mark. An unreadable mark is a mark.
    fn refusal(&self, version: &Version) -> Option<String> {
        let path = self.marker(version);
        let size = match file_size(&path) {
            Err(IndexError::Damaged { fault: Fault::Missing, .. }) => return None,
            size => size,
        };
        // Characters have up to four bytes.
        let whole = size.is_ok_and(|size| size <= 4 * LONGEST_REASON as u64 + 1);
        let bytes = if whole { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
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

/// Recall of the ten best as it was recorded and as it is found, where it fell: the queries are the same.
fn recall_lost(recorded: &Measured, found: &Measured) -> Option<(f64, f64)> {
    let same = |breadth: &Breadth| found.breadths.iter().find(|other| other.ef == breadth.ef);
    let pairs = recorded
        .breadths
        .iter()
        .filter_map(|breadth| Some((breadth.recall_at_10, same(breadth)?.recall_at_10)));
    pairs.into_iter().find(|(recorded, found)| *found < recorded - RECALL_TOLERANCE)
}
