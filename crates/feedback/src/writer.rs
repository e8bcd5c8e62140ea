//! The one thread that writes: takes all that waits, makes it durable together, then tells index, sink and callers.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, atomic::Ordering};

use cinedex_domain::Event;

use crate::entry::{Appended, Entry, Idempotency, Logged, Receipt};
use crate::error::FeedbackError;
use crate::log::{Clock, Shared, Sink};
use crate::memory::{Known, Memory};
use crate::record::{Fingerprint, encode_answered, encode_entry};
use crate::segments::write;
use crate::store::Batch;

/// A round takes no more calls when it has so many bytes.
const ROUND_BYTES: usize = 4 << 20;

/// A clock that goes back by more than this was wrong before, and is believed.
const DAY_MS: i64 = 86_400_000;

/// What a caller wants, and where to answer.
pub(crate) struct Request {
    pub(crate) order: Order,
    pub(crate) answer: SyncSender<Result<Done, FeedbackError>>,
}

/// What can be asked of the writer.
pub(crate) enum Order {
    Append(Vec<Event>, Option<Idempotency>),
    /// Anything but an interaction.
    Write(Entry),
}

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Done {
    Appended(Appended),
    Written(Receipt),
}

/// The writer's own state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    memory: Memory,
    sink: Box<Sink>,
    clock: Clock,
    next: u64,
    latest_ms: i64,
    round: Round,
}

/// Calls that become durable together.
#[derive(Default)]
struct Round {
    batch: Batch,
    logged: Vec<Logged>,
    answers: Vec<(SyncSender<Result<Done, FeedbackError>>, Done)>,
    new_events: Vec<Fingerprint>,
    new_keys: Vec<Fingerprint>,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        memory: Memory,
        sink: Box<Sink>,
        clock: Clock,
        next: u64,
        latest_ms: i64,
    ) -> Self {
        Self { shared, memory, sink, clock, next, latest_ms, round: Round::default() }
    }

    /// Writes until nobody can ask any more.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let now_ms = self.now();
            let before = self.next;
            self.stage(first, now_ms);
            while self.round.batch.bytes() < ROUND_BYTES {
                let Ok(request) = requests.try_recv() else { break };
                self.stage(request, now_ms);
            }
            let committed = if self.round.batch.is_empty() {
                Ok(())
            } else {
                self.shared.store.commit(&self.round.batch)
            };
            match committed {
                Ok(()) => self.tell(),
                Err(error) => self.take_back(before, &error),
            }
            self.round.batch.clear();
        }
    }

    /// The time to stamp: never before what was stamped last, unless the clock was far ahead then.
    fn now(&mut self) -> i64 {
        let now_ms = (self.clock)();
        let held = self.latest_ms > now_ms && self.latest_ms - now_ms <= DAY_MS;
        self.latest_ms = if held { self.latest_ms } else { now_ms };
        self.latest_ms
    }

    fn stage(&mut self, request: Request, now_ms: i64) {
        self.shared.queue.fetch_sub(1, Ordering::Relaxed);
        let staged = match request.order {
            Order::Append(events, idempotency) => self.stage_events(events, idempotency, now_ms),
            Order::Write(entry) => self.stage_entry(entry, now_ms),
        };
        self.round.batch.close_call();
        match staged {
            Ok(done) => self.round.answers.push((request.answer, done)),
            // A caller that went away needs no answer.
            Err(error) => drop(request.answer.send(Err(error))),
        }
    }

    fn stage_events(
        &mut self,
        events: Vec<Event>,
        idempotency: Option<Idempotency>,
        now_ms: i64,
    ) -> Result<Done, FeedbackError> {
        let key = idempotency.map(|named| (Fingerprint::of_key(&named.key), named));
        if let Some((key, named)) = &key {
            match self.memory.key(*key, named.body_hash) {
                Known::New => {}
                Known::Answered(appended) => return Ok(Done::Appended(appended)),
                Known::OtherBody => {
                    return Err(FeedbackError::IdempotencyMismatch { key: named.key.clone() });
                }
            }
        }
        let (mut accepted, mut duplicates) = (0, 0);
        for event in events {
            if let Some(event_id) = &event.event_id {
                let name = Fingerprint::of_event(event.user_id.as_str(), event_id);
                if !self.memory.insert_event(name, now_ms) {
                    duplicates += 1;
                    continue;
                }
                self.round.new_events.push(name);
            }
            accepted += 1;
            self.push(Entry::Interaction(event), now_ms)?;
        }
        let appended = Appended { accepted, duplicates, position: self.next - 1 };
        if let Some((key, named)) = key {
            self.memory.insert_key(key, named.body_hash, appended, now_ms);
            self.round.new_keys.push(key);
            let note = |out: &mut Vec<u8>| {
                encode_answered(out, now_ms, key, named.body_hash, appended);
                Ok::<(), FeedbackError>(())
            };
            if accepted == 0 {
                // Standing alone it takes a position, so that a segment with anything in it is past its first one.
                self.next += 1;
            }
            self.round.batch.push(self.next - 1, note)?;
        }
        Ok(Done::Appended(appended))
    }

    fn stage_entry(&mut self, entry: Entry, now_ms: i64) -> Result<Done, FeedbackError> {
        let position = self.push(entry, now_ms)?;
        Ok(Done::Written(Receipt { position, removed: 0 }))
    }

    fn push(&mut self, entry: Entry, received_ms: i64) -> Result<u64, FeedbackError> {
        let position = self.next;
        self.round.batch.push(position, |out| encode_entry(out, received_ms, &entry))?;
        self.round.logged.push(Logged { position, received_ms, entry });
        self.next += 1;
        Ok(position)
    }

    /// The round is durable: index, sink, callers, in this order.
    fn tell(&mut self) {
        let Round { logged, answers, new_events, new_keys, .. } = &mut self.round;
        let mut removed = Vec::new();
        {
            let mut index = write(&self.shared.index);
            for Logged { position, entry, .. } in logged.iter() {
                match entry {
                    Entry::Interaction(event) => index.interaction(event.user_id.as_str(), *position),
                    Entry::Forgotten(user_id) => {
                        removed.push((*position, index.forget(user_id.as_str(), *position)));
                    }
                    Entry::MoviePut(movie) => index.movie(movie.movie_id.as_str(), *position),
                    Entry::MovieWithdrawn(movie_id) => index.movie(movie_id.as_str(), *position),
                }
            }
        }
        self.shared.last_position.store(self.next - 1, Ordering::Release);
        self.shared.storage_full.store(false, Ordering::Relaxed);
        self.shared.remembered.store(self.memory.len(), Ordering::Relaxed);
        self.shared.memory_bytes.store(self.memory.bytes(), Ordering::Relaxed);
        if !logged.is_empty() {
            (self.sink)(logged);
        }
        logged.clear();
        new_events.clear();
        new_keys.clear();
        for (answer, mut done) in answers.drain(..) {
            if let Done::Written(receipt) = &mut done
                && let Ok(place) = removed.binary_search_by_key(&receipt.position, |(position, _)| *position)
            {
                receipt.removed = removed[place].1;
            }
            // A caller that went away needs no answer.
            let _ = answer.send(Ok(done));
        }
    }

    /// Nothing of the round is kept.
    fn take_back(&mut self, before: u64, error: &FeedbackError) {
        let full = matches!(error, FeedbackError::StorageFull { .. });
        if !self.shared.storage_full.swap(full, Ordering::Relaxed) || !full {
            tracing::error!(%error, "cannot write the log");
        }
        self.next = before;
        self.round.logged.clear();
        for event in self.round.new_events.drain(..) {
            self.memory.remove_event(event);
        }
        for key in self.round.new_keys.drain(..) {
            self.memory.remove_key(key);
        }
        for (answer, _) in self.round.answers.drain(..) {
            // A caller that went away needs no answer.
            let _ = answer.send(Err(error.clone()));
        }
    }
}
