//! The live snapshot and how it is exchanged: whoever asks takes it once and keeps it; a new bundle is opened beside it
//! and swapped in whole; recent ones stay for the later pages of lists that began on them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use cinedex_feedback::Logged;
use cinedex_index::{CurrentStamp, IndexRoot, Version};

use crate::live::system_clock;
use crate::{Clock, Live, LiveOptions, RecommendError, Snapshot, View};

/// How long after its first refusal a bundle is tried again, unless `CURRENT` is written again before; then twice as long…
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// …up to this long.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// How the engine answers and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Interactions that a place needs to speak for itself; with fewer the place around it speaks. Default 100.
    pub min_events: u64,
    /// How long a snapshot is kept after it was replaced and after it was last asked for. Default 20 minutes.
    pub keep_snapshots: Duration,
    /// The most replaced snapshots kept, the latest ones. Default 8.
    pub max_kept_snapshots: usize,
    /// How what happens while serving is remembered.
    pub live: LiveOptions,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            min_events: 100,
            keep_snapshots: Duration::from_mins(20),
            max_kept_snapshots: 8,
            live: LiveOptions::default(),
        }
    }
}

/// What following the `CURRENT` pointer led to.
#[derive(Debug)]
pub enum Followed {
    /// The live snapshot is the one that `CURRENT` names, or that one was refused and it is not time to try it again.
    Unchanged,
    /// Another bundle is live from now on.
    Swapped,
    /// The bundle that `CURRENT` names is unusable; the one that was live before it is live from now on.
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
    heard: Arc<Live>,
    recent: Mutex<Vec<Kept>>,
    /// Held while a bundle is opened; remembers what was refused, so that it is not opened over and over.
    refused: Mutex<Option<Refusal>>,
}

/// A bundle that could not be opened, and when it is tried again.
struct Refusal {
    version: Version,
    /// Of the pointer that named it.
    stamp: CurrentStamp,
    wait: Duration,
    again: Instant,
}

impl Refusal {
    /// Notes that `version` was refused; `before` is the refusal noted last, of whatever version.
    fn note(before: Option<&Self>, version: Version, stamp: CurrentStamp) -> Self {
        let wait = match before {
            Some(before) if before.version == version && before.stamp == stamp => {
                (before.wait * 2).min(LONGEST_WAIT)
            }
            _ => FIRST_WAIT,
        };
        Self { version, stamp, wait, again: Instant::now() + wait }
    }

    /// Whether the pointer is the one that named this version, and it is too early to try it again.
    fn stands(&self, version: &Version, stamp: &CurrentStamp) -> bool {
        self.version == *version && self.stamp == *stamp && Instant::now() < self.again
    }
}

struct Kept {
    snapshot: Arc<Snapshot>,
    last_asked: Instant,
}

impl Engine {
    /// An engine without a snapshot: every request is answered by [`RecommendError::NotReady`].
    pub fn new(root: IndexRoot, options: EngineOptions) -> Self {
        Self::with_clock(root, options, system_clock())
    }

    /// The same with another clock than this machine's: what is live fades by it.
    pub fn with_clock(root: IndexRoot, options: EngineOptions, clock: Clock) -> Self {
        Self {
            heard: Arc::new(Live::new(options.live.clone(), clock)),
            root,
            options,
            live: ArcSwapOption::empty(),
            recent: Mutex::default(),
            refused: Mutex::new(None),
        }
    }

    /// An engine with the live bundle of `root`, or the last good one, loaded.
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

    /// The live snapshot with what happened since, to be taken once a request.
    pub fn view(&self) -> Result<View, RecommendError> {
        Ok(View::new(self.snapshot()?, Arc::clone(&self.heard)))
    }

    /// The same of a version that is live or was not long ago. Popularity counts what happened since the live one.
    pub fn view_of(&self, version: &str) -> Option<View> {
        Some(View::new(self.snapshot_of(version)?, Arc::clone(&self.heard)))
    }

    /// Takes in what the log says: answers change when this returns. To be called in order of position, by one thread at a time; what
    /// was heard before is passed over. At a start the log is read from its beginning before anything else is heard.
    pub fn hear(&self, logged: &[Logged]) {
        self.heard.hear(logged, self.live.load_full().as_deref());
    }

    /// The memory of what was heard.
    pub fn live(&self) -> &Arc<Live> {
        &self.heard
    }

    /// Makes the bundle live that `CURRENT` names, if it is another than the live one. Takes the time of opening it; requests
    /// go on meanwhile. An unusable bundle is reported and the live one stays; it is tried again when `CURRENT` is written
    /// again, else after 10 seconds, then after twice as long each time, up to 5 minutes. With none live, the last good one
    /// is taken, and goes live before its titles are indexed, which a thread of its own does: only a search that comes before
    /// it is done waits. A bundle that replaces another one goes live with its titles indexed.
    pub fn follow_current(&self) -> Result<Followed, RecommendError> {
        let mut refused = lock(&self.refused);
        self.forget_old();
        // Before the pointer is read: what is written between is looked at once more rather than missed.
        let stamp = self.root.current_stamp();
        let Some(live) = self.live.load_full() else { return self.load_first(&mut refused, stamp) };
        let Some(current) = self.root.current().map_err(open_failed)? else { return Ok(Followed::Unchanged) };
        if current.as_str() == live.version() {
            *refused = None;
            return Ok(Followed::Unchanged);
        }
        if refused.as_ref().is_some_and(|refusal| refusal.stands(&current, &stamp)) {
            return Ok(Followed::Unchanged);
        }
        match self.root.open(&current) {
            Ok(bundle) => {
                let next = Arc::new(Snapshot::new(bundle, self.options.min_events));
                // The old one answers meanwhile, and no search notices the exchange.
                next.index_titles();
                lock(&self.recent).push(Kept { snapshot: live, last_asked: Instant::now() });
                self.heard.serve(&next);
                self.live.store(Some(next));
                self.forget_old();
                *refused = None;
                Ok(Followed::Swapped)
            }
            Err(source) => {
                *refused = Some(Refusal::note(refused.as_ref(), current, stamp));
                Err(open_failed(source))
            }
        }
    }

    fn load_first(
        &self,
        refused: &mut Option<Refusal>,
        stamp: CurrentStamp,
    ) -> Result<Followed, RecommendError> {
        let (bundle, reason) = self.root.open_current_or_last_good().map_err(open_failed)?;
        let first = Arc::new(Snapshot::new(bundle, self.options.min_events));
        self.heard.serve(&first);
        self.live.store(Some(Arc::clone(&first)));
        index_titles_beside(first);
        let Some(source) = reason else { return Ok(Followed::Swapped) };
        let current = self.root.current().ok().flatten();
        *refused = current.map(|version| Refusal::note(None, version, stamp));
        Ok(Followed::LastGood { refused: open_failed(source) })
    }

    fn forget_old(&self) {
        let mut recent = lock(&self.recent);
        recent.retain(|kept| kept.last_asked.elapsed() < self.options.keep_snapshots);
        let surplus = recent.len().saturating_sub(self.options.max_kept_snapshots);
        recent.drain(..surplus);
    }
}

/// A server that starts answers at once; nothing is lost if there is no thread to be had, the first search does it then.
fn index_titles_beside(snapshot: Arc<Snapshot>) {
    let thread = std::thread::Builder::new().name("titles".to_owned());
    drop(thread.spawn(move || snapshot.index_titles()));
}

fn open_failed(source: cinedex_index::IndexError) -> RecommendError {
    RecommendError::Open { source }
}

/// What these locks hold is whole after every statement, so a poisoned one is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::world::{Bench, World};

    /// Two bundles, the first one live in an engine, the second one missing a file and named by `CURRENT`.
    struct Broken {
        bench: Bench,
        first: Version,
        second: Version,
    }

    impl Broken {
        fn new() -> (Self, Engine) {
            let bench = Bench::new();
            let first = bench.build(&World::default());
            let engine = Engine::open(bench.root.clone(), EngineOptions::default()).unwrap();
            let second = bench.build(&World { half_life: 6.0, ..World::default() });
            let broken = Self { bench, first, second };
            broken.damage();
            (broken, engine)
        }

        fn files(&self) -> [PathBuf; 2] {
            let root = self.bench.root.path();
            [root.join(self.second.as_str()).join("graph.bin"), root.join("graph.bin.aside")]
        }

        fn damage(&self) {
            let [file, aside] = self.files();
            fs::rename(file, aside).unwrap();
        }

        fn mend(&self) {
            let [file, aside] = self.files();
            fs::rename(aside, file).unwrap();
        }

        /// Writes `CURRENT` as another file, while the old one still has its inode.
        fn point_at(&self, version: &Version) {
            let [current, next] = ["CURRENT", "CURRENT.next"].map(|name| self.bench.root.path().join(name));
            fs::write(&next, version.as_str()).unwrap();
            fs::rename(next, current).unwrap();
        }
    }

    fn wait_of(engine: &Engine) -> u64 {
        lock(&engine.refused).as_ref().map_or(0, |refusal| refusal.wait.as_secs())
    }

    fn let_time_pass(engine: &Engine) {
        lock(&engine.refused).as_mut().unwrap().again = Instant::now();
    }

    #[test]
    fn a_refused_bundle_is_tried_again_when_the_pointer_is_written_again() {
        let (broken, engine) = Broken::new();
        assert!(matches!(engine.follow_current(), Err(RecommendError::Open { .. })));
        assert!(matches!(engine.follow_current(), Ok(Followed::Unchanged)));
        broken.point_at(&broken.second);
        assert!(matches!(engine.follow_current(), Err(RecommendError::Open { .. })));
        assert_eq!(wait_of(&engine), 10, "a new pointer is a new beginning");
        broken.mend();
        assert!(
            matches!(engine.follow_current(), Ok(Followed::Unchanged)),
            "nothing tells that it was mended"
        );
        assert_eq!(engine.snapshot().unwrap().version(), broken.first.as_str());
        broken.point_at(&broken.second);
        assert!(matches!(engine.follow_current(), Ok(Followed::Swapped)));
        assert_eq!(engine.snapshot().unwrap().version(), broken.second.as_str());
    }

    #[test]
    fn a_refused_bundle_is_tried_again_after_ever_longer_waits() {
        let (broken, engine) = Broken::new();
        for wait in [10, 20, 40, 80, 160, 300, 300] {
            assert!(matches!(engine.follow_current(), Err(RecommendError::Open { .. })));
            assert_eq!(wait_of(&engine), wait);
            assert!(matches!(engine.follow_current(), Ok(Followed::Unchanged)));
            let_time_pass(&engine);
        }
        broken.mend();
        assert!(matches!(engine.follow_current(), Ok(Followed::Swapped)));
        assert_eq!(wait_of(&engine), 0);
    }

    #[test]
    fn one_refused_at_the_start_is_tried_again_too() {
        let (broken, engine) = Broken::new();
        drop(engine);
        let engine = Engine::new(broken.bench.root.clone(), EngineOptions::default());
        match engine.follow_current().unwrap() {
            Followed::LastGood { refused: RecommendError::Open { source } } => {
                assert!(source.to_string().contains("graph.bin: missing"), "{source}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(engine.snapshot().unwrap().version(), broken.first.as_str());
        assert!(matches!(engine.follow_current(), Ok(Followed::Unchanged)));
        broken.mend();
        let_time_pass(&engine);
        assert!(matches!(engine.follow_current(), Ok(Followed::Swapped)));
    }

    #[test]
    fn a_refusal_is_forgotten_when_the_pointer_returns() {
        let (broken, engine) = Broken::new();
        engine.follow_current().unwrap_err();
        broken.point_at(&broken.first);
        assert!(matches!(engine.follow_current(), Ok(Followed::Unchanged)));
        assert_eq!(wait_of(&engine), 0);
    }
}
