//! What draws people to films: communities of taste, the kinship of two films, fame, home. It knows no person.

use std::collections::BTreeMap;

use super::dice::{Dice, exp, ln};
use super::films::{Film, positions};

pub(super) const CIRCLES: &str = include_str!("circles.tsv");
pub(super) const COMMUNITIES: &str = include_str!("communities.tsv");
/// The year in which the time line ends.
const LAST_YEAR: u16 = 2026;

/// A taste that many people share.
pub(super) struct Community {
    /// Its share of people, relative.
    pub(super) share: f64,
    /// How much it is drawn to each film.
    pub(super) pull: Vec<f32>,
    /// By country: how much nearer the films that it likes are to people there, as a mean of [`Attraction::home`].
    pub(super) nearness: BTreeMap<String, f32>,
}

/// Everything about the films that choosing needs.
pub(super) struct Attraction {
    /// What is common to all people: fame, age of the film, and something of its own. By film.
    pub(super) prior: Vec<f32>,
    /// How good the film is thought to be, about standard normal. By film.
    pub(super) quality: Vec<f32>,
    /// The communities.
    pub(super) communities: Vec<Community>,
    /// Kinship of each two films, `films × films`, row-major.
    pub(super) kinship: Vec<f32>,
    /// By country: how much nearer its films are to it. By film.
    pub(super) home: BTreeMap<String, Vec<f32>>,
}

impl Attraction {
    /// Works it out for `films` and the `countries` where people live.
    pub(super) fn new<'a>(films: &[Film], countries: impl Iterator<Item = &'a str>, seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let home: BTreeMap<String, Vec<f32>> =
            countries.map(|country| (country.to_owned(), home(films, country))).collect();
        Self {
            prior: films.iter().map(|film| prior(film, &mut dice)).collect(),
            quality: films
                .iter()
                .map(|film| (0.25 * f64::from(film.fame) - 0.8 + 0.8 * dice.normal()) as f32)
                .collect(),
            communities: COMMUNITIES.lines().skip(1).map(|line| community(line, films, &home)).collect(),
            kinship: kinship(films),
            home,
        }
    }

    /// The kinship of `film` with every film.
    pub(super) fn kin(&self, film: usize) -> &[f32] {
        let count = self.prior.len();
        &self.kinship[film * count..][..count]
    }
}

fn prior(film: &Film, dice: &mut Dice) -> f32 {
    let fame = [-1.1, 0.0, 1.0, 2.35][usize::from(film.fame) - 2];
    let age = f64::from(LAST_YEAR - film.year);
    let recency = 0.7 * exp(-age / 4.0) - 0.005 * age.min(60.0);
    (fame + recency + 0.25 * dice.normal()) as f32
}

fn community(line: &str, films: &[Film], home: &BTreeMap<String, Vec<f32>>) -> Community {
    let cells: Vec<&str> = line.split('\t').collect();
    let tastes: Vec<(&str, f32)> = cells[2]
        .split(' ')
        .map(|taste| taste.rsplit_once(':').expect("the table's form is tested"))
        .map(|(feature, weight)| (feature, weight.parse().expect("the table's numbers are tested")))
        .collect();
    let pull = |film: &Film| {
        let sum: f32 =
            tastes.iter().filter(|(feature, _)| has(film, feature)).map(|(_, weight)| weight).sum();
        // A second and third reason to like a film count less than the first.
        if sum > 0.0 { 6.0 * sum / (sum + 4.0) } else { sum.max(-2.0) }
    };
    let pull: Vec<f32> = films.iter().map(pull).collect();
    let liked = |weights: &[f32]| -> f32 {
        pull.iter().zip(weights).map(|(pull, weight)| pull.max(0.0) * weight).sum()
    };
    let sum = liked(&vec![1.0; films.len()]);
    Community {
        share: cells[1].parse().expect("the table's numbers are tested"),
        nearness: home.iter().map(|(country, home)| (country.clone(), liked(home) / sum)).collect(),
        pull,
    }
}

/// Whether `film` has a genre, theme, country, language, or a year within "1970-1989".
fn has(film: &Film, feature: &str) -> bool {
    if let Some((first, last)) = feature.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>())
    {
        return (first..=last).contains(&film.year);
    }
    [&film.genres, &film.themes, &film.countries, &film.languages].iter().any(|list| list.contains(&feature))
}

/// A country's own films, and less those in its languages or with its part in them, are nearer to it; the fewer it has,
/// the dearer each.
fn home(films: &[Film], country: &str) -> Vec<f32> {
    let own = films.iter().filter(|film| film.countries[0] == country).count().max(1);
    let boost = 0.38 * ln(films.len() as f64 / own as f64);
    let mut spoken: BTreeMap<&str, usize> = BTreeMap::new();
    for film in films.iter().filter(|film| film.countries[0] == country) {
        *spoken.entry(film.languages[0]).or_default() += 1;
    }
    films
        .iter()
        .map(|film| {
            let language = film.languages[0];
            if film.countries[0] == country {
                boost as f32
            } else if film.countries.contains(&country) {
                0.35 * boost as f32
            } else if language != "en" && spoken.get(language).is_some_and(|&count| count * 4 > own) {
                0.25 * boost as f32
            } else {
                0.0
            }
        })
        .collect()
}

/// What two films may have in common, as numbers.
struct Traits {
    year: u16,
    english: bool,
    language: usize,
    series: Option<usize>,
    directors: Vec<usize>,
    genres: Vec<usize>,
    /// Each with how telling it is: the rarer, the more.
    themes: Vec<(usize, f64)>,
    /// How far it is a film for children.
    childhood: f64,
}

/// How likely one who loves the one film is drawn to the other: the same circle or series most, then the same director,
/// rare themes in common, like genres, and of these the more, the nearer the two are in time and language.
fn kinship(films: &[Film]) -> Vec<f32> {
    let traits = traits(films);
    let decay: Vec<f64> = (0..256).map(|years| exp(-f64::from(years) / 16.0)).collect();
    let mut kinship = vec![0.0; films.len() * films.len()];
    for (row, left) in traits.iter().enumerate() {
        for (column, right) in traits.iter().enumerate().skip(row + 1) {
            let near = decay[usize::from(left.year.abs_diff(right.year)).min(255)];
            kinship[row * films.len() + column] = pair(left, right, near) as f32;
        }
    }
    add_circles(films, &mut kinship);
    for row in 0..films.len() {
        for column in row + 1..films.len() {
            kinship[column * films.len() + row] = kinship[row * films.len() + column];
        }
    }
    kinship
}

/// Adds to the upper triangle what films of one circle have in common.
fn add_circles(films: &[Film], kinship: &mut [f32]) {
    let positions = positions(films);
    for line in CIRCLES.lines().skip(1) {
        let (_, ids) = line.split_once('\t').expect("the table's form is tested");
        let mut circle: Vec<usize> = ids.split(' ').map(|id| positions[id]).collect();
        circle.sort_unstable();
        for (place, row) in circle.iter().enumerate() {
            for column in &circle[place + 1..] {
                kinship[row * films.len() + column] += 1.5;
            }
        }
    }
}

fn traits(films: &[Film]) -> Vec<Traits> {
    let mut names = BTreeMap::new();
    let mut number = |name: &'static str| {
        let next = names.len();
        *names.entry(name).or_insert(next)
    };
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    films.iter().flat_map(|film| &film.themes).for_each(|theme| *counts.entry(theme).or_default() += 1.0);
    let weight = |theme: &str| ln(films.len() as f64 / counts[theme]).min(4.5);
    films
        .iter()
        .map(|film| Traits {
            year: film.year,
            english: film.languages[0] == "en",
            language: number(film.languages[0]),
            series: film.series.map(&mut number),
            directors: film.directors.iter().map(|name| number(name)).collect(),
            genres: film.genres.iter().map(|name| number(name)).collect(),
            themes: film.themes.iter().map(|name| (number(name), weight(name))).collect(),
            childhood: ["Children", "Animation"].iter().filter(|genre| film.genres.contains(genre)).count()
                as f64,
        })
        .collect()
}

fn pair(left: &Traits, right: &Traits, near: f64) -> f64 {
    let themes: f64 =
        left.themes.iter().filter(|theme| right.themes.contains(theme)).map(|theme| theme.1).sum();
    let theme_share = themes / ((left.themes.len() * right.themes.len()) as f64).sqrt();
    let genres = left.genres.iter().filter(|genre| right.genres.contains(genre)).count() as f64;
    let genre_share = genres / (left.genres.len() as f64 + right.genres.len() as f64 - genres);
    let abroad = left.language != right.language;
    let alike =
        (0.9 * theme_share + 0.8 * genre_share) * (0.25 + 0.75 * near) * if abroad { 0.55 } else { 1.0 };
    let series = if left.series.is_some() && left.series == right.series { 1.7 } else { 0.0 };
    let director = if left.directors.iter().any(|name| right.directors.contains(name)) { 0.8 } else { 0.0 };
    let language = if abroad || left.english { 0.0 } else { 0.35 };
    (alike + series + director + language - 0.5 * (left.childhood - right.childhood).abs()).max(0.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::films::films;

    #[test]
    fn every_taste_of_a_community_meets_films() {
        let films = films();
        let names: BTreeSet<&str> =
            COMMUNITIES.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(names.len(), COMMUNITIES.lines().count());
        for line in COMMUNITIES.lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            assert!(cells[1].parse::<f64>().unwrap() > 0.0, "{line}");
            for taste in cells[2].split(' ') {
                let (feature, weight) = taste.rsplit_once(':').unwrap();
                assert!(weight.parse::<f32>().unwrap() != 0.0, "{taste}");
                assert!(films.iter().any(|film| has(film, feature)), "{line}: {feature}");
            }
        }
    }

    #[test]
    fn every_circle_is_of_different_films() {
        let films = films();
        let positions = positions(&films);
        for line in CIRCLES.lines().skip(1) {
            let ids: Vec<&str> = line.split_once('\t').unwrap().1.split(' ').collect();
            assert!(ids.iter().all(|id| positions.contains_key(id)), "{line}");
            assert!(ids.iter().collect::<BTreeSet<_>>().len() == ids.len() && ids.len() >= 5, "{line}");
        }
    }

    #[test]
    fn series_are_closest_and_opposites_are_strangers() {
        let films = films();
        let positions = positions(&films);
        let attraction = Attraction::new(&films, ["NG"].into_iter(), 1);
        let kin = |left: &str, right: &str| attraction.kin(positions[left])[positions[right]];
        let saga = kin("the-godfather-1972", "the-godfather-part-ii-1974");
        assert!(saga > kin("the-godfather-1972", "goodfellas-1990"));
        assert!(
            kin("the-godfather-1972", "goodfellas-1990") > kin("the-godfather-1972", "toy-story-1995") + 1.0
        );
        assert_eq!(saga, kin("the-godfather-part-ii-1974", "the-godfather-1972"));
        let home = &attraction.home["NG"];
        assert!(home[positions["king-of-boys-2018"]] > 1.0 && home[positions["toy-story-1995"]] == 0.0);
    }
}
