//! The API over real HTTP on loopback: what each route answers.

mod support;

use std::collections::HashSet;
use std::io::Write;
use std::time::{Duration, Instant};

use cinedex_recommender::EngineOptions;
use support::*;

#[test]
fn every_list_has_its_shape() {
    let world = world();
    let at = world.server.address();
    let lists = [
        ("/v1/movies?q=film", "MovieList"),
        ("/v1/movies/1/similar", "SimilarList"),
        ("/v1/users/42/recommendations?explain=true", "UserList"),
        ("/v1/users/nobody/recommendations?location=KR", "UserList"),
        ("/v1/popular?location=KR&user=42", "PopularList"),
        ("/v1/users/42/neighbors", "NeighborList"),
    ];
    let openapi = get(at, "/openapi.json").json();
    let required =
        |schema: &str| openapi["components"]["schemas"][schema]["required"].as_array().unwrap().clone();
    for (target, schema) in lists {
        let response = get(at, target);
        assert_eq!(response.status, 200, "{target} {}", response.text());
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("cache-control"), Some("private, no-cache"));
        let json = response.json();
        for field in required(schema) {
            assert!(json.get(field.as_str().unwrap()).is_some(), "{target} {field}");
        }
        assert_eq!(json["items"].as_array().unwrap().len(), 20, "{target}");
        let item_schema = if schema == "NeighborList" { "Neighbor" } else { "Item" };
        for item in json["items"].as_array().unwrap() {
            for field in required(item_schema) {
                assert!(item.get(field.as_str().unwrap()).is_some(), "{target} {field}");
            }
        }
    }
}

#[test]
fn recommendations_say_how_they_came_about() {
    let world = world();
    let at = world.server.address();
    let known = get(at, "/v1/users/42/recommendations").json();
    assert_eq!((&known["strategy"], &known["retrieval"]), (&"blended".into(), &"exact".into()));
    assert_eq!(known["location"]["answered"], "KR");
    assert_eq!(known["location"]["asked"], serde_json::Value::Null);
    let unknown = get(at, "/v1/users/nobody/recommendations?location=kr/11/Seoul&limit=1").json();
    assert_eq!(unknown["strategy"], "popular");
    let place = serde_json::json!({"asked": "KR/11/Seoul", "answered": "KR", "events": 159});
    assert_eq!(unknown["location"], place);
    assert_eq!(unknown["items"][0]["movie_id"], "10");
    let body = r#"{"history":[{"movie_id":"2"}],"location":"World"}"#;
    for everywhere in [
        get(at, "/v1/users/42/recommendations?location=world"),
        get(at, "/v1/popular?user=42&location=WORLD"),
        recommend(at, body),
    ] {
        let place = serde_json::json!({"asked": "world", "answered": "world", "events": 1830});
        assert_eq!(everywhere.json()["location"], place);
    }
    let bare = get(at, "/v1/users/nobody/recommendations").json();
    assert_eq!(bare["location"]["answered"], "world");
    let three = get(at, "/v1/users/42/recommendations?genre=drama&year_min=2004&exclude=%2e%2e").ids();
    assert_eq!(
        three.into_iter().collect::<HashSet<_>>(),
        HashSet::from(["55".into(), "57".into(), "a/b".into()])
    );
}

#[test]
fn people_of_like_taste_are_named_with_their_cosine() {
    let world = world();
    let at = world.server.address();
    let response = get(at, "/v1/users/42/neighbors?limit=14");
    let json = response.json();
    assert_eq!((&json["user_id"], &json["strategy"]), (&"42".into(), &"personalized".into()));
    assert_eq!(json["retrieval"], "exact");
    // Those of even rows have the same taste, the closer in rows the more.
    let even: Vec<String> = (44..=70).step_by(2).map(|number: u32| number.to_string()).collect();
    assert_eq!(response.ids(), even);
    let scores: Vec<f64> =
        json["items"].as_array().unwrap().iter().map(|item| item["score"].as_f64().unwrap()).collect();
    assert!(scores[0] > 0.999 && scores[13] < 0.96 && scores.is_sorted_by(|a, b| a > b), "{scores:?}");
    for unknown in ["nobody", "%20", "007"] {
        let json = get(at, &format!("/v1/users/{unknown}/neighbors")).json();
        assert_eq!((&json["items"], &json["strategy"]), (&serde_json::json!([]), &"unavailable".into()));
        assert_eq!((&json["retrieval"], &json["next_cursor"]), (&"exact".into(), &serde_json::Value::Null));
    }
    let head = send(at, b"HEAD /v1/users/42/neighbors?limit=14 HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(head.header("content-length"), Some(response.body.len().to_string().as_str()));
}

#[test]
fn a_history_in_the_request_is_folded_in() {
    let world = world();
    let at = world.server.address();
    let body = r#"{"history":[{"movie_id":"2","kind":"like"},{"movie_id":4,"kind":"rating","value":4.5},{"movie_id":"99"}],
                   "limit":5,"explain":true,"exclude":["6"],"genre":["Comedy"]}"#;
    let response = recommend(at, body);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let json = response.json();
    assert_eq!(json["unknown_movies"], serde_json::json!(["99"]));
    assert_eq!(json["next_cursor"], serde_json::Value::Null);
    let ids = response.ids();
    assert!(ids.len() == 5 && ids.iter().all(|id| !["2", "4", "6"].contains(&id.as_str())), "{ids:?}");
    for item in json["items"].as_array().unwrap() {
        let shares: f64 =
            item["reasons"].as_array().unwrap().iter().map(|r| r["share"].as_f64().unwrap()).sum();
        let sum = shares + item["remainder"].as_f64().unwrap();
        assert!((sum - item["score"].as_f64().unwrap()).abs() < 1e-4, "{item}");
    }
    assert_eq!(recommend(at, r#"{"history":[]}"#).json()["strategy"], "popular");
}

/// Follows cursors to the end.
fn walk(at: std::net::SocketAddr, target: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = target.to_owned();
    loop {
        let page = get(at, &next);
        assert_eq!(page.status, 200, "{}", page.text());
        ids.extend(page.ids());
        match page.json()["next_cursor"].as_str() {
            Some(cursor) => next = format!("{target}&cursor={cursor}"),
            None => return ids,
        }
    }
}

#[test]
fn cursors_neither_repeat_nor_skip() {
    let world = world();
    let at = world.server.address();
    for (target, count) in [
        ("/v1/movies?limit=7", MOVIES),
        ("/v1/movies?q=film&limit=7", DECIMAL),
        ("/v1/movies/1/similar?limit=7", MOVIES - 1),
        ("/v1/users/42/recommendations?limit=7&diversity=0.5", MOVIES - 2),
        ("/v1/users/nobody/recommendations?limit=7&genre=drama", MOVIES / 2),
        ("/v1/popular?limit=7&location=KR", MOVIES),
        ("/v1/popular?limit=100&user=42", MOVIES - 2),
        ("/v1/users/42/neighbors?limit=7", USERS - 1),
        ("/v1/users/a%2Fb/neighbors?limit=100", USERS - 1),
    ] {
        let ids = walk(at, target);
        assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (count, count), "{target}");
    }
}

#[test]
fn a_cursor_outlives_a_swap_and_a_foreign_one_is_refused() {
    let world = world();
    let at = world.server.address();
    let target = "/v1/users/42/recommendations?limit=5";
    let whole = get(at, "/v1/users/42/recommendations?limit=10").ids();
    let first = get(at, target).json();
    let neighbors = get(at, "/v1/users/42/neighbors?limit=5").json();
    let next = publish(&world.root, 5.0, true);
    wait_until(at, "/readyz", |response| response.json()["index_version"] == next.as_str());
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = get(at, &format!("{target}&cursor={cursor}"));
    assert_eq!(second.json()["index_version"], first["index_version"]);
    assert_eq!(second.ids(), whole[5..]);
    let of_neighbors = neighbors["next_cursor"].as_str().unwrap();
    let second = get(at, &format!("/v1/users/42/neighbors?limit=5&cursor={of_neighbors}"));
    assert_eq!(second.json()["index_version"], first["index_version"]);
    assert_eq!(second.ids(), get(at, "/v1/users/42/neighbors?limit=10").ids()[5..]);
    // Another number of items is no other list.
    assert_eq!(get(at, &format!("/v1/users/42/recommendations?limit=3&cursor={cursor}")).ids(), whole[5..8]);
    let mut changed = cursor.to_owned();
    changed.replace_range(10..11, if &cursor[10..11] == "A" { "B" } else { "A" });
    for target in [
        format!("/v1/users/nobody/recommendations?limit=5&cursor={cursor}"),
        format!("{target}&genre=Drama&cursor={cursor}"),
        format!("/v1/users/42/neighbors?limit=5&cursor={cursor}"),
        format!("{target}&cursor={of_neighbors}"),
        format!("{target}&cursor={changed}"),
        format!("{target}&cursor="),
        format!("{target}&cursor=%00%ff"),
    ] {
        let response = get(at, &target);
        assert_eq!(
            (response.status, response.json()["code"].as_str()),
            (400, Some("invalid_parameter")),
            "{target}"
        );
    }
}

#[test]
fn a_cursor_whose_bundle_is_gone_has_expired() {
    let forgetful = EngineOptions { max_kept_snapshots: 0, ..EngineOptions::default() };
    let world = world_with(&options(), forgetful);
    let at = world.server.address();
    let first = get(at, "/v1/popular?limit=5").json();
    let next = publish(&world.root, 5.0, true);
    wait_until(at, "/readyz", |response| response.json()["index_version"] == next.as_str());
    let cursor = first["next_cursor"].as_str().unwrap();
    let response = get(at, &format!("/v1/popular?limit=5&cursor={cursor}"));
    assert_eq!((response.status, response.json()["code"].as_str()), (410, Some("cursor_expired")));
}

#[test]
fn an_unchanged_answer_is_not_sent_again() {
    let world = world();
    let at = world.server.address();
    for target in
        ["/v1/users/42/recommendations", "/v1/users/42/neighbors", "/v1/movies/1", "/openapi.json", "/docs"]
    {
        let first = get(at, target);
        let etag = first.header("etag").unwrap().to_owned();
        let second = get_with(at, target, &format!("if-none-match: \"x\", W/{etag}"));
        assert_eq!((second.status, second.body.len()), (304, 0), "{target}");
        assert_eq!(second.header("etag"), Some(etag.as_str()));
        assert_eq!(get_with(at, target, "if-none-match: \"x\"").status, 200);
    }
}

#[test]
fn a_repeated_request_comes_from_the_cache() {
    let world = world();
    let at = world.server.address();
    let first = get(at, "/v1/users/42/recommendations?genre=Drama&genre=Comedy&limit=20");
    let second = get(at, "/v1/users/42/recommendations?genre=comedy&genre=drama");
    assert_eq!(first.body, second.body);
    let metrics = get(at, "/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in
        ["cinedex_cache_hits_total 1\n", "cinedex_cache_misses_total 1\n", "cinedex_bundle{version=\"2"]
    {
        assert!(metrics.text().contains(line), "{line} in\n{}", metrics.text());
    }
    let pattern = "route=\"/v1/users/{user_id}/recommendations\",method=\"GET\",status=\"200\"} 2\n";
    assert!(metrics.text().contains(pattern), "{}", metrics.text());
    assert!(metrics.text().ends_with("# EOF\n"));
}

#[test]
fn ids_travel_percent_encoded() {
    let world = world();
    let at = world.server.address();
    for (segment, id) in
        [("%2e%2e", ".."), ("..", ".."), ("a%2Fb", "a/b"), ("a%2fb", "a/b"), ("%E4%B8%83", "七")]
    {
        let response = get(at, &format!("/v1/movies/{segment}"));
        assert_eq!((response.status, response.json()["movie_id"].as_str()), (200, Some(id)), "{segment}");
        assert_eq!(get(at, &format!("/v1/movies/{segment}/similar")).json()["movie_id"], id);
    }
    assert_eq!(get(at, "/v1/users/a%2Fb/recommendations").json()["strategy"], "blended");
    assert_eq!(get(at, "/v1/movies?q=amelie").ids(), STRANGE);
    assert_eq!(get(at, "/v1/movies?q=Am%C3%A9lie+and").ids(), STRANGE);
    assert!(!get(at, "/v1/popular?limit=100&exclude=a/b&exclude=%2e%2e").ids().contains(&"a/b".to_owned()));
}

#[test]
fn a_server_without_an_index_says_so_and_takes_one_up() {
    let world = empty_world();
    let at = world.server.address();
    assert_eq!(get(at, "/livez").status, 200);
    let body = r#"{"history":[{"movie_id":"1"}]}"#;
    for response in [
        get(at, "/readyz"),
        get(at, "/v1/popular"),
        get(at, "/v1/movies/1"),
        get(at, "/v1/users/1/neighbors"),
        recommend(at, body),
    ] {
        assert_eq!((response.status, response.json()["code"].as_str()), (503, Some("not_ready")));
        assert_eq!(response.header("retry-after"), Some("1"));
    }
    publish(&world.root, 0.5, true);
    wait_until(at, "/readyz", |response| response.status == 200);
    assert_eq!(get(at, "/v1/popular").status, 200);
    // The first index is no swap, the second is one.
    let swaps = |count: u32| {
        move |response: &Response| response.text().contains(&format!("bundle_swaps_total {count}\n"))
    };
    assert!(swaps(0)(&get(at, "/metrics")));
    publish(&world.root, 0.6, true);
    wait_until(at, "/metrics", swaps(1));
}

#[test]
fn a_foreign_model_cannot_explain() {
    let world = world();
    let at = world.server.address();
    let version = publish(&world.root, 0.0, false);
    wait_until(at, "/readyz", |response| response.json()["index_version"] == version.as_str());
    let response = get(at, "/v1/users/42/recommendations?explain=true");
    assert_eq!((response.status, response.json()["code"].as_str()), (400, Some("explanation_unavailable")));
    assert_eq!(get(at, "/v1/users/42/recommendations").json()["strategy"], "personalized");
    assert_eq!(recommend(at, r#"{"history":[{"movie_id":"1"}]}"#).json()["strategy"], "folded_in");
}

#[test]
fn documentation_is_served_under_a_strict_policy() {
    let world = world();
    let at = world.server.address();
    let docs = get(at, "/docs");
    assert!(docs.header("content-type").unwrap().starts_with("text/html"));
    assert!(
        docs.header("content-security-policy").unwrap().starts_with("default-src 'none'; style-src 'sha256-")
    );
    assert!(docs.text().contains("/v1/users/{user_id}/recommendations"));
    // The examples work as they stand.
    assert!(docs.text().contains("curl 'http://test/v1/movies/1/similar?limit=5'"), "{}", docs.text());
    assert!(!docs.text().contains("localhost"));
    assert!(
        get(empty_world().server.address(), "/docs").text().contains("/v1/movies/{movie_id}/similar?limit=5")
    );
    let openapi = get(at, "/openapi.json").json();
    let history = &openapi["paths"]["/v1/recommendations"]["post"]["description"];
    assert!(history.as_str().unwrap().contains("no cursor"), "{history}");
    assert_eq!(openapi["openapi"], "3.1.0");
    // Every path of the document leads to its route.
    for (path, operations) in openapi["paths"].as_object().unwrap() {
        let target = path.replace("{movie_id}", "1").replace("{user_id}", "42");
        let expect = match operations.get("get") {
            None => 405,
            Some(_) if path.starts_with("/v1/admin/") => 403,
            Some(_) => 200,
        };
        assert_eq!(get(at, &target).status, expect, "{path}");
    }
}

#[test]
fn a_connection_serves_many_requests_and_stopping_does_not_wait_for_it() {
    let world = world();
    let mut stream = connect(world.server.address());
    for _ in 0..3 {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        assert_eq!(read_response(&mut stream, false).status, 200);
    }
    let head = send(world.server.address(), b"HEAD /v1/movies/1 HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(head.status == 200 && head.header("content-length").unwrap() != "0");
    let started = Instant::now();
    world.server.stop().unwrap();
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[test]
fn many_at_once_are_all_answered() {
    let world = world();
    let at = world.server.address();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                for request in 0..25 {
                    let user = if request % 2 == 0 { 0 } else { thread * 100 + request };
                    let response = get(at, &format!("/v1/users/{user}/recommendations?limit=5"));
                    assert_eq!((response.status, response.ids().len()), (200, 5));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
