//! Which movies may be answered: the filters of the API as plain data, and what they mean for one movie.

use crate::{Movie, MovieId};

/// The filters of every list. Repeats mean any within a field, fields mean all. A movie whose year, runtime, country,
/// language or minimum age is unknown fails a filter on it; unknown adult is not adult. Names compare without ASCII case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MovieFilter {
    /// Any of these genres.
    pub genres_any: Vec<String>,
    /// All of these genres.
    pub genres_all: Vec<String>,
    /// None of these genres.
    pub genres_none: Vec<String>,
    /// First release in this year or later.
    pub year_min: Option<u16>,
    /// First release in this year or earlier.
    pub year_max: Option<u16>,
    /// Produced in any of these countries.
    pub countries: Vec<String>,
    /// Spoken in any of these languages.
    pub languages: Vec<String>,
    /// At most this many minutes.
    pub runtime_max: Option<u16>,
    /// Suitable at this age, in years.
    pub max_age: Option<u8>,
    /// Also films for adults only.
    pub adult: bool,
    /// Never these movies.
    pub exclude: Vec<MovieId>,
}

impl MovieFilter {
    /// Whether `movie` passes. The reference that faster forms are tested against.
    pub fn allows(&self, movie: &Movie) -> bool {
        let has = |list: &[String], name: &String| list.iter().any(|known| known.eq_ignore_ascii_case(name));
        let any = |wanted: &[String], list: &[String]| {
            wanted.is_empty() || wanted.iter().any(|name| has(list, name))
        };
        any(&self.genres_any, &movie.genres)
            && self.genres_all.iter().all(|name| has(&movie.genres, name))
            && !self.genres_none.iter().any(|name| has(&movie.genres, name))
            && self.year_min.is_none_or(|min| movie.year.is_some_and(|year| year >= min))
            && self.year_max.is_none_or(|max| movie.year.is_some_and(|year| year <= max))
            && any(&self.countries, &movie.countries)
            && any(&self.languages, &movie.languages)
            && self.runtime_max.is_none_or(|max| movie.runtime_minutes.is_some_and(|minutes| minutes <= max))
            && self.max_age.is_none_or(|age| movie.minimum_age.is_some_and(|min| min <= age))
            && (self.adult || movie.adult != Some(true))
            && !self.exclude.contains(&movie.movie_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: MovieFilter, expect: bool) {
        let mut movie = Movie::new(MovieId::new("1").unwrap(), "Heat");
        movie.year = Some(1995);
        movie.genres = vec!["Crime".into(), "Thriller".into()];
        assert_eq!(filter.allows(&movie), expect, "{filter:?}");
    }

    #[test]
    fn repeats_mean_any_and_fields_mean_all() {
        check(MovieFilter::default(), true);
        check(
            MovieFilter { genres_any: vec!["drama".into(), "crime".into()], ..MovieFilter::default() },
            true,
        );
        check(
            MovieFilter { genres_all: vec!["drama".into(), "crime".into()], ..MovieFilter::default() },
            false,
        );
        check(MovieFilter { genres_none: vec!["THRILLER".into()], ..MovieFilter::default() }, false);
        check(MovieFilter { year_min: Some(1995), year_max: Some(1995), ..MovieFilter::default() }, true);
        check(MovieFilter { year_min: Some(1996), ..MovieFilter::default() }, false);
        check(MovieFilter { exclude: vec![MovieId::new("1").unwrap()], ..MovieFilter::default() }, false);
    }

    #[test]
    fn the_unknown_fails_a_filter_on_it_but_is_not_adult() {
        check(MovieFilter { runtime_max: Some(500), ..MovieFilter::default() }, false);
        check(MovieFilter { max_age: Some(18), ..MovieFilter::default() }, false);
        check(MovieFilter { countries: vec!["US".into()], ..MovieFilter::default() }, false);
        check(MovieFilter { adult: true, ..MovieFilter::default() }, true);
    }
}
