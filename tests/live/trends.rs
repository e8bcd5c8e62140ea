//! What is popular and what is rising follow what happens.

use serde_json::{Value, json};

use crate::support::client::ids;
use crate::support::wait_for;
use crate::world::{Live, did};

fn at(mut event: Value, place: &str) -> Value {
    event["location"] = place.into();
    event
}

#[test]
fn a_local_hit_trends_there_and_what_is_popular_by_the_day_follows() {
    let world = Live::new();
    let served = world.serve();
    let hit: Vec<Value> =
        (0..400).map(|user| at(did(&format!("a{user}"), 33, "like"), "AA/X/Hitville")).collect();
    let rest: Vec<Value> = (0..400)
        .map(|user| {
            at(
                did(&format!("b{user}"), 1 + user % 32, "like"),
                if user % 2 == 0 { "BB" } else { "AA/X/Hitville" },
            )
        })
        .collect();
    served.interact(&json!({"interactions": rest}));
    served.interact(&json!({"interactions": hit}));
    let trending = |place: &str| served.json(&format!("/v1/trending?location={place}&limit=5"));
    let there = wait_for("the hit", || {
        let list = trending("AA/X/Hitville");
        (ids(&list).first().map(String::as_str) == Some("33")).then_some(list)
    });
    assert!(there["location"]["events"].as_u64().unwrap() > 0, "{there}");
    assert!(!ids(&trending("BB")).contains(&"33".to_owned()), "and nowhere else");
    let day = wait_for("the popular of the day", || {
        let list = served.json("/v1/popular?location=AA/X/Hitville&window=day&limit=5");
        (ids(&list).first().map(String::as_str) == Some("33")).then_some(list)
    });
    assert_eq!(day["items"][0]["source"], "popular");
    for window in ["week", "month", "all"] {
        served.json(&format!("/v1/popular?window={window}&limit=5"));
    }
    served.get("/v1/popular?window=year").problem(400, "invalid_parameter", Some("window"));
    let filtered = served.json("/v1/trending?location=AA/X/Hitville&genre=Western&limit=42");
    assert!(ids(&filtered).iter().all(|id| id.parse::<u32>().unwrap() <= 20), "{filtered}");
    let seen = served.json("/v1/trending?location=AA/X/Hitville&user=a1&limit=42");
    assert!(!ids(&seen).contains(&"33".to_owned()), "seen by that user");
}
