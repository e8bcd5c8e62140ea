//! Encoded answers of repeated requests, and one computation for requests that come while it runs. The only file that
//! knows moka. A key names the bundle, so a swap needs no sweeping: what is old is no longer asked for and ages out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web::Bytes;
use moka::notification::RemovalCause;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::oneshot;

use crate::cursor::hash;
use crate::problem::Problem;

/// What an entry costs beside its key and body.
const ENTRY_BYTES: usize = 320;

/// An answer as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) body: Bytes,
    /// With its quotes.
    pub(crate) etag: String,
    /// Where what was begun goes on.
    pub(crate) location: Option<String>,
}

impl Encoded {
    pub(crate) fn new(body: Vec<u8>) -> Self {
        Self { etag: format!("\"{:016x}\"", hash(&body)), body: body.into(), location: None }
    }
}

/// What a computation came to.
pub(crate) type Outcome = Result<Arc<Encoded>, Problem>;

/// The cache, shared between threads.
pub(crate) struct ResponseCache {
    entries: moka::sync::Cache<Arc<str>, Arc<Encoded>>,
    /// Who waits for each computation under way.
    flights: Mutex<HashMap<Arc<str>, Vec<oneshot::Sender<Outcome>>>>,
}

/// How a request that was not found gets its answer.
pub(crate) enum Flight {
    /// By computing it and then calling [`Landing::land`].
    Lead(Landing, oneshot::Receiver<Outcome>),
    /// By waiting for who computes it.
    Follow(oneshot::Receiver<Outcome>),
}

/// The duty to say what a computation came to. Dropped without it, whoever waits hears of an internal failure.
pub(crate) struct Landing {
    cache: Arc<ResponseCache>,
    key: Arc<str>,
    landed: bool,
}

impl ResponseCache {
    /// Keeps at most `bytes` for `seconds` each; 0 keeps nothing. What leaves for lack of room is counted.
    pub(crate) fn new(bytes: u64, seconds: u64, evictions: Counter) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(if seconds == 0 { 0 } else { bytes })
            .weigher(|key: &Arc<str>, entry: &Arc<Encoded>| {
                u32::try_from(key.len() + entry.body.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evictions.inc();
                }
            })
            .time_to_live(Duration::from_secs(seconds.max(1)))
            .build();
        Self { entries, flights: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Encoded>> {
        self.entries.get(key)
    }

    /// Forgets all entries, and says about how many there were.
    pub(crate) fn clear(&self) -> u64 {
        self.entries.run_pending_tasks();
        let entries = self.entries.entry_count();
        self.entries.invalidate_all();
        self.entries.run_pending_tasks();
        entries
    }

    /// How many entries there are and how many bytes they take, about.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// Keeps an answer that was computed without a flight.
    pub(crate) fn keep(&self, key: String, encoded: &Arc<Encoded>) {
        self.entries.insert(key.into(), Arc::clone(encoded));
    }

    /// Joins the computation of `key`, or starts it.
    pub(crate) fn join(self: &Arc<Self>, key: Arc<str>) -> Flight {
        let (sender, receiver) = oneshot::channel();
        let mut flights = self.lock();
        if let Some(waiting) = flights.get_mut(&key) {
            waiting.push(sender);
            return Flight::Follow(receiver);
        }
        flights.insert(Arc::clone(&key), vec![sender]);
        drop(flights);
        Flight::Lead(Landing { cache: Arc::clone(self), key, landed: false }, receiver)
    }

    fn finish(&self, key: &Arc<str>, outcome: &Outcome) {
        if let Ok(encoded) = outcome {
            self.entries.insert(Arc::clone(key), Arc::clone(encoded));
        }
        let waiting = self.lock().remove(key).unwrap_or_default();
        for sender in waiting {
            // Who has gone away needs no answer.
            sender.send(outcome.clone()).ok();
        }
    }

    /// The map is whole after every statement, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Vec<oneshot::Sender<Outcome>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Landing {
    /// Tells everybody who waits, and keeps an answer.
    pub(crate) fn land(mut self, outcome: &Outcome) {
        self.landed = true;
        self.cache.finish(&self.key, outcome);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.landed {
            self.cache.finish(&self.key, &Err(Problem::internal()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn encoded(text: &str) -> Arc<Encoded> {
        Arc::new(Encoded::new(text.as_bytes().to_vec()))
    }

    fn lead(flight: Flight) -> (Landing, oneshot::Receiver<Outcome>) {
        match flight {
            Flight::Lead(landing, receiver) => (landing, receiver),
            Flight::Follow(_) => panic!("nobody else computes it"),
        }
    }

    #[test]
    fn one_computes_and_all_hear_of_it() {
        let cache = Arc::new(ResponseCache::new(1 << 20, 60, Counter::default()));
        let (landing, mut first) = lead(cache.join("k".into()));
        let Flight::Follow(mut second) = cache.join("k".into()) else { panic!("it is being computed") };
        landing.land(&Ok(encoded("answer")));
        assert_eq!(first.try_recv().unwrap(), Ok(encoded("answer")));
        assert_eq!(second.try_recv().unwrap(), Ok(encoded("answer")));
        assert_eq!(cache.get("k"), Some(encoded("answer")));
    }

    #[test]
    fn a_failure_is_told_and_not_kept() {
        let cache = Arc::new(ResponseCache::new(1 << 20, 60, Counter::default()));
        let (landing, mut first) = lead(cache.join("k".into()));
        drop(landing);
        assert_eq!(first.try_recv().unwrap().unwrap_err().code, Code::Internal);
        assert_eq!(cache.get("k"), None);
        lead(cache.join("k".into()));
    }

    #[test]
    fn a_cache_of_no_bytes_keeps_nothing() {
        let cache = Arc::new(ResponseCache::new(0, 60, Counter::default()));
        let (landing, _receiver) = lead(cache.join("k".into()));
        landing.land(&Ok(encoded("answer")));
        cache.entries.run_pending_tasks();
        assert_eq!(cache.get("k"), None);
    }
}
