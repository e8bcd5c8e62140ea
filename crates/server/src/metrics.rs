//! The server's figures as OpenMetrics text. Each field's registration is its description; labels are closed sets.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::live_metrics::LiveMetrics;
use crate::operations::TaskStatus;
use crate::problem::Code;

/// Bounds of the buckets of latency, in seconds.
const BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The route label of a request that no route matched.
pub(crate) const UNMATCHED: &str = "unmatched";

/// The server's figures.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) joined: Counter,
    pub(crate) refused: Counter,
    pub(crate) panics: Counter,
    pub(crate) swaps: Swaps,
    bundle: Family<BundleLabels, Gauge<i64>>,
    bundle_movies: Gauge<u64, AtomicU64>,
    bundle_age: Gauge,
    /// Seconds since 1970 when the live bundle was built; 0 without one.
    bundle_created: AtomicI64,
    refusals: Family<CodeLabels, Counter>,
    pub(crate) cache_evictions: Counter,
    cache_entries: Gauge<u64, AtomicU64>,
    cache_bytes: Gauge<u64, AtomicU64>,
    queue_length: Gauge<u64, AtomicU64>,
    draining: Gauge,
    keys: Gauge<u64, AtomicU64>,
    tasks: Family<TaskLabels, Gauge>,
    pub(crate) live: LiveMetrics,
}

/// What is looked up when figures are asked for.
pub(crate) struct Figures {
    pub(crate) cache_entries: u64,
    pub(crate) cache_bytes: u64,
    /// Requests that wait for a compute thread.
    pub(crate) queue_length: u64,
    pub(crate) is_draining: bool,
    /// Keys in force.
    pub(crate) keys: u64,
}

/// Counts bundles that take the place of a live one; the first takes no other's.
#[derive(Default)]
pub(crate) struct Swaps {
    count: Counter,
    /// Whether [`Metrics::set_bundle`] has named one.
    has_bundle: AtomicBool,
}

impl Swaps {
    /// To be called for a bundle that became live, before [`Metrics::set_bundle`] names it.
    pub(crate) fn inc(&self) {
        if self.has_bundle.load(Ordering::Relaxed) {
            self.count.inc();
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BundleLabels {
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    status: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("cinedex"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
            joined: Counter::default(),
            refused: Counter::default(),
            panics: Counter::default(),
            swaps: Swaps::default(),
            bundle: Family::default(),
            bundle_movies: Gauge::default(),
            bundle_age: Gauge::default(),
            bundle_created: AtomicI64::default(),
            refusals: Family::default(),
            cache_evictions: Counter::default(),
            cache_entries: Gauge::default(),
            cache_bytes: Gauge::default(),
            queue_length: Gauge::default(),
            draining: Gauge::default(),
            keys: Gauge::default(),
            tasks: Family::default(),
            live: LiveMetrics::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        let seconds = metrics.seconds.clone();
        let help = "Time from the head of a request to its answer";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, seconds);
        registry.register("cache_hits", "Answers taken from the cache", metrics.cache_hits.clone());
        registry.register("cache_misses", "Answers computed", metrics.cache_misses.clone());
        let help = "Requests that waited for the same answer being computed for another";
        registry.register("cache_joined", help, metrics.joined.clone());
        let help = "Requests refused because too many waited, or for too long";
        registry.register("overload_refusals", help, metrics.refused.clone());
        registry.register("panics", "Requests that ended in a panic", metrics.panics.clone());
        let help = "Bundles that took the place of a live one";
        registry.register("bundle_swaps", help, metrics.swaps.count.clone());
        registry.register("bundle", "1 for the live bundle", metrics.bundle.clone());
        registry.register("bundle_movies", "Movies of the live bundle", metrics.bundle_movies.clone());
        metrics.register_operations();
        metrics
    }

    fn register_operations(&mut self) {
        let registry = &mut self.registry;
        let help = "Time since the live bundle was built";
        registry.register_with_unit("bundle_age", help, Unit::Seconds, self.bundle_age.clone());
        let help = "Requests that were not answered as asked, by error code";
        registry.register("refusals", help, self.refusals.clone());
        let help = "Answers that left the cache for lack of room";
        registry.register("cache_evictions", help, self.cache_evictions.clone());
        registry.register("cache_entries", "Answers in the cache", self.cache_entries.clone());
        let help = "Size of the cache with its keys";
        registry.register_with_unit("cache", help, Unit::Bytes, self.cache_bytes.clone());
        let help = "Requests that wait for a compute thread";
        registry.register("queue_length", help, self.queue_length.clone());
        let help = "1 once the server has been told to stop";
        registry.register("draining", help, self.draining.clone());
        registry.register("keys", "Keys in force", self.keys.clone());
        registry.register("tasks", "Tasks that are remembered, by status", self.tasks.clone());
        self.live.register(registry);
    }

    /// Counts a request that was not answered as asked.
    pub(crate) fn refuse(&self, code: Code) {
        self.refusals.get_or_create(&CodeLabels { code: code.row().name }).inc();
    }

    /// Says how the tasks stand that are remembered.
    pub(crate) fn set_tasks(&self, tasks: impl Iterator<Item = TaskStatus>) {
        let mut counts = [0; TaskStatus::ALL.len()];
        for status in tasks {
            counts[status as usize] += 1;
        }
        for (status, count) in TaskStatus::ALL.into_iter().zip(counts) {
            self.tasks.get_or_create(&TaskLabels { status: status.as_str() }).set(count);
        }
    }

    /// Takes in what was looked up.
    pub(crate) fn set(&self, figures: &Figures) {
        self.cache_entries.set(figures.cache_entries);
        self.cache_bytes.set(figures.cache_bytes);
        self.queue_length.set(figures.queue_length);
        self.draining.set(i64::from(figures.is_draining));
        self.keys.set(figures.keys);
        let created = self.bundle_created.load(Ordering::Relaxed);
        if created != 0 {
            self.bundle_age.set((jiff::Timestamp::now().as_second() - created).max(0));
        }
    }

    /// Counts one request. `route` is a pattern of the table or [`UNMATCHED`], `method` one of a closed set.
    pub(crate) fn count(&self, route: &'static str, method: &'static str, status: u16, elapsed: Duration) {
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
        self.seconds.get_or_create(&RouteLabels { route }).observe(elapsed.as_secs_f64());
    }

    /// Says which bundle is live, and when it was built in seconds since 1970.
    pub(crate) fn set_bundle(&self, version: &str, movies: usize, created: i64) {
        self.bundle_created.store(created, Ordering::Relaxed);
        self.bundle.clear();
        self.bundle.get_or_create(&BundleLabels { version: version.to_owned() }).set(1);
        self.bundle_movies.set(movies as u64);
        self.swaps.has_bundle.store(true, Ordering::Relaxed);
    }

    /// All figures as text.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all text");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bundle_is_no_swap() {
        let metrics = Metrics::new();
        metrics.swaps.inc();
        metrics.set_bundle("20250131T235959Z-0123abcd", 7, 1_738_367_999);
        assert!(metrics.encode().contains("cinedex_bundle_swaps_total 0\n"), "{}", metrics.encode());
        metrics.swaps.inc();
        metrics.set_bundle("20250201T235959Z-0123abcd", 7, 1_738_367_999);
        assert!(metrics.encode().contains("cinedex_bundle_swaps_total 1\n"), "{}", metrics.encode());
    }

    #[test]
    fn figures_are_open_metrics() {
        let metrics = Metrics::new();
        metrics.count("/v1/movies", "GET", 200, Duration::from_micros(300));
        metrics.set_bundle("20250131T235959Z-0123abcd", 7, 1_738_367_999);
        metrics.cache_hits.inc();
        metrics.refuse(Code::RateLimited);
        metrics.set_tasks([TaskStatus::Running, TaskStatus::Running].into_iter());
        let figures =
            Figures { cache_entries: 1, cache_bytes: 4096, queue_length: 3, is_draining: true, keys: 2 };
        metrics.set(&figures);
        let text = metrics.encode();
        for line in [
            "cinedex_http_requests_total{route=\"/v1/movies\",method=\"GET\",status=\"200\"} 1",
            "cinedex_http_request_duration_seconds_bucket{le=\"0.0005\",route=\"/v1/movies\"} 1",
            "cinedex_bundle{version=\"20250131T235959Z-0123abcd\"} 1",
            "cinedex_bundle_movies 7",
            "cinedex_cache_hits_total 1",
            "cinedex_refusals_total{code=\"rate_limited\"} 1",
            "cinedex_tasks{status=\"running\"} 2",
            "cinedex_tasks{status=\"failed\"} 0",
            "cinedex_cache_bytes 4096",
            "cinedex_queue_length 3",
            "cinedex_draining 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
