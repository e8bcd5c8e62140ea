//! The smallest and strangest worlds: one user, one movie, ids in any script, numbers beyond reason.

use serde_json::{Value, json};

use crate::report;
use crate::support::Place;
use crate::support::client::ids;
use crate::support::served::Served;

/// Imports events, trains and builds; the place.
fn world(events: &str) -> Place {
    let place = Place::new();
    let path = place.write("events.csv", events);
    place.run(&["dataset", "import", "csv", &path, "--name", "films"]).done();
    place.run(&["train", "films", "--dim", "4", "--epochs", "3"]).done();
    place.run(&["index", "build", "films"]).done();
    place
}

#[test]
fn one_user() {
    let place = world("user,movie,rating\nann,10,5\nann,11,4\nann,12,1\nann,13,5\n");
    let similar = place.json(&["similar", "10"]);
    assert_eq!(ids(&similar).len(), 3);
    let list = place.json(&["recommend", "ann"]);
    assert_eq!(list["items"], json!([]), "all is seen");
    let other = place.json(&["recommend", "bob"]);
    assert_eq!((&other["strategy"], ids(&other).len()), (&json!("popular"), 4));
    report(
        "one user",
        "trained, built and served; the user has seen everything: an empty list; another gets what is popular",
    );
}

#[test]
fn one_movie() {
    let place = world("user,movie,rating\nann,10,5\nbob,10,4\neve,10,1\n");
    assert_eq!(place.json(&["similar", "10"])["items"], json!([]));
    assert_eq!(ids(&place.json(&["recommend", "zoe"])), ["10"]);
    assert_eq!(ids(&place.json(&["popular"])), ["10"]);
    let served = Served::start(&place);
    assert_eq!(served.json("/v1/movies/10/similar")["items"], json!([]));
    assert_eq!(served.json("/v1/users/ann/recommendations")["items"], json!([]));
    report("one movie", "trained, built and served; similar: an empty list; popular: the movie");
}

#[test]
fn one_user_and_one_movie() {
    let place = world("user,movie,rating\nann,10,5\n");
    assert_eq!(ids(&place.json(&["popular"])), ["10"]);
    report("one user, one movie, one rating", "trained, built and served");
}

#[test]
fn nobody_likes_anything() {
    let place = Place::new();
    let path = place.write("events.csv", "user,movie,kind\nann,10,dislike\nbob,11,dislike\n");
    place.run(&["dataset", "import", "csv", &path, "--name", "films"]).done();
    let run = place.run(&["train", "films", "--dim", "4"]).refused(&["nothing to learn from"]);
    crate::report_refusal("dislikes only", &place, &run);
}

#[test]
fn the_same_taste_a_hundred_times() {
    let rows: String =
        (0..100).flat_map(|user| (0..30).map(move |film| format!("u{user},{film},5\n"))).collect();
    let place = world(&format!("user,movie,rating\n{rows}"));
    let similar = place.json(&["similar", "3", "-k", "100"]);
    assert_eq!(ids(&similar).len(), 29, "identical vectors stay reachable");
    report("thirty films with identical embeddings", "each finds the 29 others");
}

const STRANGE: [&str; 8] = ["七人の侍", "Amélie", "🎬🎥", "..", "a/b", "a b+c%d", "שלום", "\u{202e}evil"];

fn encode(id: &str) -> String {
    id.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02x}"))
}

#[test]
fn ids_in_any_script_and_with_any_character() {
    let rows: String = STRANGE
        .iter()
        .flat_map(|film| (0..6).map(move |user| format!("名{user},{film},{}\n", 3 + user % 3)))
        .collect();
    let place = world(&format!("user,movie,rating\n{rows}"));
    let served = Served::start(&place);
    for id in STRANGE {
        let segment = encode(id);
        let movie: Value = served.json(&format!("/v1/movies/{segment}"));
        assert_eq!(movie["movie_id"], id);
        assert_eq!(ids(&served.json(&format!("/v1/movies/{segment}/similar"))).len(), STRANGE.len() - 1);
        let rest = served.json(&format!("/v1/popular?exclude={segment}"));
        assert!(!ids(&rest).contains(&id.to_owned()), "{rest}");
        assert_eq!(place.json(&["similar", id])["movie_id"], id);
    }
    let list = served.json(&format!("/v1/users/{}/recommendations?include_seen=true", encode("名1")));
    assert_eq!((list["user_id"].as_str(), ids(&list).len()), (Some("名1"), STRANGE.len()));
    report(
        &format!("unicode ids ({})", STRANGE[..4].join(", ")),
        "imported, trained and served under percent-encoding",
    );
}

#[test]
fn numbers_beyond_reason_on_the_command_line() {
    let place = world("user,movie,rating\nann,10,5\nbob,10,4\nbob,11,5\n");
    for k in ["0", "1000000000"] {
        let run = place.run(&["similar", "10", "-k", k]).wrong_usage(&["1..=1000"]);
        report(
            &format!("k = {k} on the command line"),
            &format!("exit 2: {}", run.stderr.lines().next().unwrap()),
        );
    }
    for (flag, value) in [
        ("--dim", "1000000000"),
        ("--dim", "0"),
        ("--epochs", "0"),
        ("--regularization", "NaN"),
        ("--unobserved-weight", "-1"),
    ] {
        let run = place.run(&["train", "films", &format!("{flag}={value}")]).refused(&[]);
        crate::report_refusal(&format!("train {flag} {value}"), &place, &run);
    }
    let long = "x".repeat(10_000);
    let run = place.run(&["similar", &long]).refused(&["no movie"]);
    crate::report_refusal("similar to an id of 10,000 characters", &place, &run);
    let run = place.run(&["recommend", &long]);
    assert!(run.status == Some(0) || run.status == Some(1), "{run:?}");
    assert!(!run.stderr.contains("panicked"));
}
