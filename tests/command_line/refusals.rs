//! What cannot be done is status 1, a reason on stderr that names file and line, and nothing left behind.

use std::process::Stdio;

use crate::support::fixture::{Fixture, ready};
use crate::support::{Place, wait_for};

#[test]
fn a_failed_import_leaves_nothing() {
    let place = Place::new();
    let mut fixture = Fixture::new();
    fixture.ratings += &"nonsense,row\r\n".repeat(200);
    let folder = fixture.write(&place, "source");
    let line = (fixture.rating_count + 2).to_string();
    let run = place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]);
    let run = run.refused(&[
        "200 of",
        "ratings.csv",
        &format!("line {line}"),
        "--max-rejected",
        "nothing was stored",
    ]);
    assert!(run.stdout.is_empty(), "{run:?}");
    assert_eq!(place.names("data"), Vec::<String>::new());
    // With more patience it goes through, and says what was left out.
    let tolerant = ["dataset", "import", "movielens", &folder, "--name", "films", "--max-rejected", "0.5"];
    let report = place.json(&tolerant);
    assert_eq!(report["manifest"]["rejected"]["total"], 200);
    assert_eq!(report["examples"][0]["file"], "ratings.csv");
    assert_eq!(report["examples"][0]["line"], fixture.rating_count + 2);
    let shown = place.run(&["dataset", "show", "films"]).done().stdout;
    assert!(shown.contains("rejected rows: 200"), "{shown}");
}

#[test]
fn reasons_name_what_is_missing_and_the_remedy() {
    let place = Place::new();
    let check = |arguments: &[&str], reasons: &[&str]| {
        let run = place.run(arguments).refused(reasons);
        assert!(run.stdout.is_empty(), "{run:?}");
    };
    let missing = place.text("missing");
    check(&["dataset", "import", "movielens", &missing, "--name", "x"], &["missing"]);
    check(&["dataset", "import", "csv", &missing, "--name", "x"], &["missing"]);
    check(&["dataset", "enrich", "imdb", &missing, "--name", "x"], &["missing"]);
    check(&["dataset", "show", "x"], &["\"x\"", "dataset list"]);
    check(&["train", "x"], &["\"x\"", "dataset list"]);
    check(&["index", "build", "x"], &["\"x\""]);
    check(&["evaluate", "x"], &["\"x\""]);
    check(&["evaluate", "--train", &missing, "--held-out", &missing], &["missing"]);
    check(&["index", "verify"], &["no bundle is live"]);
    check(&["index", "activate", "latest"], &["latest", "index list"]);
    check(&["index", "remove", "20250131T235959Z-0123abcd"], &["20250131T235959Z-0123abcd"]);
    for query in [&["similar", "1"][..], &["recommend", "1"], &["popular"], &["neighbors", "1"]] {
        check(query, &["indexes", "cinedex index build"]);
    }
    let empty = place.write("empty/readme.txt", "nothing here");
    check(
        &["dataset", "import", "movielens", empty.trim_end_matches("/readme.txt"), "--name", "x"],
        &["empty"],
    );
    check(
        &["dataset", "import", "movielens", &empty, "--name", "x"],
        &["readme.txt", "neither a folder nor a zip"],
    );
    assert_eq!(place.names("data"), Vec::<String>::new());
}

#[test]
fn senseless_settings_of_training_are_refused_by_name() {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]).done();
    let check = |flags: &[&str], reasons: &[&str]| {
        place.run(&[&["train", "films"], flags].concat()).refused(reasons);
        assert!(!place.path("data/films/models").exists());
    };
    check(&["--dim", "0"], &["dimension is 0"]);
    check(&["--regularization", "nan"], &["regularization is NaN"]);
    check(&["--unobserved-weight=-1"], &["unobserved_weight is -1"]);
    check(&["--half-life-days", "0"], &["preference.half_life_days is 0"]);
    place.write("cinedex.toml", "[preference]\nwatch = -0.5\n");
    check(&[], &["preference.watch is -0.5", "0 to 1"]);
}

#[test]
fn reasons_of_queries_name_what_was_asked() {
    let place = ready();
    place.run(&["similar", "qqqqqqqqqqqq"]).refused(&["qqqqqqqqqqqq"]);
    place.run(&["recommend", "--liked", "zzzzzzzzzzzz"]).refused(&["zzzzzzzzzzzz"]);
    place.run(&["popular", "--location", "Narnia"]).refused(&["Narnia"]);
    place.run(&["train", "films", "--dim", "0"]).refused(&["dim"]);
    place.run(&["train", "films", "--model", "../x"]).refused(&["../x"]);
    place.run(&["index", "build", "films", "--model", "none"]).refused(&["none"]);
    place.run(&["evaluate", "films", "--model", "guess"]).refused(&["guess", "popularity"]);
    for recall in ["0.49", "1.01", "NaN"] {
        let run = place.run(&["index", "build", "films", "--target-recall", recall]);
        run.refused(&["target_recall is", "0.5 to 1"]);
    }
    let run = place.run(&["index", "build", "films", "--min-coverage", "1.5"]).refused(&["not live"]);
    assert!(run.stdout.contains("bundle 2"), "a refused bundle is still described: {run:?}");
    let live = place.json(&["index", "list"]);
    assert_eq!(live.as_array().unwrap().iter().filter(|row| row["live"] == true).count(), 1);
}

#[test]
fn an_unknown_user_is_answered_as_a_new_one() {
    let place = ready();
    let list = place.json(&["recommend", "somebody-new"]);
    assert_eq!((&list["strategy"], &list["location"]["answered"]), (&"popular".into(), &"world".into()));
    let list = place.json(&["neighbors", "somebody-new"]);
    assert_eq!((&list["strategy"], &list["items"]), (&"unavailable".into(), &serde_json::json!([])));
    let run = place.run(&["neighbors", "somebody-new"]).done();
    assert!(run.stderr.contains("no embedding of \"somebody-new\""), "{run:?}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let place = ready();
    let mut child = place
        .command(&["popular", "-k", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = wait_for("the end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn nothing_on_stdout_but_the_document_when_json_is_asked_for() {
    let place = ready();
    for arguments in [
        &["dataset", "list"][..],
        &["dataset", "show", "films"],
        &["train", "films", "--dim", "8", "--epochs", "1"],
        &["evaluate", "films", "--model", "popularity"],
        &["index", "build", "films"],
        &["index", "list"],
        &["index", "verify"],
        &["similar", "1"],
        &["recommend", "1"],
        &["popular"],
        &["neighbors", "1"],
        &["serve", "--print-config"],
    ] {
        place.json(arguments);
    }
}
