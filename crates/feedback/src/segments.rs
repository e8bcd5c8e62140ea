//! The store: a folder of segments that are appended to, flushed, and replaced whole. It knows frames, and nothing of what a
//! record says.
//!
//! A segment's name is the first position that it may hold (`00000000000000000001.log`). Only the last one is written to. In
//! memory is where every sixteenth record stands, about a byte a record. Readers hold the files open that they read, so that a
//! compaction takes nothing from under them. One process at a time holds the folder, by a lock on `LOCK`.

use std::fs::{self, File, TryLockError};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::entry::{BackupFiles, Cut};
use crate::error::FeedbackError;
use crate::frame::{HEAD, MAGIC, Parsed, open_frame, parse_frame, put_frame, recover};
use crate::rewrite::Rewrite;
use crate::store::{Batch, Judge, Rewritten, Store, StoreSize, Visitor};

/// Records between two remembered offsets.
const BLOCK_RECORDS: u32 = 16;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// The folder's segments.
pub(crate) struct Segments {
    folder: PathBuf,
    segment_bytes: u64,
    /// Ascending, never empty; the last one is written to.
    parts: RwLock<Vec<Part>>,
    tail: Mutex<Tail>,
    /// One rewrite at a time.
    maintenance: Mutex<()>,
    _lock: File,
}

/// What opening found beside the records.
pub(crate) struct Found {
    pub(crate) segments: Segments,
    pub(crate) cut: Option<Cut>,
    /// The lowest position that may be given next.
    pub(crate) next: u64,
}

/// What only the writer needs.
#[derive(Default)]
struct Tail {
    scratch: Vec<u8>,
    /// Bytes behind the good ones may be on disk, after a write that failed.
    torn: bool,
    /// A new segment begins here at least.
    floor: u64,
}

/// A segment: its file, and where its records are.
pub(crate) struct Part {
    pub(crate) extent: Extent,
    blocks: Vec<Block>,
    in_block: u32,
    last: u64,
}

/// The good bytes of a segment.
#[derive(Clone)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) length: u64,
}

/// A record at whose position no earlier one stands, and its offset.
#[derive(Clone, Copy)]
struct Block {
    position: u64,
    offset: u32,
}

impl Segments {
    /// Opens or makes a folder and tells every good record, ascending. What is not good is cut off before anything is written.
    pub(crate) fn open(
        folder: &Path,
        segment_bytes: u64,
        each: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<Found, FeedbackError> {
        fs::create_dir_all(folder).map_err(FeedbackError::io("create", folder))?;
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))?;
        let lock = lock(folder)?;
        let (mut parts, mut cut, mut last, mut gone) = (Vec::<Part>::new(), None, 0, 0);
        let names = list(folder)?;
        for (index, (first, path)) in names.iter().enumerate() {
            if *first <= last {
                // A compaction put its records into the segment before, and was killed before it removed the file.
                fs::remove_file(path).map_err(FeedbackError::io("remove", path))?;
                continue;
            }
            let is_last = index + 1 == names.len();
            let segment = open_segment(path, *first, last.max(first - 1), is_last, &mut cut)?;
            let mut part = Part::new(open_extent(path, *first, segment.bytes.len() as u64)?);
            for frame in &segment.frames {
                let (position, payload) = open_frame(&segment.bytes[frame.clone()]);
                part.note(position, frame.start as u64);
                each(position, payload);
            }
            last = last.max(part.last);
            gone = segment.lost;
            parts.push(part);
        }
        let next = skipped(last + 1, gone).max(parts.last().map_or(1, |part| part.extent.first));
        let segments = Self {
            folder: folder.to_owned(),
            segment_bytes,
            parts: RwLock::new(parts),
            tail: Mutex::new(Tail { floor: next, ..Tail::default() }),
            maintenance: Mutex::new(()),
            _lock: lock,
        };
        let empty = read(&segments.parts).is_empty();
        match if gone > 0 || empty { segments.begin(next) } else { Ok(()) } {
            // Opening must succeed on a full disk, so that what is there can be read.
            Err(FeedbackError::StorageFull { .. }) if !empty => {}
            other => other?,
        }
        Ok(Found { segments, cut, next })
    }

    /// Begins a new segment, which is written to from now on.
    fn begin(&self, first: u64) -> Result<(), FeedbackError> {
        let path = create_segment(&self.folder, first)?;
        let part = Part::new(open_extent(&path, first, MAGIC.len() as u64)?);
        write(&self.parts).push(part);
        Ok(())
    }

    /// Begins a new segment unless the last one is empty.
    fn seal(&self, tail: &Tail) -> Result<(), FeedbackError> {
        let (length, next) = {
            let parts = read(&self.parts);
            let part = last_of(&parts);
            (part.extent.length, (part.last + 1).max(part.extent.first).max(tail.floor))
        };
        if length > MAGIC.len() as u64 { self.begin(next) } else { Ok(()) }
    }

    fn last_extent(&self) -> Extent {
        last_of(&read(&self.parts)).extent.clone()
    }

    fn extents(&self) -> Vec<Extent> {
        read(&self.parts).iter().map(|part| part.extent.clone()).collect()
    }
}

impl Store for Segments {
    fn commit(&self, batch: &Batch) -> Result<(), FeedbackError> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let size = (batch.bytes() + batch.len() * HEAD) as u64;
        let mut extent = self.last_extent();
        if tail.torn {
            cut_file(&extent)?;
            tail.torn = false;
        }
        if extent.length + size > self.segment_bytes {
            self.seal(&tail)?;
            extent = self.last_extent();
        }
        tail.scratch.clear();
        let mut offsets = Vec::with_capacity(batch.len());
        for record in batch.records() {
            let offset = extent.length + tail.scratch.len() as u64;
            offsets.push((record.position, offset));
            put_frame(&mut tail.scratch, extent.first, offset, &record);
        }
        let written = extent.file.write_all_at(&tail.scratch, extent.length);
        if let Err(error) = written.and_then(|()| extent.file.sync_data()) {
            tail.torn = cut_file(&extent).is_err();
            return Err(FeedbackError::io("write", &extent.path)(error));
        }
        let mut parts = write(&self.parts);
        let part = parts.last_mut().expect("there is always a segment to write to");
        for (position, offset) in offsets {
            part.note(position, offset);
        }
        part.extent.length += tail.scratch.len() as u64;
        Ok(())
    }

    fn get(&self, position: u64, each: &mut dyn FnMut(&[u8])) -> Result<bool, FeedbackError> {
        let (extent, range) = {
            let parts = read(&self.parts);
            let index = parts.partition_point(|part| part.extent.first <= position);
            let Some(part) = index.checked_sub(1).map(|index| &parts[index]) else { return Ok(false) };
            let Some(range) = part.block_of(position) else { return Ok(false) };
            (part.extent.clone(), range)
        };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        read_at(&extent, &mut bytes, range.start)?;
        let mut at = 0;
        while at < bytes.len() {
            let offset = range.start + at as u64;
            let Parsed::Whole(record, size) = parse_frame(&bytes[at..], extent.first, offset) else {
                return Err(FeedbackError::Damaged { path: extent.path, offset });
            };
            if record.position >= position {
                if record.position == position {
                    each(record.payload);
                }
                return Ok(record.position == position);
            }
            at += size;
        }
        Ok(false)
    }

    fn scan(&self, after: u64, each: &mut Visitor<'_>) -> Result<(), FeedbackError> {
        let mut from = Vec::new();
        {
            let parts = read(&self.parts);
            for part in parts.iter().filter(|part| part.last > after) {
                let start =
                    part.block_of(after.saturating_add(1)).map_or(MAGIC.len() as u64, |block| block.start);
                from.push((part.extent.clone(), start));
            }
        }
        for (extent, start) in from {
            if !walk(&extent, start, &mut |position, payload| position <= after || each(position, payload))? {
                break;
            }
        }
        Ok(())
    }

    fn rewrite(&self, judge: &mut Judge<'_>) -> Result<Rewritten, FeedbackError> {
        let _one = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            match self.seal(&tail) {
                // A compaction is what makes room: what is sealed already is gone through.
                Ok(()) | Err(FeedbackError::StorageFull { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut sealed = self.extents();
        sealed.pop();
        let mut rewrite = Rewrite::new(&self.folder, &self.parts, self.segment_bytes);
        for extent in sealed {
            rewrite.take(extent, judge)?;
        }
        rewrite.finish()
    }

    fn backup(&self, into: &Path) -> Result<BackupFiles, FeedbackError> {
        fs::create_dir_all(into).map_err(FeedbackError::io("create", into))?;
        if fs::read_dir(into).map_err(FeedbackError::io("list", into))?.next().is_some() {
            return Err(FeedbackError::TargetNotEmpty { path: into.to_owned() });
        }
        let (extents, position) = {
            let parts = read(&self.parts);
            (parts.iter().map(|part| part.extent.clone()).collect::<Vec<_>>(), last_of(&parts).last)
        };
        let mut files = Vec::new();
        for extent in extents {
            let path = into.join(extent.path.file_name().unwrap_or_default());
            copy(&extent, &path)?;
            files.push((path, extent.length));
        }
        sync_folder(into)?;
        Ok(BackupFiles { files, position })
    }

    fn size(&self) -> StoreSize {
        let parts = read(&self.parts);
        StoreSize {
            bytes: parts.iter().map(|part| part.extent.length).sum(),
            files: parts.len(),
            first_position: parts.first().map_or(1, |part| part.extent.first),
        }
    }
}

impl Part {
    pub(crate) fn new(extent: Extent) -> Self {
        let last = extent.first - 1;
        Self { extent, blocks: Vec::new(), in_block: 0, last }
    }

    /// Remembers the next record, if it begins a block.
    pub(crate) fn note(&mut self, position: u64, offset: u64) {
        let enough = self.blocks.is_empty() || self.in_block >= BLOCK_RECORDS;
        if enough && (position > self.last || self.blocks.is_empty()) {
            self.blocks.push(Block { position, offset: offset as u32 });
            self.in_block = 0;
        }
        self.in_block += 1;
        self.last = self.last.max(position);
    }

    /// The bytes of the block in which a position would stand.
    fn block_of(&self, position: u64) -> Option<Range<u64>> {
        let next = self.blocks.partition_point(|block| block.position <= position);
        let start = u64::from(self.blocks[next.checked_sub(1)?].offset);
        let end = self.blocks.get(next).map_or(self.extent.length, |block| u64::from(block.offset));
        Some(start..end)
    }
}

/// Tells every record of an extent from an offset on; false if `each` ended it.
pub(crate) fn walk(extent: &Extent, from: u64, each: &mut Visitor<'_>) -> Result<bool, FeedbackError> {
    let mut buffer = Vec::new();
    let (mut offset, mut chunk) = (from, CHUNK_BYTES);
    while offset < extent.length {
        let rest = extent.length - offset;
        buffer.resize(chunk.min(usize::try_from(rest).unwrap_or(usize::MAX)), 0);
        read_at(extent, &mut buffer, offset)?;
        let mut at = 0;
        chunk = loop {
            match parse_frame(&buffer[at..], extent.first, offset + at as u64) {
                Parsed::Whole(record, size) => {
                    if !each(record.position, record.payload) {
                        return Ok(false);
                    }
                    at += size;
                }
                Parsed::Short(size) if at > 0 || (size > buffer.len() && (buffer.len() as u64) < rest) => {
                    break size.max(CHUNK_BYTES);
                }
                Parsed::Short(_) | Parsed::Bad => {
                    let offset = offset + at as u64;
                    return Err(FeedbackError::Damaged { path: extent.path.clone(), offset });
                }
            }
        };
        offset += at as u64;
    }
    Ok(true)
}

/// Puts a segment's bytes in place of whatever is there, in one step, and opens it.
pub(crate) fn replace_segment(path: &Path, first: u64, bytes: &[u8]) -> Result<Extent, FeedbackError> {
    let temporary = path.with_extension("tmp");
    let written = fs::write(&temporary, bytes).and_then(|()| File::open(&temporary)?.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        let _ = fs::remove_file(&temporary);
        return Err(FeedbackError::io("write", path)(error));
    }
    sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    open_extent(path, first, bytes.len() as u64)
}

/// Makes creations, renames and removals in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), FeedbackError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(FeedbackError::io("flush", folder))
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn last_of(parts: &[Part]) -> &Part {
    parts.last().expect("there is always a segment to write to")
}

fn read_at(extent: &Extent, bytes: &mut [u8], offset: u64) -> Result<(), FeedbackError> {
    extent.file.read_exact_at(bytes, offset).map_err(FeedbackError::io("read", &extent.path))
}

fn lock(folder: &Path) -> Result<File, FeedbackError> {
    let path = folder.join("LOCK");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(FeedbackError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FeedbackError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(FeedbackError::io("lock", &path)(error)),
    }
}

fn name(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// First positions and paths of the segments, ascending. What a killed compaction left is removed.
fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, FeedbackError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(FeedbackError::io("list", folder))? {
        let path = entry.map_err(FeedbackError::io("list", folder))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        match (stem, path.extension().and_then(|extension| extension.to_str())) {
            (Some(first @ 1..), Some("log")) if path == name(folder, first) => found.push((first, path)),
            (Some(_), Some("tmp")) => fs::remove_file(&path).map_err(FeedbackError::io("remove", &path))?,
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

/// Refuses another version of the format; anything else that is not the header counts as altered.
fn check_version(bytes: &[u8], path: &Path) -> Result<(), FeedbackError> {
    let digits = bytes.get(12..16).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
    if bytes.starts_with(&MAGIC[..12]) && digits && !bytes.starts_with(MAGIC) {
        return Err(FeedbackError::ForeignVersion { path: path.to_owned() });
    }
    Ok(())
}

/// A segment as it was read and, if need be, healed.
struct Opened {
    bytes: Vec<u8>,
    frames: Vec<Range<usize>>,
    /// Bytes that were cut from it.
    lost: u64,
}

/// Reads a segment that follows the position `before`, and leaves only good frames in it; adds to `cut` what goes.
fn open_segment(
    path: &Path,
    first: u64,
    before: u64,
    is_last: bool,
    cut: &mut Option<Cut>,
) -> Result<Opened, FeedbackError> {
    let bytes = fs::read(path).map_err(FeedbackError::io("read", path))?;
    check_version(&bytes, path)?;
    let good = recover(&bytes, first, before);
    let whole_head = bytes.starts_with(MAGIC);
    if good.lost == 0 && whole_head {
        return Ok(Opened { bytes, frames: good.frames, lost: 0 });
    }
    let altered_head = !whole_head && bytes.len() >= MAGIC.len();
    let lost = good.lost + if altered_head { MAGIC.len() } else { 0 };
    if lost > 0 {
        let after = good.good_until.unwrap_or(before);
        let cut = cut.get_or_insert(Cut { bytes: 0, path: path.to_owned(), after, within: false });
        cut.bytes += lost as u64;
        cut.within |= good.within || altered_head || !is_last;
    }
    let lost = good.lost as u64;
    if is_last {
        let highest = good.frames.last().map_or(before, |frame| open_frame(&bytes[frame.clone()]).0);
        reserve(path.parent().unwrap_or(Path::new(".")), highest + 1, lost)?;
    }
    let bytes = heal(path, first, &bytes, &good.frames)?;
    let frames = recover(&bytes, first, before).frames;
    Ok(Opened { bytes, frames, lost })
}

fn open_extent(path: &Path, first: u64, length: u64) -> Result<Extent, FeedbackError> {
    let file = File::options().read(true).write(true).open(path).map_err(FeedbackError::io("open", path))?;
    Ok(Extent { first, path: path.to_owned(), file: Arc::new(file), length })
}

fn create_segment(folder: &Path, first: u64) -> Result<PathBuf, FeedbackError> {
    let path = name(folder, first);
    let written = fs::write(&path, MAGIC).and_then(|()| File::open(&path)?.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&path);
        return Err(FeedbackError::io("create", &path)(error));
    }
    sync_folder(folder)?;
    Ok(path)
}

/// A position above all that lost bytes may have held, since those may have been told to somebody; above `next` if any were lost.
fn skipped(next: u64, lost: u64) -> u64 {
    next + lost.div_ceil(HEAD as u64 + 1)
}

/// Keeps the positions of lost bytes from being given again, before the bytes go: the next segment's name says where it goes on.
fn reserve(folder: &Path, next: u64, lost: u64) -> Result<(), FeedbackError> {
    if lost == 0 {
        return Ok(());
    }
    match create_segment(folder, skipped(next, lost)) {
        Ok(_) | Err(FeedbackError::StorageFull { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Leaves only the good frames in a segment; answers what it holds then.
fn heal(path: &Path, first: u64, bytes: &[u8], good: &[Range<usize>]) -> Result<Vec<u8>, FeedbackError> {
    let end = good.last().map_or(MAGIC.len(), |frame| frame.end);
    let size: usize = good.iter().map(ExactSizeIterator::len).sum();
    if bytes.starts_with(MAGIC) && end == MAGIC.len() + size {
        // A cut needs no room.
        let extent = open_extent(path, first, end as u64)?;
        cut_file(&extent)?;
        return Ok(bytes[..end].to_vec());
    }
    let mut healed = MAGIC.to_vec();
    for frame in good {
        let (position, payload) = open_frame(&bytes[frame.clone()]);
        let record = crate::store::BatchRecord { position, payload, opens: true, closes: true };
        let offset = healed.len() as u64;
        put_frame(&mut healed, first, offset, &record);
    }
    replace_segment(path, first, &healed)?;
    Ok(healed)
}

/// Cuts off what stands behind the good bytes.
fn cut_file(extent: &Extent) -> Result<(), FeedbackError> {
    let cut = extent.file.set_len(extent.length).and_then(|()| extent.file.sync_data());
    cut.map_err(FeedbackError::io("cut", &extent.path))
}

fn copy(extent: &Extent, to: &Path) -> Result<(), FeedbackError> {
    let file = File::create_new(to).map_err(FeedbackError::io("create", to))?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    while offset < extent.length {
        let size = CHUNK_BYTES.min((extent.length - offset) as usize);
        read_at(extent, &mut buffer[..size], offset)?;
        file.write_all_at(&buffer[..size], offset).map_err(FeedbackError::io("write", to))?;
        offset += size as u64;
    }
    file.sync_all().map_err(FeedbackError::io("flush", to))
}
