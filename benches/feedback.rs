//! The durable log: events a second in calls of 100 and from 64 threads one by one, reads, bytes an event on disk and in memory,
//! opening. Data: likes of 20,000 users of 30,000 films with event ids of 27 bytes, drawn by a multiplicative hash. Varies: clients
//! and events a call. The ceiling beside it is `fdatasync` alone after a write of as many bytes. Excluded: making the events.
#![allow(missing_docs, reason = "a benchmark has no public surface")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cinedex_domain::{Event, InteractionKind, MovieId, UserId};
use cinedex_feedback::{Log, LogOptions, Retention};

const USERS: u64 = 20_000;

/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(4);

fn user(number: u64) -> UserId {
    UserId::new(&(number % USERS).to_string()).expect("a short id")
}

fn event(number: u64) -> Event {
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Event {
        user_id: user(hash),
        movie_id: MovieId::new(&((hash >> 32) % 30_000).to_string()).expect("a short id"),
        kind: InteractionKind::Like,
        value: None,
        timestamp_ms: 1_700_000_000_000 + number as i64,
        location: None,
        event_id: Some(format!("{hash:016x}-{number:010}")),
    }
}

/// Appends from so many threads for a time; prints rate and waits.
fn append(log: &Log, clients: usize, batch: u64, next: &AtomicU64) {
    let (start, from) = (Instant::now(), next.load(Ordering::Relaxed));
    let waits = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut mine = Vec::new();
                while start.elapsed() < SPAN {
                    let first = next.fetch_add(batch, Ordering::Relaxed);
                    let events = (first..first + batch).map(event).collect();
                    let call = Instant::now();
                    log.append(events, None).expect("room on the disk");
                    mine.push(call.elapsed());
                }
                waits.lock().expect("no thread panicked").append(&mut mine);
            });
        }
    });
    let rate = (next.load(Ordering::Relaxed) - from) as f64 / start.elapsed().as_secs_f64();
    let mut waits = waits.into_inner().expect("no thread panicked");
    waits.sort();
    let (median, high) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    println!(
        "{clients:>3} clients, {batch:>3} events a call: {rate:>8.0} events/s, p50 {median:.1?}, p99 {high:.1?}"
    );
}

/// What the disk gives: writes of so many bytes, each flushed.
fn ceiling(folder: &Path, bytes: usize) {
    let path = folder.join("ceiling");
    let file = File::create(&path).expect("a file");
    let (start, block, mut count) = (Instant::now(), vec![1; bytes], 0_u64);
    while start.elapsed() < SPAN {
        file.write_all_at(&block, count * bytes as u64)
            .and_then(|()| file.sync_data())
            .expect("room on the disk");
        count += 1;
    }
    println!("fdatasync alone, {bytes} bytes: {:.0} a second", count as f64 / start.elapsed().as_secs_f64());
    std::fs::remove_file(path).expect("removed");
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let folder = tempfile::tempdir_in(target).expect("a folder");
    let place = folder.path().join("log");
    let log = Log::open(&place, &LogOptions::default(), |_| ()).expect("a new log").log;
    let next = AtomicU64::new(0);
    ceiling(folder.path(), 7_000);
    for (clients, batch) in [(1, 1), (64, 1), (1, 100), (4, 100)] {
        append(&log, clients, batch, &next);
    }
    let status = log.status();
    let events = status.entries as f64;
    println!(
        "{events} events: {:.1} bytes each on disk, {:.1} in memory with the id remembered",
        status.bytes as f64 / events,
        status.index_bytes as f64 / events
    );
    for limit in [1, 20, 100] {
        let start = Instant::now();
        let found: usize =
            (0..2000).map(|n| log.history(&user(n * 7), None, limit).expect("readable").len()).sum();
        println!("history of {limit}: {:.1?} ({:.1} found)", start.elapsed() / 2000, found as f64 / 2000.0);
    }
    let start = Instant::now();
    log.forget(&user(1)).expect("room on the disk");
    log.compact(Retention::default()).expect("room on the disk");
    println!("forget one and compact: {:.1?}", start.elapsed());
    drop(log);
    let start = Instant::now();
    let log = Log::open(&place, &LogOptions::default(), |_| ()).expect("it was closed").log;
    println!("open: {:.1} million events a second", events / start.elapsed().as_secs_f64() / 1e6);
    let start = Instant::now();
    let mut told = 0_u64;
    log.read(0, |_| {
        told += 1;
        true
    })
    .expect("readable");
    println!("replay: {:.1} million events a second", told as f64 / start.elapsed().as_secs_f64() / 1e6);
}
