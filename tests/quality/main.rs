//! The quality bars, through the built program on the fixed splits (`CINEDEX_SHARED`): popularity to the last digit, EASE and
//! item-kNN at their known figures, iALS at 64 dimensions above its bar, and training that repeats itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::HashSet;
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
        let is_share = !name.starts_with("mean_popularity@") && !name.starts_with("novelty@");
        assert!(value <= 1.0 || !is_share, "{name} in {judged}");
    }
    for metric in
        ["recall@", "ndcg@", "mrr@", "coverage@", "mean_popularity@", "novelty@", "intra_list_diversity@"]
    {
        let metrics = judged["metrics"].as_object().unwrap();
        assert!(metrics.keys().any(|name| name.starts_with(metric)), "no {metric} in {judged}");
    }
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

/// Figures of other implementations on the same files; each model is paired with the first.
#[test]
fn ease_and_item_knn_print_the_known_figures() {
    let Some(shared) = shared() else { return };
    let models =
        ["--model", "ease", "--model", "item-knn", "--neighbors", "150", "--neighbor-shrinkage", "0"];
    let check = |judged: &Value, model: &str, expect: [f64; 3]| {
        check_shape(judged, model);
        for (name, expect) in ["recall@20", "recall@50", "ndcg@100"].into_iter().zip(expect) {
            let found = metric(judged, name);
            assert!((found - expect).abs() < 0.002, "{model}: {name} is {found}, not {expect}");
        }
    };
    let settings = |regularization| ["--ease-dropout", "0", "--ease-regularization", regularization];
    let judged = strong(&shared, "ml-1m", &[&models[..], &settings("600")].concat());
    check(&judged[0], "ease", [0.3451, 0.4584, 0.4116]);
    check(&judged[1], "item-knn", [0.2898, 0.3958, 0.3557]);
    assert!(judged[0].get("paired").is_none(), "{judged}");
    let paired = &judged[1]["paired"];
    let ndcg = &paired["metrics"]["ndcg@100"];
    assert_eq!((&paired["against"], &ndcg["within_noise"]), (&"ease".into(), &false.into()));
    let difference = metric(&judged[1], "ndcg@100") - metric(&judged[0], "ndcg@100");
    assert!((ndcg["difference"].as_f64().unwrap() - difference).abs() < 1e-9, "{paired}");
    // Paired, the error is far below that of either mean.
    let error = judged[0]["standard_errors"]["ndcg@100"].as_f64().unwrap();
    assert!(ndcg["standard_error"].as_f64().unwrap() < 0.7 * error, "{paired} {error}");
    let judged = strong(&shared, "ml-latest-small", &[&models[..2], &settings("100")].concat());
    check(&judged, "ease", [0.296, 0.401, 0.342]);
}

#[test]
fn a_model_against_itself_is_within_noise() {
    let Some(shared) = shared() else { return };
    let models = ["--model", "popularity", "--model", "popularity"];
    let judged = strong(&shared, "ml-latest-small", &models);
    let metrics = judged[1]["paired"]["metrics"].as_object().unwrap();
    let same = |difference: &Value| difference["difference"] == 0.0 && difference["within_noise"] == true;
    assert!(!metrics.is_empty() && metrics.values().all(same), "{judged}");
}

#[test]
fn validation_files_end_training_at_its_best_epoch() {
    let Some(shared) = shared() else { return };
    let file = |name: &str| text(&shared.join("splits/ml-latest-small").join(name));
    let (fold_in, held_out) = (file("val_tr.csv"), file("val_te.csv"));
    let files = ["--validation-fold-in", &fold_in, "--validation-held-out", &held_out];
    let settings = ["--dim", "16", "--regularization", "0.002", "--threads", "1"];
    let judge = |more: &[&str]| {
        strong(&shared, "ml-latest-small", &[&settings[..], more].concat())["metrics"].clone()
    };
    // So weak a regularisation wears the model out: it is best early, and what is judged is that epoch.
    let stopped = judge(&[&files[..], &["--epochs", "60"]].concat());
    let best = (1..20).find(|epochs: &u32| judge(&["--epochs", &epochs.to_string()]) == stopped);
    assert!(best.is_some(), "{stopped}");
}

#[test]
fn ials_of_64_dimensions_reaches_its_bar_on_ml_1m() {
    let Some(shared) = shared() else { return };
    let judged = strong(&shared, "ml-1m", &["--model", "ials", "--dim", "64"]);
    check_shape(&judged, "ials");
    assert_eq!(judged["dimension"], 64);
    let (recall, ndcg) = (metric(&judged, "recall@20"), metric(&judged, "ndcg@100"));
    let deeper = metric(&judged, "recall@50");
    println!(
        "ml-1m, iALS, 64 dimensions: recall@20 {recall:.4}, ndcg@100 {ndcg:.4}, {} s",
        judged["train_seconds"]
    );
    // The published recipe reaches .3423, .4756 and .4153; seeds move recall by .003 and NDCG by .001.
    assert!(recall >= 0.339, "recall@20 {recall}");
    assert!(deeper >= 0.472, "recall@50 {deeper}");
    assert!(ndcg >= 0.414, "ndcg@100 {ndcg}");
}

/// Every rating of the training users instead of their likes alone, on the published users, what is folded in of them and
/// what is to be found.
#[test]
fn graded_ratings_beat_likes_alone_beyond_noise() {
    let Some(shared) = shared() else { return };
    let place = Place::new();
    let split = |name: &str| {
        let text = std::fs::read_to_string(shared.join("splits/ml-1m").join(name)).unwrap();
        let pair = |line: &str| line.split_once(',').map(|(user, movie)| (user.to_owned(), movie.to_owned()));
        text.lines().skip(1).filter_map(pair).collect::<Vec<_>>()
    };
    let users: HashSet<String> = split("train.csv").into_iter().map(|(user, _)| user).collect();
    let known: HashSet<(String, String)> = split("test_tr.csv").into_iter().collect();
    let ratings = std::fs::read(shared.join("datasets/ml-1m/user-movie-rating.dat")).unwrap();
    let (mut train, mut fold_in) = (String::from("user,item,rating\n"), String::from("user,item,rating\n"));
    for line in String::from_utf8(ratings).unwrap().lines() {
        let fields: Vec<&str> = line.split("::").collect();
        if users.contains(fields[0]) {
            train += &format!("{}\n", fields.join(","));
        } else if known.contains(&(fields[0].to_owned(), fields[1].to_owned())) {
            fold_in += &format!("{}\n", fields.join(","));
        }
    }
    let (train, fold_in) = (place.write("train.csv", train), place.write("fold_in.csv", fold_in));
    let held_out = text(&shared.join("splits/ml-1m/test_te.csv"));
    let files = ["evaluate", "--train", &train, "--fold-in", &fold_in, "--held-out", &held_out];
    let models = ["--model", "ials-likes", "--model", "ials", "--dim", "256"];
    let judged = place.json(&[&files[..], &models].concat());
    let paired = &judged[1]["paired"]["metrics"]["ndcg@100"];
    println!("graded {}, likes {}, {paired}", metric(&judged[1], "ndcg@100"), metric(&judged[0], "ndcg@100"));
    assert!(metric(&judged[1], "ndcg@100") > 0.4231, "{judged}");
    assert!(paired["difference"].as_f64().unwrap() > 0.0 && paired["within_noise"] == false, "{paired}");
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
fn settings_are_checked_first_and_held_out_files_read_last() {
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
    for (flag, value) in [("--recent-share", "1.5"), ("--recent-weight", "NaN")] {
        place.run(&[&arguments[..], &[flag, value]].concat()).refused(&[&flag[2..8], value]);
    }
    for (model, flag, value) in [
        ("ease", "--ease-regularization", "0"),
        ("ease", "--ease-dropout", "1"),
        ("item-knn", "--neighbors", "0"),
    ] {
        let asked = [&arguments[..arguments.len() - 1], &[model, flag, value]].concat();
        place.run(&asked).refused(&[model, value, "must be"]);
    }
    // Validation comes in pairs of files, and is read before training.
    let half = [&arguments[..], &["--validation-held-out", &fold_in]].concat();
    place.run(&half).wrong_usage(&["--validation-fold-in"]);
    let broken_validation = place.write("validation.csv", "user,item\n3,10,x\n");
    place
        .run(&[&half[..], &["--validation-fold-in", &broken_validation]].concat())
        .refused(&["validation.csv", "line 2"]);
    place.write("held_out.csv", "user,item\n3,11\n");
    let judged = place.json(&arguments);
    assert_eq!(
        (metric(&judged, "recall@20"), metric(&judged, "ndcg@100"), judged["users"].as_u64()),
        (1.0, 1.0, Some(1))
    );
}

/// Tunes on the training file alone, and judges the blend of what was chosen, iALS alone and recent popularity on the test.
fn tuned_over_time(shared: &Path, more: &[&str]) -> Value {
    let file = |name: &str| text(&shared.join("splits/ml-1m-temporal-global").join(name));
    let (place, train, held_out) = (Place::new(), file("train.csv"), file("test.csv"));
    let tune = ["tune", "--train", &train, "--dim", "32", "--trials", "30"];
    let tuned = place.json(&[&tune[..], more].concat());
    let flags: Vec<&str> = tuned["flags"].as_str().unwrap().split(' ').collect();
    let models = ["--model", "blend", "--model", "ials", "--model", "recent-popularity"];
    place.json(&[&["evaluate", "--train", &train, "--held-out", &held_out][..], &models, &flags].concat())
}

#[test]
fn a_tuned_mix_beats_both_of_its_parts_over_time() {
    let Some(shared) = shared() else { return };
    let judged = tuned_over_time(&shared, &[]);
    let of = |name| [0, 1, 2].map(|model| metric(&judged[model], name));
    let (ndcg, recall) = (of("ndcg@10"), of("recall@10"));
    assert!(ndcg[0] >= 0.206 && ndcg[0] > ndcg[1] && ndcg[0] > ndcg[2], "ndcg@10 {ndcg:?}");
    assert!(recall[0] >= 0.065 && recall[0] > recall[1] && recall[0] > recall[2], "recall@10 {recall:?}");
}

#[test]
fn a_mix_that_is_tuned_to_stay_diverse_does() {
    let Some(shared) = shared() else { return };
    let judged = &tuned_over_time(&shared, &["--min-coverage", "0.065"])[0];
    let (ndcg, coverage) = (metric(judged, "ndcg@10"), metric(judged, "coverage@10"));
    assert!(ndcg >= 0.202 && coverage > 0.065, "ndcg@10 {ndcg}, coverage@10 {coverage}");
}
