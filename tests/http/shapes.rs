//! Every route answers in the shape of the contract.

use serde_json::{Value, json};

use crate::support::client::ids;
use crate::world::{serve, world};

const GODFATHER: &str = "the-godfather-1972";

/// A list with its items, whose source is one of `sources`; the items.
#[track_caller]
fn check_list(list: &Value, sources: &[&str]) -> Vec<Value> {
    assert!(list["next_cursor"].is_string() || list["next_cursor"].is_null(), "{list}");
    assert!(list["index_version"].as_str().is_some_and(|version| version.len() == 25), "{list}");
    let items = list["items"].as_array().unwrap();
    assert!(!items.is_empty(), "{list}");
    for item in items {
        let film = &world().films[item["movie_id"].as_str().unwrap()];
        for field in ["title", "year", "genres"] {
            assert_eq!(item[field], film[field], "{field} of {item}");
        }
        if sources.is_empty() {
            continue;
        }
        assert!(item["score"].as_f64().unwrap().is_finite(), "{item}");
        assert!(sources.contains(&item["source"].as_str().unwrap()), "{item}");
        assert!(item.get("reasons").is_none(), "only when asked: {item}");
    }
    let scores: Vec<f64> = items.iter().filter_map(|item| item["score"].as_f64()).collect();
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "best first: {scores:?}");
    items.clone()
}

#[test]
fn lists_have_the_shape_of_the_contract() {
    let served = serve();
    let similar = served.json(&format!("/v1/movies/{GODFATHER}/similar"));
    assert_eq!(check_list(&similar, &["similar"]).len(), 20, "twenty by default");
    assert_eq!(similar["movie_id"], GODFATHER);
    assert!(["exact", "graph"].contains(&similar["retrieval"].as_str().unwrap()));
    let popular = served.json("/v1/popular?location=KR&limit=7");
    assert_eq!(check_list(&popular, &["popular"]).len(), 7);
    let place = &popular["location"];
    assert_eq!((&place["asked"], &place["answered"]), (&json!("KR"), &json!("KR")));
    assert!(place["events"].as_u64().unwrap() > 1000, "{place}");
    let known = served.json("/v1/users/42/recommendations?limit=100");
    assert_eq!(check_list(&known, &["taste", "popular"]).len(), 100);
    assert_eq!(known["user_id"], "42");
    assert!(
        ["personalized", "blended"].contains(&known["strategy"].as_str().unwrap()),
        "{}",
        known["strategy"]
    );
    assert!(["exact", "graph"].contains(&known["retrieval"].as_str().unwrap()));
    assert_eq!(known["location"]["asked"], Value::Null);
    let body = json!({"history": [{"movie_id": GODFATHER, "kind": "like"}], "limit": 5});
    let folded = served.recommend(&body).done();
    assert_eq!(check_list(&folded, &["taste", "popular"]).len(), 5);
    assert!(["folded_in", "blended"].contains(&folded["strategy"].as_str().unwrap()));
    check_list(&served.json("/v1/movies?q=the&limit=50"), &[]);
    let neighbors = served.json("/v1/users/42/neighbors");
    assert_eq!(neighbors["index_version"], known["index_version"]);
    assert!(neighbors["next_cursor"].is_string(), "{neighbors}");
    assert_eq!((&neighbors["user_id"], &neighbors["strategy"]), (&json!("42"), &json!("personalized")));
    assert!(["exact", "graph"].contains(&neighbors["retrieval"].as_str().unwrap()));
    let items = neighbors["items"].as_array().unwrap();
    let scores: Vec<f64> = items.iter().map(|item| item["score"].as_f64().unwrap()).collect();
    assert!(scores.len() == 20 && scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(scores.iter().all(|score| (-1.0..=1.0).contains(score)), "{scores:?}");
    assert!(items.iter().all(|item| item.as_object().unwrap().len() == 2 && item["user_id"].is_string()));
}

#[test]
fn a_movie_is_told_with_all_its_facts() {
    let films = &world().films;
    assert!(films.len() > 900, "{} films", films.len());
    let film = &films[GODFATHER];
    let expect = json!({"movie_id": GODFATHER, "title": "The Godfather", "year": 1972, "countries": ["US"]});
    for (field, value) in expect.as_object().unwrap() {
        assert_eq!(&film[field], value, "{field}");
    }
    assert!(film["runtime_minutes"].as_u64().is_some_and(|minutes| (170..=180).contains(&minutes)), "{film}");
    assert!(film["genres"].as_array().unwrap().contains(&"Crime".into()));
    assert!(film["index_version"].is_string());
    for film in films.values() {
        assert!(
            film["title"].as_str().is_some_and(|title| !title.is_empty()) && film["year"].is_u64(),
            "{film}"
        );
        assert!(
            !film["genres"].as_array().unwrap().is_empty()
                && !film["countries"].as_array().unwrap().is_empty(),
            "{film}"
        );
    }
}

#[test]
fn similar_to_the_godfather_reads_like_it() {
    let served = serve();
    let similar = served.json(&format!("/v1/movies/{GODFATHER}/similar?limit=10"));
    let ids = ids(&similar);
    assert!(ids[..3].contains(&"the-godfather-part-ii-1974".to_owned()), "{ids:?}");
    assert!(!ids.contains(&GODFATHER.to_owned()), "not itself");
    let crime = ids.iter().filter(|id| world().films[*id]["genres"].to_string().contains("Crime")).count();
    assert!(crime >= 7, "{crime} of ten are crime films: {ids:?}");
}

#[test]
fn titles_are_found_by_beginnings_accents_and_typing_errors() {
    let served = serve();
    for (query, expect) in [
        ("the+godfather", GODFATHER),
        ("THE%20GODFATHER", GODFATHER),
        ("godfater", GODFATHER),
        ("parasite", "parasite-2019"),
        ("parasit", "parasite-2019"),
        ("%EC%84%9C%EC%9A%B8%EC%9D%98%20%EB%B4%84", "12-12-the-day-2023"),
    ] {
        let found = ids(&served.json(&format!("/v1/movies?q={query}&limit=5")));
        assert!(found.contains(&expect.to_owned()), "{query}: {found:?}");
    }
    assert_eq!(served.json("/v1/movies?q=qqqqqqqqqqqqqqqq")["items"], json!([]));
}

#[test]
fn health_metrics_and_documentation_are_there() {
    let served = serve();
    assert_eq!(served.json("/livez")["status"], "live");
    let ready = served.json("/readyz");
    assert_eq!(ready["movies"].as_u64(), Some(world().films.len() as u64));
    assert!(ready["users"].as_u64().unwrap() >= 15_000, "{ready}");
    let version = ready["index_version"].as_str().unwrap();
    served.json("/v1/popular");
    let metrics = served.get("/metrics");
    assert!(metrics.header("content-type").unwrap().contains("openmetrics-text"));
    let text = metrics.text();
    for line in [version, "route=\"/v1/popular\"", "# EOF"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let docs = served.get("/docs");
    assert!(docs.status == 200 && docs.header("content-type").unwrap().starts_with("text/html"));
    let openapi = served.json("/openapi.json");
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3."));
    for path in [
        "/v1/movies",
        "/v1/movies/{movie_id}",
        "/v1/movies/{movie_id}/similar",
        "/v1/users/{user_id}/recommendations",
        "/v1/users/{user_id}/neighbors",
        "/v1/recommendations",
        "/v1/popular",
        "/v1/trending",
        "/v1/interactions",
        "/v1/users/{user_id}/history",
        "/v1/users/{user_id}",
        "/v1/batch",
        "/livez",
        "/readyz",
        "/metrics",
    ] {
        assert!(openapi["paths"][path].is_object(), "{path} is described");
        assert!(docs.text().contains(path), "{path} is documented");
    }
}

#[test]
fn an_unchanged_answer_is_not_sent_again() {
    let served = serve();
    for target in [
        "/v1/popular",
        "/v1/users/42/recommendations",
        "/v1/users/42/neighbors",
        "/v1/movies/the-godfather-1972",
        "/openapi.json",
    ] {
        let first = served.get(target);
        let tag = first.header("etag").unwrap_or_else(|| panic!("{target} has no ETag")).to_owned();
        let again = served.get_with(target, &[("if-none-match", &tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{target}");
        assert_eq!(again.header("etag"), Some(tag.as_str()));
        let other = served.get_with(target, &[("if-none-match", "\"another\"")]);
        assert_eq!((other.status, other.body), (200, first.body), "{target}");
    }
}

#[test]
fn a_request_id_comes_back() {
    let served = serve();
    assert_eq!(
        served.get_with("/v1/popular", &[("x-request-id", "abc-1")]).header("x-request-id"),
        Some("abc-1")
    );
    assert!(served.get("/v1/popular").header("x-request-id").is_some_and(|id| id.len() >= 8));
}
