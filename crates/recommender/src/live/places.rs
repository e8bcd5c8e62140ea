//! How often each film was liked where lately: counts that fade by half in a fixed time (exponential decay), one for each film in
//! a place and in every place around it. An event costs one step a level, whatever was counted before.

use std::collections::HashMap;
use std::time::Duration;

use cinedex_domain::{Location, MovieId};

/// A place's row in [`Places`]; 0 is the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PlaceNumber(u32);

impl PlaceNumber {
    /// Everywhere.
    pub(crate) const WORLD: Self = Self(0);
}

/// Over which time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Span {
    Recent = 0,
    Day = 1,
    Week = 2,
    Month = 3,
}

const SPANS: usize = 4;

/// Counts at one time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Cell {
    /// What the faded counts are as of.
    at_ms: i64,
    /// By [`Span`].
    faded: [f32; SPANS],
    /// Not faded, of what the bundle does not know.
    since: f32,
}

/// One place and what was liked in it and the places in it.
#[derive(Debug)]
pub(crate) struct Place {
    /// `None` for the world.
    pub(crate) location: Option<Location>,
    parent: Option<PlaceNumber>,
    pub(crate) children: Vec<PlaceNumber>,
    total: Cell,
    films: HashMap<u32, Cell>,
}

/// All places that were ever heard of.
#[derive(Debug)]
pub(crate) struct Places {
    /// Milliseconds.
    half_lives: [f64; SPANS],
    max_cells: usize,
    cells: usize,
    numbers: HashMap<Location, PlaceNumber>,
    rows: Vec<Place>,
    film_numbers: HashMap<MovieId, u32>,
    films: Vec<MovieId>,
    /// The last position that changed a count.
    counted: u64,
}

impl Places {
    /// `half_lives` by [`Span`]; about `max_cells` counts of films in places are kept.
    pub(crate) fn new(half_lives: [Duration; SPANS], max_cells: usize) -> Self {
        let world = Place::new(None, None);
        Self {
            half_lives: half_lives.map(|half_life| (half_life.as_secs_f64() * 1000.0).max(1.0)),
            max_cells: max_cells.max(SPANS),
            cells: 0,
            numbers: HashMap::new(),
            rows: vec![world],
            film_numbers: HashMap::new(),
            films: Vec::new(),
            counted: 0,
        }
    }

    /// Counts of films in places that are kept.
    pub(crate) fn count(&self) -> usize {
        self.cells
    }

    /// The last position that changed a count; 0 if nothing was counted yet.
    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    pub(crate) fn note_counted(&mut self, position: u64) {
        self.counted = position;
    }

    /// The number of a place, which is made with all around it if it is new.
    pub(crate) fn number(&mut self, location: &Location) -> PlaceNumber {
        if let Some(&number) = self.numbers.get(location) {
            return number;
        }
        let parent = location.parent().map_or(PlaceNumber::WORLD, |parent| self.number(&parent));
        let number = PlaceNumber(self.rows.len() as u32);
        self.rows.push(Place::new(Some(location.clone()), Some(parent)));
        self.rows[parent.0 as usize].children.push(number);
        self.numbers.insert(location.clone(), number);
        number
    }

    /// The place itself if it was heard of, else the nearest one around it that was.
    pub(crate) fn nearest(&self, location: Option<&Location>) -> PlaceNumber {
        let mut asked = location.cloned();
        while let Some(location) = asked {
            if let Some(&number) = self.numbers.get(&location) {
                return number;
            }
            asked = location.parent();
        }
        PlaceNumber::WORLD
    }

    /// Exactly this place, `None` being the world.
    pub(crate) fn find(&self, location: Option<&Location>) -> Option<PlaceNumber> {
        location.map_or(Some(PlaceNumber::WORLD), |location| self.numbers.get(location).copied())
    }

    pub(crate) fn place(&self, number: PlaceNumber) -> &Place {
        &self.rows[number.0 as usize]
    }

    /// A place and all around it, the world last.
    pub(crate) fn around(&self, number: PlaceNumber) -> impl Iterator<Item = PlaceNumber> + '_ {
        std::iter::successors(Some(number), |place| self.place(*place).parent)
    }

    /// The one copy of a movie's id that is kept, and its number.
    pub(crate) fn film(&mut self, movie_id: &MovieId) -> (MovieId, u32) {
        if let Some((known, number)) = self.film_numbers.get_key_value(movie_id) {
            return (known.clone(), *number);
        }
        let number = self.films.len() as u32;
        self.films.push(movie_id.clone());
        self.film_numbers.insert(movie_id.clone(), number);
        (movie_id.clone(), number)
    }

    /// The number of a film that was heard of.
    pub(crate) fn film_number(&self, movie_id: &MovieId) -> Option<u32> {
        self.film_numbers.get(movie_id).copied()
    }

    /// How many films were ever heard of.
    pub(crate) fn film_count(&self) -> usize {
        self.films.len()
    }

    /// The id of a film by its number.
    pub(crate) fn film_id(&self, film: u32) -> &MovieId {
        &self.films[film as usize]
    }

    /// Counts `amount` likes, fewer where negative, at a time; `since` whether the bundle does not know it.
    pub(crate) fn add(&mut self, place: PlaceNumber, film: u32, at_ms: i64, amount: f32, since: bool) {
        let half_lives = self.half_lives;
        self.each_cell(place, film, |cell| {
            cell.add(at_ms, amount, &half_lives);
            cell.since += if since { amount } else { 0.0 };
        });
        if self.cells > self.max_cells {
            self.forget_faint(at_ms);
        }
    }

    /// Counts likes that the bundle does not know and that have been counted otherwise.
    pub(crate) fn count_since(&mut self, place: PlaceNumber, film: u32, amount: f32) {
        self.each_cell(place, film, |cell| cell.since += amount);
    }

    /// Another bundle knows other events.
    pub(crate) fn forget_totals(&mut self) {
        for place in &mut self.rows {
            place.total.since = 0.0;
            place.films.values_mut().for_each(|cell| cell.since = 0.0);
        }
    }

    /// Likes in a place that the bundle does not know.
    pub(crate) fn since(&self, place: PlaceNumber) -> f64 {
        f64::from(self.place(place).total.since.max(0.0))
    }

    /// The same of one film.
    pub(crate) fn count_since_of(&self, place: PlaceNumber, film: u32) -> f64 {
        self.place(place).films.get(&film).map_or(0.0, |cell| f64::from(cell.since.max(0.0)))
    }

    /// The same by film.
    pub(crate) fn films_since(&self, place: PlaceNumber) -> impl Iterator<Item = (u32, f32)> + '_ {
        let films = self.place(place).films.iter().map(|(film, cell)| (*film, cell.since));
        films.filter(|(_, since)| *since > 0.0)
    }

    /// What is left at `now_ms` of all likes in a place.
    pub(crate) fn total(&self, place: PlaceNumber, span: Span, now_ms: i64) -> f64 {
        self.place(place).total.at(span, now_ms, &self.half_lives)
    }

    /// The same of one film.
    pub(crate) fn count_of(&self, place: PlaceNumber, film: u32, span: Span, now_ms: i64) -> f64 {
        let cell = self.place(place).films.get(&film);
        cell.map_or(0.0, |cell| cell.at(span, now_ms, &self.half_lives))
    }

    /// The same by film.
    pub(crate) fn counts(
        &self,
        place: PlaceNumber,
        span: Span,
        now_ms: i64,
    ) -> impl Iterator<Item = (u32, f64)> + '_ {
        let films = self.place(place).films.iter();
        films.map(move |(film, cell)| (*film, cell.at(span, now_ms, &self.half_lives)))
    }

    fn each_cell(&mut self, place: PlaceNumber, film: u32, change: impl Fn(&mut Cell)) {
        let mut next = Some(place);
        while let Some(number) = next {
            let place = &mut self.rows[number.0 as usize];
            let known = place.films.len();
            change(place.films.entry(film).or_default());
            self.cells += place.films.len() - known;
            change(&mut place.total);
            next = place.parent;
        }
    }

    /// Drops the half of the films' counts of which least is left; the totals stay.
    fn forget_faint(&mut self, now_ms: i64) {
        let half_lives = self.half_lives;
        let left = |cell: &Cell| cell.at(Span::Month, now_ms, &half_lives) as f32 + cell.since;
        let mut all: Vec<f32> = self.rows.iter().flat_map(|place| place.films.values().map(left)).collect();
        let middle = all.len() / 2;
        let (fainter, threshold, _) = all.select_nth_unstable_by(middle, f32::total_cmp);
        // Of equal ones as many as are too many.
        let mut equal = fainter.iter().filter(|left| **left == *threshold).count();
        let threshold = *threshold;
        for place in &mut self.rows {
            place.films.retain(|_, cell| {
                let left = left(cell);
                let one_of_equal = left == threshold && equal > 0;
                equal -= usize::from(one_of_equal);
                left > threshold || (left == threshold && !one_of_equal)
            });
            place.films.shrink_to_fit();
        }
        self.cells = self.rows.iter().map(|place| place.films.len()).sum();
    }
}

impl Place {
    fn new(location: Option<Location>, parent: Option<PlaceNumber>) -> Self {
        Self { location, parent, children: Vec::new(), total: Cell::default(), films: HashMap::new() }
    }
}

impl Cell {
    /// Adds to the faded counts. What happened before the time they are as of comes in faded.
    fn add(&mut self, at_ms: i64, amount: f32, half_lives: &[f64; SPANS]) {
        let elapsed = at_ms.saturating_sub(self.at_ms) as f64;
        for (faded, half_life) in self.faded.iter_mut().zip(half_lives) {
            let keep = (-elapsed.abs() / half_life).exp2() as f32;
            *faded = if elapsed >= 0.0 { *faded * keep + amount } else { *faded + amount * keep };
        }
        self.at_ms = self.at_ms.max(at_ms);
    }

    fn at(&self, span: Span, now_ms: i64, half_lives: &[f64; SPANS]) -> f64 {
        let elapsed = now_ms.saturating_sub(self.at_ms).max(0) as f64;
        let faded = f64::from(self.faded[span as usize]) * (-elapsed / half_lives[span as usize]).exp2();
        faded.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn places(max_cells: usize) -> Places {
        Places::new([1, 2, 4, 8].map(|hours| Duration::from_secs(hours * 3600)), max_cells)
    }

    fn close(found: f64, expect: f64) {
        assert!((found - expect).abs() < 1e-5, "{found} {expect}");
    }

    #[test]
    fn counts_halve_in_their_half_life_at_every_level() {
        let mut places = places(100);
        let (_, film) = places.film(&MovieId::new("heat").unwrap());
        let fresno = places.number(&"US/CA/Fresno".parse().unwrap());
        places.add(fresno, film, 100 * HOUR, 1.0, true);
        for number in places.around(fresno).collect::<Vec<_>>() {
            close(places.count_of(number, film, Span::Recent, 100 * HOUR), 1.0);
            close(places.count_of(number, film, Span::Recent, 102 * HOUR), 0.25);
            close(places.total(number, Span::Week, 104 * HOUR), 0.5);
            close(places.since(number), 1.0);
        }
        assert_eq!((places.count(), places.around(fresno).count()), (4, 4));
        assert_eq!(
            places.nearest(Some(&"us/ca/Reno".parse().unwrap())),
            places.number(&"US/CA".parse().unwrap())
        );
    }

    #[test]
    fn what_arrives_late_counts_as_if_it_had_not() {
        let count = |times: &[i64]| {
            let mut places = places(100);
            for time in times {
                places.add(PlaceNumber::WORLD, 0, time * HOUR, 1.0, false);
            }
            places.count_of(PlaceNumber::WORLD, 0, Span::Day, 10 * HOUR)
        };
        close(count(&[3, 5, 8]), count(&[8, 3, 5]));
        // A clock that goes back makes nothing larger than it was.
        let mut places = places(100);
        places.add(PlaceNumber::WORLD, 0, 8 * HOUR, 1.0, false);
        close(places.count_of(PlaceNumber::WORLD, 0, Span::Day, 2 * HOUR), 1.0);
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let mut places = places(100);
        let seoul = places.number(&"KR/11/Seoul".parse().unwrap());
        for time in [1, 2, 3] {
            places.add(seoul, 7, time * HOUR, 1.0, true);
        }
        for time in [2, 1, 3] {
            places.add(seoul, 7, time * HOUR, -1.0, true);
        }
        close(places.count_of(PlaceNumber::WORLD, 7, Span::Month, 4 * HOUR), 0.0);
        close(places.since(seoul), 0.0);
    }

    #[test]
    fn the_faintest_half_goes_when_there_are_too_many() {
        let mut places = places(40);
        for film in 0..41 {
            places.add(PlaceNumber::WORLD, film, i64::from(film) * HOUR, 1.0, false);
        }
        assert_eq!(places.count(), 21);
        assert!(places.count_of(PlaceNumber::WORLD, 40, Span::Month, 41 * HOUR) > 0.9);
        assert_eq!(places.count_of(PlaceNumber::WORLD, 3, Span::Month, 41 * HOUR), 0.0);
    }
}
