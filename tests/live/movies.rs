//! A film that is withdrawn is in no answer, one that is put is found, from that moment and after a restart.

use serde_json::{Value, json};

use crate::support::client::ids;
use crate::support::served::Served;
use crate::world::{Live, did};

const LISTS: [&str; 7] = [
    "/v1/users/1/recommendations?limit=100&include_seen=true",
    "/v1/users/nobody/recommendations?limit=100",
    "/v1/movies/2/similar?limit=100",
    "/v1/movies?limit=100",
    "/v1/movies?q=trail&limit=100",
    "/v1/popular?limit=100",
    "/v1/popular?limit=100&genre=Western",
];

fn lists_with(served: &Served, id: &str) -> Vec<&'static str> {
    LISTS.into_iter().filter(|target| ids(&served.json(target)).iter().any(|found| found == id)).collect()
}

fn check_gone(served: &Served, id: &str) {
    assert_eq!(lists_with(served, id), Vec::<&str>::new());
    served.get(&format!("/v1/movies/{id}")).problem(404, "movie_not_found", None);
    served.get(&format!("/v1/movies/{id}/similar")).problem(404, "movie_not_found", None);
}

#[test]
fn a_withdrawn_film_is_in_no_answer() {
    let world = Live::new();
    let served = world.serve();
    assert_eq!(lists_with(&served, "5"), LISTS);
    let answer = served.send("DELETE", "/v1/movies/5", None).done();
    assert_eq!(answer["movie_id"], "5");
    check_gone(&served, "5");
    served.send("DELETE", "/v1/movies/no-such-film", None).problem(404, "movie_not_found", None);
    drop(served);
    let served = world.serve();
    check_gone(&served, "5");
    let back = json!({"title": "Trail of Number 5, The", "year": 1955, "genres": ["Western"]});
    served.send("PUT", "/v1/movies/5", Some(&back)).done();
    assert_eq!(lists_with(&served, "5"), LISTS, "put again, it is back");
}

#[test]
fn a_film_that_is_put_is_found_and_a_changed_one_is_told_anew() {
    let world = Live::new();
    let served = world.serve();
    let film = json!({"title": "Zanzibar Nights", "year": 2026, "genres": ["Western"], "countries": ["tz"]});
    let told = served.send("PUT", "/v1/movies/new-1", Some(&film)).done();
    assert_eq!((&told["movie_id"], &told["countries"]), (&json!("new-1"), &json!(["TZ"])));
    let check = |served: &Served| {
        assert_eq!(served.json("/v1/movies/new-1")["title"], "Zanzibar Nights");
        assert_eq!(ids(&served.json("/v1/movies?q=zanzibar")), ["new-1"]);
        assert!(served.all_ids("/v1/movies?limit=20").contains(&"new-1".to_owned()));
    };
    check(&served);
    served.interact(&json!({"user_id": "u", "movie_id": "new-1", "kind": "like"}));
    drop(served);
    let served = world.serve();
    check(&served);
    let facts = json!({"title": "Number Seven Rides Again", "year": 1999, "genres": ["Western", "Musical"]});
    served.send("PUT", "/v1/movies/7", Some(&facts)).done();
    let told: Value = served.json("/v1/movies/7");
    assert_eq!((&told["title"], &told["year"]), (&facts["title"], &facts["year"]));
    assert_eq!(ids(&served.json("/v1/movies?q=rides+again")), ["7"]);
}

#[test]
fn a_late_event_about_a_withdrawn_film_is_taken() {
    let world = Live::new();
    let served = world.serve();
    served.send("DELETE", "/v1/movies/5", None).done();
    assert_eq!(served.interact(&did("u", 5, "watch")), (1, 0));
}

#[test]
fn the_facts_of_a_film_are_held_against_their_kinds() {
    let world = Live::new();
    let served = world.serve();
    for (body, field) in [
        (json!({}), "title"),
        (json!({"title": "T", "year": "1999"}), "year"),
        (json!({"title": "T", "movie_id": "other"}), "movie_id"),
        (json!({"title": "T", "colour": "red"}), "colour"),
    ] {
        served.send("PUT", "/v1/movies/new-1", Some(&body)).problem(400, "invalid_body", Some(field));
    }
    served.get("/v1/movies/new-1").problem(404, "movie_not_found", None);
}
