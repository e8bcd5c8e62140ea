//! The quality bars, through the built program on the fixed splits (`CINEDEX_SHARED`): popularity to the last digit, iALS at
//! 64 dimensions above its bar, and training that repeats itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use serde_json::Value;
use support::fixture::Fixture;
use support::{Place, shared, text};

/// Judges on a split under strong generalisation.
fn strong(shared: &Path, split: &str, more: &[&str]) -> Value {
    let file = |name: &str| text(&shared.join("splits").join(split).join(name));
    let (train, fold_in, held_out) = (file("train.csv"), file("test_tr.csv"), file("test_te.csv"));
    let files = ["evaluate", "--train", &train, "--fold-in", &fold_in, "--held-out", &held_out];
    Place::new().json(&[&files[..], more].concat())
}

fn metric(judged: &Value, name: &str) -> f64 {
    judged["metrics"][name].as_f64().unwrap_or_else(|| panic!("no {name} in {judged}"))
}

/// The document has the shape of the design.
fn check_shape(judged: &Value, model: &str) {
    assert_eq!(judged["model"], model);
    assert!(judged["users"].as_u64().unwrap() > 0, "{judged}");
    for seconds in ["train_seconds", "evaluate_seconds"] {
        assert!(judged[seconds].as_f64().unwrap() >= 0.0, "{seconds} in {judged}");
    }
    for (name, value) in judged["metrics"].as_object().unwrap() {
        let value = value.as_f64().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{name} in {judged}");
        assert!(value <= 1.0 || name.starts_with("mean_popularity@"), "{name} in {judged}");
    }
    assert!(
        judged["metrics"].as_object().unwrap().keys().any(|name| name.starts_with("coverage@")),
        "{judged}"
    );
}

#[test]
fn popularity_prints_the_known_figures() {
    let Some(shared) = shared() else { return };
    for (split, expect) in
        [("ml-1m", ["0.17792", "0.23970", "0.21059"]), ("ml-latest-small", ["0.17035", "0.24785", "0.21327"])]
    {
        let judged = strong(&shared, split, &["--model", "popularity"]);
        check_shape(&judged, "popularity");
        assert_eq!(judged["dimension"], Value::Null);
        let found =
            ["recall@20", "recall@50", "ndcg@100"].map(|name| format!("{:.5}", metric(&judged, name)));
        assert_eq!(found, expect, "{split}");
    }
}

#[test]
fn popularity_of_the_time_prints_the_known_figures() {
    let Some(shared) = shared() else { return };
    let file = |name: &str| text(&shared.join("splits/ml-1m-temporal-global").join(name));
    let (train, held_out) = (file("train.csv"), file("test.csv"));
    let models = ["--model", "recent-popularity", "--model", "popularity"];
    let judged =
        Place::new().json(&[&["evaluate", "--train", &train, "--held-out", &held_out], &models[..]].concat());
    // The table of anchors has .1911 for recent popularity; counted apart from this program on the same files it is .19094,
    // whatever the rule of ties.
    for (position, model, expect) in
        [(0, "recent-popularity", ["0.1909", "0.0567"]), (1, "popularity", ["0.1779", "0.0457"])]
    {
        let one = &judged[position];
        check_shape(one, model);
        let found = ["ndcg@10", "recall@10"].map(|name| format!("{:.4}", metric(one, name)));
        assert_eq!(found, expect, "{model}");
    }
}

#[test]
fn ials_of_64_dimensions_reaches_its_bar_on_ml_1m() {
    let Some(shared) = shared() else { return };
    let judged = strong(&shared, "ml-1m", &["--model", "ials", "--dim", "64"]);
    check_shape(&judged, "ials");
    assert_eq!(judged["dimension"], 64);
    let (recall, ndcg) = (metric(&judged, "recall@20"), metric(&judged, "ndcg@100"));
    println!(
        "ml-1m, iALS, 64 dimensions: recall@20 {recall:.4}, ndcg@100 {ndcg:.4}, {} s",
        judged["train_seconds"]
    );
    assert!(recall >= 0.335, "recall@20 {recall}");
    assert!(ndcg >= 0.410, "ndcg@100 {ndcg}");
}

#[test]
fn a_judgement_repeats_itself_for_a_seed_whatever_the_threads() {
    let Some(shared) = shared() else { return };
    let judge = |seed: &str, threads: &str| {
        let settings = ["--dim", "16", "--epochs", "4", "--seed", seed, "--threads", threads];
        strong(&shared, "ml-latest-small", &settings)["metrics"].clone()
    };
    let once = judge("1", "1");
    assert_eq!(judge("1", "1"), once);
    assert_eq!(judge("1", "2"), once);
    assert_ne!(judge("2", "1"), once, "the seed counts");
}

#[test]
fn training_writes_the_same_embeddings_for_a_seed() {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]).done();
    let train = |model: &str, seed: &str| {
        place
            .run(&["train", "films", "--dim", "8", "--epochs", "5", "--model", model, "--seed", seed])
            .done();
        ["movie", "user"].map(|table| {
            std::fs::read(place.path(&format!("data/films/models/{model}/{table}_embeddings.parquet")))
                .unwrap()
        })
    };
    let once = train("one", "5");
    assert_eq!(train("two", "5"), once);
    assert_ne!(train("three", "6"), once);
}

#[test]
fn held_out_files_are_read_last() {
    let place = Place::new();
    let train = place.write("train.csv", "user,item\n1,10\n1,11\n2,10\n");
    let fold_in = place.write("fold_in.csv", "user,item\n3,10\n");
    let broken = place.write("held_out.csv", "user,item\n3,\n");
    let arguments = [
        "evaluate",
        "--train",
        &train,
        "--fold-in",
        &fold_in,
        "--held-out",
        &broken,
        "--model",
        "popularity",
    ];
    place.run(&arguments).refused(&["held_out.csv", "line 2"]);
    place.write("held_out.csv", "user,item\n3,11\n");
    let judged = place.json(&arguments);
    assert_eq!(
        (metric(&judged, "recall@20"), metric(&judged, "ndcg@100"), judged["users"].as_u64()),
        (1.0, 1.0, Some(1))
    );
}
