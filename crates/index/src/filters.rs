//! Filters as sets, read in place: for each genre, country and language the movies that have it, for year, runtime and age
//! bitmaps of their digits. It must say what [`MovieFilter::allows`] says, only faster.

use std::cmp::Ordering;
use std::ops::Range;

use cinedex_domain::{Movie, MovieFilter};

use crate::catalogue::Catalogue;
use crate::container::{Container, Section, SectionData};
use crate::error::{Fault, excerpt};
use crate::lists::{ListData, Lists};
use crate::numbers::bits;
use crate::{Allowed, IndexError, UnknownGenre};

impl Catalogue {
    /// The movies that pass.
    pub(crate) fn allowed(&self, filter: &MovieFilter) -> Result<Allowed, UnknownGenre> {
        let asked = filter.genres_any.iter().chain(&filter.genres_all).chain(&filter.genres_none);
        for genre in asked {
            if self.genres.find(genre).is_empty() {
                return Err(UnknownGenre { genre: excerpt(genre), known: self.known_genres.clone() });
            }
        }
        // Counted once, at the end.
        let mut words = Allowed::all(self.len()).into_words();
        self.genres.keep_any(&mut words, &filter.genres_any);
        for genre in &filter.genres_all {
            self.genres.keep_any(&mut words, std::slice::from_ref(genre));
        }
        for genre in &filter.genres_none {
            self.genres.sets(genre).for_each(|set| set.subtract_from(&mut words));
        }
        self.countries.keep_any(&mut words, &filter.countries);
        self.languages.keep_any(&mut words, &filter.languages);
        self.years.keep(&mut words, filter.year_min, filter.year_max);
        self.runtimes.keep(&mut words, None, filter.runtime_max);
        self.ages.keep(&mut words, None, filter.max_age.map(u16::from));
        if !filter.adult {
            words.iter_mut().zip(self.adult.0.iter()).for_each(|(word, adult)| *word &= !adult);
        }
        let mut allowed = Allowed::from_words(words, self.len());
        for id in &filter.exclude {
            if let Some(index) = self.ids.find(id.as_str()) {
                allowed.remove(index);
            }
        }
        Ok(allowed)
    }
}

/// Lists of names that a filter asks for, and the movies of each name. Names ascend without ASCII case: the spellings of one
/// name stand together, the one that came first before the others.
///
/// The movies of a name are an ascending list if that is shorter than a bit for each movie of the catalogue, else a bit each,
/// in the same section of words of 32 bits: memory follows the facts whatever the catalogue holds.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) lists: Lists,
    /// For each name the range of its set in `sets`.
    offsets: Section<u64>,
    sets: Section<u32>,
    /// Length of a set of a bit for each movie.
    bitmap_words: usize,
}

/// The movies of one name.
#[derive(Clone, Copy)]
enum Members<'a> {
    Few(&'a [u32]),
    Many(&'a [u32]),
}

impl Indexed {
    /// The sections that hold lists and sets.
    pub(crate) fn write(
        name: &str,
        movies: &[Movie],
        names: fn(&Movie) -> &[String],
        sections: &mut Vec<SectionData<'_>>,
    ) {
        let lists = movies.iter().map(|movie| names(movie).iter().map(String::as_str));
        let lists = ListData::new(lists).sorted_without_case();
        lists.write(name, sections);
        let mut members = vec![Vec::new(); lists.names.len()];
        for (movie, range) in (0u32..).zip(lists.offsets.windows(2)) {
            for &value in &lists.values[range[0] as usize..range[1] as usize] {
                let list: &mut Vec<u32> = &mut members[value as usize];
                if list.last() != Some(&movie) {
                    list.push(movie);
                }
            }
        }
        let (mut offsets, mut sets) = (vec![0], Vec::new());
        for list in members {
            if list.len() < bitmap_words(movies.len()) {
                sets.extend(list);
            } else {
                let mut inside = vec![false; movies.len()];
                for movie in list {
                    inside[movie as usize] = true;
                }
                let words = bits(inside.into_iter());
                sets.extend(words.into_iter().flat_map(|word| [word as u32, (word >> 32) as u32]));
            }
            offsets.push(sets.len() as u64);
        }
        sections.push(SectionData::owned(format!("{name}.set_offsets"), offsets));
        sections.push(SectionData::owned(format!("{name}.sets"), sets));
    }

    /// Reads the lists of `count` movies and checks that names ascend and that the sets are those of the lists.
    pub(crate) fn open(container: &Container, name: &str, count: usize) -> Result<Self, IndexError> {
        let lists = Lists::open(container, name, count)?;
        let names = &lists.names;
        let unordered = |&at: &usize| without_case(names.get(at - 1), names.get(at)).is_gt();
        if let Some(position) = (1..names.len()).find(unordered) {
            return Err(container.fault(Fault::Order { section: format!("{name}.bytes"), position }));
        }
        let sets = container.section::<u32>(&format!("{name}.sets"))?;
        let offsets = container.offsets(&format!("{name}.set_offsets"), names.len(), sets.len())?;
        let indexed = Self { lists, offsets, sets, bitmap_words: bitmap_words(count) };
        if indexed.agrees(count) {
            return Ok(indexed);
        }
        let section = format!("{name}.sets");
        Err(container.fault(Fault::Contradiction { section, other: "the lists of names" }))
    }

    /// Whether every set holds exactly the movies whose lists have its name: each entry of a list is the next in the set of
    /// its name, and no set has more.
    fn agrees(&self, count: usize) -> bool {
        let names = self.lists.names.len();
        let members: Vec<Members<'_>> = (0..names).map(|name| self.members(name)).collect();
        let mut found = vec![0usize; names];
        let mut latest = vec![u32::MAX; names];
        for movie in 0..count as u32 {
            for &name in self.lists.values(movie as usize) {
                let name = name as usize;
                if std::mem::replace(&mut latest[name], movie) == movie {
                    continue;
                }
                let holds = match members[name] {
                    Members::Few(list) => list.get(found[name]) == Some(&movie),
                    Members::Many(words) => words[movie as usize / 32] >> (movie % 32) & 1 == 1,
                };
                if !holds {
                    return false;
                }
                found[name] += 1;
            }
        }
        members.iter().zip(found).all(|(members, found)| members.count() == found)
    }

    /// Each name once, in the spelling that came first.
    pub(crate) fn spellings(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for name in (0..self.lists.names.len()).map(|name| self.lists.names.get(name)) {
            if all.last().is_none_or(|last| !last.eq_ignore_ascii_case(name)) {
                all.push(name.to_owned());
            }
        }
        all
    }

    /// All spellings of a name.
    fn find(&self, name: &str) -> Range<usize> {
        let names = &self.lists.names;
        let first_where = |passed: &dyn Fn(Ordering) -> bool| {
            let (mut low, mut high) = (0, names.len());
            while low < high {
                let middle = usize::midpoint(low, high);
                if passed(without_case(names.get(middle), name)) { high = middle } else { low = middle + 1 }
            }
            low
        };
        first_where(&Ordering::is_ge)..first_where(&Ordering::is_gt)
    }

    fn sets<'a>(&'a self, name: &str) -> impl Iterator<Item = Members<'a>> {
        self.find(name).map(|spelling| self.members(spelling))
    }

    fn members(&self, name: usize) -> Members<'_> {
        let words = &self.sets[self.offsets[name] as usize..self.offsets[name + 1] as usize];
        if words.len() == self.bitmap_words { Members::Many(words) } else { Members::Few(words) }
    }

    /// Keeps what has any of the names; without names, everything.
    fn keep_any(&self, allowed: &mut [u64], names: &[String]) {
        if names.is_empty() {
            return;
        }
        if let [name] = names
            && let spellings = self.find(name)
            && spellings.len() == 1
            && let Members::Many(words) = self.members(spellings.start)
        {
            return allowed.iter_mut().zip(wide(words)).for_each(|(word, own)| *word &= own);
        }
        let mut any = vec![0; allowed.len()];
        names.iter().flat_map(|name| self.sets(name)).for_each(|set| set.add_to(&mut any));
        allowed.iter_mut().zip(any).for_each(|(word, any)| *word &= any);
    }
}

impl Members<'_> {
    fn count(self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(words) => words.iter().map(|word| word.count_ones() as usize).sum(),
        }
    }

    fn add_to(self, set: &mut [u64]) {
        match self {
            Self::Few(list) => {
                for movie in list {
                    set[*movie as usize / 64] |= 1 << (movie % 64);
                }
            }
            Self::Many(words) => set.iter_mut().zip(wide(words)).for_each(|(word, own)| *word |= own),
        }
    }

    fn subtract_from(self, set: &mut [u64]) {
        match self {
            Self::Few(list) => {
                for movie in list {
                    set[*movie as usize / 64] &= !(1 << (movie % 64));
                }
            }
            Self::Many(words) => set.iter_mut().zip(wide(words)).for_each(|(word, own)| *word &= !own),
        }
    }
}

/// Words of 32 bits that a set of a bit for each movie takes: whole words of 64.
fn bitmap_words(movie_count: usize) -> usize {
    2 * movie_count.div_ceil(64)
}

/// Words of 64 bits from pairs of 32, the lower one first.
fn wide(words: &[u32]) -> impl Iterator<Item = u64> {
    words.chunks_exact(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32)
}

fn without_case(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.bytes(), right.bytes());
    left.map(|byte| byte.to_ascii_lowercase()).cmp(right.map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::stored;
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
            movies in (1usize..50).prop_flat_map(|count| (0..count).map(movie).collect::<Vec<_>>()),
            filter in filter(),
        ) {
            let catalogue = stored(&movies);
            let genres = &catalogue.known_genres;
            let asked = filter.genres_any.iter().chain(&filter.genres_all).chain(&filter.genres_none);
            let unknown = asked.filter(|name| !genres.iter().any(|known| known.eq_ignore_ascii_case(name))).count();
            match catalogue.allowed(&filter) {
                Err(error) => {
                    prop_assert!(unknown > 0);
                    prop_assert_eq!(&error.known, genres);
                }
                Ok(allowed) => {
                    prop_assert_eq!(unknown, 0);
                    prop_assert_eq!(allowed.count(), movies.iter().filter(|movie| filter.allows(movie)).count());
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
        let error = stored(&movies).allowed(&filter).unwrap_err();
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
        let catalogue = stored(&movies);
        let filter = MovieFilter { countries: vec!["COUNTRY 77".into()], ..MovieFilter::default() };
        assert_eq!(catalogue.allowed(&filter).unwrap().iter().collect::<Vec<_>>(), [77]);
    }
}
