//! Filters mean the same on every route: held against the catalogue's own facts, film by film.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::client::ids;
use crate::support::served::Served;
use crate::world::{serve, world};

const GODFATHER: &str = "the-godfather-1972";

fn has(film: &Value, field: &str, value: &str) -> bool {
    film[field].as_array().unwrap().iter().any(|found| found.as_str().unwrap().eq_ignore_ascii_case(value))
}

fn at_most(film: &Value, field: &str, most: u64) -> bool {
    film[field].as_u64().is_some_and(|value| value <= most)
}

/// The ids of the films that `keep` allows.
fn expected(keep: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    world()
        .films
        .iter()
        .filter(|(_, film)| film["adult"] != true && keep(film))
        .map(|(id, _)| id.clone())
        .collect()
}

/// Every list route answers exactly the films that are expected, whatever their number.
#[track_caller]
fn check(served: &Served, query: &str, keep: impl Fn(&Value) -> bool) {
    let expect = expected(keep);
    let all: BTreeSet<String> = world().films.keys().cloned().collect();
    assert!(
        !expect.is_empty() && expect.len() < all.len(),
        "{query} filters nothing or everything: {}",
        expect.len()
    );
    for route in [
        "/v1/popular?limit=100",
        "/v1/users/somebody-new/recommendations?limit=100",
        "/v1/users/42/recommendations?limit=100&include_seen=true",
    ] {
        let found: BTreeSet<String> = served.all_ids(&format!("{route}&{query}")).into_iter().collect();
        assert_eq!(found, expect, "{route} {query}");
    }
    let found: BTreeSet<String> =
        served.all_ids(&format!("/v1/movies/{GODFATHER}/similar?limit=100&{query}")).into_iter().collect();
    let others: BTreeSet<String> = expect.into_iter().filter(|id| id != GODFATHER).collect();
    assert_eq!(found, others, "similar {query}");
}

#[test]
fn each_filter_leaves_exactly_what_it_says() {
    let served = serve();
    check(&served, "genre=horror", |film| has(film, "genres", "Horror"));
    check(&served, "genre=Horror&genre=Western", |film| {
        has(film, "genres", "Horror") || has(film, "genres", "Western")
    });
    check(&served, "genre_all=Comedy&genre_all=Romance", |film| {
        has(film, "genres", "Comedy") && has(film, "genres", "Romance")
    });
    check(&served, "genre_none=Drama&genre_none=comedy", |film| {
        !has(film, "genres", "Drama") && !has(film, "genres", "Comedy")
    });
    check(&served, "year_min=2015", |film| film["year"].as_u64().is_some_and(|year| year >= 2015));
    check(&served, "year_max=1950", |film| at_most(film, "year", 1950));
    check(&served, "country=kr&country=NG", |film| {
        has(film, "countries", "KR") || has(film, "countries", "NG")
    });
    check(&served, "language=FR", |film| has(film, "languages", "fr"));
    check(&served, "runtime_max=90", |film| at_most(film, "runtime_minutes", 90));
    check(&served, "max_age=6", |film| at_most(film, "minimum_age", 6));
    check(&served, "exclude=parasite-2019&exclude=the-host-2006", |film| {
        film["movie_id"] != "parasite-2019" && film["movie_id"] != "the-host-2006"
    });
    check(&served, "genre=Drama&country=FR&year_min=1950&year_max=1990&genre_none=Comedy", |film| {
        let year = film["year"].as_u64().unwrap_or_default();
        has(film, "genres", "Drama")
            && has(film, "countries", "FR")
            && (1950..=1990).contains(&year)
            && !has(film, "genres", "Comedy")
    });
}

/// A genre and a year that exactly three films have.
fn three() -> (String, u64, BTreeSet<String>) {
    let mut groups: BTreeMap<(String, u64), BTreeSet<String>> = BTreeMap::new();
    for (id, film) in &world().films {
        for genre in film["genres"].as_array().unwrap() {
            let key = (genre.as_str().unwrap().to_owned(), film["year"].as_u64().unwrap());
            groups.entry(key).or_default().insert(id.clone());
        }
    }
    let found = groups.into_iter().find(|(_, films)| films.len() == 3 && !films.contains(GODFATHER));
    let ((genre, year), films) = found.expect("a thousand films have such a group");
    (genre, year, films)
}

#[test]
fn a_filter_that_leaves_three_films_answers_three() {
    let served = serve();
    let (genre, year, films) = three();
    let query = format!("genre={}&year_min={year}&year_max={year}", genre.replace(' ', "%20"));
    for target in [
        format!("/v1/popular?{query}"),
        format!("/v1/movies/{GODFATHER}/similar?{query}"),
        format!("/v1/users/somebody-new/recommendations?{query}"),
        format!("/v1/users/42/recommendations?{query}&include_seen=true"),
    ] {
        let list = served.json(&target);
        assert_eq!(ids(&list).into_iter().collect::<BTreeSet<_>>(), films, "{target}");
        assert_eq!(list["next_cursor"], Value::Null, "nothing follows: {target}");
    }
    let body =
        json!({"history": [{"movie_id": GODFATHER}], "genre": genre, "year_min": year, "year_max": year});
    assert_eq!(ids(&served.recommend(&body).done()).into_iter().collect::<BTreeSet<_>>(), films, "{body}");
}

#[test]
fn a_filter_that_leaves_nothing_answers_an_empty_list() {
    let served = serve();
    for target in [
        "/v1/popular?year_max=1800",
        "/v1/users/42/recommendations?year_min=2000&year_max=1999",
        "/v1/popular?country=AQ",
    ] {
        let list = served.json(target);
        assert_eq!((&list["items"], &list["next_cursor"]), (&json!([]), &Value::Null), "{target}");
    }
}

#[test]
fn an_unknown_genre_is_refused_with_the_known_ones() {
    let served = serve();
    for (field, route) in [
        ("genre", "/v1/popular"),
        ("genre_all", "/v1/users/42/recommendations"),
        ("genre_none", "/v1/movies/parasite-2019/similar"),
    ] {
        let problem =
            served.get(&format!("{route}?{field}=Westrn")).problem(400, "invalid_parameter", Some(field));
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.to_lowercase().contains("westrn")
                && detail.contains("Western")
                && detail.contains("Drama"),
            "{detail}"
        );
    }
    let body = json!({"history": [], "genre": ["Westrn"]});
    served.recommend(&body).problem(400, "invalid_body", Some("genre"));
}
