//! What an import has gathered: the builder, which movies are known, and what is to be noted at the end.

use std::collections::HashSet;

use cinedex_domain::{Movie, MovieId, User, UserId};

use super::fields::Fault;
use crate::places::place_of_zip;
use crate::titles::parse_title;
use crate::{DatasetBuilder, DatasetError, ImportReport, Source};

pub(super) const UNKNOWN_MOVIE: &str = "the movie is unknown";
const REPEATED_ID: &str = "the id occurred before";
const NO_TITLE: &str = "the title is empty";
const LONG_TITLE: &str = "the title is longer than 1000 bytes";

const MAX_TITLE_BYTES: usize = 1000;

pub(super) struct Sink {
    pub(super) builder: DatasetBuilder,
    pub(super) movies: KnownMovies,
    /// Ratings whose row has no time.
    pub(super) without_time: u64,
    users: u64,
    users_without_place: u64,
}

impl Sink {
    pub(super) fn new(builder: DatasetBuilder) -> Self {
        Self { builder, movies: KnownMovies::default(), without_time: 0, users: 0, users_without_place: 0 }
    }

    /// Adds a movie from its published title; `fallback_year` counts where the title has none. `columns` name id and title.
    pub(super) fn add_movie<'a>(
        &mut self,
        (id, title): (u32, &str),
        genres: impl Iterator<Item = &'a str>,
        fallback_year: Option<u16>,
        columns: [&'static str; 2],
    ) -> Result<(), Fault> {
        if title.len() > MAX_TITLE_BYTES {
            return Err(Fault::new(columns[1], LONG_TITLE, title));
        }
        let parsed = parse_title(title);
        if parsed.title.is_empty() {
            return Err(Fault::new(columns[1], NO_TITLE, title));
        }
        let text = id.to_string();
        let mut movie = Movie::new(movie_id(&text), parsed.title);
        movie.year = parsed.year.or(fallback_year);
        movie.original_title = parsed.original_title;
        movie.alternative_titles = parsed.alternative_titles;
        for genre in genres.filter_map(genre_name) {
            if !movie.genres.iter().any(|known| known == genre) {
                movie.genres.push(genre.to_owned());
            }
        }
        if !self.builder.add_movie(movie) {
            return Err(Fault::new(columns[0], REPEATED_ID, &text));
        }
        self.movies.insert(id);
        Ok(())
    }

    /// A movie that was added; a fault in `column` if it was not.
    pub(super) fn movie(&mut self, id: u32, column: &'static str) -> Result<&mut Movie, Fault> {
        let id = id.to_string();
        self.builder.movie_mut(&id).ok_or_else(|| Fault::new(column, UNKNOWN_MOVIE, &id))
    }

    /// Adds a user who lives where the postal code says.
    pub(super) fn add_user(
        &mut self,
        id: u32,
        zip: &str,
        attributes: [(&str, &str); 3],
        id_column: &'static str,
    ) -> Result<(), Fault> {
        let text = id.to_string();
        let mut user = User::new(user_id(&text));
        user.location = place_of_zip(zip);
        let placed = user.location.is_some();
        for (name, value) in attributes.into_iter().chain([("zip_code", zip.trim())]) {
            if !value.is_empty() {
                user.attributes.insert(name.to_owned(), value.to_owned());
            }
        }
        if !self.builder.add_user(user) {
            return Err(Fault::new(id_column, REPEATED_ID, &text));
        }
        self.users += 1;
        self.users_without_place += u64::from(!placed);
        Ok(())
    }

    /// Notes what a reader should know, and finishes the data set.
    pub(super) fn finish(mut self, source: Source) -> Result<ImportReport, DatasetError> {
        if self.users_without_place > 0 {
            let (without, all) = (self.users_without_place, self.users);
            self.builder.add_notice(format!(
                "{without} of {all} users have no place: their postal codes belong to no US state or territory"
            ));
        }
        if self.without_time > 0 {
            let without = self.without_time;
            self.builder.add_notice(format!("{without} ratings have no time: their file gives none"));
        }
        self.builder.finish(source)
    }
}

fn movie_id(text: &str) -> MovieId {
    MovieId::new(text).expect("a decimal number has 1 to 10 bytes")
}

fn user_id(text: &str) -> UserId {
    UserId::new(text).expect("a decimal number has 1 to 10 bytes")
}

/// The genre under the name that the later layouts use; `None` for those that stand for no genre.
fn genre_name(published: &str) -> Option<&str> {
    match published.trim() {
        "" | "unknown" | "(no genres listed)" => None,
        "Children's" => Some("Children"),
        genre => Some(genre),
    }
}

/// The ids of known movies: bits for the small ones, which all of the published are, so that a rating is checked in a
/// few cycles.
#[derive(Default)]
pub(super) struct KnownMovies {
    bits: Vec<u64>,
    large: HashSet<u32>,
}

impl KnownMovies {
    /// Ids from here on are not kept as bits: 2 MiB of them at most.
    const LARGE: u32 = 1 << 24;

    fn insert(&mut self, id: u32) {
        if id >= Self::LARGE {
            self.large.insert(id);
            return;
        }
        let word = id as usize / 64;
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (id % 64);
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        if id >= Self::LARGE {
            return self.large.contains(&id);
        }
        self.bits.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genres_agree_between_layouts() {
        assert_eq!(genre_name("Children's"), Some("Children"));
        assert_eq!(genre_name("Children"), Some("Children"));
        assert_eq!(genre_name("unknown"), None);
        assert_eq!(genre_name("(no genres listed)"), None);
        assert_eq!(genre_name("Sci-Fi"), Some("Sci-Fi"));
    }

    #[test]
    fn known_movies_are_known_at_every_size() {
        let mut known = KnownMovies::default();
        let ids = [0, 1, 63, 64, 288_983, KnownMovies::LARGE - 1, KnownMovies::LARGE, u32::MAX];
        for id in ids {
            known.insert(id);
        }
        assert!(ids.into_iter().all(|id| known.contains(id)));
        assert!([2, 62, 65, 288_984, KnownMovies::LARGE + 1].into_iter().all(|id| !known.contains(id)));
    }
}
