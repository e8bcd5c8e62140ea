//! Recommendations for known users and for histories that a request carries: seen films, reasons, diversity, dislikes.

use std::collections::{BTreeMap, BTreeSet};

use cinedex_storage::read_interactions;
use serde_json::{Value, json};

use crate::support::client::ids;
use crate::world::{serve, world};

#[test]
fn what_a_user_has_seen_is_left_out_unless_asked_for() {
    let served = serve();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for user in ["1", "42", "777"] {
        seen.insert(user.to_owned(), BTreeSet::new());
    }
    read_interactions(&world().place.path("data/demo/interactions.parquet"), &mut |row| {
        if let Some(films) = seen.get_mut(row.user_id) {
            films.insert(row.movie_id.to_owned());
        }
        Ok(())
    })
    .unwrap();
    for (user, films) in seen {
        assert!(films.len() > 5, "user {user} saw {}", films.len());
        let route = format!("/v1/users/{user}/recommendations?limit=100");
        let unseen: BTreeSet<String> = served.all_ids(&route).into_iter().collect();
        let all: BTreeSet<String> =
            served.all_ids(&format!("{route}&include_seen=true")).into_iter().collect();
        assert_eq!(all.len(), world().films.len(), "with what was seen it is the whole catalogue");
        let left_out: BTreeSet<String> = all.difference(&unseen).cloned().collect();
        let foreign: Vec<&String> = left_out.difference(&films).collect();
        assert!(foreign.is_empty(), "left out but never seen by {user}: {foreign:?}");
        let shown: Vec<&String> = films.intersection(&unseen).collect();
        assert!(shown.is_empty(), "seen by {user} and still recommended: {shown:?}");
        let popular: BTreeSet<String> =
            served.all_ids(&format!("/v1/popular?limit=100&user={user}")).into_iter().collect();
        assert_eq!(popular, unseen, "popular leaves out the same for {user}");
    }
}

/// Shares and remainder sum to the score of every item.
#[track_caller]
fn check_explained(list: &Value) {
    let mut reasons = 0;
    for item in list["items"].as_array().unwrap() {
        let shares: Vec<f64> = item["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reason| reason["share"].as_f64().unwrap())
            .collect();
        let sum = shares.iter().sum::<f64>() + item["remainder"].as_f64().unwrap();
        let score = item["score"].as_f64().unwrap();
        assert!((sum - score).abs() < 1e-4, "{sum} is not {score}: {item}");
        for reason in item["reasons"].as_array().unwrap() {
            let film = &world().films[reason["movie_id"].as_str().unwrap()];
            assert_eq!(reason["title"], film["title"]);
        }
        reasons += shares.len();
    }
    assert!(reasons > 0, "nothing is explained: {list}");
}

#[test]
fn reasons_and_remainder_sum_to_the_score() {
    let served = serve();
    for user in ["1", "42", "777"] {
        check_explained(&served.json(&format!("/v1/users/{user}/recommendations?explain=true&limit=100")));
    }
    let history =
        json!([{"movie_id": "the-godfather-1972"}, {"movie_id": "parasite-2019", "kind": "dislike"}]);
    let list = served.recommend(&json!({"history": history, "explain": true, "limit": 100})).done();
    check_explained(&list);
    let said = list.to_string();
    assert!(said.contains("The Godfather"), "the reason is named");
}

#[test]
fn diversity_changes_the_order_and_no_score() {
    let served = serve();
    let scores = |diversity: &str| -> BTreeMap<String, f64> {
        let list = served.json(&format!("/v1/users/42/recommendations?limit=50{diversity}"));
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| (item["movie_id"].as_str().unwrap().to_owned(), item["score"].as_f64().unwrap()))
            .collect()
    };
    let order =
        |diversity: &str| ids(&served.json(&format!("/v1/users/42/recommendations?limit=50{diversity}")));
    let plain = scores("");
    for diversity in ["&diversity=0.3", "&diversity=0.9", "&diversity=1"] {
        assert_ne!(order(diversity), order(""), "{diversity}");
        let mut compared = 0;
        for (id, score) in scores(diversity) {
            if let Some(known) = plain.get(&id) {
                assert!((known - score).abs() < 1e-6, "{diversity} {id}: {known} {score}");
                compared += 1;
            }
        }
        assert!(compared > 0, "{diversity}");
    }
    assert_eq!(order("&diversity=0"), order(""));
}

fn liked(ids: &[String], kind: &str) -> Vec<Value> {
    ids.iter().map(|id| json!({"movie_id": id, "kind": kind})).collect()
}

fn of_genre(list: &Value, genre: &str) -> usize {
    let items = list["items"].as_array().unwrap().iter();
    items.filter(|item| item["genres"].as_array().unwrap().iter().any(|found| found == genre)).count()
}

#[test]
fn likes_and_dislikes_make_another_list() {
    let served = serve();
    let horror = ids(&served.json("/v1/popular?genre=Horror&genre_none=Romance&limit=6"));
    let romance = ids(&served.json("/v1/popular?genre=Romance&genre_none=Horror&limit=6"));
    let ask = |history: Vec<Value>| served.recommend(&json!({"history": history, "limit": 30})).done();
    let both = ask([liked(&romance, "like"), liked(&horror, "like")].concat());
    let only = ask(liked(&romance, "like"));
    let against = ask([liked(&romance, "like"), liked(&horror, "dislike")].concat());
    assert!(of_genre(&both, "Horror") > of_genre(&only, "Horror"), "{both}");
    assert!(of_genre(&against, "Horror") <= of_genre(&only, "Horror"), "{against}");
    assert_ne!(ids(&against), ids(&only), "a dislike is no silence");
    let rated = |value: f64| {
        let entries = horror.iter().map(|id| json!({"movie_id": id, "kind": "rating", "value": value}));
        ask(liked(&romance, "like").into_iter().chain(entries).collect())
    };
    assert!(of_genre(&rated(5.0), "Horror") > of_genre(&rated(1.0), "Horror"));
    for list in [&both, &against] {
        let ids = ids(list);
        assert!(horror.iter().chain(&romance).all(|id| !ids.contains(id)), "what is in the history is seen");
    }
}

#[test]
fn a_history_in_the_request_is_answered_without_being_kept() {
    let served = serve();
    let history =
        json!([{"movie_id": "spirited-away-2001", "kind": "favorite"}, {"movie_id": "no-such-film"}]);
    let body = json!({"history": history, "location": "KR", "limit": 10, "genre": ["Animation"], "exclude": ["my-neighbor-totoro-1988"]});
    let list = served.recommend(&body).done();
    assert_eq!(list["unknown_movies"], json!(["no-such-film"]));
    assert_eq!(list["location"]["answered"], "KR");
    assert_eq!(of_genre(&list, "Animation"), 10);
    assert!(!ids(&list).contains(&"my-neighbor-totoro-1988".to_owned()));
    let again = served.recommend(&body).done();
    assert_eq!(ids(&again), ids(&list));
    let nothing = served.recommend(&json!({"history": []})).done();
    assert_eq!(nothing["strategy"], "popular");
    let seen = served
        .recommend(
            &json!({"history": [{"movie_id": "spirited-away-2001"}], "include_seen": true, "limit": 100}),
        )
        .done();
    assert!(ids(&seen).contains(&"spirited-away-2001".to_owned()), "seen, and asked for");
}

#[test]
fn people_of_different_taste_get_different_films() {
    let served = serve();
    let lists: BTreeSet<Vec<String>> = (1..=10)
        .map(|user| ids(&served.json(&format!("/v1/users/{user}/recommendations?limit=5"))))
        .collect();
    assert!(lists.len() >= 8, "only {} lists for ten people", lists.len());
}

#[test]
fn people_of_like_taste_have_liked_more_of_the_same_films() {
    let served = serve();
    let mut liked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    read_interactions(&world().place.path("data/demo/interactions.parquet"), &mut |row| {
        let films = liked.entry(row.user_id.to_owned()).or_default();
        films.insert(row.movie_id.to_owned());
        Ok(())
    })
    .unwrap();
    // The share of the films that either has seen which both have.
    let common = |user: &str, others: &[String]| -> f64 {
        let own = &liked[user];
        let share = |other: &String| {
            let both = own.intersection(&liked[other]).count() as f64;
            both / (own.len() + liked[other].len()) as f64
        };
        others.iter().map(share).sum::<f64>() / others.len() as f64
    };
    let anybody: Vec<String> = liked.keys().step_by(50).cloned().collect();
    for user in ["1", "42", "777", "19999"] {
        let neighbors = ids(&served.json(&format!("/v1/users/{user}/neighbors")));
        assert!(!neighbors.contains(&user.to_owned()));
        let (like, any) = (common(user, &neighbors), common(user, &anybody));
        assert!(like > 1.5 * any, "{user}: {like:.3} of the films in common, {any:.3} with anybody");
    }
    let unknown = served.json("/v1/users/somebody-new/neighbors");
    assert_eq!((&unknown["items"], &unknown["strategy"]), (&json!([]), &json!("unavailable")));
    assert_eq!(unknown["next_cursor"], Value::Null);
}
