//! The log: what callers ask, from any thread. It joins store, index and writer, and knows nothing of how bytes lie in files.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cinedex_domain::{Event, Movie, MovieId, UserId};

use crate::entry::{
    Appended, BackupFiles, Compacted, Cut, Entry, Idempotency, LogStatus, Logged, Receipt, Retention,
};
use crate::error::FeedbackError;
use crate::index::Index;
use crate::memory::Memory;
use crate::record::{Fingerprint, Malformed, Record, decode, encode_remembered};
use crate::segments::{Segments, read, write};
use crate::store::{Store, Verdict};
use crate::writer::{Done, Order, Request, Writer};

/// The longest idempotency key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// Interactions that leave the index at once, so that appends wait for no longer.
const DROPPED_AT_ONCE: usize = 4096;

/// Milliseconds since 1970 UTC.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Hears what became durable.
pub(crate) type Sink = dyn Fn(&[Logged]) + Send + Sync;

/// Limits of a log.
#[derive(Clone)]
pub struct LogOptions {
    /// Bytes of a segment, from which a new one begins; 4 KiB to 1 GiB, 64 MiB if not said.
    pub segment_bytes: u64,
    /// Calls that may wait for the writer before further ones block; 1024 if not said.
    pub queue: usize,
    /// Events in one call; 10,000 if not said.
    pub batch_events: usize,
    /// How long event ids and idempotency keys are remembered; never less than the seven days that it is if not said.
    pub remember: Duration,
    /// The clock, milliseconds since 1970 UTC; the system's if not said.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for LogOptions {
    fn default() -> Self {
        let now = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            since.as_millis() as i64
        };
        Self {
            segment_bytes: 64 << 20,
            queue: 1024,
            batch_events: 10_000,
            remember: Duration::from_hours(7 * 24),
            clock: Arc::new(now),
        }
    }
}

impl std::fmt::Debug for LogOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { segment_bytes, queue, batch_events, remember, clock: _ } = self;
        write!(formatter, "LogOptions {{ {segment_bytes}, {queue}, {batch_events}, {remember:?} }}")
    }
}

/// A log that was opened, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: Log,
    /// What was cut off, if anything.
    pub cut: Option<Cut>,
    /// Interactions in it that are not hidden.
    pub entries: u64,
}

/// The durable log of what happens while serving. Many threads may use it at once; dropped, it writes what still waits.
pub struct Log {
    shared: Arc<Shared>,
    options: LogOptions,
    requests: Option<SyncSender<Request>>,
    writer: Option<JoinHandle<()>>,
}

/// What callers and the writer share.
pub(crate) struct Shared {
    pub(crate) store: Box<dyn Store>,
    pub(crate) index: RwLock<Index>,
    pub(crate) queue: AtomicUsize,
    pub(crate) last_position: AtomicU64,
    pub(crate) storage_full: AtomicBool,
    pub(crate) remembered: AtomicUsize,
    pub(crate) memory_bytes: AtomicU64,
}

impl Log {
    /// Opens or makes the log in a folder. A torn or altered tail is cut to the last whole call, and damage before it to the calls
    /// that it hit; [`Opened::cut`] tells. `sink` hears, on the writer's thread, what becomes durable from now on, in the order
    /// of positions; it must not call what writes. What is there already is read with [`Log::read`].
    pub fn open(
        folder: &Path,
        options: &LogOptions,
        sink: impl Fn(&[Logged]) + Send + Sync + 'static,
    ) -> Result<Opened, FeedbackError> {
        let mut options = options.clone();
        options.segment_bytes = options.segment_bytes.clamp(4 << 10, 1 << 30);
        options.remember = options.remember.max(LogOptions::default().remember);
        let mut memory = Memory::new(options.remember.as_millis() as i64);
        let now_ms = (options.clock)();
        let (mut index, mut latest_ms, mut unknown) = (Index::default(), i64::MIN, None);
        let found = Segments::open(folder, options.segment_bytes, &mut |position, payload| {
            let Some((received_ms, record)) = decode(payload) else {
                unknown.get_or_insert(position);
                return;
            };
            latest_ms = received_ms;
            index.take(position, &record);
            if memory.remembers(received_ms, now_ms) {
                recall(&mut memory, &record, received_ms);
            }
        })?;
        if let Some(position) = unknown {
            return Err(FeedbackError::UnknownEntry { position });
        }
        if let Some(Cut { bytes, path, after, within }) = &found.cut {
            let path = path.display();
            tracing::warn!(bytes, %path, after, within, "bytes that are no whole entries were cut off the log");
        }
        let entries = index.size().0;
        let shared = Arc::new(Shared {
            store: Box::new(found.segments),
            index: RwLock::new(index),
            queue: AtomicUsize::new(0),
            last_position: AtomicU64::new(found.next - 1),
            storage_full: AtomicBool::new(false),
            remembered: AtomicUsize::new(memory.len()),
            memory_bytes: AtomicU64::new(memory.bytes()),
        });
        let (requests, receiver) = sync_channel(options.queue.max(1));
        let (clock, next) = (options.clock.clone(), found.next);
        let writer = Writer::new(shared.clone(), memory, Box::new(sink), clock, next, latest_ms);
        let writer = std::thread::Builder::new()
            .name("feedback".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(FeedbackError::io("start a thread for", folder))?;
        let log = Self { shared, options, requests: Some(requests), writer: Some(writer) };
        Ok(Opened { log, cut: found.cut, entries })
    }

    /// Appends events, all or none; durable when it returns, and heard by the sink. An event whose id the user sent before, and
    /// a call whose key was used before, count once.
    pub fn append(
        &self,
        events: Vec<Event>,
        idempotency: Option<Idempotency>,
    ) -> Result<Appended, FeedbackError> {
        let max = self.options.batch_events;
        if events.len() > max {
            return Err(FeedbackError::TooManyEvents { found: events.len(), max });
        }
        for (index, event) in events.iter().enumerate() {
            event.check().map_err(|source| FeedbackError::InvalidEvent { index, source })?;
        }
        if let Some(Idempotency { key, .. }) = &idempotency
            && !(1..=MAX_KEY_BYTES).contains(&key.len())
        {
            return Err(FeedbackError::InvalidKey { found: key.len() });
        }
        match self.ask(Order::Append(events, idempotency))? {
            Done::Appended(appended) => Ok(appended),
            Done::Written(_) => Err(FeedbackError::Stopped),
        }
    }

    /// Forgets a user: everything of theirs so far is hidden, for ever.
    pub fn forget(&self, user: &UserId) -> Result<Receipt, FeedbackError> {
        self.write(Entry::Forgotten(user.clone()))
    }

    /// Adds a movie, or replaces its facts; answers the position.
    pub fn put_movie(&self, movie: Movie) -> Result<u64, FeedbackError> {
        self.write(Entry::MoviePut(movie)).map(|receipt| receipt.position)
    }

    /// Withdraws a movie; answers the position.
    pub fn withdraw_movie(&self, movie: &MovieId) -> Result<u64, FeedbackError> {
        self.write(Entry::MovieWithdrawn(movie.clone())).map(|receipt| receipt.position)
    }

    /// Tells all entries after a position that no later tombstone hides, ascending, up to the last one when the call began, until
    /// `each` answers false. Tombstones are told too; of several of one user, compaction leaves the last.
    pub fn read(&self, after: u64, mut each: impl FnMut(Logged) -> bool) -> Result<(), FeedbackError> {
        let mut failure = None;
        self.shared.store.scan(after, &mut |position, payload| {
            let Some((received_ms, record)) = decode(payload) else {
                failure = Some(FeedbackError::UnknownEntry { position });
                return false;
            };
            if let Record::Interaction(event) = &record
                && read(&self.shared.index).hides(event.user_id, position)
            {
                return true;
            }
            match record.to_entry() {
                Ok(None) => true,
                Ok(Some(entry)) => each(Logged { position, received_ms, entry }),
                Err(Malformed) => {
                    failure = Some(FeedbackError::UnknownEntry { position });
                    false
                }
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// A user's interactions below the position `before`, newest first, at most `limit`; nothing that was forgotten.
    pub fn history(
        &self,
        user: &UserId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Logged>, FeedbackError> {
        let positions = read(&self.shared.index).positions(user.as_str(), before.unwrap_or(u64::MAX), limit);
        let mut found = Vec::with_capacity(positions.len());
        for position in positions {
            let mut unknown = false;
            self.shared.store.get(position, &mut |payload| {
                let decoded = decode(payload).ok_or(Malformed);
                match decoded.and_then(|(received_ms, record)| Ok((received_ms, record.to_entry()?))) {
                    Ok((received_ms, Some(entry))) => found.push(Logged { position, received_ms, entry }),
                    // A note stands where a compaction has just taken the event.
                    Ok((_, None)) => {}
                    Err(Malformed) => unknown = true,
                }
            })?;
            if unknown {
                return Err(FeedbackError::UnknownEntry { position });
            }
        }
        Ok(found)
    }

    /// Each forgotten user and the position before which everything is hidden, in no order.
    pub fn forgotten(&self) -> Vec<(UserId, u64)> {
        read(&self.shared.index).forgotten()
    }

    /// The last position given, 0 if none was.
    pub fn last_position(&self) -> u64 {
        self.shared.last_position.load(Ordering::Acquire)
    }

    /// How the log is doing.
    pub fn status(&self) -> LogStatus {
        let (entries, users, index_bytes) = read(&self.shared.index).size();
        let size = self.shared.store.size();
        LogStatus {
            entries,
            bytes: size.bytes,
            first_position: size.first_position,
            last_position: self.last_position(),
            segments: size.files,
            queue: self.shared.queue.load(Ordering::Relaxed),
            users,
            remembered: self.shared.remembered.load(Ordering::Relaxed),
            // Every sixteenth record's place takes 16 bytes.
            index_bytes: index_bytes + entries + self.shared.memory_bytes.load(Ordering::Relaxed),
            storage_full: self.shared.storage_full.load(Ordering::Relaxed),
        }
    }

    /// Lets go of what is hidden and of what is older than is to be kept, and puts small segments together. Appending and reading
    /// go on meanwhile. It needs room for one segment at a time. An event that leaves while its id is still remembered leaves
    /// that name, as a hash.
    pub fn compact(&self, keep: Retention) -> Result<Compacted, FeedbackError> {
        let now_ms = (self.options.clock)();
        let memory = Memory::new(self.options.remember.as_millis() as i64);
        let mut interactions = 0;
        let mut dropped: Vec<(Box<str>, u64)> = Vec::new();
        let rewritten = self.shared.store.rewrite(&mut |position, payload| {
            let Some((received_ms, record)) = decode(payload) else { return Verdict::Keep };
            let young = memory.remembers(received_ms, now_ms);
            match record {
                Record::Interaction(event) => {
                    let hidden = read(&self.shared.index).hides(event.user_id, position);
                    let learned = keep.learned_position.is_none_or(|learned| position <= learned);
                    let old = learned && keep.received_from_ms.is_some_and(|from| received_ms < from);
                    if !hidden && !old {
                        return Verdict::Keep;
                    }
                    interactions += 1;
                    if !hidden {
                        dropped.push((event.user_id.into(), position));
                        if dropped.len() >= DROPPED_AT_ONCE {
                            self.drop_interactions(&mut dropped);
                        }
                    }
                    match event.event_id {
                        Some(id) if young => {
                            let mut note = Vec::new();
                            let name = Fingerprint::of_event(event.user_id, id);
                            encode_remembered(&mut note, received_ms, name);
                            Verdict::Replace(note)
                        }
                        _ => Verdict::Drop,
                    }
                }
                Record::Forgotten(user) if read(&self.shared.index).hides(user, position) => Verdict::Drop,
                Record::MoviePut(movie, _) | Record::MovieWithdrawn(movie)
                    if read(&self.shared.index).superseded(movie, position) =>
                {
                    Verdict::Drop
                }
                Record::Answered(..) | Record::Remembered(_) if !young => Verdict::Drop,
                _ => Verdict::Keep,
            }
        })?;
        self.drop_interactions(&mut dropped);
        Ok(Compacted {
            interactions,
            bytes_before: rewritten.bytes_before,
            bytes_after: rewritten.bytes_after,
        })
    }

    /// Copies the log into an empty folder, as of one moment and durably, while it goes on. The copy is a log that can be opened.
    pub fn backup(&self, into: &Path) -> Result<BackupFiles, FeedbackError> {
        self.shared.store.backup(into)
    }

    fn write(&self, entry: Entry) -> Result<Receipt, FeedbackError> {
        match self.ask(Order::Write(entry))? {
            Done::Written(receipt) => Ok(receipt),
            Done::Appended(_) => Err(FeedbackError::Stopped),
        }
    }

    fn ask(&self, order: Order) -> Result<Done, FeedbackError> {
        let requests = self.requests.as_ref().ok_or(FeedbackError::Stopped)?;
        let (answer, answered) = sync_channel(1);
        self.shared.queue.fetch_add(1, Ordering::Relaxed);
        if requests.send(Request { order, answer }).is_err() {
            self.shared.queue.fetch_sub(1, Ordering::Relaxed);
            return Err(FeedbackError::Stopped);
        }
        answered.recv().map_err(|_| FeedbackError::Stopped)?
    }

    fn drop_interactions(&self, dropped: &mut Vec<(Box<str>, u64)>) {
        let mut index = write(&self.shared.index);
        for (user_id, position) in dropped.drain(..) {
            index.drop_interaction(&user_id, position);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so, and every caller was told.
            let _ = writer.join();
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Log {{ last_position: {} }}", self.last_position())
    }
}

/// Remembers the names in a record that is in the log.
fn recall(memory: &mut Memory, record: &Record<'_>, received_ms: i64) {
    match record {
        Record::Interaction(event) => {
            if let Some(event_id) = event.event_id {
                memory.insert_event(Fingerprint::of_event(event.user_id, event_id), received_ms);
            }
        }
        Record::Answered(key, body_hash, appended) => {
            memory.insert_key(*key, *body_hash, *appended, received_ms);
        }
        Record::Remembered(event) => {
            memory.insert_event(*event, received_ms);
        }
        Record::Forgotten(_) | Record::MoviePut(..) | Record::MovieWithdrawn(_) => {}
    }
}
