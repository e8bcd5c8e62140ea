//! A user's history is read back page by page.

use serde_json::{Value, json};

use crate::support::client::ids;
use crate::world::{Live, did};

#[test]
fn it_is_told_as_it_was_sent_the_latest_first() {
    let world = Live::new();
    let served = world.serve();
    served.interact(&json!({
        "user_id": "u", "movie_id": "3", "kind": "rating", "value": 4.5, "timestamp": "2024-05-06T07:08:09.5+02:00",
        "location": "us/ca/Fresno", "event_id": "e-1"
    }));
    served.interact(
        &json!({"user_id": "u", "movie_id": "4", "kind": "skip", "timestamp": 1_700_000_000_000_u64}),
    );
    let history = served.json("/v1/users/u/history");
    assert_eq!((&history["user_id"], &history["next_cursor"]), (&json!("u"), &Value::Null));
    let items = history["items"].as_array().unwrap();
    assert_eq!(ids(&history), ["4", "3"]);
    let expect = json!({
        "movie_id": "3", "kind": "rating", "value": 4.5, "timestamp": "2024-05-06T05:08:09.5Z",
        "location": "US/CA/Fresno", "event_id": "e-1"
    });
    for (field, value) in expect.as_object().unwrap() {
        assert_eq!(&items[1][field], value, "{field}");
    }
    assert_eq!((&items[0]["timestamp"], &items[0]["value"]), (&json!("2023-11-14T22:13:20Z"), &Value::Null));
    assert_eq!(served.json("/v1/users/nobody/history")["items"], json!([]));
}

#[test]
fn pages_neither_repeat_nor_skip_while_events_come_in() {
    let world = Live::new();
    let served = world.serve();
    let events: Vec<Value> = (1..=42).map(|film| did("u", film, "watch")).collect();
    served.interact(&json!({"interactions": events}));
    let (mut seen, mut next) = (Vec::new(), "/v1/users/u/history?limit=10".to_owned());
    loop {
        let page = served.json(&next);
        seen.extend(ids(&page));
        served.interact(&did("u", 1, "watch"));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("/v1/users/u/history?limit=10&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=42).rev().map(|film| film.to_string()).collect::<Vec<_>>());
    let cursor = served.json("/v1/users/u/history?limit=10")["next_cursor"].as_str().unwrap().to_owned();
    for target in ["/v1/users/v/history", "/v1/users/u/recommendations", "/v1/popular"] {
        let answer = served.get(&format!("{target}?limit=10&cursor={cursor}"));
        answer.problem(400, "invalid_parameter", Some("cursor"));
    }
}

#[test]
fn pages_of_a_list_neither_repeat_nor_skip_while_the_taste_changes() {
    let world = Live::new();
    let served = world.serve();
    for target in ["/v1/users/1/recommendations", "/v1/users/new/recommendations", "/v1/popular"] {
        let user = if target.contains("/1/") { "1" } else { "new" };
        let whole = ids(&served.json(&format!("{target}?limit=100")));
        let (mut shown, mut next, mut film) = (Vec::new(), format!("{target}?limit=6"), 41);
        loop {
            let page = served.json(&next);
            for id in ids(&page) {
                assert!(!shown.contains(&id), "{target} shows {id} again");
                shown.push(id);
            }
            // Of a film that was shown already, so that none leaves the list.
            film = shown.iter().map(|id| id.parse().unwrap()).find(|id| *id < film).unwrap_or(film);
            served.interact(&did(user, film, "dislike"));
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{target}?limit=6&cursor={cursor}"),
                None => break,
            }
        }
        shown.sort();
        let mut whole = whole;
        whole.sort();
        assert_eq!(shown, whole, "{target}");
    }
}
