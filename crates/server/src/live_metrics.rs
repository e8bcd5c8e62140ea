//! Figures of what happens while serving: events, the log, and what the engine remembers.

use std::sync::atomic::AtomicU64;

use cinedex_feedback::{Appended, LogStatus};
use cinedex_recommender::LiveStatus;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

type Count = Gauge<u64, AtomicU64>;

/// The figures; each field's registration is its description.
#[derive(Default)]
pub(crate) struct LiveMetrics {
    accepted: Counter,
    duplicates: Counter,
    log_entries: Count,
    log_bytes: Count,
    log_queue: Count,
    log_position: Count,
    storage_full: Count,
    users: Count,
    events: Count,
    memory: Count,
}

impl LiveMetrics {
    /// Makes the figures known to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "interactions",
            "Interactions taken, retries under one idempotency key again",
            self.accepted.clone(),
        );
        let help = "Interactions that were known by their event id";
        registry.register("interaction_duplicates", help, self.duplicates.clone());
        let help = "Interactions in the log that are not hidden";
        registry.register("log_entries", help, self.log_entries.clone());
        registry.register_with_unit("log", "Size of the log on disk", Unit::Bytes, self.log_bytes.clone());
        let help = "Changes that wait for the log";
        registry.register("log_queue_length", help, self.log_queue.clone());
        registry.register("log_position", "The last position of the log", self.log_position.clone());
        let help = "1 if the last change found no room on the disk";
        registry.register("log_storage_full", help, self.storage_full.clone());
        registry.register("live_users", "Users of whom something is live", self.users.clone());
        registry.register("live_events", "Events remembered of them", self.events.clone());
        let help = "About what the memory of live events takes";
        registry.register_with_unit("live_memory", help, Unit::Bytes, self.memory.clone());
    }

    /// Counts what became of a request's interactions.
    pub(crate) fn count(&self, appended: &Appended) {
        self.accepted.inc_by(appended.accepted.into());
        self.duplicates.inc_by(appended.duplicates.into());
    }

    /// Takes in how log and engine stand.
    pub(crate) fn set(&self, log: Option<LogStatus>, live: LiveStatus) {
        if let Some(log) = log {
            self.log_entries.set(log.entries);
            self.log_bytes.set(log.bytes);
            self.log_queue.set(log.queue as u64);
            self.log_position.set(log.last_position);
            self.storage_full.set(log.storage_full.into());
        }
        self.users.set(live.users as u64);
        self.events.set(live.events as u64);
        self.memory.set(live.bytes as u64);
    }
}
