//! What is popular where: counts by place, shrunk towards the larger place around it; and what was liked last, wherever. It
//! knows nothing of clocks: what counts as recent was settled when the bundle was built.
//!
//! The rate of a movie in a place with `c` of `n` events, prior strength `s` and the larger place's rate `r` is the mean of a
//! Dirichlet-multinomial posterior, `(c + s r) / (n + s)`: a place with few events repeats the place around it, a place with
//! many speaks for itself. The world leans on equal rates.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cinedex_domain::Location;
use cinedex_vectors::Scored;

use crate::container::{Container, Section, SectionData, write_container};
use crate::error::Fault;
use crate::input::is_inside;
use crate::text::{Texts, pack};
use crate::{Allowed, FileEntry, IndexError, PlacePopularity};

const KIND: &str = "popularity";
/// The world's parent in the file.
const NONE: u32 = u32::MAX;
/// Ranked places kept ready take at most this much memory.
const CACHE_BYTES: usize = 64 << 20;
const CACHE_PLACES: usize = 512;

/// A place's row in one bundle; 0 is the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceIndex(pub u32);

impl PlaceIndex {
    /// Everywhere.
    pub const WORLD: Self = Self(0);
}

/// The place that speaks for a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedPlace<'a> {
    /// Its row.
    pub place: PlaceIndex,
    /// Its name in the stored spelling; `None` for the world.
    pub location: Option<&'a Location>,
    /// Events in it and the places in it.
    pub events: u64,
}

/// What was counted in a place besides what its bundle knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Added {
    /// Events in it and the places in it, at least 0.
    pub events: f64,
    /// Of movies how many, at least 0.
    pub movies: Vec<(u32, f32)>,
}

/// Popularity by place of one bundle. Rates and rankings are computed when a place is first asked for and kept.
#[derive(Debug)]
pub struct PopularityIndex {
    movie_count: usize,
    locations: Vec<Option<Location>>,
    rows: HashMap<Location, u32>,
    parents: Section<u32>,
    events: Section<u64>,
    offsets: Section<u64>,
    movies: Section<u32>,
    counts: Section<f32>,
    prior: Section<f32>,
    recent: Section<f32>,
    cache: Mutex<Cache>,
}

impl PopularityIndex {
    /// The narrowest known place around `location` with at least `min_events` events, backing off from city to subdivision to
    /// country to world. A place that is not known is answered by the nearest one around it; `None` is the world.
    pub fn resolve(&self, location: Option<&Location>, min_events: u64) -> ResolvedPlace<'_> {
        let mut asked = location.cloned();
        let mut place = 0;
        while let Some(location) = asked {
            if let Some(&row) = self.rows.get(&location) {
                place = row;
                break;
            }
            asked = location.parent();
        }
        while place != 0 && self.events[place as usize] < min_events {
            place = self.parents[place as usize];
        }
        self.place(place)
    }

    /// A place that is known by just this name.
    pub fn find(&self, location: &Location) -> Option<ResolvedPlace<'_>> {
        self.rows.get(location).map(|&row| self.place(row))
    }

    /// The name of a place; `None` for the world. Panics if the place is of another bundle.
    pub fn location(&self, place: PlaceIndex) -> Option<&Location> {
        self.locations[place.0 as usize].as_ref()
    }

    /// The known place around a place; `None` for the world. Panics if the place is of another bundle.
    pub fn parent(&self, place: PlaceIndex) -> Option<PlaceIndex> {
        Some(self.parents[place.0 as usize]).filter(|&parent| parent != NONE).map(PlaceIndex)
    }

    /// All places, the world first, every other after the one around it.
    pub fn places(&self) -> impl Iterator<Item = ResolvedPlace<'_>> {
        (0..self.locations.len() as u32).map(|row| self.place(row))
    }

    /// The shrunk rate of every movie in a place: its expected share of the next event there. Panics if the place is of
    /// another bundle.
    pub fn rates(&self, place: PlaceIndex) -> Arc<[f32]> {
        Arc::clone(&self.ranked(place).rates)
    }

    /// What [`rates`](Self::rates) would be if more had been counted: `added` says for a place, and is asked for each around it,
    /// how many events there were besides, and of which movies how many. Not kept. Panics if the place is of another bundle.
    pub fn rates_with(&self, place: PlaceIndex, added: &dyn Fn(PlaceIndex) -> Added) -> Vec<f32> {
        let around = match self.parent(place) {
            Some(parent) => self.rates_with(parent, added),
            None => self.equal_rates(),
        };
        self.shrunk_rates(place, around, &added(place))
    }

    /// The rates of a place in which nothing was counted but `added`: `around` are those of the place around it, `level` says
    /// how strongly it leans on them.
    pub fn rates_of_new(&self, level: usize, around: Vec<f32>, added: &Added) -> Vec<f32> {
        shrink(around, self.strength(level), &[added])
    }

    /// The `k` most popular allowed movies of a place: descending rate, ties ascending index. Panics if the place is of
    /// another bundle.
    pub fn ranking(&self, place: PlaceIndex, k: usize, allowed: &Allowed) -> Vec<Scored> {
        let ranked = self.ranked(place);
        let order = ranked.order.iter().copied().filter(|&index| allowed.contains(index));
        order.take(k).map(|index| Scored { index, score: ranked.rates[index as usize] }).collect()
    }

    /// Recent likes of each movie, finite and at least 0, over all places.
    pub fn recent_counts(&self) -> &[f32] {
        &self.recent
    }

    /// Opens and checks: places form a tree of locations, counts are of movies that exist.
    pub(crate) fn open(path: &Path, entry: &FileEntry, movie_count: usize) -> Result<Self, IndexError> {
        let container = Container::open(path, KIND, entry)?;
        let parents = container.section::<u32>("parents")?;
        let places = parents.len();
        let events = container.section_of::<u64>("events", places)?;
        let names = Texts::open(&container, "name_offsets", "name_bytes", places)?;
        let movies = container.section::<u32>("count_movies")?;
        container.check_below("count_movies", &movies, movie_count)?;
        let counts = container.section_of::<f32>("count_values", movies.len())?;
        check_not_negative(&container, "count_values", &counts)?;
        let offsets = container.offsets("count_offsets", places, movies.len())?;
        let prior = container.section::<f32>("prior")?;
        check_not_negative(&container, "prior", &prior)?;
        let recent = container.section_of::<f32>("recent_counts", movie_count)?;
        check_not_negative(&container, "recent_counts", &recent)?;
        let (locations, rows) = read_places(&container, &parents, &names)?;
        let kept = (CACHE_BYTES / (movie_count.max(1) * 8)).clamp(8, CACHE_PLACES);
        let cache = Mutex::new(Cache { kept, clock: 0, places: HashMap::new() });
        Ok(Self {
            movie_count,
            locations,
            rows,
            parents,
            events,
            offsets,
            movies,
            counts,
            prior,
            recent,
            cache,
        })
    }

    fn place(&self, row: u32) -> ResolvedPlace<'_> {
        ResolvedPlace {
            place: PlaceIndex(row),
            location: self.locations[row as usize].as_ref(),
            events: self.events[row as usize],
        }
    }

    fn ranked(&self, place: PlaceIndex) -> Arc<Ranked> {
        // A poisoned lock guards a map that is whole after every step.
        if let Some(found) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(place) {
            return found;
        }
        let around = match self.parent(place) {
            Some(parent) => self.ranked(parent).rates.to_vec(),
            None => self.equal_rates(),
        };
        let rates = self.shrunk_rates(place, around, &Added::default());
        // Rates are finite and not negative, and such numbers order as their bits do; sorted as one number with the index they
        // need no look at other memory.
        let keyed = (0u64..).zip(&rates).map(|(index, rate)| u64::from(!rate.to_bits()) << 32 | index);
        let mut keyed: Vec<u64> = keyed.collect();
        keyed.sort_unstable();
        let order = keyed.into_iter().map(|key| key as u32).collect();
        let ranked = Arc::new(Ranked { rates: rates.into(), order });
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(place, Arc::clone(&ranked));
        ranked
    }

    fn equal_rates(&self) -> Vec<f32> {
        vec![1.0 / self.movie_count.max(1) as f32; self.movie_count]
    }

    /// How many events the rates of the larger place weigh.
    fn strength(&self, level: usize) -> f64 {
        // Adding zero makes a negative zero positive: rates order as their bits do.
        self.prior.get(level).or(self.prior.last()).copied().map_or(0.0, f64::from) + 0.0
    }

    fn shrunk_rates(&self, place: PlaceIndex, around: Vec<f32>, added: &Added) -> Vec<f32> {
        let row = place.0 as usize;
        let level = self.locations[row].as_ref().map_or(0, Location::level);
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        let stored = self.movies[range.clone()].iter().copied().zip(self.counts[range].iter().copied());
        let known = Added { events: self.events[row] as f64, movies: stored.collect() };
        shrink(around, self.strength(level), &[&known, added])
    }
}

/// The rates of the larger place, moved by what was counted here.
fn shrink(mut rates: Vec<f32>, strength: f64, counted: &[&Added]) -> Vec<f32> {
    let events = counted.iter().map(|counted| counted.events).sum::<f64>() + strength;
    if events <= 0.0 {
        // Nothing is known: the place repeats the one around it, and the world is as good as silent.
        return rates;
    }
    let keep = strength / events;
    for rate in &mut rates {
        *rate = (f64::from(*rate) * keep) as f32;
    }
    for &(movie, count) in counted.iter().flat_map(|counted| &counted.movies) {
        if let Some(rate) = rates.get_mut(movie as usize) {
            // A count beyond all sense must not make a rate infinite.
            *rate = (*rate + (f64::from(count) / events) as f32 + 0.0).min(f32::MAX);
        }
    }
    rates
}

/// Writes popularity by place and recent likes of each movie; returns the header's checksum.
pub(crate) fn write_popularity(
    path: &Path,
    popularity: &PlacePopularity,
    recent_counts: &[f32],
) -> Result<u64, IndexError> {
    let places = &popularity.places;
    let parents: Vec<u32> = places.iter().map(|place| place.parent.unwrap_or(NONE)).collect();
    let events: Vec<u64> = places.iter().map(|place| place.events).collect();
    let names = places.iter().map(|place| place.location.as_ref().map_or("", Location::as_str));
    let (name_offsets, name_bytes) = pack(names);
    let sections = [
        SectionData::new("parents", &parents),
        SectionData::new("events", &events),
        SectionData::new("name_offsets", &name_offsets),
        SectionData::new("name_bytes", &name_bytes),
        SectionData::new("count_offsets", popularity.counts.offsets()),
        SectionData::new("count_movies", popularity.counts.columns()),
        SectionData::new("count_values", popularity.counts.values()),
        SectionData::new("prior", &popularity.prior),
        SectionData::new("recent_counts", recent_counts),
    ];
    write_container(path, KIND, &sections)
}

type Places = (Vec<Option<Location>>, HashMap<Location, u32>);

fn read_places(container: &Container, parents: &[u32], names: &Texts) -> Result<Places, IndexError> {
    let order = |position| container.fault(Fault::Order { section: "parents".to_owned(), position });
    if parents.first() != Some(&NONE) || !names.get(0).is_empty() {
        return Err(order(0));
    }
    let mut locations: Vec<Option<Location>> = vec![None];
    let mut rows = HashMap::new();
    for (position, &parent) in parents.iter().enumerate().skip(1) {
        let text = |_| container.fault(Fault::Text { section: "name_bytes".to_owned(), position });
        let location: Location = names.get(position).parse().map_err(text)?;
        let around = locations.get(parent as usize).ok_or_else(|| order(position))?;
        if around.as_ref().is_some_and(|around| !is_inside(&location, around))
            || rows.insert(location.clone(), position as u32).is_some()
        {
            return Err(order(position));
        }
        locations.push(Some(location));
    }
    Ok((locations, rows))
}

fn check_not_negative(container: &Container, name: &str, values: &[f32]) -> Result<(), IndexError> {
    match values.iter().position(|value| !(value.is_finite() && *value >= 0.0)) {
        None => Ok(()),
        Some(position) => Err(container.fault(Fault::NotFinite { section: name.to_owned(), position })),
    }
}

#[derive(Debug)]
struct Ranked {
    rates: Arc<[f32]>,
    order: Vec<u32>,
}

/// The places asked for most recently.
#[derive(Debug)]
struct Cache {
    kept: usize,
    clock: u64,
    places: HashMap<PlaceIndex, (u64, Arc<Ranked>)>,
}

impl Cache {
    fn get(&mut self, place: PlaceIndex) -> Option<Arc<Ranked>> {
        self.clock += 1;
        let (used, ranked) = self.places.get_mut(&place)?;
        *used = self.clock;
        Some(Arc::clone(ranked))
    }

    fn insert(&mut self, place: PlaceIndex, ranked: Arc<Ranked>) {
        if self.places.len() >= self.kept
            && let Some(oldest) =
                self.places.iter().min_by_key(|(_, (used, _))| *used).map(|(&place, _)| place)
        {
            self.places.remove(&oldest);
        }
        self.places.insert(place, (self.clock, ranked));
    }
}
