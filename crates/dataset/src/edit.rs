//! Changes the movies of a stored data set in one step. Interactions, users and models stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use cinedex_domain::{Movie, MovieId};
use cinedex_storage::{AtomicDirectory, read_movies, write_movies};

use crate::builder::{describe_tables, write_manifest};
use crate::load::verify_table;
use crate::{DataRoot, DatasetError, DatasetManifest, MANIFEST_FILE, MOVIES_FILE};

/// A stored data set whose movies are being completed, for example from another source. Dropped without a
/// [`commit`](Self::commit), it changes nothing.
#[derive(Debug)]
pub struct DatasetEdit {
    /// The movies in the canonical order of ids. Their facts may change, their ids and order must not.
    pub movies: Vec<Movie>,
    /// The manifest; its tables are brought up to date by [`commit`](Self::commit), inputs and notices are the editor's.
    pub manifest: DatasetManifest,
    directory: PathBuf,
    ids: Vec<MovieId>,
}

impl DatasetEdit {
    /// Reads manifest and movies of the data set `name`.
    pub fn open(root: &DataRoot, name: &str) -> Result<Self, DatasetError> {
        let manifest = root.manifest(name)?;
        let directory = root.path_of(name)?;
        verify_table(&directory, &manifest, MOVIES_FILE)?;
        let movies = read_movies(&directory.join(MOVIES_FILE))?;
        let ids = movies.iter().map(|movie| movie.movie_id.clone()).collect();
        Ok(Self { movies, manifest, directory, ids })
    }

    /// Puts the changed data set in the old one's place, atomically, and answers its manifest.
    ///
    /// Panics if ids of movies were changed.
    pub fn commit(mut self) -> Result<DatasetManifest, DatasetError> {
        let same = self.movies.iter().map(|movie| &movie.movie_id).eq(&self.ids);
        assert!(same, "an edit must leave the ids of movies and their order as they are");
        let next = AtomicDirectory::create(&self.directory)?;
        link_tree(&self.directory, next.path(), &[MOVIES_FILE, MANIFEST_FILE])?;
        write_movies(&next.path().join(MOVIES_FILE), &self.movies)?;
        self.manifest.tables = describe_tables(next.path())?;
        write_manifest(next.path(), &self.manifest)?;
        next.commit_replace()?;
        Ok(self.manifest)
    }
}

/// Brings everything below `from` but `except` to `to`: as hard links where the file system has them, else as copies. Files of
/// a data set are never written in place, so sharing them is safe.
pub(crate) fn link_tree(from: &Path, to: &Path, except: &[&str]) -> Result<(), DatasetError> {
    for entry in fs::read_dir(from).map_err(DatasetError::io("list", from))? {
        let entry = entry.map_err(DatasetError::io("list", from))?;
        let (name, source) = (entry.file_name(), entry.path());
        let target = to.join(&name);
        if except.iter().any(|&skipped| name == skipped) {
            continue;
        }
        if entry.file_type().map_err(DatasetError::io("inspect", &source))?.is_dir() {
            fs::create_dir(&target).map_err(DatasetError::io("create", &target))?;
            link_tree(&source, &target, &[])?;
        } else if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).map_err(DatasetError::io("copy", &source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, DatasetBuilder, ImportOptions, Source};
    use cinedex_domain::InteractionKind;
    use cinedex_storage::InteractionRow;

    #[test]
    fn an_edit_changes_movies_and_keeps_everything_else_models_included() {
        let folder = tempfile::tempdir().unwrap();
        let root = DataRoot::new(folder.path());
        let mut builder = DatasetBuilder::create(&root, "set", &ImportOptions::default()).unwrap();
        let row = InteractionRow {
            user_id: "a",
            movie_id: "1",
            kind: InteractionKind::Rating,
            value: Some(4.0),
            timestamp_ms: None,
            location: Some("US"),
        };
        builder.add_interaction(row).unwrap();
        let source = Source { kind: "test".into(), title: String::new(), licence: String::new(), url: None };
        builder.finish(source).unwrap();
        let model = root.path_of("set").unwrap().join("models/first");
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join("model.json"), "{}").unwrap();
        let before = Dataset::load(&root, "set").unwrap();

        let mut edit = DatasetEdit::open(&root, "set").unwrap();
        edit.movies[0].runtime_minutes = Some(90);
        drop(edit);
        assert_eq!(Dataset::load(&root, "set").unwrap(), before);

        let mut edit = DatasetEdit::open(&root, "set").unwrap();
        edit.movies[0].runtime_minutes = Some(100);
        edit.manifest.notices.push("enriched".into());
        let manifest = edit.commit().unwrap();
        let after = Dataset::load(&root, "set").unwrap();
        assert_eq!((after.movies[0].runtime_minutes, &after.manifest), (Some(100), &manifest));
        assert_eq!((&after.users, &after.interactions), (&before.users, &before.interactions));
        assert_eq!(after.manifest.sha256(), before.manifest.sha256());
        assert_eq!(fs::read_to_string(model.join("model.json")).unwrap(), "{}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
