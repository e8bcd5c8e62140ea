//! Tuning: of a data set and of files, and what training makes of it.

use std::fmt::Write as _;

use crate::support::Place;

/// 200 users of two tastes, who turn to the same three films in the end, as CSV rows of user, film and time.
fn rows() -> String {
    let mut rows = String::from("user,item,timestamp\n");
    for user in 0..200u32 {
        for film in (0..15).filter(|film| !(user * 7 + film * film).is_multiple_of(3)) {
            writeln!(rows, "{user},{},{}", film + 15 * (user % 2), 1000 + user * 31 % 700 + film).unwrap();
        }
        for film in (30..34).filter(|film| !(user + film).is_multiple_of(4)) {
            writeln!(rows, "{user},{film},{}", 2000 + user * 31 % 700 + film).unwrap();
        }
    }
    rows
}

#[test]
fn a_tuned_model_is_trained_and_trained_again_as_it_was_tuned() {
    let place = Place::new();
    let rows = place.write("rows.csv", rows());
    let columns = ["user_id=user", "movie_id=item"].map(|column| format!("--column={column}"));
    let import =
        ["dataset", "import", "csv", &rows, "--name", "films", "--kind", "like", &columns[0], &columns[1]];
    place.run(&[&import[..], &["--column=timestamp=timestamp"]].concat()).done();
    let tune = ["tune", "films", "--dim", "4", "--trials", "10", "--protocol", "temporal"];
    let ran = place.run(&tune).done();
    for said in ["temporal protocol, 10 trials", "ndcg@10", "--regularization", "written to"] {
        assert!(ran.stdout.contains(said), "{said} in {ran:?}");
    }
    assert!(ran.stderr.contains("trial 10"), "{ran:?}");
    let again = place.json(&tune);
    assert_eq!(again["reused_trials"], 10);
    let model = || -> serde_json::Value {
        serde_json::from_str(
            &std::fs::read_to_string(place.path("data/films/models/ials/model.json")).unwrap(),
        )
        .unwrap()
    };
    let tuned = model();
    assert_eq!(tuned["parameters"]["tuned"]["score"], again["tuned"]["score"]);
    assert_eq!(tuned["blend"]["recent_weight"], again["tuned"]["settings"]["recent_weight"]);
    let trained = place.run(&["train", "films", "--seed", "3"]).done();
    assert!(trained.stderr.contains("tuned for temporal"), "{trained:?}");
    assert_eq!(model()["fold_in"], tuned["fold_in"]);
    assert_eq!(model()["parameters"]["tuned"], tuned["parameters"]["tuned"]);
    place.run(&["train", "films", "--untuned", "--dim", "4"]).done();
    assert!(model()["parameters"].get("tuned").is_none());
}

#[test]
fn files_are_tuned_without_a_data_set_and_the_flags_fit_evaluate() {
    let place = Place::new();
    let train = place.write("train.csv", rows());
    let output = place.path("tuned.json").display().to_string();
    let tune = ["tune", "--train", &train, "--dim", "4", "--trials", "10", "--output", &output];
    let tuned = place.json(&tune);
    assert_eq!(tuned["tuned"]["protocol"], "temporal");
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(place.path("tuned.json")).unwrap()).unwrap();
    assert_eq!(written, tuned["tuned"]);
    assert_eq!(place.json(&tune)["reused_trials"], 10);
    let held_out = place.write("test.csv", "user,item\n0,30\n1,31\n2,0\n");
    let flags: Vec<&str> = tuned["flags"].as_str().unwrap().split(' ').collect();
    let evaluate = ["evaluate", "--train", &train, "--held-out", &held_out, "--model", "blend"];
    assert_eq!(place.json(&[&evaluate[..], &flags].concat())["dimension"], 4);
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let place = Place::new();
    place.run(&["tune"]).wrong_usage(&["<NAME>"]);
    place
        .run(&["tune", "films", "--trials", "3", "--budget-seconds", "9"])
        .wrong_usage(&["cannot be used with"]);
    place.run(&["tune", "films", "--validation-fold-in", "a"]).wrong_usage(&["--validation-held-out"]);
    place.run(&["tune", "films", "--trials", "1"]).refused(&["no data set \"films\""]);
    let train = place.write("train.csv", "user,item,timestamp\n1,1,5\n1,2,6\n2,1,7\n2,2,8\n");
    place.run(&["tune", "--train", &train, "--trials", "3"]).refused(&["too few users"]);
    let timeless = place.write("timeless.csv", "user,item\n1,1\n1,2\n");
    place.run(&["tune", "--train", &timeless]).refused(&["timeless.csv", "no times"]);
    place.run(&["tune", "--train", &train, "--trials", "0"]).refused(&["trials"]);
}
