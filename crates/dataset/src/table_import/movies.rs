//! One row of a table of movies to a movie.

use std::borrow::Cow;

use cinedex_domain::{Movie, MovieId};
use cinedex_storage::Cell;

use super::cells::{self, Fault};
use super::records::Record;

/// A field of a movie: its name, usual names of its column, and how it is read.
pub(super) struct MovieField {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    read: fn(&mut Movie, &Cell<'_>, char) -> Result<(), Fault>,
}

/// All fields; the id is the first.
pub(super) const MOVIE_FIELDS: [MovieField; 16] = [
    MovieField {
        name: "movie_id",
        aliases: &["movieId", "movie", "item_id", "itemId", "item", "id"],
        read: |_, _, _| Ok(()),
    },
    field("title", &["name"], |movie, cell, _| {
        let id = movie.movie_id.to_string();
        movie.title = cells::text(cell, "title")?.unwrap_or(id);
        Ok(())
    }),
    field("original_title", &["originalTitle"], |movie, cell, _| {
        movie.original_title = cells::text(cell, "original_title")?;
        Ok(())
    }),
    field("year", &[], |movie, cell, _| {
        movie.year = cells::whole(cell, "year")?;
        Ok(())
    }),
    field("genres", &["genre"], |movie, cell, separator| {
        movie.genres = cells::texts(cell, separator, "genres")?;
        Ok(())
    }),
    field("countries", &["country"], |movie, cell, separator| {
        movie.countries = codes(cell, separator, "countries", str::to_ascii_uppercase)?;
        Ok(())
    }),
    field("languages", &["language"], |movie, cell, separator| {
        movie.languages = codes(cell, separator, "languages", str::to_ascii_lowercase)?;
        Ok(())
    }),
    field("runtime_minutes", &["runtime"], |movie, cell, _| {
        movie.runtime_minutes = cells::whole(cell, "runtime_minutes")?;
        Ok(())
    }),
    field("minimum_age", &[], |movie, cell, _| {
        movie.minimum_age = cells::whole(cell, "minimum_age")?;
        Ok(())
    }),
    field("adult", &[], |movie, cell, _| {
        movie.adult = cells::boolean(cell, "adult")?;
        Ok(())
    }),
    field("imdb_id", &["imdbId"], |movie, cell, _| {
        movie.imdb_id = imdb_id(cell)?;
        Ok(())
    }),
    field("tmdb_id", &["tmdbId"], |movie, cell, _| {
        movie.tmdb_id = cells::whole(cell, "tmdb_id")?;
        Ok(())
    }),
    field("imdb_rating", &[], |movie, cell, _| {
        movie.imdb_rating = cells::number(cell, "imdb_rating")?;
        Ok(())
    }),
    field("imdb_votes", &[], |movie, cell, _| {
        movie.imdb_votes = cells::whole(cell, "imdb_votes")?;
        Ok(())
    }),
    field("tags", &[], |movie, cell, separator| {
        movie.tags = cells::texts(cell, separator, "tags")?;
        Ok(())
    }),
    field("alternative_titles", &[], |movie, cell, separator| {
        movie.alternative_titles = cells::texts(cell, separator, "alternative_titles")?;
        Ok(())
    }),
];

/// A movie; without a title it has its id as title.
pub(super) fn read_movie(record: &Record<'_>, list_separator: char) -> Result<Movie, Fault> {
    let id = cells::id(record.cell(0), "movie_id")?;
    let movie_id = MovieId::new(&id).map_err(|_| Fault::new("movie_id", cells::BAD_ID, &id))?;
    let mut movie = Movie::new(movie_id, id);
    for (slot, field) in MOVIE_FIELDS.iter().enumerate() {
        (field.read)(&mut movie, &record.cell(slot), list_separator)?;
    }
    Ok(movie)
}

const fn field(
    name: &'static str,
    aliases: &'static [&'static str],
    read: fn(&mut Movie, &Cell<'_>, char) -> Result<(), Fault>,
) -> MovieField {
    MovieField { name, aliases, read }
}

/// Two-letter codes, put right in case.
fn codes(
    cell: &Cell<'_>,
    separator: char,
    field: &'static str,
    fold: fn(&str) -> String,
) -> Result<Vec<String>, Fault> {
    let codes = cells::texts(cell, separator, field)?;
    let code = |text: &String| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    match codes.iter().find(|text| !code(text)) {
        Some(wrong) => Err(Fault::new(field, "not a code of two letters", wrong)),
        None => Ok(codes.iter().map(|code| fold(code)).collect()),
    }
}

/// `tt0114709`, also written as `0114709` or 114709.
fn imdb_id(cell: &Cell<'_>) -> Result<Option<String>, Fault> {
    let text: Cow<'_, str> = match cell {
        Cell::Null => return Ok(None),
        cell => cell.as_text().unwrap_or_default(),
    };
    let digits = text.strip_prefix("tt").unwrap_or(&text);
    if digits.is_empty() || digits.len() > 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new("imdb_id", "not an IMDb id, as tt0114709", &text));
    }
    Ok(Some(format!("tt{digits:0>7}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imdb_id_is_put_right() {
        assert_eq!(imdb_id(&Cell::Text("tt0114709")).unwrap().unwrap(), "tt0114709");
        assert_eq!(imdb_id(&Cell::Integer(114_709)).unwrap().unwrap(), "tt0114709");
        assert_eq!(imdb_id(&Cell::Text("tt10872600")).unwrap().unwrap(), "tt10872600");
        assert!(imdb_id(&Cell::Text("nm0000001")).is_err());
        assert!(imdb_id(&Cell::Float(1.0)).is_err());
    }

    #[test]
    fn codes_have_two_letters() {
        assert_eq!(
            codes(&Cell::Text("us|Kr"), '|', "countries", str::to_ascii_uppercase).unwrap(),
            ["US", "KR"]
        );
        assert!(codes(&Cell::Text("USA"), '|', "countries", str::to_ascii_uppercase).is_err());
    }
}
