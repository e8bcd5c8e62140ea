//! One row of IMDb to the film that it is of.

use std::collections::{HashMap, HashSet};

use cinedex_domain::Movie;

use super::tsv::Fault;

/// Alternative titles of one film: enough for every spelling that people search.
const MAX_ALTERNATIVE_TITLES: usize = 200;

/// The longest title, in bytes.
const MAX_TITLE_BYTES: usize = 1000;

/// IMDb's null.
const NULL: &str = "\\N";

/// The films of a data set by the number of their IMDb id, and which of them have matched.
pub(super) struct Catalogue {
    films: HashMap<u64, Vec<usize>>,
    with_id: u64,
    /// Numbers matched in the file being read, and in any.
    in_file: HashSet<u64>,
    in_any: HashSet<u64>,
}

impl Catalogue {
    pub(super) fn new(movies: &[Movie]) -> Self {
        let mut films: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut with_id = 0;
        for (at, movie) in movies.iter().enumerate() {
            if let Some(number) = movie.imdb_id.as_deref().and_then(imdb_number) {
                films.entry(number).or_default().push(at);
                with_id += 1;
            }
        }
        Self { films, with_id, in_file: HashSet::new(), in_any: HashSet::new() }
    }

    /// The films of an IMDb id; a malformed id is a fault.
    pub(super) fn find(&self, id: &str) -> Result<Option<&[usize]>, Fault> {
        let number = imdb_number(id).ok_or_else(|| fault("tconst", "not an IMDb id", id))?;
        Ok(self.films.get(&number).map(Vec::as_slice))
    }

    /// Notes that the film of an id took a row.
    pub(super) fn matched(&mut self, id: &str) {
        if let Some(number) = imdb_number(id) {
            self.in_file.insert(number);
        }
    }

    /// Films matched in the file that ends here.
    pub(super) fn next_file(&mut self) -> u64 {
        let count = self.count(&self.in_file);
        self.in_any.extend(self.in_file.drain());
        count
    }

    /// Films matched in any file.
    pub(super) fn all_matched(&self) -> u64 {
        self.count(&self.in_any)
    }

    /// Films with an IMDb id.
    pub(super) fn films(&self) -> u64 {
        self.with_id
    }

    fn count(&self, numbers: &HashSet<u64>) -> u64 {
        numbers.iter().map(|number| self.films[number].len() as u64).sum()
    }
}

/// The number of `tt0114709`, whatever the padding.
pub(super) fn imdb_number(id: &str) -> Option<u64> {
    let digits = id.strip_prefix("tt")?;
    let plain = (1..=12).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// `title.basics`: id, original title, adult, year, runtime, genres, primary title. All is read before anything is changed.
pub(super) fn join_basics(movie: &mut Movie, row: &[&str]) -> Result<(), Fault> {
    let [_, original, adult, year, runtime, genres, primary] = row else { return Ok(()) };
    let adult = match *adult {
        "0" => Some(false),
        "1" => Some(true),
        NULL => None,
        _ => return Err(fault("isAdult", "neither 0, 1 nor null", adult)),
    };
    let year: Option<u16> = number(year, "startYear")?;
    let runtime: Option<u32> = number(runtime, "runtimeMinutes")?;
    movie.year = movie.year.or(year);
    // A handful of titles run for weeks; what no filter could be asked for is left unknown.
    let runtime = runtime.and_then(|minutes| u16::try_from(minutes).ok()).filter(|&minutes| minutes > 0);
    movie.runtime_minutes = movie.runtime_minutes.or(runtime);
    movie.adult = match (movie.adult, adult) {
        (_, Some(true)) => Some(true),
        (known, found) => known.or(found),
    };
    if movie.genres.is_empty() && *genres != NULL {
        movie.genres = genres.split(',').filter(|genre| !genre.is_empty()).map(str::to_owned).collect();
    }
    if let Some(original) = title(original) {
        set_original_title(movie, original);
    }
    if let Some(primary) = title(primary) {
        add_alternative_title(movie, primary);
    }
    Ok(())
}

/// `title.ratings`: id, mean rating, votes.
pub(super) fn join_ratings(movie: &mut Movie, row: &[&str]) -> Result<(), Fault> {
    let [_, rating, votes] = row else { return Ok(()) };
    let mean: Option<f32> = number(rating, "averageRating")?;
    let votes: Option<u32> = number(votes, "numVotes")?;
    if mean.is_some_and(|mean| !(1.0..=10.0).contains(&mean)) {
        return Err(fault("averageRating", "off the scale of 1 to 10", rating));
    }
    movie.imdb_rating = mean;
    movie.imdb_votes = votes;
    Ok(())
}

/// `title.akas`: id, title, whether it is the original one.
pub(super) fn join_akas(movie: &mut Movie, row: &[&str]) -> Result<(), Fault> {
    let [id, text, original] = row else { return Ok(()) };
    let Some(text) = title(text) else {
        return Err(fault("title", "no title, or one longer than 1000 bytes", id));
    };
    if *original == "1" && movie.original_title.is_none() {
        set_original_title(movie, text);
    } else {
        add_alternative_title(movie, text);
    }
    Ok(())
}

/// Sets the original title if it differs from the title; a former one becomes an alternative.
fn set_original_title(movie: &mut Movie, original: &str) {
    let differs = !same(original, &movie.title);
    let new = differs.then(|| original.to_owned());
    movie.alternative_titles.retain(|known| !same(known, original));
    if let Some(former) = std::mem::replace(&mut movie.original_title, new) {
        add_alternative_title(movie, &former);
    }
}

fn add_alternative_title(movie: &mut Movie, text: &str) {
    let known = same(text, &movie.title)
        || movie.original_title.as_deref().is_some_and(|original| same(text, original))
        || movie.alternative_titles.iter().any(|known| same(text, known));
    if !known && movie.alternative_titles.len() < MAX_ALTERNATIVE_TITLES {
        movie.alternative_titles.push(text.to_owned());
    }
}

/// Equal without regard to case.
fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right) || left.to_lowercase() == right.to_lowercase()
}

fn title(text: &str) -> Option<&str> {
    let text = text.trim();
    (text != NULL && !text.is_empty() && text.len() <= MAX_TITLE_BYTES).then_some(text)
}

fn number<T: std::str::FromStr>(text: &str, column: &'static str) -> Result<Option<T>, Fault> {
    if text == NULL {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| fault(column, "not a number", text))
}

fn fault(column: &'static str, reason: &'static str, found: &str) -> Fault {
    Fault { column, reason, found: found.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cinedex_domain::MovieId;

    fn movie() -> Movie {
        let mut movie = Movie::new(MovieId::new("1").unwrap(), "The City of Lost Children");
        movie.original_title = Some("Cité".to_owned());
        movie
    }

    #[test]
    fn an_id_is_its_number() {
        assert_eq!(imdb_number("tt0114709"), Some(114_709));
        assert_eq!(imdb_number("tt12345678"), Some(12_345_678));
        for id in ["", "tt", "0114709", "nm0000006", "tt01x", "tt+1", "tt1234567890123"] {
            assert_eq!(imdb_number(id), None, "{id}");
        }
    }

    #[test]
    fn basics_fill_what_is_unknown() {
        let mut movie = movie();
        movie.genres = vec!["Sci-Fi".to_owned()];
        let row = [
            "tt1",
            "La cité des enfants perdus",
            "0",
            "1995",
            "112",
            "Adventure,Drama",
            "THE CITY OF LOST CHILDREN",
        ];
        join_basics(&mut movie, &row).unwrap();
        assert_eq!((movie.year, movie.runtime_minutes, movie.adult), (Some(1995), Some(112), Some(false)));
        assert_eq!(movie.genres, ["Sci-Fi"]);
        assert_eq!(movie.original_title.as_deref(), Some("La cité des enfants perdus"));
        assert_eq!(movie.alternative_titles, ["Cité"]);
    }

    #[test]
    fn nulls_change_nothing_and_adult_is_never_taken_back() {
        let mut film = movie();
        film.adult = Some(true);
        let before = film.clone();
        join_basics(&mut film, &["tt1", NULL, "0", NULL, NULL, NULL, NULL]).unwrap();
        assert_eq!(film, before);
        film.adult = Some(false);
        join_basics(&mut film, &["tt1", NULL, "1", NULL, "999999", NULL, NULL]).unwrap();
        assert_eq!((film.adult, film.runtime_minutes), (Some(true), None));
    }

    #[test]
    fn a_malformed_row_changes_nothing() {
        let mut film = movie();
        let before = film.clone();
        assert_eq!(
            join_basics(&mut film, &["tt1", "X", "0", "19x", "90", "Drama", "Y"]).unwrap_err().column,
            "startYear"
        );
        assert!(join_basics(&mut film, &["tt1", "X", "2", "1999", "90", "Drama", "Y"]).is_err());
        assert!(join_ratings(&mut film, &["tt1", "NaN", "5"]).is_err());
        assert!(join_ratings(&mut film, &["tt1", "7.1", "-5"]).is_err());
        assert!(join_akas(&mut film, &["tt1", NULL, "0"]).is_err());
        assert_eq!(film, before);
    }

    #[test]
    fn alternative_titles_are_added_once_and_bounded() {
        let mut film = movie();
        for text in ["Die Stadt", "DIE STADT", "the city of lost children", "Cité", "Élan", "élan"] {
            join_akas(&mut film, &["tt1", text, "0"]).unwrap();
        }
        assert_eq!(film.alternative_titles, ["Die Stadt", "Élan"]);
        for number in 0..500 {
            join_akas(&mut film, &["tt1", &format!("Title {number}"), "0"]).unwrap();
        }
        assert_eq!(film.alternative_titles.len(), MAX_ALTERNATIVE_TITLES);
        assert!(film.countries.is_empty());
    }
}
