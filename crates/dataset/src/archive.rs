//! A folder or a zip archive as one flat source of files, read within bounds. It knows nothing of what the files mean.
//!
//! Nothing is ever extracted: entries are streamed. An archive that could harm one that extracts it (a path that climbs
//! out, a link, an entry that expands out of proportion) is refused whole, whether the entry would be read or not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::{DatasetBuilder, DatasetError};

/// What an archive may expand to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// All files together, in bytes; 8 GiB by default.
    pub uncompressed_bytes: u64,
    /// One file in relation to its compressed size, for files above 1 MiB; 200 by default. `MovieLens` is near 5.
    pub ratio: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { uncompressed_bytes: 8 << 30, ratio: 200 }
    }
}

/// Small files may be of any ratio: a few hundred zeros compress beyond every measure and harm nobody.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// More entries than any published archive has by far.
const MAX_ENTRIES: usize = 10_000;

/// The files of a folder, or of the single top folder of a zip archive; files in deeper folders are not seen.
pub(crate) struct FileSource {
    path: PathBuf,
    /// Name of the folder that holds the files, or of the archive.
    label: String,
    kind: Kind,
}

enum Kind {
    Folder(Vec<String>),
    Zip { archive: ZipArchive<BufReader<File>>, entries: BTreeMap<String, usize> },
}

/// One file of a source, open for reading.
pub(crate) struct SourceFile<'a> {
    /// Its name within the source.
    pub(crate) name: String,
    /// Its length in bytes, uncompressed.
    pub(crate) bytes: u64,
    path: PathBuf,
    in_archive: bool,
    reader: Box<dyn Read + 'a>,
}

impl FileSource {
    /// Opens a folder or zip archive and checks it, reading no file yet.
    pub(crate) fn open(path: &Path, limits: &ArchiveLimits) -> Result<Self, DatasetError> {
        let metadata = fs::metadata(path).map_err(DatasetError::io("open", path))?;
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        if metadata.is_dir() {
            let label = path.canonicalize().ok().as_deref().and_then(name).unwrap_or_default();
            return Ok(Self { path: path.to_owned(), label, kind: Kind::Folder(list_folder(path)?) });
        }
        let mut file = File::open(path).map_err(DatasetError::io("open", path))?;
        let mut magic = [0; 4];
        let is_zip = metadata.is_file() && file.read_exact(&mut magic).is_ok() && magic.starts_with(b"PK");
        if !is_zip {
            return Err(DatasetError::WrongLayout {
                path: path.to_owned(),
                reason: "it is neither a folder nor a zip archive".to_owned(),
            });
        }
        let (archive, entries, top) = open_zip(path, file, limits)?;
        let label = top.or_else(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        let kind = Kind::Zip { archive, entries };
        Ok(Self { path: path.to_owned(), label: label.unwrap_or_default(), kind })
    }

    /// The folder or archive.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the folder that holds the files, in an archive of its top folder.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The names of the files, ascending.
    pub(crate) fn names(&self) -> Vec<String> {
        match &self.kind {
            Kind::Folder(names) => names.clone(),
            Kind::Zip { entries, .. } => entries.keys().cloned().collect(),
        }
    }

    /// Whether there is a file of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Folder(names) => names.iter().any(|known| known == name),
            Kind::Zip { entries, .. } => entries.contains_key(name),
        }
    }

    /// Opens a file; one that is not there is a wrong layout.
    pub(crate) fn file(&mut self, name: &str) -> Result<SourceFile<'_>, DatasetError> {
        if !self.contains(name) {
            return Err(DatasetError::WrongLayout {
                path: self.path.clone(),
                reason: format!("the file {name} is missing"),
            });
        }
        match &mut self.kind {
            Kind::Folder(_) => {
                let path = self.path.join(name);
                let file = File::open(&path).map_err(DatasetError::io("open", &path))?;
                let bytes = file.metadata().map_err(DatasetError::io("read", &path))?.len();
                Ok(SourceFile {
                    name: name.to_owned(),
                    bytes,
                    path,
                    in_archive: false,
                    reader: Box::new(file),
                })
            }
            Kind::Zip { archive, entries } => {
                let entry =
                    archive.by_index(entries[name]).map_err(|error| unreadable(&self.path, &error))?;
                let bytes = entry.size();
                let reader = Box::new(Bounded { inner: entry, left: bytes });
                Ok(SourceFile {
                    name: name.to_owned(),
                    bytes,
                    path: self.path.clone(),
                    in_archive: true,
                    reader,
                })
            }
        }
    }

    /// Notes what the data set is made from: the archive, or each of the files in `names`.
    pub(crate) fn note_inputs(
        &self,
        builder: &mut DatasetBuilder,
        names: &[&str],
    ) -> Result<(), DatasetError> {
        match self.kind {
            Kind::Zip { .. } => builder.add_input_file(&self.path),
            Kind::Folder(_) => {
                names.iter().try_for_each(|name| builder.add_input_file(&self.path.join(name)))
            }
        }
    }
}

impl SourceFile<'_> {
    /// What a failed read of this file is: damage in an archive, else the system's refusal.
    pub(crate) fn failed(&self, error: io::Error) -> DatasetError {
        if self.in_archive {
            let reason = format!("its file {} is damaged: {error}; download it again", self.name);
            DatasetError::Archive { path: self.path.clone(), reason }
        } else {
            DatasetError::io("read", &self.path)(error)
        }
    }
}

impl Read for SourceFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// Fails rather than yield more than an entry's declared size, which was checked against the limits.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it expands beyond its declared size")
        })?;
        Ok(read)
    }
}

fn list_folder(path: &Path) -> Result<Vec<String>, DatasetError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(DatasetError::io("list", path))? {
        let entry = entry.map_err(DatasetError::io("list", path))?;
        // Follows links: a person's own folder may link to where the data lies.
        let is_file = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
        if let (true, Ok(name)) = (is_file, entry.file_name().into_string()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

type OpenZip = (ZipArchive<BufReader<File>>, BTreeMap<String, usize>, Option<String>);

/// Opens an archive and checks every entry; the entries of its top folder by name, and that folder's name.
fn open_zip(path: &Path, file: File, limits: &ArchiveLimits) -> Result<OpenZip, DatasetError> {
    let refuse = |reason: String| DatasetError::Archive { path: path.to_owned(), reason };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| unreadable(path, &error))?;
    if archive.len() > MAX_ENTRIES {
        return Err(refuse(format!("it has {} entries, more than {MAX_ENTRIES}", archive.len())));
    }
    if archive.has_duplicate_names() {
        return Err(refuse("two of its entries have the same name".to_owned()));
    }
    let mut files = Vec::new();
    let mut total: u64 = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| unreadable(path, &error))?;
        let name = entry.name().map_err(|error| unreadable(path, &error))?.into_owned();
        let shown: String = name.escape_debug().take(80).collect();
        if climbs_out(&name) {
            return Err(refuse(format!("its entry \"{shown}\" climbs out of the folder")));
        }
        if entry.is_symlink() {
            return Err(refuse(format!("its entry \"{shown}\" is a link")));
        }
        if entry.encrypted() {
            return Err(refuse(format!("its entry \"{shown}\" is encrypted")));
        }
        total = total.saturating_add(entry.size());
        if total > limits.uncompressed_bytes {
            let limit = limits.uncompressed_bytes;
            return Err(refuse(format!(
                "it expands to more than {limit} bytes, at \"{shown}\"; raise the limit if that is right"
            )));
        }
        if entry.size() > RATIO_FREE_BYTES && entry.size() / entry.compressed_size().max(1) > limits.ratio {
            let ratio = limits.ratio;
            return Err(refuse(format!(
                "its entry \"{shown}\" expands more than {ratio} times, like a zip bomb"
            )));
        }
        if !entry.is_dir() && !name.starts_with("__MACOSX/") {
            files.push((name, index));
        }
    }
    let top = top_folder(&files);
    let prefix = top.as_ref().map_or(String::new(), |top| format!("{top}/"));
    let entries = files
        .into_iter()
        .filter_map(|(name, index)| Some((name.strip_prefix(&prefix)?.to_owned(), index)))
        .filter(|(name, _)| !name.contains('/'))
        .collect();
    Ok((archive, entries, top))
}

/// The folder that holds every file, if there is one.
fn top_folder(files: &[(String, usize)]) -> Option<String> {
    let top = files.first()?.0.split_once('/')?.0;
    files
        .iter()
        .all(|(name, _)| name.split_once('/').is_some_and(|(folder, _)| folder == top))
        .then(|| top.to_owned())
}

/// Absolute, with a drive, or with `..`, in either kind of slash; or with a NUL.
fn climbs_out(name: &str) -> bool {
    let drive = name.as_bytes().get(1) == Some(&b':');
    drive
        || name.starts_with(['/', '\\'])
        || name.contains('\0')
        || name.split(['/', '\\']).any(|part| part == "..")
}

fn unreadable(path: &Path, error: &ZipError) -> DatasetError {
    let reason = match error {
        ZipError::CompressionMethodNotSupported(_) => format!("{error}; compress it with deflate"),
        _ => format!("it is truncated or damaged ({error}); download it again"),
    };
    DatasetError::Archive { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn open(bytes: &[u8]) -> Result<FileSource, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.zip");
        fs::write(&path, bytes).unwrap();
        FileSource::open(&path, &ArchiveLimits::default()).map_err(|error| error.to_string())
    }

    fn read(source: &mut FileSource, name: &str) -> Result<String, String> {
        let mut file = source.file(name).map_err(|error| error.to_string())?;
        let mut text = String::new();
        match file.read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(file.failed(error).to_string()),
        }
    }

    fn check_refused(bytes: &[u8], expect: &str) {
        let error = open(bytes).err().expect("the archive was accepted");
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn the_top_folder_is_looked_through() {
        let bytes =
            zip_of(&[("ml/a.csv", b"one"), ("ml/deep/b.csv", b"two"), ("__MACOSX/ml/a.csv", b"junk")]);
        let mut source = open(&bytes).unwrap();
        assert_eq!((source.names(), source.label()), (vec!["a.csv".to_owned()], "ml"));
        assert_eq!(read(&mut source, "a.csv").unwrap(), "one");
        assert!(read(&mut source, "b.csv").unwrap_err().contains("b.csv is missing"));
        let source = open(&zip_of(&[("a.csv", b"one")])).unwrap();
        assert_eq!((source.names(), source.label()), (vec!["a.csv".to_owned()], "source"));
    }

    #[test]
    fn an_entry_that_climbs_out_is_refused() {
        for name in ["../evil", "ml/../../evil", "/etc/passwd", "..\\evil", "C:\\evil", "ml/.."] {
            let bytes = zip_of(&[
                ("ml/a.csv", b"one"),
                ("ml/YYYYYYYYYYYY".get(..name.len().max(1)).unwrap_or("x"), b""),
            ]);
            let placeholder = "ml/YYYYYYYYYYYY".get(..name.len()).unwrap();
            check_refused(&replace(&bytes, placeholder.as_bytes(), name.as_bytes()), "climbs out");
        }
    }

    /// Renames an entry in place, as no honest writer would.
    fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut bytes = bytes.to_vec();
        let at: Vec<usize> = memchr::memmem::find_iter(&bytes, from).collect();
        for at in at {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        bytes
    }

    #[test]
    fn a_link_is_refused() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("ml/link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        check_refused(&writer.finish().unwrap().into_inner(), "is a link");
    }

    #[test]
    fn a_bomb_is_refused_by_ratio_and_by_size() {
        check_refused(&zip_of(&[("ml/ratings.csv", &vec![b'0'; 3 << 20])]), "zip bomb");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.zip");
        fs::write(&path, zip_of(&[("a", b"123456"), ("b", b"123456")])).unwrap();
        let limits = ArchiveLimits { uncompressed_bytes: 10, ..ArchiveLimits::default() };
        let error = FileSource::open(&path, &limits).err().unwrap().to_string();
        assert!(error.contains("more than 10 bytes"), "{error}");
    }

    #[test]
    fn an_entry_larger_than_declared_is_cut() {
        let mut bytes = zip_of(&[("a.csv", b"0123456789")]);
        // The uncompressed size in the central directory, 24 bytes into its header.
        let at = memchr::memmem::find(&bytes, b"PK\x01\x02").unwrap();
        bytes[at + 24] = 4;
        if let Ok(mut source) = open(&bytes) {
            let error = read(&mut source, "a.csv").unwrap_err();
            assert!(error.contains("damaged"), "{error}");
        }
    }

    #[test]
    fn a_truncated_archive_is_refused_at_every_length() {
        let bytes = zip_of(&[("ml/a.csv", b"one,two,three"), ("ml/b.csv", b"four")]);
        for length in 4..bytes.len() {
            check_refused(&bytes[..length], "truncated or damaged");
        }
        check_refused(b"not a zip", "neither a folder nor a zip");
        check_refused(b"", "neither a folder nor a zip");
    }

    #[test]
    fn a_flipped_byte_in_the_data_is_noticed() {
        let text = (0..2000).map(|number: u32| number.to_string()).collect::<Vec<_>>().join(",");
        let mut bytes = zip_of(&[("a.csv", text.as_bytes())]);
        bytes[300] ^= 0x10;
        let error = read(&mut open(&bytes).unwrap(), "a.csv").unwrap_err();
        assert!(error.contains("a.csv is damaged"), "{error}");
    }

    #[test]
    fn a_folder_is_a_source_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.csv"), "two").unwrap();
        fs::write(folder.path().join("a.csv"), "one").unwrap();
        fs::create_dir(folder.path().join("c.csv")).unwrap();
        let mut source = FileSource::open(folder.path(), &ArchiveLimits::default()).unwrap();
        assert_eq!(source.names(), ["a.csv", "b.csv"]);
        assert_eq!(read(&mut source, "b.csv").unwrap(), "two");
        let missing = folder.path().join("nowhere");
        assert!(FileSource::open(&missing, &ArchiveLimits::default()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_damage_never_panics(at in 0_usize..400, value: u8) {
            let mut bytes = zip_of(&[("ml/a.csv", b"one,two,three"), ("ml/b.csv", b"four")]);
            let length = bytes.len();
            bytes[at % length] = value;
            if let Ok(mut source) = open(&bytes) {
                for name in source.names() {
                    read(&mut source, &name).ok();
                }
            }
        }
    }
}
