//! A movie and a user as plain facts, the columns of `movies.parquet` and `users.parquet`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Location, MovieId, UserId};

/// The facts of one movie. Empty lists and `None` mean unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Movie {
    /// The caller's id.
    pub movie_id: MovieId,
    /// The title as people say it: article in front, without the year.
    pub title: String,
    /// The title in its own language, where it differs.
    pub original_title: Option<String>,
    /// Year of first release.
    pub year: Option<u16>,
    /// Genres in the source's spelling.
    pub genres: Vec<String>,
    /// Countries of production, ISO 3166-1 alpha-2 in upper case; never places of release.
    pub countries: Vec<String>,
    /// Spoken languages, ISO 639-1 in lower case.
    pub languages: Vec<String>,
    /// Runtime in minutes.
    pub runtime_minutes: Option<u16>,
    /// Youngest age, in years, that the film is suitable for.
    pub minimum_age: Option<u8>,
    /// Whether it is for adults only; unknown is not adult.
    pub adult: Option<bool>,
    /// `tt0111161`.
    pub imdb_id: Option<String>,
    /// The Movie Database's number.
    pub tmdb_id: Option<u32>,
    /// IMDb's mean rating, 1 to 10.
    pub imdb_rating: Option<f32>,
    /// Votes behind [`Movie::imdb_rating`].
    pub imdb_votes: Option<u32>,
    /// Free tags, most frequent first.
    pub tags: Vec<String>,
    /// Other titles under which people search.
    pub alternative_titles: Vec<String>,
}

impl Movie {
    /// A movie of which only id and title are known.
    pub fn new(movie_id: MovieId, title: impl Into<String>) -> Self {
        Self {
            movie_id,
            title: title.into(),
            original_title: None,
            year: None,
            genres: Vec::new(),
            countries: Vec::new(),
            languages: Vec::new(),
            runtime_minutes: None,
            minimum_age: None,
            adult: None,
            imdb_id: None,
            tmdb_id: None,
            imdb_rating: None,
            imdb_votes: None,
            tags: Vec::new(),
            alternative_titles: Vec::new(),
        }
    }
}

/// One user: id, place, and whatever else the source says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The caller's id.
    pub user_id: UserId,
    /// Where the user lives, as far as known.
    pub location: Option<Location>,
    /// Further attributes by the source's column name, for example `age`, `gender`, `occupation`.
    pub attributes: BTreeMap<String, String>,
}

impl User {
    /// A user of whom only the id is known.
    pub fn new(user_id: UserId) -> Self {
        Self { user_id, location: None, attributes: BTreeMap::new() }
    }
}
