//! What is known of films besides who likes them, as numbers from which embeddings are regressed.

use std::collections::BTreeMap;

use cinedex_domain::Movie;
use cinedex_vectors::Csr;

/// A feature of fewer films says nothing of others.
const FEWEST_MOVIES: usize = 2;
/// Tags of one film that count, the most frequent.
const MOST_TAGS: usize = 30;
/// Years between two knots of the piecewise linear effect of the year.
const YEAR_STEP: f32 = 5.0;
/// Minutes between two knots of that of the runtime.
const RUNTIME_STEP: f32 = 20.0;
/// Longer is as this long.
const LONGEST_MINUTES: f32 = 240.0;

/// Movies × features.
#[derive(Debug, Clone)]
pub struct MovieFeatures {
    /// Field and value of each feature, ascending: `genre:Drama`, `year:1995`.
    pub names: Vec<String>,
    /// One row a movie; a row without entries is a film of which nothing is known. A genre, country, language or tag is 1; a
    /// year or runtime stands between its two neighbouring knots, in shares that sum to 1.
    pub values: Csr<f32>,
}

/// The features of movies: genres, year, countries, languages, runtime and tags, each that at least two films have. Tags differ only in
/// more than case.
pub fn movie_features(movies: &[Movie]) -> MovieFeatures {
    let described: Vec<BTreeMap<String, f32>> = movies.iter().map(describe).collect();
    let mut support: BTreeMap<&str, usize> = BTreeMap::new();
    for name in described.iter().flat_map(BTreeMap::keys) {
        *support.entry(name).or_default() += 1;
    }
    support.retain(|_, movies| *movies >= FEWEST_MOVIES);
    let columns: BTreeMap<&str, u32> = support.into_keys().zip(0..).collect();
    let entries = (0..).zip(&described).flat_map(|(row, features)| {
        let column =
            |(name, value): (&String, &f32)| columns.get(name.as_str()).map(|&column| (row, column, *value));
        features.iter().filter_map(column).collect::<Vec<_>>()
    });
    let values = Csr::from_triplets(movies.len(), columns.len(), entries);
    MovieFeatures { names: columns.into_keys().map(str::to_owned).collect(), values }
}

/// All features of one film by name.
fn describe(movie: &Movie) -> BTreeMap<String, f32> {
    let mut features = BTreeMap::new();
    let tags = &movie.tags[..movie.tags.len().min(MOST_TAGS)];
    let lists = [
        ("genre", &movie.genres[..]),
        ("country", &movie.countries),
        ("language", &movie.languages),
        ("tag", tags),
    ];
    for (field, values) in lists {
        for value in values {
            let value = if field == "tag" { value.to_lowercase() } else { value.clone() };
            features.insert(format!("{field}:{value}"), 1.0);
        }
    }
    if let Some(year) = movie.year {
        features.extend(knots("year", f32::from(year), YEAR_STEP));
    }
    if let Some(minutes) = movie.runtime_minutes {
        features.extend(knots("runtime", f32::from(minutes).min(LONGEST_MINUTES), RUNTIME_STEP));
    }
    features
}

/// The shares of the two knots around a value; of one where it falls on it.
fn knots(field: &str, value: f32, step: f32) -> impl Iterator<Item = (String, f32)> {
    let below = (value / step).floor();
    let share = (value - below * step) / step;
    let knot = move |at: f32| format!("{field}:{}", at * step);
    [(knot(below), 1.0 - share), (knot(below + 1.0), share)].into_iter().filter(|(_, share)| *share > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cinedex_domain::MovieId;

    fn movie(id: u32, change: impl FnOnce(&mut Movie)) -> Movie {
        let mut movie = Movie::new(MovieId::new(&id.to_string()).unwrap(), "Film");
        change(&mut movie);
        movie
    }

    #[test]
    fn what_two_films_share_is_a_feature() {
        let movies = [
            movie(1, |movie| {
                movie.genres = vec!["Drama".into(), "War".into()];
                movie.year = Some(1992);
                movie.tags = vec!["Slow".into()];
            }),
            movie(2, |movie| {
                movie.genres = vec!["Drama".into()];
                movie.year = Some(1990);
                movie.tags = vec!["slow".into()];
                movie.runtime_minutes = Some(90);
            }),
            movie(3, |movie| movie.countries = vec!["FR".into()]),
        ];
        let features = movie_features(&movies);
        assert_eq!(features.names, ["genre:Drama", "tag:slow", "year:1990"]);
        assert_eq!(features.values.row(0), (&[0, 1, 2][..], &[1.0, 1.0, 0.6][..]));
        assert_eq!(features.values.row(1), (&[0, 1, 2][..], &[1.0, 1.0, 1.0][..]));
        assert_eq!(features.values.row(2).0.len(), 0, "a country that one film has");
        assert_eq!(movie_features(&[]).values.row_count(), 0);
    }

    #[test]
    fn runtimes_are_bounded() {
        let long = |id| movie(id, |movie| movie.runtime_minutes = Some(u16::MAX));
        assert_eq!(movie_features(&[long(1), long(2)]).names, ["runtime:240"]);
    }
}
