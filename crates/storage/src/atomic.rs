//! Files and directories that appear whole or not at all. It knows nothing of what is in them.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::StorageError;

/// A directory being written beside its target, under `.NAME.tmp-…`; a commit fsyncs every file and renames it into place.
/// Dropped without a commit, it is removed. What a killed process left is removed by the next [`AtomicDirectory::create`]
/// for the same target.
#[derive(Debug)]
pub struct AtomicDirectory {
    target: PathBuf,
    temporary: TempDir,
    /// Held with an advisory lock, which tells the living from the leftovers.
    _lock: File,
}

impl AtomicDirectory {
    /// Creates the temporary sibling of `target`, and the parents of both if need be.
    pub fn create(target: &Path) -> Result<Self, StorageError> {
        let parent = parent_of(target);
        fs::create_dir_all(&parent).map_err(StorageError::io("create", &parent))?;
        let prefix = temporary_prefix(target);
        remove_leftovers(&parent, &prefix);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        #[cfg(unix)]
        builder.permissions(open_permissions(0o777));
        let temporary =
            builder.tempdir_in(&parent).map_err(StorageError::io("create a directory in", &parent))?;
        let lock = File::open(temporary.path()).map_err(StorageError::io("open", temporary.path()))?;
        // Where the file system knows no locks, leftovers stay; nothing else is lost.
        let _ = lock.try_lock();
        Ok(Self { target: target.to_owned(), temporary, _lock: lock })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Puts the directory in place and answers where; refuses with [`StorageError::TargetExists`] if there is one.
    pub fn commit_new(self) -> Result<PathBuf, StorageError> {
        sync_tree(self.path())?;
        match rename_new(self.path(), &self.target) {
            Ok(()) => self.settle(),
            Err(_) if self.target.symlink_metadata().is_ok() => {
                Err(StorageError::TargetExists { path: self.target.clone() })
            }
            Err(error) => Err(StorageError::io("rename to", &self.target)(error)),
        }
    }

    /// Puts the directory in place of the target, existing or not, and answers where; the old one is removed. A crash leaves
    /// the old or the new.
    pub fn commit_replace(self) -> Result<PathBuf, StorageError> {
        sync_tree(self.path())?;
        if self.target.symlink_metadata().is_err() {
            rename_new(self.path(), &self.target).map_err(StorageError::io("rename to", &self.target))?;
            return self.settle();
        }
        if exchange(self.path(), &self.target).is_ok() {
            sync_directory(&parent_of(&self.target))?;
            // The old one is under the temporary name now and goes with the drop.
            return Ok(self.target.clone());
        }
        // No exchange on this file system: aside, in, and back if that fails.
        let aside = self.path().with_extension("old");
        fs::rename(&self.target, &aside).map_err(StorageError::io("rename", &self.target))?;
        if let Err(error) = fs::rename(self.path(), &self.target) {
            fs::rename(&aside, &self.target).map_err(StorageError::io("restore", &self.target))?;
            return Err(StorageError::io("rename to", &self.target)(error));
        }
        let target = self.settle()?;
        fs::remove_dir_all(&aside).map_err(StorageError::io("remove", &aside))?;
        Ok(target)
    }

    fn settle(self) -> Result<PathBuf, StorageError> {
        let Self { target, temporary, .. } = self;
        // Its name is gone: nothing is left to remove.
        let _ = temporary.keep();
        sync_directory(&parent_of(&target))?;
        Ok(target)
    }
}

/// Creates or replaces a file whole: temporary sibling, fsync, rename, fsync of the directory.
pub fn write_file_atomically(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let parent = parent_of(path);
    let mut builder = tempfile::Builder::new();
    let prefix = temporary_prefix(path);
    builder.prefix(&prefix);
    #[cfg(unix)]
    builder.permissions(open_permissions(0o666));
    let mut file = builder.tempfile_in(&parent).map_err(StorageError::io("create a file in", &parent))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(StorageError::io("write", path))?;
    file.persist(path).map_err(|error| StorageError::io("rename to", path)(error.error))?;
    sync_directory(&parent)
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn temporary_prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".tmp-");
    prefix
}

/// What the process's mask leaves of `mode`, as for any other file.
#[cfg(unix)]
fn open_permissions(mode: u32) -> Permissions {
    use std::os::unix::fs::PermissionsExt;
    Permissions::from_mode(mode)
}

/// Removes temporaries of the same target whose process is gone. Young ones are spared: their lock may be a moment away.
fn remove_leftovers(parent: &Path, prefix: &OsString) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let starts = entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > Duration::from_mins(1)));
        if starts && old && File::open(&path).is_ok_and(|directory| directory.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn sync_tree(directory: &Path) -> Result<(), StorageError> {
    for entry in fs::read_dir(directory).map_err(StorageError::io("list", directory))? {
        let entry = entry.map_err(StorageError::io("list", directory))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(StorageError::io("inspect", &path))?;
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            File::open(&path).and_then(|file| file.sync_all()).map_err(StorageError::io("sync", &path))?;
        }
    }
    sync_directory(directory)
}

fn sync_directory(directory: &Path) -> Result<(), StorageError> {
    #[cfg(unix)]
    File::open(directory).and_then(|file| file.sync_all()).map_err(StorageError::io("sync", directory))?;
    Ok(())
}

/// Renames only if nothing is there, in one step where the system can.
fn rename_new(from: &Path, to: &Path) -> std::io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {}
            other => return other.map_err(Into::into),
        }
    }
    if to.symlink_metadata().is_ok() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Exchanges two directories in one step, where the system can.
fn exchange(left: &Path, right: &Path) -> std::io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, left, CWD, right, RenameFlags::EXCHANGE).map_err(Into::into)
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn directory_with(target: &Path, text: &str) -> AtomicDirectory {
        let directory = AtomicDirectory::create(target).unwrap();
        fs::create_dir(directory.path().join("inner")).unwrap();
        fs::write(directory.path().join("inner/file"), text).unwrap();
        directory
    }

    #[test]
    fn a_directory_appears_at_the_commit_and_a_dropped_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/er/set");
        drop(directory_with(&target, "1"));
        assert!(names(&folder.path().join("deep/er")).is_empty());
        let directory = directory_with(&target, "2");
        assert!(!target.exists());
        assert_eq!(directory.commit_new().unwrap(), target);
        assert_eq!(fs::read_to_string(target.join("inner/file")).unwrap(), "2");
        assert_eq!(names(&folder.path().join("deep/er")), ["set"]);
    }

    #[test]
    fn a_new_directory_never_overwrites_and_a_replacing_one_leaves_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("set");
        directory_with(&target, "1").commit_new().unwrap();
        let refused = directory_with(&target, "2").commit_new().unwrap_err();
        assert!(matches!(refused, StorageError::TargetExists { .. }), "{refused}");
        assert_eq!(fs::read_to_string(target.join("inner/file")).unwrap(), "1");
        directory_with(&target, "3").commit_replace().unwrap();
        assert_eq!(fs::read_to_string(target.join("inner/file")).unwrap(), "3");
        assert_eq!(names(folder.path()), ["set"]);
        fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(directory_with(&folder.path().join("empty"), "4").commit_new().is_err());
    }

    #[test]
    fn leftovers_of_a_killed_process_go_and_living_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("set");
        let living = directory_with(&target, "1");
        let leftover = folder.path().join(".set.tmp-killed");
        fs::create_dir(&leftover).unwrap();
        let hour_ago = std::time::SystemTime::now() - Duration::from_hours(1);
        for path in [leftover.as_path(), living.path()] {
            File::open(path).unwrap().set_modified(hour_ago).unwrap();
        }
        let next = AtomicDirectory::create(&target).unwrap();
        assert!(!leftover.exists() && living.path().exists() && next.path().exists());
    }

    #[test]
    fn a_file_is_replaced_whole_and_readable_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("CURRENT");
        write_file_atomically(&path, b"one").unwrap();
        write_file_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(folder.path()), ["CURRENT"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o044, 0);
        }
        assert!(write_file_atomically(&folder.path().join("none/file"), b"").is_err());
    }
}
