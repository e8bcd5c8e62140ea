//! The entries of the log.

use cinedex_domain::{Event, Movie, MovieId, UserId};

/// Something that changes answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A user did something with a movie.
    Interaction(Event),
    /// Everything earlier of this user is to be forgotten.
    Forgotten(UserId),
    /// A movie is new, or its facts have changed.
    MoviePut(Movie),
    /// A movie is not to be recommended any more.
    MovieWithdrawn(MovieId),
}

/// An entry with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// From 1, ascending, never used twice.
    pub position: u64,
    /// When it arrived, in milliseconds since 1970 UTC.
    pub received_ms: i64,
    /// What it says.
    pub entry: Entry,
}
