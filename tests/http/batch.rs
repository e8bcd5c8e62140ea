//! A batch answers each request as it would be answered alone.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::served::Served;
use crate::world::serve;

fn batch(served: &Served, body: &Value) -> Answer {
    served.post("/v1/batch", "application/json", body.to_string().as_bytes())
}

fn responses(served: &Served, requests: &Value) -> Vec<Value> {
    let answer = batch(served, &json!({"requests": requests}));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.done()["responses"].as_array().unwrap().clone()
}

#[test]
fn each_answer_is_the_one_that_the_request_has_alone() {
    let served = serve();
    let targets = [
        "/v1/popular?location=KR&limit=7",
        "/v1/users/42/recommendations?limit=5&explain=true",
        "/v1/users/somebody-new/recommendations?location=NG",
        "/v1/users/42/neighbors?limit=3",
        "/v1/movies/the-godfather-1972",
        "/v1/movies/the-godfather-1972/similar?genre=Comedy",
        "/v1/movies?q=godfather",
    ];
    let history = json!({"history": [{"movie_id": "spirited-away-2001"}], "limit": 5});
    let mut requests: Vec<Value> =
        targets.iter().map(|path| json!({"method": "GET", "path": path})).collect();
    requests.push(json!({"method": "POST", "path": "/v1/recommendations", "body": history}));
    let answers = responses(&served, &requests.into());
    assert_eq!(answers.len(), 8);
    for (target, answer) in targets.iter().zip(&answers) {
        assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &served.json(target)), "{target}");
    }
    assert_eq!(answers[7]["body"], served.recommend(&history).done());
}

#[test]
fn one_that_fails_leaves_the_others_as_they_are() {
    let served = serve();
    let answers = responses(
        &served,
        &json!([
            {"path": "/v1/popular?limit=1"},
            {"path": "/v1/popular?limit=0"},
            {"path": "/v1/movies/no-such-film/similar"},
            {"path": "/v2/movies"},
            {"method": "POST", "path": "/v1/batch", "body": {"requests": []}},
            {"path": "/metrics"},
            {"method": "DELETE", "path": "/v1/movies/the-godfather-1972"},
            {"method": "POST", "path": "/v1/recommendations"},
            {"path": "/v1/popular", "body": {}},
            {"path": "/v1/popular?cursor=x"},
            {"path": "/v1/movies/%zz"},
            {"path": format!("/v1/movies?q={}", "x".repeat(40_000))},
            {"path": "/v1/popular?limit=2"}
        ]),
    );
    let codes: Vec<Value> =
        answers.iter().map(|answer| json!([answer["status"], answer["body"]["code"]])).collect();
    let expect = json!([
        [200, null],
        [400, "invalid_parameter"],
        [404, "movie_not_found"],
        [404, "route_not_found"],
        [405, "method_not_allowed"],
        [405, "method_not_allowed"],
        [405, "method_not_allowed"],
        [400, "invalid_body"],
        [400, "invalid_body"],
        [400, "invalid_parameter"],
        [400, "invalid_parameter"],
        [413, "too_large"],
        [200, null]
    ]);
    assert_eq!(json!(codes), expect);
    assert_eq!(answers[12]["body"]["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_batch_goes_through_the_same_cache_and_pages_on() {
    let served = serve();
    let first = served.json("/v1/popular?limit=5&location=NG");
    let next = format!("/v1/popular?limit=5&location=NG&cursor={}", first["next_cursor"].as_str().unwrap());
    let answers = responses(&served, &json!([{"path": "/v1/popular?location=NG&limit=5"}, {"path": next}]));
    assert_eq!(answers[0]["body"], first);
    assert_eq!(answers[1]["body"], served.json(&next));
    let metrics = served.get("/metrics").text();
    for line in ["cinedex_cache_hits_total 2\n", "cinedex_cache_misses_total 2\n"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn what_is_no_batch_is_refused_whole_with_its_place() {
    let served = serve();
    let many = vec![json!({"path": "/v1/popular"}); 101];
    batch(&served, &json!({"requests": many})).problem(400, "invalid_body", Some("requests"));
    batch(&served, &json!({})).problem(400, "invalid_body", Some("requests"));
    let unknown = json!({"requests": [{"path": "/v1/popular"}, {"path": "/v1/popular", "id": 7}]});
    batch(&served, &unknown).problem(400, "invalid_body", Some("requests[1].id"));
    assert_eq!(responses(&served, &json!([])), Vec::<Value>::new());
}
