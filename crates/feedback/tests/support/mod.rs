//! Events and logs for the tests of this crate.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::path::Path;

use cinedex_domain::{Event, InteractionKind, MovieId, UserId};
use cinedex_feedback::{Entry, Log, LogOptions, Logged, Opened};

pub fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub fn movie(id: &str) -> MovieId {
    MovieId::new(id).unwrap()
}

/// A like without a name.
pub fn like(user_id: &str, movie_id: &str) -> Event {
    Event {
        user_id: user(user_id),
        movie_id: movie(movie_id),
        kind: InteractionKind::Like,
        value: None,
        timestamp_ms: 1_700_000_000_000,
        location: None,
        event_id: None,
    }
}

/// A like with a name.
pub fn named(user_id: &str, movie_id: &str, event_id: &str) -> Event {
    Event { event_id: Some(event_id.to_owned()), ..like(user_id, movie_id) }
}

/// Opens a log with segments of 8 KiB, so that it has many.
pub fn open(folder: &Path) -> Opened {
    Log::open(folder, &small(), |_| ()).unwrap()
}

pub fn small() -> LogOptions {
    LogOptions { segment_bytes: 8 << 10, ..LogOptions::default() }
}

/// Everything that the log tells.
pub fn all(log: &Log) -> Vec<Logged> {
    let mut found = Vec::new();
    log.read(0, |logged| {
        found.push(logged);
        true
    })
    .unwrap();
    assert!(found.is_sorted_by(|a, b| a.position < b.position), "positions ascend");
    found
}

/// The movies of the interactions that the log tells, in order.
pub fn movies(log: &Log) -> Vec<String> {
    all(log).iter().filter_map(|logged| interaction(logged).map(|e| e.movie_id.to_string())).collect()
}

/// The movies of a user, newest first.
pub fn history(log: &Log, user_id: &str) -> Vec<String> {
    let found = log.history(&user(user_id), None, usize::MAX).unwrap();
    found.iter().map(|logged| interaction(logged).unwrap().movie_id.to_string()).collect()
}

pub fn interaction(logged: &Logged) -> Option<&Event> {
    match &logged.entry {
        Entry::Interaction(event) => Some(event),
        _ => None,
    }
}

/// Bytes of all files of a folder together.
pub fn bytes_of(folder: &Path) -> Vec<u8> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
}
