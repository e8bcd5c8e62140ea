//! Filters as sets: for each genre, country and language the movies that have it, and for year, runtime and age the movies
//! in ascending order. It must say what [`MovieFilter::allows`] says, only faster.

use std::collections::HashMap;

use cinedex_domain::{Movie, MovieFilter, compare_ids};

use crate::error::excerpt;
use crate::{Allowed, UnknownGenre};

/// What the catalogue's facts say about which movies pass.
#[derive(Debug)]
pub(crate) struct FilterIndex {
    movie_count: usize,
    genres: Names,
    countries: Names,
    languages: Names,
    years: Ascending,
    runtimes: Ascending,
    ages: Ascending,
    adult: Postings,
}

impl FilterIndex {
    /// Sorts the facts of all movies.
    pub(crate) fn new(movies: &[Movie]) -> Self {
        let adult = (0..).zip(movies).filter(|(_, movie)| movie.adult == Some(true)).map(|(index, _)| index);
        Self {
            movie_count: movies.len(),
            genres: Names::new(movies, |movie| &movie.genres),
            countries: Names::new(movies, |movie| &movie.countries),
            languages: Names::new(movies, |movie| &movie.languages),
            years: Ascending::new(movies, |movie| movie.year),
            runtimes: Ascending::new(movies, |movie| movie.runtime_minutes),
            ages: Ascending::new(movies, |movie| movie.minimum_age.map(u16::from)),
            adult: Postings::new(adult.collect(), movies.len()),
        }
    }

    /// All genres, sorted, in the catalogue's spelling.
    pub(crate) fn genres(&self) -> &[String] {
        &self.genres.spellings
    }

    /// The movies that pass.
    pub(crate) fn allowed(&self, movies: &[Movie], filter: &MovieFilter) -> Result<Allowed, UnknownGenre> {
        let mut allowed = Allowed::all(self.movie_count);
        let asked = filter.genres_any.iter().chain(&filter.genres_all).chain(&filter.genres_none);
        for genre in asked {
            if self.genres.find(genre).is_none() {
                return Err(UnknownGenre { genre: excerpt(genre), known: self.genres.spellings.clone() });
            }
        }
        self.genres.keep_any(&mut allowed, &filter.genres_any);
        for genre in &filter.genres_all {
            self.genres.keep_any(&mut allowed, std::slice::from_ref(genre));
        }
        for genre in &filter.genres_none {
            if let Some(postings) = self.genres.find(genre) {
                postings.subtract_from(&mut allowed);
            }
        }
        self.countries.keep_any(&mut allowed, &filter.countries);
        self.languages.keep_any(&mut allowed, &filter.languages);
        self.years.keep(&mut allowed, filter.year_min, filter.year_max);
        self.runtimes.keep(&mut allowed, None, filter.runtime_max);
        self.ages.keep(&mut allowed, None, filter.max_age.map(u16::from));
        if !filter.adult {
            self.adult.subtract_from(&mut allowed);
        }
        for id in &filter.exclude {
            if let Some(index) = find_movie(movies, id.as_str()) {
                allowed.remove(index);
            }
        }
        Ok(allowed)
    }
}

/// The row of a movie in a catalogue sorted by id.
pub(crate) fn find_movie(movies: &[Movie], movie_id: &str) -> Option<u32> {
    let found = movies.binary_search_by(|movie| compare_ids(movie.movie_id.as_str(), movie_id));
    found.ok().map(|row| row as u32)
}

/// Some movies: a list if few, a set if many, so that memory follows the facts whatever the catalogue holds.
#[derive(Debug)]
enum Postings {
    Few(Vec<u32>),
    Many(Allowed),
}

impl Postings {
    fn new(ascending: Vec<u32>, movie_count: usize) -> Self {
        if ascending.len() < movie_count / 32 {
            return Self::Few(ascending);
        }
        let mut set = Allowed::none(movie_count);
        set.extend(ascending);
        Self::Many(set)
    }

    fn add_to(&self, set: &mut Allowed) {
        match self {
            Self::Few(list) => set.extend(list.iter().copied()),
            Self::Many(other) => set.unite(other),
        }
    }

    fn subtract_from(&self, set: &mut Allowed) {
        match self {
            Self::Few(list) => list.iter().for_each(|&index| set.remove(index)),
            Self::Many(other) => set.subtract(other),
        }
    }
}

/// The movies of each name, found without ASCII case.
#[derive(Debug)]
struct Names {
    spellings: Vec<String>,
    rows: HashMap<String, usize>,
    postings: Vec<Postings>,
}

impl Names {
    fn new(movies: &[Movie], names: impl Fn(&Movie) -> &[String]) -> Self {
        let mut lists: HashMap<String, (&str, Vec<u32>)> = HashMap::new();
        for (index, movie) in (0..).zip(movies) {
            for name in names(movie) {
                let (_, list) = lists.entry(name.to_ascii_lowercase()).or_insert((name, Vec::new()));
                if list.last() != Some(&index) {
                    list.push(index);
                }
            }
        }
        let mut sorted: Vec<_> = lists.into_iter().collect();
        sorted.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let mut all = Self { spellings: Vec::new(), rows: HashMap::new(), postings: Vec::new() };
        for (row, (folded, (spelling, list))) in sorted.into_iter().enumerate() {
            all.spellings.push(spelling.to_owned());
            all.rows.insert(folded, row);
            all.postings.push(Postings::new(list, movies.len()));
        }
        all
    }

    fn find(&self, name: &str) -> Option<&Postings> {
        self.rows.get(&name.to_ascii_lowercase()).map(|&row| &self.postings[row])
    }

    /// Keeps what has any of the names; without names, everything.
    fn keep_any(&self, allowed: &mut Allowed, names: &[String]) {
        if names.is_empty() {
            return;
        }
        if let [name] = names
            && let Some(Postings::Many(set)) = self.find(name)
        {
            return allowed.intersect(set);
        }
        let mut any = Allowed::none(allowed.len());
        names.iter().filter_map(|name| self.find(name)).for_each(|postings| postings.add_to(&mut any));
        allowed.intersect(&any);
    }
}

/// The movies of which a number is known, ascending by it.
#[derive(Debug)]
struct Ascending {
    values: Vec<u16>,
    movies: Vec<u32>,
    known: Allowed,
}

impl Ascending {
    fn new(movies: &[Movie], value: impl Fn(&Movie) -> Option<u16>) -> Self {
        let facts = (0..).zip(movies).filter_map(|(index, movie)| Some((value(movie)?, index)));
        let mut facts: Vec<(u16, u32)> = facts.collect();
        facts.sort_unstable();
        let mut known = Allowed::none(movies.len());
        known.extend(facts.iter().map(|&(_, index)| index));
        let (values, movies) = facts.into_iter().unzip();
        Self { values, movies, known }
    }

    /// Keeps what lies between the bounds; without bounds, everything.
    fn keep(&self, allowed: &mut Allowed, min: Option<u16>, max: Option<u16>) {
        if min.is_none() && max.is_none() {
            return;
        }
        let from = min.map_or(0, |min| self.values.partition_point(|&value| value < min));
        let to = max.map_or(self.values.len(), |max| self.values.partition_point(|&value| value <= max));
        let inside = self.movies.get(from..to).unwrap_or_default();
        if inside.len() < self.movies.len() / 2 {
            let mut set = Allowed::none(allowed.len());
            set.extend(inside.iter().copied());
            allowed.intersect(&set);
        } else {
            allowed.intersect(&self.known);
            self.movies[..from].iter().chain(&self.movies[to..]).for_each(|&index| allowed.remove(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cinedex_domain::MovieId;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    fn names(all: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
        vec(prop::sample::select(all).prop_map(str::to_owned), 0..=most)
    }

    const GENRES: &[&str] = &["Drama", "drama", "Crime", "Sci-Fi", "Comedy"];
    const COUNTRIES: &[&str] = &["US", "KR", "us", "FR"];

    fn movie(row: usize) -> impl Strategy<Value = Movie> {
        let numbers = (option::of(1990u16..1996), option::of(80u16..90), option::of(6u8..18));
        (names(GENRES, 3), names(COUNTRIES, 2), names(&["en", "ko"], 2), numbers, option::of(any::<bool>()))
            .prop_map(move |(genres, countries, languages, (year, runtime_minutes, minimum_age), adult)| {
                Movie {
                    genres,
                    countries,
                    languages,
                    year,
                    runtime_minutes,
                    minimum_age,
                    adult,
                    ..Movie::new(MovieId::new(&row.to_string()).unwrap(), "title")
                }
            })
    }

    fn filter() -> impl Strategy<Value = MovieFilter> {
        let bounds = (option::of(1989u16..1998), option::of(1989u16..1998));
        let limits = (option::of(79u16..92), option::of(5u8..19), any::<bool>());
        let genres = (names(GENRES, 2), names(GENRES, 2), names(GENRES, 1));
        (
            genres,
            bounds,
            names(&["US", "fr", "Xx"], 2),
            names(&["EN", "ko", "zz"], 2),
            limits,
            vec(0usize..60, 0..5),
        )
            .prop_map(|(genres, (year_min, year_max), countries, languages, limits, exclude)| {
                MovieFilter {
                    genres_any: genres.0,
                    genres_all: genres.1,
                    genres_none: genres.2,
                    year_min,
                    year_max,
                    countries,
                    languages,
                    runtime_max: limits.0,
                    max_age: limits.1,
                    adult: limits.2,
                    exclude: exclude.iter().map(|row| MovieId::new(&row.to_string()).unwrap()).collect(),
                }
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn it_says_what_the_reference_says(
            movies in (0usize..50).prop_flat_map(|count| (0..count).map(movie).collect::<Vec<_>>()),
            filter in filter(),
        ) {
            let index = FilterIndex::new(&movies);
            let asked = filter.genres_any.iter().chain(&filter.genres_all).chain(&filter.genres_none);
            let unknown = asked.filter(|name| !index.genres().iter().any(|known| known.eq_ignore_ascii_case(name))).count();
            match index.allowed(&movies, &filter) {
                Err(error) => {
                    prop_assert!(unknown > 0);
                    prop_assert_eq!(&error.known, index.genres());
                }
                Ok(allowed) => {
                    prop_assert_eq!(unknown, 0);
                    for (row, movie) in movies.iter().enumerate() {
                        prop_assert_eq!(allowed.contains(row as u32), filter.allows(movie), "{:?}", movie);
                    }
                    prop_assert_eq!(allowed.len(), movies.len());
                }
            }
        }
    }

    #[test]
    fn an_unknown_genre_is_refused_with_the_known_ones() {
        let mut movie = Movie::new(MovieId::new("1").unwrap(), "Heat");
        movie.genres = vec!["Thriller".into(), "Crime".into()];
        let movies = [movie];
        let filter = MovieFilter { genres_none: vec!["Crme".into()], ..MovieFilter::default() };
        let error = FilterIndex::new(&movies).allowed(&movies, &filter).unwrap_err();
        assert_eq!(error.to_string(), "unknown genre \"Crme\"; known are: Crime, Thriller");
    }

    #[test]
    fn a_hundred_thousand_different_countries_take_little_memory_and_time() {
        let movies: Vec<Movie> = (0..100_000)
            .map(|row: u32| {
                let mut movie = Movie::new(MovieId::new(&row.to_string()).unwrap(), "title");
                movie.countries = vec![format!("country {row}")];
                movie
            })
            .collect();
        let index = FilterIndex::new(&movies);
        let filter = MovieFilter { countries: vec!["COUNTRY 77".into()], ..MovieFilter::default() };
        assert_eq!(index.allowed(&movies, &filter).unwrap().iter().collect::<Vec<_>>(), [77]);
    }
}
