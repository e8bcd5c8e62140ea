//! The file `HISTORY`: which versions were live, one a line, oldest first. It knows nothing of what is on disk beside it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use cinedex_storage::write_file_atomically;

use crate::error::Fault;
use crate::manifest::file_size;
use crate::{IndexError, Version};

/// The file's name.
pub(crate) const HISTORY: &str = "HISTORY";
/// Older lines are dropped.
const MOST_LINES: usize = 100;
/// Of a longer file, which this program does not write, the end is read.
const MOST_BYTES: u64 = 64 << 10;

/// The activations of a root as they were read, and how they change.
#[derive(Debug)]
pub(crate) struct Activations {
    path: PathBuf,
    versions: Vec<Version>,
}

impl Activations {
    /// Reads the file of `root`; empty if there is none. Lines that are no version are ignored.
    pub(crate) fn read(root: &Path) -> Result<Self, IndexError> {
        let path = root.join(HISTORY);
        let size = match file_size(&path) {
            Err(IndexError::Damaged { fault: Fault::Missing, .. }) => {
                return Ok(Self { path, versions: Vec::new() });
            }
            size => size?,
        };
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(size.saturating_sub(MOST_BYTES)))?;
                file.take(MOST_BYTES).read_to_end(&mut bytes)
            })
            .map_err(|source| IndexError::io("read", &path, source))?;
        let text = String::from_utf8_lossy(&bytes);
        let versions = text.lines().filter_map(|line| line.trim_end().parse().ok()).collect();
        Ok(Self { path, versions })
    }

    /// The version activated last.
    pub(crate) fn last(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// Every version once, the one activated last first.
    pub(crate) fn newest_first(&self) -> Vec<Version> {
        let mut each: Vec<Version> = Vec::new();
        for version in self.versions.iter().rev() {
            if !each.contains(version) {
                each.push(version.clone());
            }
        }
        each
    }

    /// Appends an activation, unless it is the last one already.
    pub(crate) fn push(&mut self, version: &Version) {
        if self.last() != Some(version) {
            self.versions.push(version.clone());
            self.versions.drain(..self.versions.len().saturating_sub(MOST_LINES));
        }
    }

    /// Strikes out what is not there any more, and writes the file if that changed anything.
    pub(crate) fn forget(&mut self, removed: &[Version]) -> Result<(), IndexError> {
        let before = self.versions.len();
        self.versions.retain(|version| !removed.contains(version));
        self.versions.dedup();
        if self.versions.len() == before { Ok(()) } else { self.write() }
    }

    /// Replaces the file atomically.
    pub(crate) fn write(&self) -> Result<(), IndexError> {
        let lines = self.versions.iter().flat_map(|version| [version.as_str(), "\n"]);
        let text: String = lines.collect();
        Ok(write_file_atomically(&self.path, text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn version(number: usize) -> Version {
        format!("20250131T{number:06}Z-0123abcd").parse().unwrap()
    }

    fn written(text: &[u8]) -> Vec<Version> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(HISTORY), text).unwrap();
        Activations::read(directory.path()).unwrap().versions
    }

    #[test]
    fn malformed_lines_are_ignored() {
        let text = format!("{}\n\nnotes\n../../etc\n{}\r\n\u{0}\n{}", version(1), version(2), version(3));
        assert_eq!(written(text.as_bytes()), [version(1), version(2), version(3)]);
        assert_eq!(written(b"\xff\xfe\n"), []);
        let long = [vec![b'x'; 1 << 20], format!("\n{}\n", version(4)).into_bytes()].concat();
        assert_eq!(written(&long), [version(4)]);
    }

    #[test]
    fn what_is_written_is_read_and_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let mut activations = Activations::read(directory.path()).unwrap();
        assert!(activations.last().is_none());
        for number in 0..130 {
            activations.push(&version(number));
            activations.push(&version(number));
        }
        activations.write().unwrap();
        let read = Activations::read(directory.path()).unwrap().versions;
        assert_eq!((read.len(), &read[0], &read[99]), (100, &version(30), &version(129)));
    }

    #[test]
    fn newest_comes_first_and_once_and_what_is_removed_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut activations = Activations::read(directory.path()).unwrap();
        for number in [1, 2, 1, 3, 1] {
            activations.push(&version(number));
        }
        assert_eq!(activations.newest_first(), [version(1), version(3), version(2)]);
        activations.forget(&[version(7)]).unwrap();
        assert!(!directory.path().join(HISTORY).exists(), "nothing changed");
        activations.forget(&[version(2)]).unwrap();
        let read = Activations::read(directory.path()).unwrap().versions;
        assert_eq!(read, [version(1), version(3), version(1)]);
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(HISTORY)).unwrap();
        let refused = Activations::read(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("HISTORY: not a regular file"), "{refused}");
    }
}
