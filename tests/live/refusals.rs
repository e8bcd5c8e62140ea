//! What is wrong is refused whole, with its place, and changes nothing.

use serde_json::{Value, json};

use crate::support::client::ids;
use crate::support::wait_for;
use crate::world::{Live, did};

#[test]
fn one_wrong_interaction_refuses_its_request_and_names_its_place() {
    let world = Live::new();
    let served = world.serve();
    let with = |field: &str, value: Value| {
        let mut event = did("u", 1, "rating");
        event["value"] = json!(4);
        event[field] = value;
        event
    };
    for (field, value) in [
        ("user_id", json!("")),
        ("movie_id", json!("no-such-film")),
        ("movie_id", Value::Null),
        ("kind", json!("adore")),
        ("value", json!(99)),
        ("value", json!("4")),
        ("timestamp", json!("yesterday")),
        ("timestamp", json!("2199-01-01T00:00:00Z")),
        ("timestamp", json!(-1)),
        ("location", json!("Narnia")),
        ("event_id", json!("")),
        ("stars", json!(5)),
    ] {
        let one = with(field, value);
        served.send("POST", "/v1/interactions", Some(&one)).problem(400, "invalid_body", Some(field));
        let many = json!({"interactions": [did("u", 2, "like"), one]});
        let place = format!("interactions[1].{field}");
        served.send("POST", "/v1/interactions", Some(&many)).problem(400, "invalid_body", Some(&place));
    }
    for body in [json!([]), json!("x"), json!({"interactions": 5}), json!({"interactions": [5]})] {
        served.send("POST", "/v1/interactions", Some(&body)).problem(400, "invalid_body", None);
    }
    let query = served.send("POST", "/v1/interactions?user_id=u", Some(&did("u", 1, "like")));
    query.problem(400, "unknown_parameter", Some("user_id"));
    assert_eq!(ids(&served.json("/v1/users/u/history")), Vec::<String>::new(), "nothing was kept");
    assert_eq!(served.interact(&json!({"interactions": []})), (0, 0));
}

#[test]
fn unknown_films_are_taken_where_that_is_set() {
    let world = Live::new();
    let served = world.serve_with(&["--set", "accept_unknown_movies=true"]);
    assert_eq!(served.interact(&json!({"user_id": "u", "movie_id": "not-yet", "kind": "like"})), (1, 0));
    assert_eq!(ids(&served.json("/v1/users/u/history")), ["not-yet"]);
    assert_eq!(
        served.json("/v1/users/u/recommendations")["strategy"],
        "popular",
        "nothing is known of that film"
    );
}

#[test]
fn without_a_log_reads_go_on_and_writes_are_refused() {
    let world = Live::new();
    let served = world.serve_with(&["--read-only"]);
    served.json("/v1/users/1/recommendations");
    for (method, target, body) in [
        ("POST", "/v1/interactions", Some(did("u", 1, "like"))),
        ("GET", "/v1/users/u/history", None),
        ("DELETE", "/v1/users/u", None),
        ("PUT", "/v1/movies/1", Some(json!({"title": "T"}))),
        ("DELETE", "/v1/movies/1", None),
    ] {
        served.send(method, target, body.as_ref()).problem(503, "feedback_disabled", None);
    }
}

#[test]
fn two_servers_do_not_share_a_log() {
    let world = Live::new();
    let served = world.serve();
    let at_once = ["--set", "drain_seconds=0", "--set", "shutdown_seconds=0"];
    let second = world.place.run(&[&["serve", "--bind", "127.0.0.1:0"][..], &at_once].concat());
    second.refused(&["data/feedback", "in use"]);
    served.interact(&did("u", 1, "like"));
    // One that is about to end is waited for.
    let third = std::thread::scope(|scope| {
        let third = scope.spawn(|| world.serve());
        wait_for("an acknowledged event more", || {
            (served.interact(&did("u", 2, "like")) == (1, 0)).then_some(())
        });
        drop(served);
        third.join().unwrap()
    });
    assert_eq!(ids(&third.json("/v1/users/u/history")), ["2", "1"]);
}
