//! What a data set on disk says, read from its tables as any other program would read them.

use std::collections::BTreeMap;

use cinedex_domain::{Movie, User};
use cinedex_storage::{read_interactions, read_movies, read_users};
use serde_json::{Value, json};

use crate::support::Place;

/// The movies of a data set by id.
pub(crate) fn movies(place: &Place, name: &str) -> BTreeMap<String, Movie> {
    let movies = read_movies(&place.path(&format!("data/{name}/movies.parquet"))).unwrap();
    movies.into_iter().map(|movie| (movie.movie_id.as_str().to_owned(), movie)).collect()
}

pub(crate) fn users(place: &Place, name: &str) -> Vec<User> {
    read_users(&place.path(&format!("data/{name}/users.parquet"))).unwrap()
}

/// `user movie kind value time place` of each interaction, in file order.
pub(crate) fn interactions(place: &Place, name: &str) -> Vec<String> {
    let mut rows = Vec::new();
    read_interactions(&place.path(&format!("data/{name}/interactions.parquet")), &mut |row| {
        let value = row.value.map_or("-".to_owned(), |value| value.to_string());
        let time = row.timestamp_ms.map_or("-".to_owned(), |time| time.to_string());
        let location = row.location.unwrap_or("-");
        rows.push(format!("{} {} {} {value} {time} {location}", row.user_id, row.movie_id, row.kind));
        Ok(())
    })
    .unwrap();
    rows
}

/// The counts of a manifest, in the order films, users, interactions, films with interactions.
pub(crate) fn counts(movies: u64, users: u64, interactions: u64, rated_movies: u64) -> Value {
    json!({ "movies": movies, "users": users, "interactions": interactions, "rated_movies": rated_movies })
}

/// How many rows know a field, as `dataset show` says.
pub(crate) fn known(place: &Place, name: &str, field: &str) -> u64 {
    let shown = place.json(&["dataset", "show", name]);
    let fields = shown["coverage"]["fields"].as_array().unwrap();
    let row = fields.iter().find(|row| row["field"] == field).unwrap_or_else(|| panic!("{field} in {shown}"));
    row["known"].as_u64().unwrap()
}
