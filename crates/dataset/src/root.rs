//! The directory that holds data sets, and which names they may have. It reads manifests, never tables.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::manifest::{DatasetManifest, FORMAT_VERSION};
use crate::{DatasetError, MANIFEST_FILE};

/// The directory that holds data sets, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataRoot {
    path: PathBuf,
}

impl DataRoot {
    /// The root at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The root's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the data set `name` is or would be. A name is 1 to 64 of `a-z 0-9 . _ -`, the first a letter or digit; a link
    /// that leads out of the root is refused.
    pub fn path_of(&self, name: &str) -> Result<PathBuf, DatasetError> {
        if !is_name(name) {
            return Err(DatasetError::InvalidName { name: name.chars().take(60).collect() });
        }
        let path = self.path.join(name);
        if path.is_symlink() {
            let root = self.path.canonicalize().map_err(DatasetError::io("resolve", &self.path))?;
            let resolved = path.canonicalize().map_err(DatasetError::io("resolve", &path))?;
            if resolved.parent() != Some(root.as_path()) {
                return Err(DatasetError::OutsideRoot { path });
            }
        }
        Ok(path)
    }

    /// Whether there is a data set `name`.
    pub fn exists(&self, name: &str) -> Result<bool, DatasetError> {
        Ok(self.path_of(name)?.join(MANIFEST_FILE).is_file())
    }

    /// The manifest of the data set `name`.
    pub fn manifest(&self, name: &str) -> Result<DatasetManifest, DatasetError> {
        if !self.exists(name)? {
            return Err(DatasetError::NotFound { name: name.to_owned(), root: self.path.clone() });
        }
        let path = self.path_of(name)?.join(MANIFEST_FILE);
        let bytes = fs::read(&path).map_err(DatasetError::io("read", &path))?;
        let wrong = |reason: String| DatasetError::Manifest { path: path.clone(), reason };
        let Version { format_version } =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if format_version != FORMAT_VERSION {
            return Err(wrong(format!("its format version is {format_version}, expected {FORMAT_VERSION}")));
        }
        let manifest: DatasetManifest =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        // The directory may have been copied under another name.
        Ok(DatasetManifest { name: name.to_owned(), ..manifest })
    }

    /// The manifests of all data sets, by name; a directory without a readable manifest is passed over.
    pub fn list(&self) -> Result<Vec<DatasetManifest>, DatasetError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let mut manifests = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(DatasetError::io("list", &self.path))? {
            let entry = entry.map_err(DatasetError::io("list", &self.path))?;
            if let Some(manifest) = entry.file_name().to_str().and_then(|name| self.manifest(name).ok()) {
                manifests.push(manifest);
            }
        }
        manifests.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(manifests)
    }
}

/// What every version of the manifest has.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    first && name.len() <= 64 && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expect: bool) {
        assert_eq!(DataRoot::new("/data").path_of(name).is_ok(), expect, "{name:?}");
    }

    #[test]
    fn a_name_is_plain() {
        check("ml-25m", true);
        check("2024_v1.0", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        for name in ["", ".", "..", ".hidden", "a/b", "../a", "A", "a b", "%2e%2e", "é", "a\0", "-a"] {
            check(name, false);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_out_of_the_root_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = DataRoot::new(folder.path().join("data"));
        fs::create_dir_all(root.path().join("real")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("outside"), root.path().join("out")).unwrap();
        std::os::unix::fs::symlink(root.path().join("real"), root.path().join("in")).unwrap();
        assert!(matches!(root.path_of("out"), Err(DatasetError::OutsideRoot { .. })));
        assert!(root.path_of("in").is_ok());
    }

    #[test]
    fn a_manifest_of_another_version_or_of_no_sense_is_refused_and_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        let root = DataRoot::new(folder.path());
        for (name, text, reason) in [
            ("old", "{\"format_version\": 0}", "version is 0"),
            ("odd", "{", "EOF"),
            ("new", "{\"format_version\":1}", "name"),
        ] {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join(MANIFEST_FILE), text).unwrap();
            let error = root.manifest(name).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(MANIFEST_FILE), "{error}");
        }
        assert!(root.list().unwrap().is_empty());
        assert!(matches!(root.manifest("none"), Err(DatasetError::NotFound { .. })));
        assert!(DataRoot::new(folder.path().join("none")).list().unwrap().is_empty());
    }
}
