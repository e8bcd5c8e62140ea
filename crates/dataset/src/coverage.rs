//! How much of each field of a data set is known, for a person who looks at it.

use cinedex_domain::{Movie, User};
use serde::Serialize;

use crate::{DataRoot, DatasetError, MOVIES_FILE, USERS_FILE};

/// What is known of the films and users of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// First and last time of an interaction, RFC 3339 UTC; `None` if no interaction has a time.
    pub interaction_range: Option<(String, String)>,
    /// The fields of films, then those of users, in the order of their tables.
    pub fields: Vec<FieldCoverage>,
}

/// How often one field is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldCoverage {
    /// `movies.year`, `users.location` and so on.
    pub field: String,
    /// Rows in which it is known.
    pub known: u64,
    /// Rows in all.
    pub rows: u64,
}

impl Coverage {
    /// Reads the tables of movies and users of the data set `name`.
    pub fn of(root: &DataRoot, name: &str) -> Result<Self, DatasetError> {
        let manifest = root.manifest(name)?;
        let folder = root.path_of(name)?;
        let movies = cinedex_storage::read_movies(&folder.join(MOVIES_FILE))?;
        let users = cinedex_storage::read_users(&folder.join(USERS_FILE))?;
        let time = |ms: i64| {
            jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
        };
        let mut fields = movie_fields(&movies);
        fields.extend(user_fields(&users));
        Ok(Self {
            interaction_range: manifest.interaction_range_ms.map(|(first, last)| (time(first), time(last))),
            fields,
        })
    }
}

fn movie_fields(movies: &[Movie]) -> Vec<FieldCoverage> {
    let field = |name: &str, known: fn(&Movie) -> bool| FieldCoverage {
        field: format!("movies.{name}"),
        known: movies.iter().filter(|movie| known(movie)).count() as u64,
        rows: movies.len() as u64,
    };
    vec![
        field("original_title", |movie| movie.original_title.is_some()),
        field("year", |movie| movie.year.is_some()),
        field("genres", |movie| !movie.genres.is_empty()),
        field("countries", |movie| !movie.countries.is_empty()),
        field("languages", |movie| !movie.languages.is_empty()),
        field("runtime_minutes", |movie| movie.runtime_minutes.is_some()),
        field("minimum_age", |movie| movie.minimum_age.is_some()),
        field("adult", |movie| movie.adult.is_some()),
        field("imdb_id", |movie| movie.imdb_id.is_some()),
        field("tmdb_id", |movie| movie.tmdb_id.is_some()),
        field("imdb_rating", |movie| movie.imdb_rating.is_some()),
        field("tags", |movie| !movie.tags.is_empty()),
        field("alternative_titles", |movie| !movie.alternative_titles.is_empty()),
    ]
}

fn user_fields(users: &[User]) -> Vec<FieldCoverage> {
    let rows = users.len() as u64;
    let count = |known: &dyn Fn(&User) -> bool| users.iter().filter(|user| known(user)).count() as u64;
    let located = count(&|user| user.location.is_some());
    let mut fields = vec![FieldCoverage { field: "users.location".to_owned(), known: located, rows }];
    let names: std::collections::BTreeSet<&String> =
        users.iter().flat_map(|user| user.attributes.keys()).collect();
    for name in names {
        let known = count(&|user| user.attributes.contains_key(name));
        fields.push(FieldCoverage { field: format!("users.{name}"), known, rows });
    }
    fields
}
