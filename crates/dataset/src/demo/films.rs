//! The films of the demo world: the embedded table and its reading.

use std::collections::BTreeMap;

use cinedex_domain::{Movie, MovieId};

pub(super) const TABLE: &str = include_str!("films.tsv");

/// One film of the table, see the module's documentation for the columns.
pub(super) struct Film {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) original_title: Option<&'static str>,
    pub(super) year: u16,
    pub(super) genres: Vec<&'static str>,
    pub(super) countries: Vec<&'static str>,
    pub(super) languages: Vec<&'static str>,
    pub(super) runtime_minutes: u16,
    pub(super) minimum_age: u8,
    pub(super) series: Option<&'static str>,
    pub(super) themes: Vec<&'static str>,
    pub(super) fame: u8,
    pub(super) directors: Vec<&'static str>,
}

impl Film {
    /// The film as the catalogue shows it: its tags are its themes, then its directors.
    pub(super) fn movie(&self) -> Movie {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let mut movie = Movie::new(MovieId::new(self.id).expect("the table's ids are tested"), self.title);
        movie.original_title = self.original_title.map(str::to_owned);
        movie.year = Some(self.year);
        movie.genres = owned(&self.genres);
        movie.countries = owned(&self.countries);
        movie.languages = owned(&self.languages);
        movie.runtime_minutes = Some(self.runtime_minutes);
        movie.minimum_age = Some(self.minimum_age);
        movie.adult = Some(false);
        movie.tags = owned(&self.themes);
        movie.tags.extend(owned(&self.directors));
        movie
    }
}

/// All films, ascending ids.
pub(super) fn films() -> Vec<Film> {
    TABLE.lines().skip(1).map(film).collect()
}

/// The position of each film by its id.
pub(super) fn positions(films: &[Film]) -> BTreeMap<&'static str, usize> {
    films.iter().enumerate().map(|(position, film)| (film.id, position)).collect()
}

fn film(line: &'static str) -> Film {
    let cells: Vec<&'static str> = line.split('\t').collect();
    let list = |column: usize| cells[column].split('|').collect::<Vec<_>>();
    let text = |column: usize| Some(cells[column]).filter(|text| !text.is_empty());
    let number = |column: usize| cells[column].parse::<u16>().expect("the table's numbers are tested");
    Film {
        id: cells[0],
        title: cells[1],
        original_title: text(2),
        year: number(3),
        genres: list(4),
        countries: list(5),
        languages: list(6),
        runtime_minutes: number(7),
        minimum_age: number(8) as u8,
        series: text(9),
        themes: list(10),
        fame: number(11) as u8,
        directors: list(12),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::titles::{ParsedTitle, parse_title};

    const HEADER: &str = "id\ttitle\toriginal_title\tyear\tgenres\tcountries\tlanguages\truntime_minutes\tminimum_age\tseries\tthemes\tfame\tdirectors";
    const GENRES: &str = "Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical \
                          Mystery Romance Sci-Fi Thriller War Western";

    /// Lower-case ASCII words joined by hyphens.
    fn slug(text: &str) -> String {
        let mut slug = String::new();
        for letter in text.to_lowercase().chars() {
            match letter {
                'a'..='z' | '0'..='9' => slug.push(letter),
                '\'' | '’' => {}
                '&' => slug.push_str("-and-"),
                'é' => slug.push('e'),
                'ä' => slug.push('a'),
                'ü' => slug.push('u'),
                'ï' => slug.push('i'),
                '²' => slug.push('2'),
                '³' => slug.push('3'),
                other => {
                    assert!(other.is_ascii() || other == '·', "transliterate {other:?}");
                    slug.push('-');
                }
            }
        }
        slug.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
    }

    #[test]
    fn the_table_has_its_columns_and_a_thousand_films_in_order() {
        assert_eq!(TABLE.lines().next(), Some(HEADER));
        for line in TABLE.lines() {
            assert_eq!(line.split('\t').count(), 13, "{line}");
            assert!(line.split(['\t', '|']).all(|cell| cell.trim() == cell), "{line}");
        }
        let films = films();
        assert!((1000..=1250).contains(&films.len()), "{}", films.len());
        assert!(films.is_sorted_by(|left, right| left.id < right.id));
    }

    #[test]
    fn every_id_is_the_slug_of_title_and_year() {
        for film in films() {
            assert_eq!(film.id, format!("{}-{}", slug(film.title), film.year));
        }
    }

    #[test]
    fn every_cell_is_of_the_vocabulary() {
        let code =
            |text: &str, letters: fn(&u8) -> bool| text.len() == 2 && text.bytes().all(|byte| letters(&byte));
        for film in films() {
            let id = film.id;
            assert!(film.original_title != Some(film.title), "{id}");
            assert!((1895..=2026).contains(&film.year), "{id}");
            assert!((1..=4).contains(&film.genres.len()), "{id}");
            assert!(film.genres.iter().all(|genre| GENRES.split(' ').any(|known| known == *genre)), "{id}");
            assert!(film.countries.iter().all(|country| code(country, u8::is_ascii_uppercase)), "{id}");
            assert!(film.languages.iter().all(|language| code(language, u8::is_ascii_lowercase)), "{id}");
            assert!((10..=400).contains(&film.runtime_minutes), "{id}");
            assert!([0, 6, 12, 15, 16, 18].contains(&film.minimum_age), "{id}");
            assert!((2..=4).contains(&film.themes.len()) && (2..=5).contains(&film.fame), "{id}");
            assert!(!film.directors.is_empty() && film.directors.iter().all(|name| !name.is_empty()), "{id}");
            for list in [&film.genres, &film.countries, &film.languages, &film.themes, &film.directors] {
                assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len(), "{id}: {list:?}");
            }
        }
    }

    #[test]
    fn a_theme_is_a_word_that_several_films_share() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        films()
            .iter()
            .flat_map(|film| film.themes.clone())
            .for_each(|theme| *counts.entry(theme).or_default() += 1);
        for (theme, count) in counts {
            assert_eq!(slug(theme), theme);
            assert!(count >= 3, "{theme} {count}");
        }
    }

    #[test]
    fn most_films_are_known_and_few_to_everybody() {
        let films = films();
        let famous = films.iter().filter(|film| film.fame == 5).count();
        assert!((30..=80).contains(&famous), "{famous}");
        let countries: BTreeSet<&str> = films.iter().map(|film| film.countries[0]).collect();
        assert!(countries.len() >= 30, "{}", countries.len());
    }

    #[test]
    fn a_film_becomes_a_movie_with_all_its_facts() {
        let films = films();
        let movie = films[positions(&films)["spirited-away-2001"]].movie();
        assert_eq!((movie.title.as_str(), movie.year), ("Spirited Away", Some(2001)));
        assert_eq!(movie.original_title.as_deref(), Some("千と千尋の神隠し"));
        assert_eq!(
            (movie.runtime_minutes, movie.minimum_age, movie.adult),
            (Some(125), Some(6), Some(false))
        );
        assert_eq!(movie.languages, ["ja"]);
        assert_eq!(movie.tags.last().map(String::as_str), Some("Hayao Miyazaki"));
    }

    /// For comparison: no case, accents, punctuation or leading article.
    fn plain(title: &str) -> String {
        let lower = title.to_lowercase();
        let rest =
            ["the ", "a ", "an "].iter().find_map(|article| lower.strip_prefix(article)).unwrap_or(&lower);
        rest.replace('&', "and").chars().filter(|letter| letter.is_alphanumeric()).collect()
    }

    #[test]
    fn a_film_that_movielens_has_agrees_with_it_in_title_and_year() {
        let Ok(shared) = std::env::var("CINEDEX_SHARED") else {
            eprintln!("skipped: CINEDEX_SHARED is not set");
            return;
        };
        let path = Path::new(&shared).join("datasets/ml-latest-small/movies.csv");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut catalogue: BTreeMap<String, Vec<ParsedTitle>> = BTreeMap::new();
        for row in csv::Reader::from_reader(text.as_slice()).records() {
            let parsed = parse_title(&row.unwrap()[1]);
            let others = parsed.original_title.iter().chain(&parsed.alternative_titles);
            let keys: BTreeSet<String> = others.chain([&parsed.title]).map(|title| plain(title)).collect();
            for key in keys {
                catalogue.entry(key).or_default().push(parsed.clone());
            }
        }
        let mut compared = 0;
        for film in films() {
            let titles = [Some(film.title), film.original_title].into_iter().flatten();
            let same: Vec<ParsedTitle> = titles
                .filter_map(|title| catalogue.get(&plain(title)))
                .flatten()
                .filter(|other| other.year.is_some_and(|year| year.abs_diff(film.year) <= 1))
                .cloned()
                .collect();
            compared += usize::from(!same.is_empty());
            let agrees = same.iter().any(|other| other.title == film.title && other.year == Some(film.year));
            assert!(same.is_empty() || agrees, "{}: MovieLens has {same:?}", film.id);
        }
        assert!(compared > 700, "only {compared} films are also in MovieLens");
    }
}
