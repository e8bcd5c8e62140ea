//! A file that is read again when it has changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// A longer file is not read.
const LARGEST_BYTES: u64 = 1 << 20;

/// A file and what it was when it was last looked at.
pub(crate) struct WatchedFile {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(PartialEq)]
enum Seen {
    Never,
    Read { modified: SystemTime, bytes: u64 },
    Unreadable,
}

impl WatchedFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: Mutex::new(Seen::Never) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it, if that may differ from the last time. That it cannot be read is said once.
    pub(crate) fn news(&self) -> io::Result<Option<Vec<u8>>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read_unless(&seen) {
            Ok(None) => Ok(None),
            Ok(Some((now, content))) => {
                *seen = now;
                Ok(Some(content))
            }
            Err(_) if *seen == Seen::Unreadable => Ok(None),
            Err(error) => {
                *seen = Seen::Unreadable;
                Err(error)
            }
        }
    }

    fn read_unless(&self, seen: &Seen) -> io::Result<Option<(Seen, Vec<u8>)>> {
        let metadata = std::fs::metadata(&self.path)?;
        let now = Seen::Read { modified: metadata.modified()?, bytes: metadata.len() };
        if *seen == now {
            return Ok(None);
        }
        if !metadata.is_file() || metadata.len() > LARGEST_BYTES {
            let reason = format!("not a file of at most {LARGEST_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Some((now, std::fs::read(&self.path)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_read_once_and_what_is_gone_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = WatchedFile::new(path.clone());
        assert_eq!(file.news().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(file.news().unwrap(), None);
        for content in [b"a".to_vec(), b"bc".to_vec()] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!((file.news().unwrap(), file.news().unwrap()), (Some(content), None));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(file.news().is_err() && file.news().unwrap().is_none());
        std::fs::write(&path, b"bc").unwrap();
        assert_eq!(file.news().unwrap(), Some(b"bc".to_vec()), "it has come back");
        std::fs::write(&path, vec![b' '; LARGEST_BYTES as usize + 1]).unwrap();
        assert_eq!(file.news().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
