//! What the log could not do. Errors are cheap to clone, because one failed write answers every caller that waited for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cinedex_domain::DomainError;

/// Why the log could not be opened, written or read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FeedbackError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `open`, `write`, `rename`…
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// No room to write. Nothing of the call is kept, all that was there stays readable, and writing works again with room.
    #[error("no room to write {}: {source}; make room, and what was refused can be sent again", path.display())]
    StorageFull {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process, or another log of this one, has the folder open.
    #[error("the log {} is in use; stop the other process or name another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A segment of another version of the format.
    #[error("{} is of another version of the log; open it with the version that wrote it", path.display())]
    ForeignVersion {
        /// The segment.
        path: PathBuf,
    },
    /// Bytes that were good when the log was opened are so no longer.
    #[error("{} is damaged at byte {offset}; restart to cut it, or restore a backup", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
    },
    /// An entry with a good checksum that this version does not understand.
    #[error("the entry at position {position} is of a newer version of the log; open it with that version")]
    UnknownEntry {
        /// Its position.
        position: u64,
    },
    /// An event that makes no sense; nothing of the call was kept.
    #[error("event {index}: {source}")]
    InvalidEvent {
        /// Which of the call's events, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: DomainError,
    },
    /// More events in one call than the options allow.
    #[error("{found} events in one call, at most {max} are allowed; send them in parts")]
    TooManyEvents {
        /// How many there were.
        found: usize,
        /// [`crate::LogOptions::batch_events`].
        max: usize,
    },
    /// An idempotency key of no bytes or too many.
    #[error("an idempotency key has 1 to 256 bytes, this one has {found}")]
    InvalidKey {
        /// Bytes found.
        found: usize,
    },
    /// The idempotency key was used before, for another body.
    #[error("the idempotency key \"{key}\" was used for another body; use a new key for a new request")]
    IdempotencyMismatch {
        /// The key.
        key: String,
    },
    /// A movie with more facts than an entry may hold.
    #[error("a movie has at most {max} bytes, this one has {found}; leave out tags or alternative titles")]
    LargeMovie {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A backup goes into a folder that is empty or not there.
    #[error("{} is not empty; name another folder for the backup", path.display())]
    TargetNotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The writer ended, because the sink or the writer itself panicked.
    #[error("the log has stopped writing; restart, and read the log of the process for the reason")]
    Stopped,
}

impl FeedbackError {
    /// For `map_err`: tells a full disk from any other refusal.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| {
            let full = matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            );
            let (path, source) = (path.to_owned(), Arc::new(source));
            if full { Self::StorageFull { path, source } } else { Self::Io { action, path, source } }
        }
    }
}
