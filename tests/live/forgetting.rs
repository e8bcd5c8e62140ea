//! Who is forgotten is gone at once, and stays gone.

use serde_json::{Value, json};

use crate::support::client::ids;
use crate::support::served::Served;
use crate::world::{Live, did};

fn forget(served: &Served, user: &str) -> Value {
    served.send("DELETE", &format!("/v1/users/{user}"), None).done()
}

/// What somebody gets of whom nothing is known.
fn check_unknown(served: &Served, user: &str) {
    let list = served.json(&format!("/v1/users/{user}/recommendations?limit=42"));
    assert_eq!((&list["strategy"], ids(&list).len()), (&json!("popular"), 42), "{list}");
    let neighbors = served.json(&format!("/v1/users/{user}/neighbors"));
    assert_eq!((&neighbors["strategy"], &neighbors["items"]), (&json!("unavailable"), &json!([])));
    assert_eq!(served.json(&format!("/v1/users/{user}/history"))["items"], json!([]));
    assert_eq!(ids(&served.json(&format!("/v1/popular?user={user}&limit=100"))).len(), 42, "nothing is seen");
}

#[test]
fn a_user_of_the_index_is_gone_at_once_and_after_a_restart() {
    let world = Live::new();
    let served = world.serve();
    served.interact(&did("1", 30, "watch"));
    let known = served.json("/v1/users/1/recommendations?limit=5");
    assert_ne!(known["strategy"], "popular");
    // In the cache, with the user in it.
    let others = || {
        let of = |user: u32| ids(&served.json(&format!("/v1/users/{user}/neighbors?limit=100")));
        (3..=9).step_by(2).flat_map(of).filter(|id| id == "1").count()
    };
    assert_eq!(others(), 4);
    let receipt = forget(&served, "1");
    assert_eq!(
        (&receipt["user_id"], &receipt["removed"]),
        (&json!("1"), &json!({"interactions": 1, "index": true}))
    );
    assert!(
        receipt["position"].as_u64().unwrap() > 0 && receipt["bytes_leave"]["index"].is_string(),
        "{receipt}"
    );
    check_unknown(&served, "1");
    assert_eq!(others(), 0, "nobody is told of who was forgotten");
    drop(served);
    let served = world.serve();
    check_unknown(&served, "1");
    served.interact(&did("1", 2, "like"));
    let list = served.json("/v1/users/1/recommendations?limit=100");
    assert_eq!(ids(&list).len(), 41, "what comes later starts afresh: {list}");
    assert_eq!(ids(&served.json("/v1/users/1/history")), ["2"]);
}

#[test]
fn who_came_while_serving_is_forgotten_too() {
    let world = Live::new();
    let served = world.serve();
    let events: Vec<Value> = (1..=5).map(|film| did("guest", film, "like")).collect();
    served.interact(&json!({"interactions": events}));
    let receipt = forget(&served, "guest");
    assert_eq!(receipt["removed"], json!({"interactions": 5, "index": false}));
    assert!(
        receipt["bytes_leave"]["log"].is_string() && receipt["bytes_leave"].get("index").is_none(),
        "{receipt}"
    );
    check_unknown(&served, "guest");
    let again = forget(&served, "guest");
    assert_eq!(again["removed"]["interactions"], 0);
    let never = forget(&served, "never-here");
    assert_eq!(never["removed"], json!({"interactions": 0, "index": false}));
}
