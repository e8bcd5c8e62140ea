//! The body of `PUT /v1/movies/{movie_id}`: the facts of one film, read strictly. It knows nothing of the catalogue.

use cinedex_domain::{Movie, MovieId};
use serde_json::value::RawValue;

use crate::body::{invalid, parse, read_object};
use crate::problem::Problem;

/// The longest title, in bytes.
pub(crate) const MAX_TITLE_BYTES: usize = 1_024;
/// The longest name of a genre, tag, country or number elsewhere, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 128;
/// The most names of a list.
pub(crate) const MAX_NAMES: usize = 200;

/// Reads a body. What it leaves out is unknown of the film from then on.
pub(crate) fn read_movie(movie_id: &str, bytes: &[u8]) -> Result<Movie, Problem> {
    let movie_id = MovieId::new(movie_id).map_err(|error| invalid("movie_id", &error.to_string()))?;
    let mut movie = Movie::new(movie_id, String::new());
    for (name, raw) in read_object(bytes, "the facts of a film")? {
        if raw.get() == "null" && name != "title" {
            continue;
        }
        set(&mut movie, &name, raw).map_err(|expected| invalid(&name, &expected))?;
    }
    if movie.title.is_empty() {
        return Err(invalid("title", "missing; a film needs one"));
    }
    Ok(movie)
}

fn set(movie: &mut Movie, name: &str, raw: &RawValue) -> Result<(), String> {
    match name {
        "movie_id" => {
            if parse::<MovieId>(raw).as_ref() != Some(&movie.movie_id) {
                return Err("must be the one of the path, or left out".to_owned());
            }
        }
        "title" => movie.title = text(raw, MAX_TITLE_BYTES)?,
        "original_title" => movie.original_title = Some(text(raw, MAX_TITLE_BYTES)?),
        "year" => movie.year = Some(number(raw, 1_800, 2_200)?),
        "genres" => movie.genres = names(raw, MAX_NAME_BYTES)?,
        "countries" => {
            movie.countries = codes(raw)?.into_iter().map(|code| code.to_ascii_uppercase()).collect();
        }
        "languages" => {
            movie.languages = codes(raw)?.into_iter().map(|code| code.to_ascii_lowercase()).collect();
        }
        "runtime_minutes" => movie.runtime_minutes = Some(number(raw, 1, u16::MAX)?),
        "minimum_age" => movie.minimum_age = Some(number(raw, 0, 120)? as u8),
        "adult" => movie.adult = Some(parse(raw).ok_or("must be true or false")?),
        "imdb_id" => movie.imdb_id = Some(text(raw, MAX_NAME_BYTES)?),
        "tmdb_id" => movie.tmdb_id = Some(parse(raw).ok_or("must be a whole number below 4294967296")?),
        "imdb_rating" => {
            let rating = parse::<f32>(raw).filter(|rating| (1.0..=10.0).contains(rating));
            movie.imdb_rating = Some(rating.ok_or("must be a number from 1 to 10")?);
        }
        "imdb_votes" => movie.imdb_votes = Some(parse(raw).ok_or("must be a whole number below 4294967296")?),
        "tags" => movie.tags = names(raw, MAX_NAME_BYTES)?,
        "alternative_titles" => movie.alternative_titles = names(raw, MAX_TITLE_BYTES)?,
        _ => {
            return Err("unknown; a film has title, original_title, year, genres, countries, languages, runtime_minutes, \
                        minimum_age, adult, imdb_id, tmdb_id, imdb_rating, imdb_votes, tags, alternative_titles"
                .to_owned());
        }
    }
    Ok(())
}

fn text(raw: &RawValue, most: usize) -> Result<String, String> {
    parse::<String>(raw)
        .filter(|text| is_name(text, most))
        .ok_or_else(|| format!("must be a string of 1 to {most} bytes without control characters"))
}

fn is_name(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}

fn number(raw: &RawValue, lowest: u16, highest: u16) -> Result<u16, String> {
    parse::<u16>(raw)
        .filter(|number| (lowest..=highest).contains(number))
        .ok_or_else(|| format!("must be a whole number from {lowest} to {highest}"))
}

fn names(raw: &RawValue, most: usize) -> Result<Vec<String>, String> {
    parse::<Vec<String>>(raw)
        .filter(|names| names.len() <= MAX_NAMES && names.iter().all(|name| is_name(name, most)))
        .ok_or_else(|| format!("must be a list of at most {MAX_NAMES} strings of 1 to {most} bytes"))
}

fn codes(raw: &RawValue) -> Result<Vec<String>, String> {
    parse::<Vec<String>>(raw)
        .filter(|codes| codes.len() <= MAX_NAMES)
        .filter(|codes| {
            codes.iter().all(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic()))
        })
        .ok_or_else(|| format!("must be a list of at most {MAX_NAMES} codes of two letters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    #[test]
    fn every_fact_is_read() {
        let movie = read_movie(
            "new-1",
            br#"{"movie_id":"new-1","title":"New","original_title":"Neu","year":2026,"genres":["Drama"],"countries":["de"],
                "languages":["DE"],"runtime_minutes":100,"minimum_age":12,"adult":false,"imdb_id":"tt1","tmdb_id":7,
                "imdb_rating":7.5,"imdb_votes":10,"tags":["slow"],"alternative_titles":["Nouveau"]}"#,
        )
        .unwrap();
        assert_eq!((movie.title.as_str(), movie.year, movie.minimum_age), ("New", Some(2026), Some(12)));
        assert_eq!((movie.countries, movie.languages), (vec!["DE".to_owned()], vec!["de".to_owned()]));
        assert_eq!(movie.alternative_titles, ["Nouveau"]);
        let bare = read_movie("n", br#"{"title":"New","year":null}"#).unwrap();
        assert_eq!(bare, Movie::new(MovieId::new("n").unwrap(), "New"));
    }

    #[track_caller]
    fn check(body: &str, field: &str) {
        let problem = read_movie("n", body.as_bytes()).unwrap_err();
        assert_eq!((problem.code, problem.errors[0].field.as_str()), (Code::InvalidBody, field), "{body}");
    }

    #[test]
    fn every_fault_names_its_field() {
        check("{}", "title");
        for (field, value) in [
            ("title", "\"\""),
            ("title", "\" \""),
            ("title", "null"),
            ("title", "\"a\\nb\""),
            ("movie_id", "\"other\""),
            ("year", "1.5"),
            ("year", "-1"),
            ("year", "99999"),
            ("genres", "\"Drama\""),
            ("genres", "[\"\"]"),
            ("countries", "[\"USA\"]"),
            ("runtime_minutes", "0"),
            ("minimum_age", "300"),
            ("adult", "1"),
            ("imdb_rating", "11"),
            ("colour", "\"red\""),
        ] {
            let title = if field == "title" { "" } else { "\"title\":\"T\"," };
            check(&format!("{{{title}\"{field}\":{value}}}"), field);
        }
    }
}
