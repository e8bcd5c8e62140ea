//! The live snapshot and how it is exchanged: whoever asks takes it once and keeps it; a new bundle is opened beside it
//! and swapped in whole; recent ones stay for the later pages of lists that began on them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use cinedex_index::{IndexRoot, Version};

use crate::{RecommendError, Snapshot};

/// How the engine answers and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Interactions that a place needs to speak for itself; with fewer the place around it speaks. Default 100.
    pub min_events: u64,
    /// How long a snapshot is kept after it was replaced and after it was last asked for. Default 20 minutes.
    pub keep_snapshots: Duration,
    /// The most replaced snapshots kept, the latest ones. Default 8.
    pub max_kept_snapshots: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { min_events: 100, keep_snapshots: Duration::from_mins(20), max_kept_snapshots: 8 }
    }
}

/// What following the `CURRENT` pointer led to.
#[derive(Debug)]
pub enum Followed {
    /// The live snapshot is the one that `CURRENT` names, or `CURRENT` was refused before.
    Unchanged,
    /// Another bundle is live from now on.
    Swapped,
    /// The bundle that `CURRENT` names is unusable; the latest usable one is live from now on.
    LastGood {
        /// What is wrong with the one that `CURRENT` names.
        refused: RecommendError,
    },
}

/// The live snapshot over a directory of bundles. Shared between threads; empty until [`Engine::follow_current`] succeeds.
pub struct Engine {
    root: IndexRoot,
    options: EngineOptions,
    live: ArcSwapOption<Snapshot>,
    recent: Mutex<Vec<Kept>>,
    /// Held while a bundle is opened; remembers which version was refused, so that it is not opened over and over.
    refused: Mutex<Option<Version>>,
}

struct Kept {
    snapshot: Arc<Snapshot>,
    last_asked: Instant,
}

impl Engine {
    /// An engine without a snapshot: every request is answered by [`RecommendError::NotReady`].
    pub fn new(root: IndexRoot, options: EngineOptions) -> Self {
        Self {
            root,
            options,
            live: ArcSwapOption::empty(),
            recent: Mutex::default(),
            refused: Mutex::new(None),
        }
    }

    /// An engine with the live bundle of `root`, or the latest usable one, loaded.
    pub fn open(root: IndexRoot, options: EngineOptions) -> Result<Self, RecommendError> {
        let engine = Self::new(root, options);
        engine.follow_current()?;
        Ok(engine)
    }

    /// The live snapshot, to be taken once a request.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, RecommendError> {
        self.live.load_full().ok_or(RecommendError::NotReady)
    }

    /// The snapshot of a version that is live or was not long ago.
    pub fn snapshot_of(&self, version: &str) -> Option<Arc<Snapshot>> {
        if let Some(live) = self.live.load_full()
            && live.version() == version
        {
            return Some(live);
        }
        let mut recent = lock(&self.recent);
        let kept = recent.iter_mut().find(|kept| kept.snapshot.version() == version)?;
        kept.last_asked = Instant::now();
        Some(Arc::clone(&kept.snapshot))
    }

    /// Makes the bundle live that `CURRENT` names, if it is another than the live one. Takes the time of opening it; requests
    /// go on meanwhile. An unusable bundle is reported once and the live one stays; with none live, the latest usable one is
    /// taken.
    pub fn follow_current(&self) -> Result<Followed, RecommendError> {
        let mut refused = lock(&self.refused);
        self.forget_old();
        let open_failed = |source| RecommendError::Open { source };
        let Some(live) = self.live.load_full() else {
            let (bundle, reason) = self.root.open_current_or_last_good().map_err(open_failed)?;
            self.live.store(Some(Arc::new(Snapshot::new(bundle, self.options.min_events))));
            return Ok(match reason {
                None => Followed::Swapped,
                Some(source) => {
                    *refused = self.root.current().ok().flatten();
                    Followed::LastGood { refused: open_failed(source) }
                }
            });
        };
        let Some(current) = self.root.current().map_err(open_failed)? else { return Ok(Followed::Unchanged) };
        if current.as_str() == live.version() || refused.as_ref() == Some(&current) {
            return Ok(Followed::Unchanged);
        }
        match self.root.open(&current) {
            Ok(bundle) => {
                let next = Arc::new(Snapshot::new(bundle, self.options.min_events));
                lock(&self.recent).push(Kept { snapshot: live, last_asked: Instant::now() });
                self.live.store(Some(next));
                self.forget_old();
                *refused = None;
                Ok(Followed::Swapped)
            }
            Err(source) => {
                *refused = Some(current);
                Err(open_failed(source))
            }
        }
    }

    fn forget_old(&self) {
        let mut recent = lock(&self.recent);
        recent.retain(|kept| kept.last_asked.elapsed() < self.options.keep_snapshots);
        let surplus = recent.len().saturating_sub(self.options.max_kept_snapshots);
        recent.drain(..surplus);
    }
}

/// What these locks hold is whole after every statement, so a poisoned one is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
