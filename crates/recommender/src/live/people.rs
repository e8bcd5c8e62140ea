//! What each user did since the bundle was built, found by one look-up: users are spread over shards, each behind a lock that is
//! held for as long as it takes to copy a pointer or to add an event.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cinedex_domain::{InteractionKind, Location, MovieId, UserId};

use super::PlaceNumber;

/// Locks that users are spread over.
const SHARDS: usize = 64;

/// Something that a user did. 48 bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) movie: MovieId,
    pub(crate) position: u64,
    pub(crate) timestamp_ms: i64,
    /// The rating; not a number where there is none.
    pub(crate) value: f32,
    /// The movie's number among those that were ever heard of.
    pub(crate) film: u32,
    pub(crate) place: PlaceNumber,
    pub(crate) kind: InteractionKind,
    /// Whether it counts for the popularity of the film in the place.
    pub(crate) counted: bool,
}

/// Where a user was last.
#[derive(Debug, Clone)]
pub(crate) struct LastPlace {
    timestamp_ms: i64,
    pub(crate) position: u64,
    pub(crate) location: Arc<Location>,
}

/// What is remembered of one user.
#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    /// The latest tombstone: everything up to this position is forgotten. 0 without.
    pub(crate) forgotten: u64,
    /// The position of the last entry about this user.
    pub(crate) generation: u64,
    pub(crate) place: Option<LastPlace>,
    /// Ascending positions, all after the tombstone. Of a film and kind what was said earlier with an earlier time is left out,
    /// unless it was counted: it would never settle an opinion.
    pub(crate) said: Vec<Said>,
}

type Shard = HashMap<Box<str>, Arc<Person>>;

/// Everybody of whom something is remembered.
pub(super) struct People {
    shards: Vec<RwLock<Shard>>,
    hasher: RandomState,
    max_events: usize,
    users: AtomicUsize,
    events: AtomicUsize,
    forgotten: AtomicUsize,
}

impl Said {
    /// The rating.
    pub(crate) fn value(&self) -> Option<f32> {
        (!self.value.is_nan()).then_some(self.value)
    }
}

impl People {
    /// Of each user at most `max_events` are kept.
    pub(super) fn new(max_events: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            max_events: max_events.max(1),
            users: AtomicUsize::new(0),
            events: AtomicUsize::new(0),
            forgotten: AtomicUsize::new(0),
        }
    }

    pub(super) fn users(&self) -> usize {
        self.users.load(Ordering::Acquire)
    }

    pub(super) fn events(&self) -> usize {
        self.events.load(Ordering::Acquire)
    }

    pub(super) fn has_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire) > 0
    }

    pub(super) fn forgotten_count(&self) -> usize {
        self.forgotten.load(Ordering::Acquire)
    }

    pub(super) fn get(&self, user_id: &str) -> Option<Arc<Person>> {
        if self.users() == 0 {
            return None;
        }
        read(self.shard(user_id)).get(user_id).cloned()
    }

    /// Remembers an event. `said.counted` is whether it may count; answers whether it does: of a film only a user's first.
    pub(super) fn note(&self, user_id: &UserId, mut said: Said, location: Option<&Location>) -> bool {
        let mut shard = write(self.shard(user_id.as_str()));
        let person = self.person(&mut shard, user_id);
        person.generation = said.position;
        let replaces = |place: &LastPlace| said.timestamp_ms >= place.timestamp_ms;
        if let Some(location) = location
            && person.place.as_ref().is_none_or(replaces)
        {
            let (timestamp_ms, position) = (said.timestamp_ms, said.position);
            person.place = Some(LastPlace { timestamp_ms, position, location: Arc::new(location.clone()) });
        }
        said.counted &= !person.said.iter().any(|earlier| earlier.film == said.film && earlier.counted);
        let counted = said.counted;
        let before = person.said.len();
        person.said.retain(|earlier| {
            earlier.counted
                || earlier.film != said.film
                || earlier.kind != said.kind
                || earlier.timestamp_ms > said.timestamp_ms
        });
        if person.said.len() >= self.max_events {
            person.said.remove(0);
        }
        person.said.push(said);
        // The length grew by one, or shrank by what was left out.
        self.events.fetch_add(person.said.len(), Ordering::AcqRel);
        self.events.fetch_sub(before, Ordering::AcqRel);
        counted
    }

    /// Forgets what a user did up to `position`; returns it.
    pub(super) fn forget(&self, user_id: &UserId, position: u64) -> Vec<Said> {
        let mut shard = write(self.shard(user_id.as_str()));
        let person = self.person(&mut shard, user_id);
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        (person.forgotten, person.generation, person.place) = (position, position, None);
        let said = std::mem::take(&mut person.said);
        self.events.fetch_sub(said.len(), Ordering::AcqRel);
        said
    }

    /// Drops events up to `position`, and users of whom nothing is left.
    pub(super) fn release(&self, position: u64) {
        for shard in &self.shards {
            let mut shard = write(shard);
            shard.retain(|_, person| {
                let before = person.said.len();
                if person.said.first().is_some_and(|said| said.position <= position) {
                    let person = Arc::make_mut(person);
                    person.said.retain(|said| said.position > position);
                    person.said.shrink_to_fit();
                }
                self.events.fetch_sub(before - person.said.len(), Ordering::AcqRel);
                let stays = person.forgotten > 0 || person.generation > position;
                self.users.fetch_sub(usize::from(!stays), Ordering::AcqRel);
                stays
            });
        }
    }

    /// Everything that is remembered.
    pub(super) fn each(&self, mut tell: impl FnMut(&Said)) {
        for shard in &self.shards {
            read(shard).values().flat_map(|person| &person.said).for_each(&mut tell);
        }
    }

    fn shard(&self, user_id: &str) -> &RwLock<Shard> {
        // The map within uses another hasher, so that its buckets fill evenly.
        &self.shards[self.hasher.hash_one(user_id) as usize % SHARDS]
    }

    fn person<'a>(&self, shard: &'a mut Shard, user_id: &UserId) -> &'a mut Person {
        let person = shard.entry(user_id.as_str().into()).or_insert_with(|| {
            self.users.fetch_add(1, Ordering::AcqRel);
            Arc::default()
        });
        // Copied only while a request holds it.
        Arc::make_mut(person)
    }
}

/// A shard is whole after every step, so a poisoned lock is no reason to stop.
fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}
