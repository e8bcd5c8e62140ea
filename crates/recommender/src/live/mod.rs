//! What happened since the bundle was built, as the log tells it: what each user did, how often each film was liked where
//! lately, which films came, changed or went. It knows nothing of how the log is kept, and it decides nothing: a
//! [`View`](crate::View) answers with it.

mod catalogue;
mod people;
mod places;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_films;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cinedex_domain::{Event, InteractionKind, LIKED, Location, PreferencePolicy, RatingScale, UserId};
use cinedex_feedback::{Entry, Logged};

use crate::Snapshot;
pub(crate) use catalogue::Changes;
use catalogue::Told;
pub(crate) use people::Person;
use people::{People, Said};
pub(crate) use places::{PlaceNumber, Places, Span};

/// What time it is, in milliseconds since 1970 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Entries for which the counts of places are locked at a time: readers of trends wait some tens of microseconds at most.
const CHUNK: usize = 64;
/// Counts fade, so what rests on them is made anew after this long even where nothing happened.
const FADE_MS: i64 = 60_000;

/// How what is live is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// How old a ranking by place may be before what happened since changes it. Default 1 second.
    pub refresh: Duration,
    /// Events kept of one user; beyond them the oldest goes. Default 5000.
    pub max_events_per_user: usize,
    /// Counts of a film in a place that are kept; when there are more, the faintest half goes. Default 4 million.
    pub max_counts: usize,
    /// After how long an event counts half in what is recent, for trends. Default 2 hours.
    pub recent_half_life: Duration,
    /// The same for the popular of the day. Default 12 hours.
    pub day_half_life: Duration,
    /// The same for the popular of the week, and for the past that trends are held against. Default 3.5 days.
    pub week_half_life: Duration,
    /// The same for the popular of the month. Default 15 days.
    pub month_half_life: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        let hours = Duration::from_hours;
        Self {
            refresh: Duration::from_secs(1),
            max_events_per_user: 5000,
            max_counts: 4_000_000,
            recent_half_life: hours(2),
            day_half_life: hours(12),
            week_half_life: hours(84),
            month_half_life: hours(360),
        }
    }
}

/// How much is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveStatus {
    /// The last position of the log that was heard.
    pub position: u64,
    /// Users of whom something is remembered.
    pub users: usize,
    /// Events that are remembered of them.
    pub events: usize,
    /// Counts of a film in a place.
    pub counts: usize,
    /// About how many bytes all this takes: 50 an event, 64 a count, 200 a user.
    pub bytes: usize,
}

/// The memory of what the log said. Fed by one thread at a time, read by all.
///
/// An event takes 48 bytes with its user, and 64 for each place around it (at most four) where its film was not liked before;
/// a user takes about 200. Hearing one takes about two microseconds whatever was heard before.
pub struct Live {
    options: LiveOptions,
    clock: Clock,
    people: People,
    places: RwLock<Places>,
    films: RwLock<Told>,
    /// The position of the last entry about a film.
    told: AtomicU64,
    hearing: Mutex<Hearing>,
    /// The last position that was heard.
    position: AtomicU64,
    stamp: Mutex<Stamp>,
}

/// What hearing needs to know of the bundle that is served.
struct Hearing {
    policy: PreferencePolicy,
    scale: RatingScale,
    /// The bundle's counts have what happened up to here.
    base: u64,
}

/// What rankings by place are as of.
#[derive(Default)]
struct Stamp {
    number: u64,
    counted: u64,
    made_ms: i64,
}

impl Live {
    /// Nothing has happened yet.
    pub(crate) fn new(options: LiveOptions, clock: Clock) -> Self {
        let half_lives = [
            options.recent_half_life,
            options.day_half_life,
            options.week_half_life,
            options.month_half_life,
        ];
        Self {
            people: People::new(options.max_events_per_user),
            places: RwLock::new(Places::new(half_lives, options.max_counts)),
            films: RwLock::default(),
            told: AtomicU64::new(0),
            hearing: Mutex::new(Hearing {
                policy: PreferencePolicy::default(),
                scale: RatingScale::FIVE_STARS,
                base: 0,
            }),
            position: AtomicU64::new(0),
            stamp: Mutex::default(),
            options,
            clock,
        }
    }

    /// How much is live.
    pub fn status(&self) -> LiveStatus {
        let (users, events) = (self.people.users(), self.people.events());
        let counts = self.places().count();
        let bytes = users * 200 + events * 50 + counts * 64;
        LiveStatus { position: self.position.load(Ordering::Acquire), users, events, counts, bytes }
    }

    /// Drops events up to a position: no bundle that is still there needs them. Tombstones stay.
    pub fn release(&self, position: u64) {
        let _hearing = lock(&self.hearing);
        self.people.release(position);
    }

    /// Takes in what the log says, in order of position; what was heard before is passed over, so that replaying the log does no
    /// harm. `snapshot` says where users live of whom an event does not.
    pub(crate) fn hear(&self, logged: &[Logged], snapshot: Option<&Snapshot>) {
        let hearing = lock(&self.hearing);
        let mut last = self.position.load(Ordering::Acquire);
        for chunk in logged.chunks(CHUNK) {
            let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
            for entry in chunk {
                if entry.position > last {
                    last = entry.position;
                    self.hear_one(&hearing, &mut places, entry, snapshot);
                }
            }
            drop(places);
            self.position.store(last, Ordering::Release);
        }
    }

    /// From now on a bundle is served that knows what happened up to its log position.
    pub(crate) fn serve(&self, snapshot: &Snapshot) {
        let settings = snapshot.bundle().settings();
        let mut hearing = lock(&self.hearing);
        hearing.policy = settings.preference.clone();
        hearing.scale = settings.rating_scale;
        if hearing.base != snapshot.log_position() {
            hearing.base = snapshot.log_position();
            let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
            places.forget_totals();
            self.people.each(|said| {
                if said.counted && said.position > hearing.base {
                    places.count_since(said.place, said.film, 1.0);
                }
            });
        }
    }

    /// What is remembered of a user: one look-up where anything is remembered of anybody, none else.
    pub(crate) fn person(&self, user_id: &str) -> Option<Arc<Person>> {
        self.people.get(user_id)
    }

    /// Whether anybody was ever forgotten.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.people.has_forgotten()
    }

    /// How many were ever forgotten.
    pub(crate) fn forgotten_count(&self) -> usize {
        self.people.forgotten_count()
    }

    /// Counts by place.
    pub(crate) fn places(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of the last entry about a film; 0 without.
    pub(crate) fn catalogue_generation(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// The films that came, changed or were withdrawn, as it concerns a bundle.
    pub(crate) fn changes(&self, snapshot: &Snapshot) -> Changes {
        let films = self.films.read().unwrap_or_else(PoisonError::into_inner);
        films.changes(snapshot.bundle(), snapshot.log_position())
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// Changes when rankings by place are to change: after new likes, but not before [`LiveOptions::refresh`] has passed, and as
    /// counts fade. 0 as long as nothing was liked.
    pub(crate) fn popularity_stamp(&self) -> u64 {
        let counted = self.places().counted();
        let mut stamp = lock(&self.stamp);
        if counted == 0 {
            return stamp.number;
        }
        let now = self.now_ms();
        // A clock that goes back makes no ranking last longer.
        let age = if now >= stamp.made_ms { now - stamp.made_ms } else { i64::MAX };
        let refresh = i64::try_from(self.options.refresh.as_millis()).unwrap_or(i64::MAX);
        if age >= if counted == stamp.counted { refresh.max(FADE_MS) } else { refresh } {
            *stamp = Stamp { number: stamp.number + 1, counted, made_ms: now };
        }
        stamp.number
    }

    fn hear_one(&self, hearing: &Hearing, places: &mut Places, logged: &Logged, snapshot: Option<&Snapshot>) {
        match &logged.entry {
            Entry::Interaction(event) => self.hear_event(hearing, places, logged, event, snapshot),
            Entry::Forgotten(user_id) => {
                places.note_counted(logged.position);
                for said in self.people.forget(user_id, logged.position) {
                    if said.counted {
                        let since = said.position > hearing.base;
                        places.add(said.place, said.film, said.timestamp_ms, -1.0, since);
                    }
                }
            }
            Entry::MoviePut(movie) => self.tell(logged.position, |told| told.put(logged.position, movie)),
            Entry::MovieWithdrawn(movie_id) => {
                self.tell(logged.position, |told| told.withdraw(logged.position, movie_id));
            }
        }
    }

    fn tell(&self, position: u64, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.films.write().unwrap_or_else(PoisonError::into_inner));
        self.told.store(position, Ordering::Release);
    }

    fn hear_event(
        &self,
        hearing: &Hearing,
        places: &mut Places,
        logged: &Logged,
        event: &Event,
        snapshot: Option<&Snapshot>,
    ) {
        let known = self.people.get(event.user_id.as_str());
        let home = || home_of(&event.user_id, known.as_deref(), snapshot);
        let place = match &event.location {
            Some(location) => places.number(location),
            None => home().map_or(PlaceNumber::WORLD, |home| places.number(&home)),
        };
        drop(known);
        let (movie, film) = places.film(&event.movie_id);
        // A caller's clock may run ahead; nothing happened later than it was told.
        let timestamp_ms = event.timestamp_ms.min(logged.received_ms);
        let value = event.value.unwrap_or(f32::NAN);
        let said = Said {
            movie,
            position: logged.position,
            timestamp_ms,
            value,
            film,
            place,
            kind: event.kind,
            counted: is_liked(hearing, event),
        };
        if self.people.note(&event.user_id, said, event.location.as_ref()) {
            places.add(place, film, timestamp_ms, 1.0, logged.position > hearing.base);
            places.note_counted(logged.position);
        }
    }
}

/// Whether what was done makes a film popular: the same rule as for the data set's interactions.
fn is_liked(hearing: &Hearing, event: &Event) -> bool {
    let rated = event.kind != InteractionKind::Rating || event.value.is_some();
    let preference = hearing.policy.preference(event.kind, event.value, hearing.scale);
    rated && preference.is_some_and(|preference| preference >= LIKED)
}

/// Where somebody is counted whose event does not say where it was.
fn home_of(user_id: &UserId, known: Option<&Person>, snapshot: Option<&Snapshot>) -> Option<Location> {
    if let Some(place) = known.and_then(|person| person.place.as_ref()) {
        return Some(Location::clone(&place.location));
    }
    let bundle = snapshot?.bundle();
    let forgotten = known.is_some_and(|person| person.forgotten > snapshot.map_or(0, Snapshot::log_position));
    let user = bundle.user_index(user_id.as_str()).filter(|_| !forgotten)?;
    bundle.user_location(user).cloned()
}

/// The clock of this machine.
pub(crate) fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// What these locks hold is whole after every statement, so a poisoned one is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
