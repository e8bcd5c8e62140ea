//! What the log holds and what it answers, as plain data.

use cinedex_domain::{Event, Movie, MovieId, UserId};

/// One thing that happened while serving.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A user did something with a movie.
    Interaction(Event),
    /// A user is forgotten: this hides every interaction of the user at an earlier position.
    Forgotten(UserId),
    /// A movie was added, or its facts were replaced.
    MoviePut(Movie),
    /// A movie was withdrawn.
    MovieWithdrawn(MovieId),
}

/// An entry with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// From 1, ascending, with gaps, never used twice.
    pub position: u64,
    /// When it was received, in milliseconds since 1970 UTC by this machine's clock. A clock that goes back by up to a day is
    /// held at the latest time seen, so that it descends only where the clock was wrong by more.
    pub received_ms: i64,
    /// What happened.
    pub entry: Entry,
}

/// A caller's name for one call, so that a retry counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// 1 to 256 bytes, of the caller's choice; it is for the server to keep callers apart in it.
    pub key: String,
    /// A hash of what was sent; a key that comes back with another one is refused.
    pub body_hash: u64,
}

/// What became of a call's events. A retry under the same idempotency key gets the first answer again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Events that were new, and are durable now.
    pub accepted: u32,
    /// Events that had been accepted before.
    pub duplicates: u32,
    /// The position of the last accepted event; with none accepted, the last position of the log.
    pub position: u64,
}

/// What forgetting a user did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Everything of the user before this position is hidden.
    pub position: u64,
    /// Interactions in the log that this hid; their bytes leave with the next compaction.
    pub removed: u64,
}

/// What [`crate::Log::compact`] keeps. Forgotten users' interactions, superseded facts of movies and names of retries that are
/// no longer remembered leave in any case; tombstones and the latest word on each movie stay for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Interactions received before this time (milliseconds since 1970 UTC) leave; `None` keeps them.
    pub received_from_ms: Option<i64>,
    /// Interactions after this position stay whatever their age, for example what no bundle has learned yet; `None` protects none.
    pub learned_position: Option<u64>,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Interactions that left.
    pub interactions: u64,
    /// Bytes on disk before, of the segments that were looked at.
    pub bytes_before: u64,
    /// Bytes on disk after, of the same.
    pub bytes_after: u64,
}

/// What was cut off when the log was opened: bytes that no whole, unaltered call is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Bytes that were cut.
    pub bytes: u64,
    /// The first segment in which some were.
    pub path: std::path::PathBuf,
    /// The last good position before the first cut.
    pub after: u64,
    /// Whether good entries follow a cut; `false` is what a crash leaves, `true` needs someone to look at the disk.
    pub within: bool,
}

/// A backup's files, in the folder that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFiles {
    /// Each file's path and size in bytes.
    pub files: Vec<(std::path::PathBuf, u64)>,
    /// The last position that the backup holds.
    pub position: u64,
}

/// How the log is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// Interactions that are neither forgotten nor compacted away.
    pub entries: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The first position that the files may still hold.
    pub first_position: u64,
    /// The last position given.
    pub last_position: u64,
    /// Files that the log is made of.
    pub segments: usize,
    /// Calls that wait for the writer.
    pub queue: usize,
    /// Users with interactions or a tombstone.
    pub users: usize,
    /// Event ids and idempotency keys remembered.
    pub remembered: usize,
    /// Bytes of memory that the index takes, estimated from its counts.
    pub index_bytes: u64,
    /// Whether the last write failed for want of room.
    pub storage_full: bool,
}
