//! The tables of movies and users. It knows their columns, not where their facts come from.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Int32Array, Int64Array, StringArray};
use arrow::array::{ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use cinedex_domain::{Movie, MovieId, User, UserId};

use crate::StorageError;
use crate::columns::{Row, TypedTable};
use crate::parquet_file::write_batch;

/// Writes `movies.parquet`: one row a movie, in the order given. An existing file is overwritten.
pub fn write_movies(path: &Path, movies: &[Movie]) -> Result<(), StorageError> {
    let mut columns = Columns::default();
    columns.required("movie_id", movies.iter().map(|movie| movie.movie_id.as_str()));
    columns.required("title", movies.iter().map(|movie| movie.title.as_str()));
    columns.text("original_title", movies.iter().map(|movie| movie.original_title.as_deref()));
    columns.integers("year", movies.iter().map(|movie| movie.year.map(Into::into)));
    columns.lists("genres", false, movies.iter().map(|movie| &movie.genres));
    columns.lists("countries", true, movies.iter().map(|movie| &movie.countries));
    columns.lists("languages", true, movies.iter().map(|movie| &movie.languages));
    columns.integers("runtime_minutes", movies.iter().map(|movie| movie.runtime_minutes.map(Into::into)));
    columns.integers("minimum_age", movies.iter().map(|movie| movie.minimum_age.map(Into::into)));
    let adult: BooleanArray = movies.iter().map(|movie| movie.adult).collect();
    columns.push("adult", DataType::Boolean, true, Arc::new(adult));
    columns.text("imdb_id", movies.iter().map(|movie| movie.imdb_id.as_deref()));
    columns.long_integers("tmdb_id", movies.iter().map(|movie| movie.tmdb_id.map(Into::into)));
    let ratings: Float32Array = movies.iter().map(|movie| movie.imdb_rating).collect();
    columns.push("imdb_rating", DataType::Float32, true, Arc::new(ratings));
    columns.long_integers("imdb_votes", movies.iter().map(|movie| movie.imdb_votes.map(Into::into)));
    columns.lists("tags", true, movies.iter().map(|movie| &movie.tags));
    columns.lists("alternative_titles", true, movies.iter().map(|movie| &movie.alternative_titles));
    columns.write(path)
}

/// Reads `movies.parquet` in file order. Only `movie_id` (text or whole numbers, unique) and `title` must be there.
pub fn read_movies(path: &Path) -> Result<Vec<Movie>, StorageError> {
    let mut table = TypedTable::open(path, &["movie_id", "title"])?;
    let mut movies: Vec<Movie> = Vec::new();
    let mut seen = HashSet::new();
    table.each(|row| {
        let text = row.required_text("movie_id")?;
        let id = MovieId::new(&text).map_err(|error| row.invalid("movie_id", &error.to_string()))?;
        if !seen.insert(id.clone()) {
            return Err(StorageError::DuplicateId { path: path.to_owned(), row: row.number(), id: text });
        }
        movies.push(movie(row, id)?);
        Ok(())
    })?;
    Ok(movies)
}

/// Writes `users.parquet`: one row a user, in the order given; every attribute that any user has becomes a column of text.
/// An existing file is overwritten.
pub fn write_users(path: &Path, users: &[User]) -> Result<(), StorageError> {
    let attributes: BTreeSet<&str> =
        users.iter().flat_map(|user| user.attributes.keys().map(String::as_str)).collect();
    let mut columns = Columns::default();
    columns.required("user_id", users.iter().map(|user| user.user_id.as_str()));
    columns.text(
        "location",
        users.iter().map(|user| user.location.as_ref().map(cinedex_domain::Location::as_str)),
    );
    for attribute in attributes {
        if matches!(attribute, "user_id" | "location") {
            return Err(StorageError::InvalidValue {
                path: path.to_owned(),
                row: 1,
                column: attribute.to_owned(),
                reason: "an attribute must not have the name of a column of its own".to_owned(),
            });
        }
        columns.text(attribute, users.iter().map(|user| user.attributes.get(attribute).map(String::as_str)));
    }
    columns.write(path)
}

/// Reads `users.parquet` in file order. Only `user_id` (text or whole numbers, unique) must be there; columns besides it and
/// `location` become attributes.
pub fn read_users(path: &Path) -> Result<Vec<User>, StorageError> {
    let mut table = TypedTable::open(path, &["user_id"])?;
    let attributes: Vec<String> = table
        .names()
        .iter()
        .filter(|name| !matches!(name.as_str(), "user_id" | "location"))
        .cloned()
        .collect();
    let mut users: Vec<User> = Vec::new();
    let mut seen = HashSet::new();
    table.each(|row| {
        let text = row.required_text("user_id")?;
        let id = UserId::new(&text).map_err(|error| row.invalid("user_id", &error.to_string()))?;
        if !seen.insert(id.clone()) {
            return Err(StorageError::DuplicateId { path: path.to_owned(), row: row.number(), id: text });
        }
        let mut user = User::new(id);
        if let Some(place) = row.text("location")? {
            user.location =
                Some(place.parse().map_err(|error| row.invalid("location", &format!("{error}")))?);
        }
        for attribute in &attributes {
            if let Some(value) = attribute_text(&row.cell(attribute)) {
                user.attributes.insert(attribute.clone(), value);
            }
        }
        users.push(user);
        Ok(())
    })?;
    Ok(users)
}

fn movie(row: &Row<'_>, id: MovieId) -> Result<Movie, StorageError> {
    Ok(Movie {
        movie_id: id,
        title: row.required_text("title")?,
        original_title: row.text("original_title")?,
        year: row.whole("year")?,
        genres: row.texts("genres")?,
        countries: row.texts("countries")?,
        languages: row.texts("languages")?,
        runtime_minutes: row.whole("runtime_minutes")?,
        minimum_age: row.whole("minimum_age")?,
        adult: row.boolean("adult")?,
        imdb_id: row.text("imdb_id")?,
        tmdb_id: row.whole("tmdb_id")?,
        imdb_rating: row.number_of("imdb_rating")?,
        imdb_votes: row.whole("imdb_votes")?,
        tags: row.texts("tags")?,
        alternative_titles: row.texts("alternative_titles")?,
    })
}

/// An attribute of any type as text.
fn attribute_text(cell: &crate::Cell<'_>) -> Option<String> {
    use crate::Cell;
    match cell {
        Cell::Float(number) => Some(number.to_string()),
        Cell::Boolean(value) => Some(value.to_string()),
        Cell::TimestampMs(time) => Some(time.to_string()),
        Cell::Null | Cell::List(_) => None,
        Cell::Text(_) | Cell::Integer(_) => cell.as_text().map(Into::into),
    }
}

/// The columns of a table to be written.
#[derive(Default)]
struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn push(&mut self, name: &str, data_type: DataType, nullable: bool, array: ArrayRef) {
        self.fields.push(Field::new(name, data_type, nullable));
        self.arrays.push(array);
    }

    fn required<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a str>) {
        let array = StringArray::from_iter_values(values);
        self.push(name, DataType::Utf8, false, Arc::new(array));
    }

    fn text<'a>(&mut self, name: &str, values: impl Iterator<Item = Option<&'a str>>) {
        let array: StringArray = values.collect();
        self.push(name, DataType::Utf8, true, Arc::new(array));
    }

    fn integers(&mut self, name: &str, values: impl Iterator<Item = Option<i32>>) {
        let array: Int32Array = values.collect();
        self.push(name, DataType::Int32, true, Arc::new(array));
    }

    fn long_integers(&mut self, name: &str, values: impl Iterator<Item = Option<i64>>) {
        let array: Int64Array = values.collect();
        self.push(name, DataType::Int64, true, Arc::new(array));
    }

    /// Lists of texts; an empty one is null where that is allowed.
    fn lists<'a>(&mut self, name: &str, nullable: bool, values: impl Iterator<Item = &'a Vec<String>>) {
        let element = Field::new("element", DataType::Utf8, false);
        let mut builder = ListBuilder::new(StringBuilder::new()).with_field(element.clone());
        for list in values {
            for text in list {
                builder.values().append_value(text);
            }
            builder.append(!nullable || !list.is_empty());
        }
        self.push(name, DataType::List(Arc::new(element)), nullable, Arc::new(builder.finish()));
    }

    fn write(self, path: &Path) -> Result<(), StorageError> {
        let schema = Arc::new(Schema::new(self.fields));
        let batch = RecordBatch::try_new(schema, self.arrays).map_err(StorageError::unwritable(path))?;
        write_batch(path, &batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_movie() -> impl Strategy<Value = Movie> {
        let words = || proptest::collection::vec("\\PC{1,4}", 0..3);
        let text = || proptest::option::of("\\PC{0,6}");
        (
            (
                "\\PC{1,6}",
                "\\PC{0,6}",
                text(),
                any::<Option<u16>>(),
                any::<Option<u16>>(),
                any::<Option<u8>>(),
            ),
            (words(), words(), words(), words(), words()),
            (
                any::<Option<bool>>(),
                text(),
                any::<Option<u32>>(),
                any::<Option<u32>>(),
                proptest::option::of(1.0_f32..10.0),
            ),
        )
            .prop_map(|(plain, lists, rest)| {
                let mut movie = Movie::new(MovieId::new(&plain.0).unwrap(), plain.1);
                (movie.original_title, movie.year) = (plain.2, plain.3);
                (movie.runtime_minutes, movie.minimum_age) = (plain.4, plain.5);
                (movie.genres, movie.countries, movie.languages, movie.tags, movie.alternative_titles) =
                    lists;
                (movie.adult, movie.imdb_id, movie.tmdb_id, movie.imdb_votes, movie.imdb_rating) = rest;
                movie
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn movies_come_back(movies in proptest::collection::vec(any_movie(), 0..8)) {
            let mut movies = movies;
            movies.sort_by(|left, right| left.movie_id.cmp(&right.movie_id));
            movies.dedup_by(|left, right| left.movie_id == right.movie_id);
            let file = tempfile::NamedTempFile::new().unwrap();
            write_movies(file.path(), &movies).unwrap();
            prop_assert_eq!(read_movies(file.path()).unwrap(), movies);
        }

        #[test]
        fn users_come_back(attributes in proptest::collection::vec(proptest::collection::btree_map("[a-c]", "\\PC{0,3}", 0..3), 0..6)) {
            let users: Vec<User> = (0..)
                .zip(attributes)
                .map(|(number, attributes)| User {
                    user_id: UserId::new(&format!("{number}")).unwrap(),
                    location: (number % 2 == 0).then(|| "KR/11/서울".parse().unwrap()),
                    attributes,
                })
                .collect();
            let file = tempfile::NamedTempFile::new().unwrap();
            write_users(file.path(), &users).unwrap();
            prop_assert_eq!(read_users(file.path()).unwrap(), users);
        }
    }

    fn written(columns: Vec<(&str, ArrayRef)>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_batch(
            file.path(),
            &RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(name, array)| (name, array, true)),
            )
            .unwrap(),
        )
        .unwrap();
        file
    }

    fn check_refused(columns: Vec<(&str, ArrayRef)>, expect: &str) {
        let message = read_movies(written(columns).path()).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    }

    #[test]
    fn a_foreign_table_needs_only_ids_which_may_be_integers_and_titles() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![318, 50]));
        let titles: ArrayRef = Arc::new(StringArray::from(vec!["A", "B"]));
        let years: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![1994.0, f64::NAN]));
        let movies =
            read_movies(written(vec![("title", titles), ("movie_id", ids), ("year", years)]).path()).unwrap();
        assert_eq!((movies[0].movie_id.as_str(), movies[0].year, movies[1].year), ("318", Some(1994), None));
    }

    #[test]
    fn what_a_column_may_not_hold_is_refused_with_row_and_column() {
        let ids =
            |ids: Vec<Option<i64>>| -> (&str, ArrayRef) { ("movie_id", Arc::new(Int64Array::from(ids))) };
        let titles = || -> (&str, ArrayRef) { ("title", Arc::new(StringArray::from(vec!["A", "B"]))) };
        check_refused(vec![titles()], "no column \"movie_id\"");
        check_refused(vec![ids(vec![Some(1), Some(1)]), titles()], "\"1\" occurs twice, in row 2");
        check_refused(vec![ids(vec![Some(1), None]), titles()], "row 2");
        let years: ArrayRef = Arc::new(Int64Array::from(vec![1994, 70_000]));
        check_refused(
            vec![ids(vec![Some(1), Some(2)]), titles(), ("year", years)],
            "column \"year\": a number out of range",
        );
    }

    #[test]
    fn an_attribute_never_hides_a_column() {
        let mut user = User::new(UserId::new("1").unwrap());
        user.attributes.insert("location".into(), "x".into());
        let folder = tempfile::tempdir().unwrap();
        assert!(write_users(&folder.path().join("users"), &[user]).is_err());
    }
}
