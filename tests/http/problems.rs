//! Every error is a problem document: each code that the service describes is provoked here, but for its own failure, overload and a
//! full disk.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Place;
use crate::support::fixture::ready;
use crate::support::served::Served;
use crate::support::wait_for;
use crate::world::serve;

#[test]
fn every_code_is_answered_as_described() {
    let served = serve();
    let mut seen = BTreeSet::new();
    let mut check = |answer: crate::support::client::Answer, status: u16, code: &str, field: Option<&str>| {
        answer.problem(status, code, field);
        seen.insert(code.to_owned());
    };
    check(served.get("/v1/popular?limit=0"), 400, "invalid_parameter", Some("limit"));
    check(served.get("/v1/popular?limt=5"), 400, "unknown_parameter", Some("limt"));
    check(served.recommend(&json!({})), 400, "invalid_body", Some("history"));
    check(served.get("/v1/movies/no-such-film"), 404, "movie_not_found", None);
    check(served.get("/v1/movies/no-such-film/similar"), 404, "movie_not_found", None);
    check(served.get("/v2/movies"), 404, "route_not_found", None);
    check(served.get("/v1/recommendations"), 405, "method_not_allowed", None);
    check(served.get(&format!("/v1/movies?q={}", "x".repeat(40_000))), 413, "too_large", None);
    check(served.post("/v1/recommendations", "text/plain", b"{}"), 415, "unsupported_media_type", None);
    check(foreign_cursor(&served), 410, "cursor_expired", None);
    check(unexplained(), 400, "explanation_unavailable", None);
    let empty = Place::new();
    let waiting = Served::spawn(empty.command(&["serve", "--bind", "127.0.0.1:0"]));
    assert_eq!(waiting.get("/livez").status, 200, "alive, though not ready");
    let not_ready = waiting.get("/readyz");
    assert_eq!(not_ready.header("retry-after"), Some("1"));
    check(not_ready, 503, "not_ready", None);
    check(waiting.get("/v1/popular"), 503, "not_ready", None);
    check(stalled(&empty), 408, "request_timeout", None);
    check(reused_key(&served), 409, "idempotency_mismatch", None);
    check(without_log(), 503, "feedback_disabled", None);
    check(waiting.get("/v1/admin/tasks"), 403, "admin_disabled", None);
    drop(waiting);
    let guarded = guarded(&empty);
    check(guarded.get("/v1/admin/tasks"), 401, "unauthorized", None);
    let reader = [("authorization", "Bearer the-key-of-a-reader")];
    check(guarded.get_with("/v1/admin/tasks", &reader), 403, "forbidden", None);
    check(guarded.get_with("/v1/admin/tasks", &reader), 429, "rate_limited", None);
    let told = Command::new("kill").args(["-TERM", &guarded.process().to_string()]).status().unwrap();
    assert!(told.success());
    let draining = wait_for("draining", || {
        let answer = guarded.get("/readyz");
        (answer.json()["code"] != "not_ready").then_some(answer)
    });
    check(draining, 503, "draining", None);
    let openapi = served.json("/openapi.json");
    let described =
        openapi["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    let described: BTreeSet<String> =
        described.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    seen.extend(["internal", "overloaded", "storage_full"].map(str::to_owned));
    // Provoked where the operations can be told what to refuse: tests/server/admin.rs.
    let operators =
        ["version_not_found", "version_live", "version_unusable", "task_not_found", "task_running"];
    seen.extend(operators.map(str::to_owned));
    assert_eq!(seen, described, "a code without a test, or one that is not described");
}

/// A cursor of one server, given to another one that never had its bundle.
fn foreign_cursor(served: &Served) -> crate::support::client::Answer {
    let first = served.json("/v1/popular?limit=5");
    let cursor = first["next_cursor"].as_str().unwrap();
    let place = ready();
    Served::start(&place).get(&format!("/v1/popular?limit=5&cursor={cursor}"))
}

/// Two requests under one key.
fn reused_key(served: &Served) -> crate::support::client::Answer {
    let liked = |movie: &str| json!({"user_id": "u", "movie_id": movie, "kind": "like"});
    let post = |body: Value| served.post_with("/v1/interactions", &body, &[("idempotency-key", "k")]);
    post(liked("parasite-2019")).done();
    post(liked("the-godfather-1972"))
}

/// A server that only reads.
fn without_log() -> crate::support::client::Answer {
    let place = Place::new();
    let served = Served::spawn(place.command(&["serve", "--bind", "127.0.0.1:0", "--read-only"]));
    served.send("DELETE", "/v1/users/42", None)
}

/// A model that says nothing of fold-in, as trainers elsewhere write them.
fn unexplained() -> crate::support::client::Answer {
    let place = ready();
    let model = place.path("data/films/models");
    std::fs::create_dir(model.join("foreign")).unwrap();
    for table in ["movie_embeddings.parquet", "user_embeddings.parquet"] {
        std::fs::copy(model.join("ials").join(table), model.join("foreign").join(table)).unwrap();
    }
    place.run(&["index", "build", "films", "--model", "foreign"]).done();
    let served = Served::start(&place);
    let list = served.json("/v1/users/1/recommendations?limit=5");
    assert_eq!((&list["strategy"], list["items"].as_array().unwrap().len()), (&json!("personalized"), 5));
    served.get("/v1/users/1/recommendations?explain=true")
}

/// A server with keys and limits.
fn guarded(place: &Place) -> Served {
    let digest = cinedex_server::hash_key("the-key-of-a-reader");
    let key = format!("[[key]]\nname = \"app\"\nscope = \"read\"\nsha256 = \"{digest}\"\ncreated = \"\"\n");
    place.write("keys.toml", key);
    let settings = ["--set", "rate_limit=1", "--set", "drain_seconds=60"];
    let mut command = place.command(&[&["serve", "--bind", "127.0.0.1:0"][..], &settings].concat());
    command.env("CINEDEX_ADMIN_KEY", "the-key-of-the-operator");
    Served::spawn(command)
}

/// A body that never comes.
fn stalled(place: &Place) -> crate::support::client::Answer {
    let settings = ["--read-only", "--set", "request_timeout_ms=200"];
    let served = Served::spawn(place.command(&[&["serve", "--bind", "127.0.0.1:0"][..], &settings].concat()));
    let head = "POST /v1/recommendations HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    served.raw(head.as_bytes()).unwrap()
}

#[test]
fn every_route_refuses_a_parameter_that_it_does_not_have() {
    let served = serve();
    let openapi = served.json("/openapi.json");
    let mut checked = 0;
    for (path, operations) in openapi["paths"].as_object().unwrap() {
        if path.starts_with("/v1/admin/") {
            continue;
        }
        let target = path.replace("{movie_id}", "parasite-2019").replace("{user_id}", "42");
        if operations.get("get").is_some() {
            let problem =
                served.get(&format!("{target}?colour=red")).problem(400, "unknown_parameter", Some("colour"));
            assert!(problem["detail"].as_str().unwrap().contains("colour"), "{problem}");
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} routes");
    served.post("/v1/recommendations?limit=5", "application/json", b"{\"history\":[]}").problem(
        400,
        "unknown_parameter",
        Some("limit"),
    );
}

#[test]
fn fields_of_a_body_are_refused_by_name() {
    let served = serve();
    let check = |body: Value, field: &str| {
        served.recommend(&body).problem(400, "invalid_body", Some(field));
    };
    check(json!({"history": [], "colour": "red"}), "colour");
    check(json!({"history": [], "cursor": "x"}), "cursor");
    check(json!({"history": "all"}), "history");
    check(json!({"history": [{"movie_id": "parasite-2019", "stars": 5}]}), "history[0].stars");
    check(json!({"history": [{"kind": "like"}]}), "history[0].movie_id");
    check(json!({"history": [{"movie_id": "a"}, {"movie_id": "b", "kind": "adore"}]}), "history[1].kind");
    check(
        json!({"history": [{"movie_id": "parasite-2019", "kind": "rating", "value": 99}]}),
        "history[0].value",
    );
    check(json!({"history": [], "limit": 101}), "limit");
    check(json!({"history": [], "diversity": 2}), "diversity");
    check(json!({"history": [], "location": "Narnia"}), "location");
}

#[test]
fn values_that_cannot_be_are_refused_by_name() {
    let served = serve();
    for (field, value) in [
        ("limit", "101"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", "1000000000"),
        ("year_min", "x"),
        ("runtime_max", "-5"),
        ("max_age", "300"),
        ("adult", "maybe"),
        ("include_seen", "1"),
        ("diversity", "NaN"),
        ("diversity", "1.5"),
        ("explain", "yes"),
        ("exclude", ""),
    ] {
        served.get(&format!("/v1/users/42/recommendations?{field}={value}")).problem(
            400,
            "invalid_parameter",
            Some(field),
        );
    }
    served.get("/v1/popular?limit=5&limit=6").problem(400, "invalid_parameter", Some("limit"));
}

#[test]
fn a_change_with_a_parameter_that_its_route_does_not_have_is_not_made() {
    let served = serve();
    for target in ["/v1/movies/parasite-2019?dry_run=true", "/v1/users/42?dry_run=true"] {
        served.send("DELETE", target, None).problem(400, "unknown_parameter", Some("dry_run"));
    }
    served.json("/v1/movies/parasite-2019");
}

#[test]
fn a_wrong_method_names_the_right_ones() {
    let served = serve();
    for (method, target, allow) in [
        ("PATCH", "/v1/movies/parasite-2019", "GET, HEAD, PUT, DELETE"),
        ("GET", "/v1/users/42", "DELETE"),
        ("PUT", "/v1/popular", "GET, HEAD"),
        ("PATCH", "/v1/recommendations", "POST"),
        ("GET", "/v1/recommendations", "POST"),
    ] {
        let line = crate::support::client::request_line(method, target.as_bytes());
        let answer = served.raw(&line).unwrap();
        answer.problem(405, "method_not_allowed", None);
        assert_eq!(answer.header("allow"), Some(allow), "{method} {target}");
    }
}
