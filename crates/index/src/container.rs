//! The one form of all flat files of a bundle: a header, a table of sections, and the sections, each an array of numbers.
//! It knows nothing of what the numbers mean.
//!
//! Little-endian. The header has 64 bytes: magic (8), kind (16, padded with zeros), format version (u32), number of sections
//! (u32), length of the file (u64), XXH3 of header and table with this field zero (u64), zeros. Then a table of 64 bytes a
//! section: name (24), element type (u32), zero (u32), offset (u64), elements (u64), XXH3 of its bytes (u64), zeros. Each
//! section begins at the next multiple of 64; the bytes between are zero. Nothing else fits, so nothing else is read.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cinedex_storage::xxh3;
use rayon::prelude::*;

use crate::error::Fault;
use crate::manifest::{FORMAT_VERSION, check_format, file_size};
use crate::mapping::{Element, Mapping, bytes_of, numbers};
use crate::{FileEntry, IndexError};

const MAGIC: [u8; 8] = *b"CINEDEX\0";
const ALIGNMENT: usize = 64;
const ENTRY_BYTES: usize = 64;
const MAX_SECTIONS: usize = 256;
const KIND: Range<usize> = 8..24;
const FORMAT: Range<usize> = 24..28;
const COUNT: Range<usize> = 28..32;
const LENGTH: Range<usize> = 32..40;
const CHECKSUM: Range<usize> = 40..48;
const NAME_BYTES: usize = 24;

/// A section to be written.
pub(crate) struct SectionData<'a> {
    name: String,
    code: u32,
    elements: usize,
    bytes: Cow<'a, [u8]>,
}

impl<'a> SectionData<'a> {
    /// Names an array. The name has at most 24 bytes.
    pub(crate) fn new<T: Element>(name: impl Into<String>, values: &'a [T]) -> Self {
        let bytes = Cow::Borrowed(bytes_of(values));
        Self { name: name.into(), code: T::CODE, elements: values.len(), bytes }
    }

    /// Names an array of its own.
    pub(crate) fn owned<T: Element>(name: impl Into<String>, values: Vec<T>) -> Self {
        let bytes = Cow::Owned(bytes_of(&values).to_vec());
        Self { name: name.into(), code: T::CODE, elements: values.len(), bytes }
    }
}

/// Writes a flat file and returns the XXH3 that its header carries.
pub(crate) fn write_container(
    path: &Path,
    kind: &'static str,
    sections: &[SectionData<'_>],
) -> Result<u64, IndexError> {
    let header = header_of(kind, sections);
    let failed = |source| IndexError::io("write", path, source);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    file.write_all(&header).map_err(failed)?;
    let mut position = header.len();
    for section in sections {
        let start = position.next_multiple_of(ALIGNMENT);
        file.write_all(&[0; ALIGNMENT][..start - position]).map_err(failed)?;
        file.write_all(&section.bytes).map_err(failed)?;
        position = start + section.bytes.len();
    }
    file.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok(u64_at(&header, CHECKSUM))
}

/// An open flat file, of which header, layout and every checksum were verified.
#[derive(Debug)]
pub(crate) struct Container {
    path: PathBuf,
    mapping: Arc<Mapping>,
    sections: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    code: u32,
    range: Range<usize>,
}

/// An array of a flat file; it keeps the file mapped.
#[derive(Debug, Clone)]
pub(crate) struct Section<T> {
    mapping: Arc<Mapping>,
    range: Range<usize>,
    element: PhantomData<T>,
}

impl<T: Element> Deref for Section<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        numbers(&self.mapping.bytes()[self.range.clone()]).expect("alignment and length were checked at open")
    }
}

impl Container {
    /// Maps and verifies a file that should be of `kind` and the one that the manifest describes.
    pub(crate) fn open(path: &Path, kind: &'static str, expected: &FileEntry) -> Result<Self, IndexError> {
        let damaged = |fault| IndexError::damaged(path, fault);
        let found = file_size(path)?;
        if found != expected.bytes {
            return Err(damaged(Fault::Size { expected: expected.bytes, found }));
        }
        if found < ENTRY_BYTES as u64 {
            return Err(damaged(Fault::Magic));
        }
        let mapping = Mapping::open(path).map_err(|source| IndexError::io("map", path, source))?;
        let bytes = mapping.bytes();
        if bytes.len() as u64 != found {
            return Err(damaged(Fault::Size { expected: expected.bytes, found: bytes.len() as u64 }));
        }
        if bytes[..8] != MAGIC {
            return Err(damaged(Fault::Magic));
        }
        check_format(path, u32_at(bytes, FORMAT))?;
        let (sections, checksum) = read_table(bytes, kind).map_err(damaged)?;
        if format!("{checksum:016x}") != expected.xxh3 {
            return Err(damaged(Fault::ForeignFile));
        }
        check_sections(bytes, &sections).map_err(damaged)?;
        Ok(Self { path: path.to_owned(), mapping: Arc::new(mapping), sections })
    }

    /// An array by name.
    pub(crate) fn section<T: Element>(&self, name: &str) -> Result<Section<T>, IndexError> {
        let section = || name.to_owned();
        let entry = self.sections.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| self.fault(Fault::MissingSection { section: section() }))?;
        if entry.code != T::CODE {
            return Err(self.fault(Fault::ElementType { section: section() }));
        }
        Ok(Section { mapping: Arc::clone(&self.mapping), range: entry.range.clone(), element: PhantomData })
    }

    /// An array by name that must have `expected` elements.
    pub(crate) fn section_of<T: Element>(
        &self,
        name: &str,
        expected: usize,
    ) -> Result<Section<T>, IndexError> {
        let section = self.section::<T>(name)?;
        if section.len() == expected {
            return Ok(section);
        }
        let (expected, found) = (expected as u64, section.len() as u64);
        Err(self.fault(Fault::Length { section: name.to_owned(), expected, found }))
    }

    /// Offsets of `rows` rows into `end` elements: they begin at 0, never descend, and end at `end`.
    pub(crate) fn offsets<T: Element + Into<u64> + PartialOrd>(
        &self,
        name: &str,
        rows: usize,
        end: usize,
    ) -> Result<Section<T>, IndexError> {
        let offsets = self.section_of::<T>(name, rows + 1)?;
        let fault = |position| Err(self.fault(Fault::Offsets { section: name.to_owned(), position }));
        if offsets[0].into() != 0 {
            return fault(0);
        }
        // Without an early end several are compared at a time.
        let descends = offsets.windows(2).map(|pair| u32::from(pair[0] > pair[1])).max() == Some(1);
        if descends && let Some(position) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            return fault(position + 1);
        }
        if offsets[rows].into() == end as u64 { Ok(offsets) } else { fault(rows) }
    }

    /// Checks that every number is below `limit`.
    pub(crate) fn check_below(&self, name: &str, values: &[u32], limit: usize) -> Result<(), IndexError> {
        match first_failing(values, |value| (value as usize) < limit) {
            None => Ok(()),
            Some(position) => Err(self.fault(Fault::OutOfRange {
                section: name.to_owned(),
                position,
                found: u64::from(values[position]),
                limit: limit as u64,
            })),
        }
    }

    /// Checks that every number is finite.
    pub(crate) fn check_finite(&self, name: &str, values: &[f32]) -> Result<(), IndexError> {
        match first_failing(values, f32::is_finite) {
            None => Ok(()),
            Some(position) => Err(self.fault(Fault::NotFinite { section: name.to_owned(), position })),
        }
    }

    /// An error that names this file.
    pub(crate) fn fault(&self, fault: Fault) -> IndexError {
        IndexError::damaged(&self.path, fault)
    }
}

/// The first number that does not pass. Chunks go to as many threads as there are, and without a branch for each number
/// several are tested at a time.
fn first_failing<T: Copy + Sync>(values: &[T], passes: impl Fn(T) -> bool + Sync) -> Option<usize> {
    const CHUNK: usize = 1 << 16;
    values.par_chunks(CHUNK).enumerate().find_map_first(|(number, chunk)| {
        let failing = chunk.iter().map(|&value| u32::from(!passes(value))).max() == Some(1);
        let position = || chunk.iter().position(|&value| !passes(value));
        if failing { position().map(|position| number * CHUNK + position) } else { None }
    })
}

fn header_of(kind: &str, sections: &[SectionData<'_>]) -> Vec<u8> {
    assert!(kind.len() <= KIND.len() && sections.len() <= MAX_SECTIONS, "names of this crate are short");
    let mut header = vec![0; ENTRY_BYTES * (1 + sections.len())];
    header[..8].copy_from_slice(&MAGIC);
    header[KIND][..kind.len()].copy_from_slice(kind.as_bytes());
    header[FORMAT].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[COUNT].copy_from_slice(&(sections.len() as u32).to_le_bytes());
    let mut end = header.len();
    for (section, entry) in sections.iter().zip(header[ENTRY_BYTES..].chunks_exact_mut(ENTRY_BYTES)) {
        assert!(section.name.len() <= NAME_BYTES, "names of this crate are short");
        let start = end.next_multiple_of(ALIGNMENT);
        entry[..section.name.len()].copy_from_slice(section.name.as_bytes());
        entry[24..28].copy_from_slice(&section.code.to_le_bytes());
        entry[32..40].copy_from_slice(&(start as u64).to_le_bytes());
        entry[40..48].copy_from_slice(&(section.elements as u64).to_le_bytes());
        entry[48..56].copy_from_slice(&xxh3(&section.bytes).to_le_bytes());
        end = start + section.bytes.len();
    }
    header[LENGTH].copy_from_slice(&(end as u64).to_le_bytes());
    let checksum = xxh3(&header);
    header[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// The sections, laid out as they must be, and the header's checksum.
fn read_table(bytes: &[u8], kind: &'static str) -> Result<(Vec<Entry>, u64), Fault> {
    let count = u32_at(bytes, COUNT) as usize;
    let table_end = ENTRY_BYTES * (1 + count.min(MAX_SECTIONS));
    if count > MAX_SECTIONS || table_end > bytes.len() {
        return Err(Fault::MalformedTable);
    }
    let mut header = bytes[..table_end].to_vec();
    let checksum = u64_at(&header, CHECKSUM);
    header[CHECKSUM].fill(0);
    if xxh3(&header) != checksum {
        return Err(Fault::HeaderChecksum);
    }
    let found = text_of(&header[KIND]);
    if found != kind {
        return Err(Fault::Kind { found, expected: kind });
    }
    let mut end = table_end;
    let mut sections = Vec::with_capacity(count);
    for entry in header[ENTRY_BYTES..].chunks_exact(ENTRY_BYTES) {
        let code = u32_at(entry, 24..28);
        let width = width_of(code).ok_or(Fault::MalformedTable)?;
        let elements = usize::try_from(u64_at(entry, 40..48)).map_err(|_| Fault::MalformedTable)?;
        let length = elements.checked_mul(width).ok_or(Fault::MalformedTable)?;
        let start = end.next_multiple_of(ALIGNMENT);
        let stop =
            start.checked_add(length).filter(|&stop| stop <= bytes.len()).ok_or(Fault::MalformedTable)?;
        if u64_at(entry, 32..40) != start as u64 {
            return Err(Fault::MalformedTable);
        }
        sections.push(Entry { name: text_of(&entry[..NAME_BYTES]), code, range: start..stop });
        end = stop;
    }
    if end != bytes.len() || u64_at(&header, LENGTH) != end as u64 {
        return Err(Fault::MalformedTable);
    }
    Ok((sections, checksum))
}

fn check_sections(bytes: &[u8], sections: &[Entry]) -> Result<(), Fault> {
    let check = |(position, entry): (usize, &Entry)| {
        let end =
            position.checked_sub(1).map_or(ENTRY_BYTES * (1 + sections.len()), |at| sections[at].range.end);
        let recorded = ENTRY_BYTES * (1 + position) + 48;
        let padded = bytes[end..entry.range.start].iter().all(|&byte| byte == 0);
        if padded && xxh3(&bytes[entry.range.clone()]) == u64_at(bytes, recorded..recorded + 8) {
            Ok(())
        } else {
            Err(Fault::SectionChecksum { section: entry.name.clone() })
        }
    };
    let checked: Vec<Result<(), Fault>> = sections.par_iter().enumerate().map(check).collect();
    // The first fault is told, whichever thread found one first.
    checked.into_iter().collect()
}

fn width_of(code: u32) -> Option<usize> {
    match code {
        u8::CODE => Some(1),
        u32::CODE | f32::CODE => Some(4),
        u64::CODE | i64::CODE => Some(8),
        _ => None,
    }
}

fn text_of(padded: &[u8]) -> String {
    let end = padded.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    String::from_utf8_lossy(&padded[..end]).into_owned()
}

fn u32_at(bytes: &[u8], range: Range<usize>) -> u32 {
    u32::from_le_bytes(bytes[range].try_into().expect("a range of four bytes"))
}

fn u64_at(bytes: &[u8], range: Range<usize>) -> u64 {
    u64::from_le_bytes(bytes[range].try_into().expect("a range of eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(path: &Path, checksum: u64) -> FileEntry {
        let bytes = std::fs::metadata(path).unwrap().len();
        FileEntry { bytes, sha256: String::new(), xxh3: format!("{checksum:016x}") }
    }

    fn sample(path: &Path) -> FileEntry {
        let (ids, scores, nothing) = ([1u32, 2, 3], [0.5f32; 40], [0u64; 0]);
        let sections = [
            SectionData::new("ids", &ids),
            SectionData::new("nothing", &nothing),
            SectionData::new("scores", &scores),
        ];
        entry_of(path, write_container(path, "sample", &sections).unwrap())
    }

    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sample.bin");
        let entry = sample(&path);
        let container = Container::open(&path, "sample", &entry).unwrap();
        assert_eq!(*container.section::<u32>("ids").unwrap(), [1, 2, 3]);
        assert_eq!(container.section::<u64>("nothing").unwrap().len(), 0);
        assert_eq!(container.section_of::<f32>("scores", 40).unwrap()[39], 0.5);
        assert!(container.section::<f32>("ids").is_err());
        assert!(container.section::<f32>("other").is_err());
        assert!(container.section_of::<f32>("scores", 41).is_err());
        assert!(Container::open(&path, "other", &entry).is_err());
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sample.bin");
        let entry = sample(&path);
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut altered = whole.clone();
            altered[position] ^= 0x40;
            std::fs::write(&path, &altered).unwrap();
            assert!(Container::open(&path, "sample", &entry).is_err(), "byte {position}");
        }
    }

    #[test]
    fn every_truncation_is_refused_even_if_the_manifest_agrees() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sample.bin");
        let entry = sample(&path);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Container::open(&path, "sample", &entry).is_err(), "{length} bytes");
            let agreeing = FileEntry { bytes: length as u64, ..entry.clone() };
            assert!(Container::open(&path, "sample", &agreeing).is_err(), "{length} bytes");
        }
    }
}
