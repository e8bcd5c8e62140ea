//! The durable log of what happens while serving: interactions, forgotten users, added, changed and withdrawn movies. It is a
//! synchronous library with one thread that writes; it knows nothing of what an event means for an answer, nor of HTTP.
//!
//! Principal types: [`Log`] appends, forgets, reads and compacts; [`Entry`] is what it holds, [`Logged`] with its position.
//! What a call was answered for is on disk (`fdatasync`) and stays there once, whatever kills the process.
//!
//! Memory: 9 to 17 bytes an interaction (its position in the user's list, and a sixteenth of an offset), about 100 and the id a
//! user, 19 to 39 an event id and 56 to 112 an idempotency key of the last seven days (at most twice that number).
//! [`Log::status`] says how much it is.
//!
//! ```
//! use cinedex_domain::{Event, InteractionKind, MovieId, UserId};
//! use cinedex_feedback::{Log, LogOptions};
//!
//! # let folder = tempfile::tempdir()?;
//! let log = Log::open(folder.path(), &LogOptions::default(), |heard| println!("{} entries", heard.len()))?.log;
//! let (user_id, movie_id) = (UserId::new("42")?, MovieId::new("318")?);
//! let event = Event {
//!     user_id: user_id.clone(), movie_id, kind: InteractionKind::Like, value: None, timestamp_ms: 0, location: None,
//!     event_id: Some("a click".to_owned()),
//! };
//! assert_eq!(log.append(vec![event.clone()], None)?.accepted, 1);
//! assert_eq!(log.append(vec![event], None)?.duplicates, 1);
//! assert_eq!(log.history(&user_id, None, 10)?.len(), 1);
//! assert_eq!(log.forget(&user_id)?.removed, 1);
//! assert!(log.history(&user_id, None, 10)?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entry;
mod error;
mod frame;
mod index;
mod log;
mod memory;
mod record;
mod rewrite;
mod segments;
mod store;
mod writer;

pub use entry::{
    Appended, BackupFiles, Compacted, Cut, Entry, Idempotency, LogStatus, Logged, Receipt, Retention,
};
pub use error::FeedbackError;
pub use log::{Log, LogOptions, MAX_KEY_BYTES, Opened};
