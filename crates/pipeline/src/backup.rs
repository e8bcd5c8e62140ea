//! Everything that an installation has, copied while it serves and put back where nothing is: data sets with their models, bundles
//! with what is live, and the log of what happened since. Every file stands in the manifest with its SHA-256.
//!
//! Nothing has to stand still meanwhile: data sets and bundles are replaced whole, so that a copy during which the folder stayed
//! the same one is whole; the log is appended to, so that a copy of it is the log of a moment. It is copied last: a bundle says
//! up to which position of the log it has learned, and that position must be there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use cinedex_dataset::DataRoot;
use cinedex_domain::{Progress, Step};
use cinedex_feedback::{Log, LogOptions};
use cinedex_index::{IndexRoot, Version};
use cinedex_storage::{AtomicDirectory, sha256_file, write_file_atomically};
use serde::{Deserialize, Serialize};

use crate::PipelineError;

/// The version of the layout that is written and read.
const FORMAT_VERSION: u32 = 1;
const MANIFEST: &str = "backup.json";
const DATA: &str = "data";
const INDEXES: &str = "indexes";
const LOG: &str = "log";
const CURRENT: &str = "CURRENT";
/// What the log's process holds its folder with.
const LOCK: &str = "LOCK";
/// Times that a folder is copied again because it was replaced meanwhile.
const ATTEMPTS: usize = 5;
/// Notes to people, which may lie in a folder that is otherwise empty.
const NOTES: [&str; 2] = ["README.md", ".gitignore"];

/// Where an installation keeps what it has.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Data sets and models.
    pub data: DataRoot,
    /// Bundles.
    pub indexes: IndexRoot,
    /// Folder of the log.
    pub log: PathBuf,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// When it was made, RFC 3339 UTC.
    pub created: String,
    /// Names of the data sets.
    pub datasets: Vec<String>,
    /// Bundles.
    pub versions: Vec<String>,
    /// The bundle that was live.
    pub live: Option<String>,
    /// Whether there is a log.
    pub log: bool,
    /// Files in all.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format_version: u32,
    created: String,
    live: Option<Version>,
    /// By path in the backup, with slashes.
    files: BTreeMap<String, FileEntry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileEntry {
    bytes: u64,
    sha256: String,
}

/// Copies all of an installation into `into`, which must be empty or not there; it appears whole or not at all.
pub fn back_up(stores: &Stores, into: &Path, progress: Progress<'_>) -> Result<BackupReport, PipelineError> {
    clear_empty(into)?;
    let directory = AtomicDirectory::create(into)?;
    let copy = Copy { to: directory.path(), progress };
    for manifest in stores.data.list()? {
        copy.folder(&stores.data.path_of(&manifest.name)?, &format!("{DATA}/{}", manifest.name))?;
    }
    let live = copy.bundles(&stores.indexes)?;
    if stores.log.is_dir() {
        copy.log(&stores.log, LOG)?;
    }
    let created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut manifest = Manifest { format_version: FORMAT_VERSION, created, live, files: BTreeMap::new() };
    for path in files_below(copy.to)? {
        let (bytes, sha256) = (fs::metadata(&path).map_err(io("inspect", &path))?.len(), sha256_file(&path)?);
        progress(Step::new("check", manifest.files.len() as u64, None));
        manifest.files.insert(name_of(copy.to, &path)?, FileEntry { bytes, sha256 });
    }
    let text = serde_json::to_vec_pretty(&manifest).expect("a manifest has only string keys");
    write_file_atomically(&copy.to.join(MANIFEST), &text)?;
    directory.commit_new()?;
    Ok(manifest.report())
}

/// Copies the log in `folder` into a temporary one while another process writes it: a log that has all that was acknowledged when
/// this began.
pub fn copy_log(folder: &Path, progress: Progress<'_>) -> Result<tempfile::TempDir, PipelineError> {
    let into = tempfile::tempdir().map_err(io("create a folder in", &std::env::temp_dir()))?;
    let copy = Copy { to: into.path(), progress };
    copy.log(folder, "")?;
    Ok(into)
}

/// Puts a backup back. Every file is held against its checksum first, and the places must be empty: nothing is written
/// otherwise. What is live comes last, so that a restore that was interrupted serves nothing.
pub fn restore(from: &Path, stores: &Stores, progress: Progress<'_>) -> Result<BackupReport, PipelineError> {
    let manifest = Manifest::read(from)?;
    manifest.check(from, progress)?;
    for place in [stores.data.path(), stores.indexes.path(), &stores.log] {
        refuse_filled(place)?;
    }
    for (folder, root) in [(DATA, stores.data.path()), (INDEXES, stores.indexes.path())] {
        fs::create_dir_all(root).map_err(io("create", root))?;
        for path in entries(&from.join(folder))? {
            let target = root.join(path.file_name().unwrap_or_default());
            if path.is_dir() {
                put(&path, &target, progress)?;
            } else if !path.ends_with(CURRENT) {
                let bytes = fs::read(&path).map_err(io("read", &path))?;
                write_file_atomically(&target, &bytes)?;
            }
        }
    }
    if from.join(LOG).is_dir() {
        clear_empty(&stores.log)?;
        put(&from.join(LOG), &stores.log, progress)?;
    }
    if let Some(live) = &manifest.live {
        stores.indexes.open(live)?;
        write_file_atomically(&stores.indexes.path().join(CURRENT), format!("{live}\n").as_bytes())?;
    }
    Ok(manifest.report())
}

impl Manifest {
    fn read(from: &Path) -> Result<Self, PipelineError> {
        let path = from.join(MANIFEST);
        let bytes = fs::read(&path).map_err(io("read", &path))?;
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| PipelineError::DamagedBackup { path: path.clone(), found: error.to_string() })?;
        if manifest.format_version != FORMAT_VERSION {
            let found = format!("format version {}, expected {FORMAT_VERSION}", manifest.format_version);
            return Err(PipelineError::DamagedBackup { path, found });
        }
        Ok(manifest)
    }

    /// Holds every file against the manifest, and the manifest against the files.
    fn check(&self, from: &Path, progress: Progress<'_>) -> Result<(), PipelineError> {
        let mut left: Vec<&String> = self.files.keys().collect();
        let total = Some(self.files.len() as u64);
        for path in files_below(from)? {
            let name = name_of(from, &path)?;
            if name == MANIFEST {
                continue;
            }
            let damaged = |found: String| Err(PipelineError::DamagedBackup { path: path.clone(), found });
            let Some(entry) = self.files.get(&name) else {
                return damaged(format!("a file that {MANIFEST} does not name"));
            };
            left.retain(|missing| **missing != name);
            progress(Step::new("check", (self.files.len() - left.len()) as u64, total));
            let bytes = fs::metadata(&path).map_err(io("inspect", &path))?.len();
            let sha256 = sha256_file(&path)?;
            if (bytes, &sha256) != (entry.bytes, &entry.sha256) {
                return damaged(format!("{bytes} bytes of sha256 {sha256}, not those that were backed up"));
            }
        }
        match left.first() {
            None => Ok(()),
            Some(missing) => {
                let path = from.join(missing);
                Err(PipelineError::DamagedBackup { path, found: "no such file".to_owned() })
            }
        }
    }

    fn report(&self) -> BackupReport {
        let second = |top: &str| -> Vec<String> {
            let inside =
                |name: &&String| name.split('/').next() == Some(top) && name.matches('/').count() > 1;
            let names = self.files.keys().filter(inside).filter_map(|name| name.split('/').nth(1));
            let mut names: Vec<String> = names.map(str::to_owned).collect();
            names.dedup();
            names
        };
        BackupReport {
            created: self.created.clone(),
            datasets: second(DATA),
            versions: second(INDEXES),
            live: self.live.as_ref().map(ToString::to_string),
            log: self.files.keys().any(|name| name.starts_with("log/")),
            files: self.files.len(),
            bytes: self.files.values().map(|file| file.bytes).sum(),
        }
    }
}

/// Copying into a backup.
struct Copy<'a> {
    to: &'a Path,
    progress: Progress<'a>,
}

impl Copy<'_> {
    /// Copies a folder as it is at one moment: again, if it or a file in it was replaced or went while it was copied. Files may
    /// grow.
    fn folder(&self, from: &Path, name: &str) -> Result<(), PipelineError> {
        let to = self.to.join(name);
        for _ in 0..ATTEMPTS {
            let before = identities(from);
            let copied = self.tree(from, &to);
            if before.is_ok() && identities(from).ok() == before.as_ref().ok().cloned() {
                return copied;
            }
            if to.exists() {
                fs::remove_dir_all(&to).map_err(io("remove", &to))?;
            }
        }
        Err(PipelineError::Unsteady { path: from.to_owned() })
    }

    /// Copies a log and opens the copy once, which cuts off the entry that was being written.
    fn log(&self, from: &Path, name: &str) -> Result<(), PipelineError> {
        self.folder(from, name)?;
        let to = self.to.join(name);
        drop(Log::open(&to, &LogOptions::default(), |_| {})?);
        match fs::remove_file(to.join(LOCK)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", &to)(error)),
            _ => Ok(()),
        }
    }

    fn tree(&self, from: &Path, to: &Path) -> Result<(), PipelineError> {
        fs::create_dir_all(to).map_err(io("create", to))?;
        for source in entries(from)? {
            let target = to.join(source.file_name().unwrap_or_default());
            if source.is_dir() {
                self.tree(&source, &target)?;
            } else if !source.ends_with(LOCK) {
                let bytes = fs::copy(&source, &target).map_err(io("copy", &source))?;
                (self.progress)(Step::new("copy", bytes, None));
            }
        }
        Ok(())
    }

    /// Copies all bundles, and what stands beside them; answers the live one, which is whole.
    fn bundles(&self, indexes: &IndexRoot) -> Result<Option<Version>, PipelineError> {
        let to = self.to.join(INDEXES);
        for _ in 0..ATTEMPTS {
            let live = indexes.current()?;
            fs::create_dir_all(&to).map_err(io("create", &to))?;
            if indexes.path().is_dir() {
                for source in entries(indexes.path())? {
                    self.beside(&source)?;
                }
            }
            let copy = IndexRoot::new(&to);
            match &live {
                None => return Ok(None),
                Some(version) if copy.open(version).is_ok() => {
                    write_file_atomically(&to.join(CURRENT), format!("{version}\n").as_bytes())?;
                    return Ok(live);
                }
                // Either another one went live meanwhile and this one went, or it is damaged where it is.
                Some(version) => {
                    if indexes.current()?.as_ref() == Some(version) {
                        drop(indexes.open(version)?);
                    }
                    fs::remove_dir_all(&to).map_err(io("remove", &to))?;
                }
            }
        }
        Err(PipelineError::Unsteady { path: indexes.path().to_owned() })
    }

    /// One entry of the folder of bundles, if it is a bundle, the history or a mark. One that goes meanwhile was no longer kept.
    fn beside(&self, source: &Path) -> Result<(), PipelineError> {
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bundle = name.parse::<Version>().is_ok();
        let mark = name.strip_suffix(".refused").is_some_and(|version| version.parse::<Version>().is_ok());
        let copied = if bundle {
            self.folder(source, &format!("{INDEXES}/{name}"))
        } else if mark || name == "HISTORY" {
            let to = self.to.join(INDEXES).join(&name);
            fs::copy(source, to).map(drop).map_err(io("copy", source))
        } else {
            return Ok(());
        };
        if source.symlink_metadata().is_err() { Ok(()) } else { copied }
    }
}

/// Puts a folder in place, whole or not at all.
fn put(from: &Path, target: &Path, progress: Progress<'_>) -> Result<(), PipelineError> {
    let directory = AtomicDirectory::create(target)?;
    Copy { to: directory.path(), progress }.tree(from, directory.path())?;
    directory.commit_new()?;
    Ok(())
}

/// What tells a folder and each file below it from another of the same name.
fn identities(folder: &Path) -> std::io::Result<Vec<(PathBuf, u64)>> {
    #[cfg(unix)]
    let identity = |metadata: &fs::Metadata| std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let identity = |metadata: &fs::Metadata| metadata.len();
    let mut found = vec![(folder.to_owned(), identity(&fs::symlink_metadata(folder)?))];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            found.extend(identities(&path)?);
        } else {
            found.push((path, identity(&metadata)));
        }
    }
    found.sort();
    Ok(found)
}

/// Paths in a folder, sorted, without what is hidden: temporary files of who writes there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io("list", folder))? {
        let entry = entry.map_err(io("list", folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// All files below a folder; anything that is neither file nor folder is refused.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        let kind = fs::symlink_metadata(&path).map_err(io("inspect", &path))?.file_type();
        if kind.is_dir() {
            files.extend(files_below(&path)?);
        } else if kind.is_file() {
            files.push(path);
        } else {
            return Err(PipelineError::DamagedBackup {
                path,
                found: "neither a file nor a folder".to_owned(),
            });
        }
    }
    Ok(files)
}

/// A path in a backup as its manifest has it.
fn name_of(root: &Path, path: &Path) -> Result<String, PipelineError> {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let part = |component: Component<'_>| match component {
        Component::Normal(part) => part.to_str().map(str::to_owned),
        _ => None,
    };
    let parts: Option<Vec<String>> = inside.components().map(part).collect();
    parts.map(|parts| parts.join("/")).ok_or_else(|| PipelineError::DamagedBackup {
        path: path.to_owned(),
        found: "a name that is no text".to_owned(),
    })
}

/// Refuses a folder in which there is more than notes.
fn refuse_filled(folder: &Path) -> Result<(), PipelineError> {
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(io("list", folder))? {
        let entry = entry.map_err(io("list", folder))?;
        if !NOTES.iter().any(|note| entry.file_name() == *note) {
            return Err(PipelineError::NotEmpty { path: entry.path() });
        }
    }
    Ok(())
}

/// Removes a folder that is there and empty, and refuses one that is not.
fn clear_empty(folder: &Path) -> Result<(), PipelineError> {
    match fs::remove_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err(PipelineError::NotEmpty { path: folder.to_owned() }),
    }
}

fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> PipelineError + 'a {
    move |source| PipelineError::Backup { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use cinedex_domain::{UserId, silent};
    use cinedex_model::IalsParameters;

    use super::*;
    use crate::test_world::{NAME, small};
    use crate::{BuildRequest, TrainRequest, build_and_publish, train};

    /// A data set with a model, two bundles of which the second is live, and a log.
    fn installation() -> (tempfile::TempDir, Stores) {
        let (folder, data) = small();
        let stores = Stores {
            data,
            indexes: IndexRoot::new(folder.path().join("indexes")),
            log: folder.path().join("indexes/log"),
        };
        let never = AtomicBool::new(false);
        let parameters = IalsParameters { dimension: 8, epochs: 2, ..IalsParameters::default() };
        let request = TrainRequest { dataset: NAME.to_owned(), parameters, ..TrainRequest::default() };
        train(&stores.data, &request, &silent, &never).unwrap();
        let request = BuildRequest { dataset: NAME.to_owned(), ..BuildRequest::default() };
        for _ in 0..2 {
            build_and_publish(&stores.data, &stores.indexes, &request, &silent, &never).unwrap();
        }
        let log = open(&stores.log);
        log.forget(&UserId::new("somebody").unwrap()).unwrap();
        fs::write(stores.indexes.path().join("note.txt"), b"none of its business").unwrap();
        (folder, stores)
    }

    fn open(folder: &Path) -> Log {
        Log::open(folder, &LogOptions::default(), |_| {}).unwrap().log
    }

    fn empty(folder: &Path) -> Stores {
        Stores {
            data: DataRoot::new(folder.join("data")),
            indexes: IndexRoot::new(folder.join("indexes")),
            log: folder.join("indexes/log"),
        }
    }

    #[test]
    fn what_is_backed_up_is_restored_to_the_byte() {
        let (folder, stores) = installation();
        let into = folder.path().join("backup");
        let report = back_up(&stores, &into, &silent).unwrap();
        assert_eq!(
            (report.datasets.as_slice(), report.versions.len(), report.log),
            (&[NAME.to_owned()][..], 2, true)
        );
        assert!(!into.join("log").join(LOCK).exists() && !into.join("indexes/note.txt").exists());
        let target = tempfile::tempdir().unwrap();
        let restored = empty(target.path());
        fs::create_dir_all(restored.data.path()).unwrap();
        fs::write(restored.data.path().join("README.md"), "a note").unwrap();
        assert_eq!(restore(&into, &restored, &silent).unwrap(), report);
        assert_eq!(restored.indexes.current().unwrap(), stores.indexes.current().unwrap());
        assert_eq!(restored.indexes.versions().unwrap().len(), 2);
        assert!(cinedex_dataset::Dataset::load(&restored.data, NAME).is_ok());
        assert_eq!(open(&restored.log).forgotten(), open(&stores.log).forgotten());
        assert_eq!(open(&restored.log).forgotten().len(), 1);
        let again = folder.path().join("again");
        // The log is held meanwhile, as by a server.
        let _held = open(&restored.log);
        assert_eq!(back_up(&restored, &again, &silent).unwrap().bytes, report.bytes);
        assert!(matches!(restore(&into, &restored, &silent), Err(PipelineError::NotEmpty { .. })));
    }

    #[test]
    fn a_damaged_backup_is_refused_with_the_file_and_nothing_written() {
        let (folder, stores) = installation();
        let into = folder.path().join("backup");
        back_up(&stores, &into, &silent).unwrap();
        let table = into.join(DATA).join(NAME).join("movies.parquet");
        let sound = fs::read(&table).unwrap();
        let check = |damage: &dyn Fn(), expect: &str| {
            damage();
            let target = tempfile::tempdir().unwrap();
            let error = restore(&into, &empty(target.path()), &silent).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
            assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
        };
        let mut flipped = sound.clone();
        flipped[7] ^= 1;
        check(&|| fs::write(&table, &flipped).unwrap(), "movies.parquet");
        check(&|| fs::write(&table, &sound[1..]).unwrap(), "movies.parquet");
        check(&|| fs::remove_file(&table).unwrap(), "movies.parquet");
        fs::write(&table, &sound).unwrap();
        check(&|| fs::write(into.join("data/extra"), "x").unwrap(), "extra");
        fs::remove_file(into.join("data/extra")).unwrap();
        check(&|| fs::write(into.join(MANIFEST), "{}").unwrap(), MANIFEST);
    }

    #[test]
    fn a_backup_goes_where_nothing_is() {
        let (folder, stores) = installation();
        let into = folder.path().join("backup");
        fs::create_dir(&into).unwrap();
        back_up(&stores, &into, &silent).unwrap();
        assert!(matches!(back_up(&stores, &into, &silent), Err(PipelineError::NotEmpty { .. })));
    }

    #[test]
    fn an_installation_without_anything_is_backed_up_too() {
        let folder = tempfile::tempdir().unwrap();
        let report = back_up(&empty(folder.path()), &folder.path().join("backup"), &silent).unwrap();
        assert_eq!((report.files, report.live, report.log), (0, None, false));
    }
}
