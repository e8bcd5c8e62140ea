//! What is sent again counts once.

use serde_json::json;

use crate::support::client::ids;
use crate::world::{Live, did};

#[test]
fn an_event_id_counts_once_for_a_user_also_after_a_restart() {
    let world = Live::new();
    let served = world.serve();
    let named = |user: &str, film: u32, id: &str| {
        let mut event = did(user, film, "like");
        event["event_id"] = id.into();
        event
    };
    assert_eq!(served.interact(&named("u", 1, "e-1")), (1, 0));
    assert_eq!(served.interact(&named("u", 1, "e-1")), (0, 1));
    assert_eq!(served.interact(&named("v", 1, "e-1")), (1, 0), "the name is the user's own");
    let several = json!({"interactions": [named("u", 2, "e-2"), named("u", 1, "e-1"), named("u", 2, "e-2"), did("u", 3, "like")]});
    assert_eq!(served.interact(&several), (2, 2));
    assert_eq!(served.interact(&did("u", 3, "like")), (1, 0), "without a name each counts");
    drop(served);
    let served = world.serve();
    assert_eq!(served.interact(&named("u", 2, "e-2")), (0, 1));
    assert_eq!(ids(&served.json("/v1/users/u/history")), ["3", "3", "2", "1"]);
}

#[test]
fn an_idempotency_key_counts_a_request_once_and_no_other_request() {
    let world = Live::new();
    let served = world.serve();
    let key = [("Idempotency-Key", "order-77")];
    let body = json!({"interactions": [did("u", 1, "like"), did("u", 2, "like")]});
    let first = served.post_with("/v1/interactions", &body, &key).done();
    assert_eq!(first, json!({"accepted": 2, "duplicates": 0}));
    for _ in 0..3 {
        served.post_with("/v1/interactions", &body, &key).done();
    }
    let other = json!({"interactions": [did("u", 1, "like")]});
    served.post_with("/v1/interactions", &other, &key).problem(409, "idempotency_mismatch", None);
    assert_eq!(ids(&served.json("/v1/users/u/history")), ["2", "1"]);
    drop(served);
    let served = world.serve();
    served.post_with("/v1/interactions", &body, &key).done();
    assert_eq!(ids(&served.json("/v1/users/u/history")), ["2", "1"], "also after a restart");
    for wrong in ["", "two words", &"k".repeat(257)] {
        let answer = served.post_with("/v1/interactions", &other, &[("idempotency-key", wrong)]);
        answer.problem(400, "invalid_parameter", Some("Idempotency-Key"));
    }
}
