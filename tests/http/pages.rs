//! Cursors page through every list without repeating or skipping, and hold against change.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::client::ids;
use crate::support::served::Served;
use crate::world::{serve, world};

#[test]
fn pages_neither_repeat_nor_skip() {
    let served = serve();
    for target in [
        "/v1/movies",
        "/v1/movies?q=the",
        "/v1/popular?location=KR/11/Seoul",
        "/v1/popular?genre=Drama&user=42",
        "/v1/movies/the-godfather-1972/similar",
        "/v1/movies/the-godfather-1972/similar?genre=Comedy",
        "/v1/users/42/recommendations",
        "/v1/users/42/recommendations?diversity=0.5&country=US",
        "/v1/users/somebody-new/recommendations?location=NG",
    ] {
        let mark = if target.contains('?') { '&' } else { '?' };
        let whole = served.all_ids(&format!("{target}{mark}limit=100"));
        let distinct: BTreeSet<&String> = whole.iter().collect();
        assert_eq!(distinct.len(), whole.len(), "{target} repeats");
        let pages = served.pages(&format!("{target}{mark}limit=37"));
        let (last, full) = pages.split_last().unwrap();
        assert!(
            full.iter().all(|page| page["items"].as_array().unwrap().len() == 37),
            "{target}: every page but the last is full"
        );
        assert!(!last["items"].as_array().unwrap().is_empty(), "{target}: no empty page at the end");
        let seen: BTreeSet<String> = pages.iter().flat_map(ids).collect();
        let count: usize = pages.iter().map(|page| ids(page).len()).sum();
        assert_eq!((seen.len(), count), (whole.len(), whole.len()), "{target} skips or repeats");
    }
    check_neighbors(&served);
    assert_eq!(served.all_ids("/v1/movies?limit=100").len(), world().films.len());
    assert_eq!(
        served.all_ids("/v1/movies/the-godfather-1972/similar?limit=100").len(),
        world().films.len() - 1
    );
}

/// The first 700 of 20,000 people: all pages are full, nobody comes twice, and none is the user.
#[track_caller]
fn check_neighbors(served: &Served) {
    let (mut seen, mut next) = (BTreeSet::from(["42".to_owned()]), String::new());
    for page in 1..=10 {
        let list = served.json(&format!("/v1/users/42/neighbors?limit=70{next}"));
        let people = ids(&list);
        assert_eq!(people.len(), 70, "page {page}");
        for person in people {
            assert!(seen.insert(person.clone()), "{person} comes again on page {page}");
        }
        next = format!("&cursor={}", list["next_cursor"].as_str().unwrap());
    }
}

#[test]
fn pages_of_exact_lists_are_the_parts_of_the_whole() {
    let served = serve();
    for target in ["/v1/popular?location=KR", "/v1/users/42/recommendations?genre=Drama", "/v1/movies?q=a"] {
        assert_eq!(
            served.all_ids(&format!("{target}&limit=7")),
            served.all_ids(&format!("{target}&limit=100")),
            "{target}"
        );
    }
}

#[test]
fn a_cursor_belongs_to_its_request() {
    let served = serve();
    let first = served.json("/v1/popular?limit=5&location=KR");
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = served.json(&format!("/v1/popular?limit=5&location=KR&cursor={cursor}"));
    let (one, two) = (ids(&first), ids(&next));
    assert!(one.iter().all(|id| !two.contains(id)));
    for target in [
        format!("/v1/popular?limit=5&location=NG&cursor={cursor}"),
        format!("/v1/popular?limit=5&location=KR&genre=Drama&cursor={cursor}"),
        format!("/v1/users/42/recommendations?limit=5&location=KR&cursor={cursor}"),
        format!("/v1/users/42/neighbors?limit=5&cursor={cursor}"),
        "/v1/popular?cursor=AAAA".to_owned(),
        "/v1/popular?cursor=".to_owned(),
        format!("/v1/popular?limit=5&location=KR&cursor={}", &cursor[..cursor.len() - 2]),
    ] {
        served.get(&target).problem(400, "invalid_parameter", Some("cursor"));
    }
    let last = served.pages("/v1/movies?q=godfather&limit=100").pop().unwrap();
    assert_eq!(last["next_cursor"], Value::Null);
}
