//! An acknowledged event is in the next answer.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::ids;
use crate::world::{Live, did, westerns};

#[test]
fn a_new_user_becomes_personal_with_the_first_like() {
    let world = Live::new();
    let served = world.serve();
    let target = "/v1/users/somebody-new/recommendations?limit=10";
    // Asked twice, so that the answer is in the cache.
    let before = served.json(target);
    assert_eq!((&served.json(target), &before["strategy"]), (&before, &json!("popular")));
    assert_eq!(served.interact(&did("somebody-new", 25, "like")), (1, 0));
    let after = served.json(target);
    assert_ne!(after["strategy"], "popular", "{after}");
    assert!(!ids(&after).contains(&"25".to_owned()), "seen at once");
    assert!(westerns(&after) < westerns(&before), "a musical was liked: {after}");
    served.interact(
        &json!({"interactions": (1..=8).map(|film| did("another", film, "like")).collect::<Vec<_>>()}),
    );
    let other = served.json("/v1/users/another/recommendations?limit=10");
    assert_eq!(westerns(&other), 10, "{other}");
    assert!(ids(&other).iter().all(|id| id.parse::<u32>().unwrap() > 8));
}

#[test]
fn what_was_seen_vanishes_at_once_and_only_for_who_saw_it() {
    let world = Live::new();
    let served = world.serve();
    let target = "/v1/users/1/recommendations?limit=5";
    let (first, others) =
        (ids(&served.json(target)), ids(&served.json("/v1/users/3/recommendations?limit=40")));
    let etag = served.get(target).header("etag").unwrap().to_owned();
    assert_eq!(served.get_with(target, &[("if-none-match", &etag)]).status, 304);
    let began = Instant::now();
    served.interact(&did("1", first[0].parse().unwrap(), "watch"));
    let second = served.get_with(target, &[("if-none-match", &etag)]);
    println!("event to changed answer: {:.2} ms, by a debug build", began.elapsed().as_secs_f64() * 1e3);
    assert_eq!(second.status, 200, "the answer has changed");
    assert!(!ids(&second.done()).contains(&first[0]));
    assert!(!ids(&served.json("/v1/popular?user=1&limit=100")).contains(&first[0]));
    assert!(ids(&served.json("/v1/popular?limit=100")).contains(&first[0]));
    let seen = served.json("/v1/users/1/recommendations?limit=100&include_seen=true");
    assert!(ids(&seen).contains(&first[0]), "seen, and asked for");
    assert_eq!(ids(&served.json("/v1/users/3/recommendations?limit=40")), others);
}

#[test]
fn every_event_of_a_run_is_in_the_answer_that_follows_it() {
    let world = Live::new();
    let served = world.serve();
    for film in 1..=40 {
        served.interact(&did("runner", film, if film % 3 == 0 { "skip" } else { "watch" }));
        let list = served.json("/v1/users/runner/recommendations?limit=100");
        let left = ids(&list);
        let found = left.iter().find(|id| id.parse::<u32>().unwrap() <= film);
        assert_eq!(found, None, "film {film} was seen: {list}");
        assert_eq!(left.len(), 42 - film as usize);
    }
}

#[test]
fn a_dislike_pushes_away_and_the_latest_opinion_counts() {
    let world = Live::new();
    let served = world.serve();
    for film in 21..=26 {
        served.interact(&did("fickle", film, "like"));
    }
    let target = "/v1/users/fickle/recommendations?limit=10";
    let liked = served.json(target);
    assert!(westerns(&liked) <= 1, "{liked}");
    for film in 21..=26 {
        served.interact(&did("fickle", film, "dislike"));
        served.interact(&did("fickle", film - 20, "favorite"));
    }
    let turned = served.json(target);
    assert!(westerns(&turned) >= 9, "{turned}");
}

#[test]
fn many_write_at_once_and_each_reads_its_own() {
    let world = Live::new();
    let served = world.serve();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let served = &served;
            scope.spawn(move || {
                let user = format!("writer-{writer}");
                for film in 1..=20 {
                    served.interact(&did(&user, film, "watch"));
                    let list = ids(&served.json(&format!("/v1/users/{user}/recommendations?limit=100")));
                    assert!(!list.contains(&film.to_string()), "{user} saw {film}");
                }
                let history = served.json(&format!("/v1/users/{user}/history?limit=100"));
                assert_eq!(ids(&history), (1..=20).rev().map(|film| film.to_string()).collect::<Vec<_>>());
            });
        }
    });
    println!("320 single events and as many reads from 16 threads: {:.2} s", began.elapsed().as_secs_f64());
    assert!(began.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_restart_keeps_everything_that_was_acknowledged() {
    let world = Live::new();
    let served = world.serve();
    for film in [21, 22, 23] {
        served.interact(&did("keeper", film, "like"));
    }
    let target = "/v1/users/keeper/recommendations?limit=10";
    let (list, history) = (served.json(target), served.json("/v1/users/keeper/history"));
    // Dropping it kills it without a warning.
    drop(served);
    let served = world.serve();
    assert_eq!(served.json(target), list);
    assert_eq!(served.json("/v1/users/keeper/history"), history);
}
