//! What is popular or rising in a place with what is live in it, and the rankings that are kept ready: each made anew when
//! what is live has changed, by one request, while others take the one before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cinedex_domain::{Location, MovieId};
use cinedex_index::{Added, Allowed, PlaceIndex};
use cinedex_vectors::Scored;

use crate::Snapshot;
use crate::live::{Changes, Live, PlaceNumber, Places, Span};
use crate::snapshot::FilmRows;
use crate::trending::trending;

/// Rankings kept take at most this much memory.
const KEPT_BYTES: usize = 64 << 20;
const MOST_KEPT: usize = 512;
/// Likes that a place's rates of all times weigh in what is popular of the day, the week or the month.
const WINDOW_PRIOR: f64 = 50.0;
/// With fewer recent likes than this a place's trends are those of the place around it.
const TREND_EVENTS: f64 = 20.0;

/// Over which time something is popular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Window {
    /// Mostly the last day.
    Day,
    /// Mostly the last week.
    Week,
    /// Mostly the last month.
    Month,
    /// Since the beginning.
    #[default]
    All,
}

/// What a place is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Popular(Window),
    Trending,
}

/// The films of a place in order.
#[derive(Debug)]
pub(crate) struct Ranking {
    /// Descending score, ties ascending index. Rows beyond the bundle's are of [`Changes`] of the same generation.
    films: Vec<Scored>,
    pub(crate) generation: u64,
    /// The narrowest place with enough evidence; `None` for the world.
    pub(crate) location: Option<Location>,
    /// How much evidence it has.
    pub(crate) events: u64,
}

impl Ranking {
    /// The first `k` allowed films of the bundle.
    pub(crate) fn best(&self, k: usize, allowed: &Allowed) -> Vec<Scored> {
        self.films.iter().filter(|hit| allowed.contains(hit.index)).take(k).copied().collect()
    }

    /// Best first.
    pub(crate) fn films(&self) -> &[Scored] {
        &self.films
    }
}

/// [`Live::popularity_stamp`] and the generation of films when a ranking was made.
type Stamp = (u64, u64);

/// Rankings of one bundle that are kept ready.
pub(crate) struct Rankings {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    rankings: HashMap<(Option<Location>, Asked), Entry>,
}

struct Entry {
    used: u64,
    stamp: Stamp,
    ranking: Arc<Ranking>,
}

impl Rankings {
    /// For a catalogue of so many movies.
    pub(crate) fn new(movie_count: usize) -> Self {
        let bytes = movie_count.max(1) * size_of::<Scored>();
        Self { most: (KEPT_BYTES / bytes).clamp(8, MOST_KEPT), kept: Mutex::default() }
    }

    fn get(
        &self,
        place: Option<Location>,
        asked: Asked,
        stamp: Stamp,
        make: impl FnOnce(Option<&Location>) -> Ranking,
    ) -> Arc<Ranking> {
        let key = (place, asked);
        let mut kept = self.lock();
        kept.clock += 1;
        let clock = kept.clock;
        if let Some(entry) = kept.rankings.get_mut(&key) {
            entry.used = clock;
            if std::mem::replace(&mut entry.stamp, stamp) == stamp {
                return Arc::clone(&entry.ranking);
            }
            // From here on others take the old one until the new one is there.
        }
        drop(kept);
        let ranking = Arc::new(make(key.0.as_ref()));
        let mut kept = self.lock();
        if kept.rankings.len() >= self.most && !kept.rankings.contains_key(&key) {
            let oldest = kept.rankings.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| kept.rankings.remove(&oldest));
        }
        kept.rankings.insert(key, Entry { used: clock, stamp, ranking: Arc::clone(&ranking) });
        ranking
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is popular in the narrowest place around `location` with enough evidence, that of the bundle and what is live together.
pub(crate) fn popular(
    snapshot: &Snapshot,
    live: &Live,
    changes: Option<&Changes>,
    location: Option<&Location>,
    window: Window,
) -> Arc<Ranking> {
    let generation = changes.map_or(0, |changes| changes.generation);
    let stamp = (live.popularity_stamp(), generation);
    let place = narrowest(snapshot, &live.places(), location);
    snapshot.rankings().get(place, Asked::Popular(window), stamp, |place| {
        // What is live is copied, so that who writes it does not wait for the ranking.
        let Evidence { levels, events, window, new } =
            Evidence::of(snapshot, &live.places(), changes, place, window, live.now_ms());
        let mut rates = rates(snapshot, &levels);
        if let Some(Added { events, movies }) = &window {
            let keep = WINDOW_PRIOR / (events + WINDOW_PRIOR);
            for rate in &mut rates {
                *rate = (f64::from(*rate) * keep) as f32;
            }
            for (movie, count) in movies {
                rates[*movie as usize] += (f64::from(*count) / (events + WINDOW_PRIOR)) as f32;
            }
        }
        let prior = if window.is_some() { WINDOW_PRIOR } else { 1.0 };
        let events = window.map_or(events, |window| window.events.round() as u64);
        rates.extend(new.iter().map(|count| (count / (events as f64 + prior)) as f32));
        Ranking { films: in_order(&rates), generation, location: spelling(snapshot, live, place), events }
    })
}

/// What is rising in the narrowest place around `location` with enough recent likes.
pub(crate) fn rising(
    snapshot: &Snapshot,
    live: &Live,
    changes: Option<&Changes>,
    location: Option<&Location>,
) -> Arc<Ranking> {
    let generation = changes.map_or(0, |changes| changes.generation);
    let stamp = (live.popularity_stamp(), generation);
    let now_ms = live.now_ms();
    let place = {
        let places = live.places();
        let enough = |place: &PlaceNumber| places.total(*place, Span::Recent, now_ms) >= TREND_EVENTS;
        let nearest = places.nearest(location);
        let place = places.around(nearest).find(enough).unwrap_or(PlaceNumber::WORLD);
        places.place(place).location.clone()
    };
    snapshot.rankings().get(place, Asked::Trending, stamp, |place| {
        let places = live.places();
        let rows = snapshot.film_rows(&places);
        let rates = |number: PlaceNumber| {
            let location = places.place(number).location.as_ref();
            let popularity = snapshot.bundle().popularity();
            popularity.rates(popularity.resolve(location, 0).place)
        };
        let number = places.find(place).unwrap_or(PlaceNumber::WORLD);
        let new: HashMap<u32, u32> = changes
            .iter()
            .flat_map(|changes| changes.new_films())
            .filter_map(|(row, movie)| Some((places.film_number(&movie.movie_id)?, *row)))
            .collect();
        let row_of = |film: u32| rows.row(film).or_else(|| new.get(&film).copied());
        let films = trending(&places, number, now_ms, rates, row_of);
        let events = places.total(number, Span::Recent, now_ms).round() as u64;
        drop(places);
        Ranking { films, generation, location: spelling(snapshot, live, place), events }
    })
}

/// What was counted in a place and those around it.
struct Evidence {
    /// The place itself first, the world last: its name, and what the bundle does not know of it.
    levels: Vec<(Option<Location>, Added)>,
    /// All of the place.
    events: u64,
    /// Of the place within the window, unless that is all.
    window: Option<Added>,
    /// Likes of the films that the bundle does not have, in order of their rows, within the window.
    new: Vec<f64>,
}

impl Evidence {
    fn of(
        snapshot: &Snapshot,
        places: &Places,
        changes: Option<&Changes>,
        place: Option<&Location>,
        window: Window,
        now_ms: i64,
    ) -> Self {
        let rows = snapshot.film_rows(places);
        let mut levels = Vec::new();
        let mut next = Some(place.cloned());
        while let Some(location) = next {
            let added = places.find(location.as_ref()).map_or_else(Added::default, |number| Added {
                events: places.since(number),
                movies: rows.of(places.films_since(number)),
            });
            next = location.as_ref().map(Location::parent);
            levels.push((location, added));
        }
        let span = match window {
            Window::Day => Some(Span::Day),
            Window::Week => Some(Span::Week),
            Window::Month => Some(Span::Month),
            Window::All => None,
        };
        let faded = span.map(|span| {
            places.find(place).map_or_else(Added::default, |number| Added {
                events: places.total(number, span, now_ms),
                movies: rows
                    .of(places.counts(number, span, now_ms).map(|(film, count)| (film, count as f32))),
            })
        });
        let likes = |movie_id: &MovieId| {
            let (number, film) = (places.find(place)?, places.film_number(movie_id)?);
            Some(span.map_or_else(
                || places.count_since_of(number, film),
                |span| places.count_of(number, film, span, now_ms),
            ))
        };
        let new = changes.iter().flat_map(|changes| changes.new_films());
        let new = new.map(|(_, movie)| likes(&movie.movie_id).unwrap_or(0.0)).collect();
        Self { levels, events: events_of(snapshot, places, place), window: faded, new }
    }
}

impl FilmRows {
    fn of(&self, films: impl Iterator<Item = (u32, f32)>) -> Vec<(u32, f32)> {
        films.filter_map(|(film, count)| Some((self.row(film)?, count))).collect()
    }
}

/// Events in a place, before the bundle and since.
fn events_of(snapshot: &Snapshot, places: &Places, place: Option<&Location>) -> u64 {
    let popularity = snapshot.bundle().popularity();
    let stored = match place {
        None => Some(popularity.resolve(None, 0)),
        Some(place) => popularity.find(place),
    };
    let since = places.find(place).map_or(0.0, |number| places.since(number));
    stored.map_or(0, |stored| stored.events) + since.round() as u64
}

fn narrowest(snapshot: &Snapshot, places: &Places, location: Option<&Location>) -> Option<Location> {
    let mut asked = location.cloned();
    while let Some(location) = asked {
        let known = places.find(Some(&location)).is_some()
            || snapshot.bundle().popularity().find(&location).is_some();
        if known && events_of(snapshot, places, Some(&location)) >= snapshot.min_events() {
            return Some(location);
        }
        asked = location.parent();
    }
    None
}

/// The rates of the first of `levels`.
fn rates(snapshot: &Snapshot, levels: &[(Option<Location>, Added)]) -> Vec<f32> {
    let popularity = snapshot.bundle().popularity();
    let name = |place: PlaceIndex| popularity.location(place);
    let added = |place: PlaceIndex| {
        let level = levels.iter().find(|(location, _)| location.as_ref() == name(place));
        level.map_or_else(Added::default, |(_, added)| added.clone())
    };
    match levels {
        [] | [(None, _), ..] => popularity.rates_with(PlaceIndex::WORLD, &added),
        [(Some(location), own), around @ ..] => match popularity.find(location) {
            Some(known) => popularity.rates_with(known.place, &added),
            None => popularity.rates_of_new(location.level(), rates(snapshot, around), own),
        },
    }
}

/// A place's name as the bundle spells it, else as it was first heard.
fn spelling(snapshot: &Snapshot, live: &Live, place: Option<&Location>) -> Option<Location> {
    let stored = snapshot.bundle().popularity().find(place?).and_then(|stored| stored.location.cloned());
    stored.or_else(|| {
        let places = live.places();
        places.find(place).and_then(|number| places.place(number).location.clone())
    })
}

/// All films by descending rate, ties ascending index.
fn in_order(rates: &[f32]) -> Vec<Scored> {
    // Rates are finite and not negative, and such numbers order as their bits do.
    let keyed = (0u64..).zip(rates).map(|(index, rate)| u64::from(!rate.to_bits()) << 32 | index);
    let mut keyed: Vec<u64> = keyed.collect();
    keyed.sort_unstable();
    let films = keyed.into_iter().map(|key| key as u32);
    films.map(|index| Scored { index, score: rates[index as usize] }).collect()
}
