//! From a folder of ratings to recommendations, every step in text and in JSON.

use std::process::Stdio;

use serde_json::Value;

use crate::support::client::ids;
use crate::support::fixture::{Fixture, MOVIES, USERS, ready, train};
use crate::support::{Place, wait_for};

fn numbers(list: &Value) -> Vec<u32> {
    ids(list).iter().map(|id| id.parse().unwrap()).collect()
}

fn is_western(movie: u32) -> bool {
    movie <= 20
}

#[test]
fn an_import_says_what_it_found_and_show_and_list_say_it_again() {
    let place = Place::new();
    let fixture = Fixture::new();
    let folder = fixture.write(&place, "source");
    assert_eq!(place.json(&["dataset", "list"]), Value::Array(Vec::new()));
    assert!(place.run(&["dataset", "list"]).done().stdout.contains("no data sets yet"));
    let report = place.json(&["dataset", "import", "movielens", &folder, "--name", "films"]);
    let manifest = &report["manifest"];
    let counts = serde_json::json!({
        "movies": MOVIES, "users": USERS, "interactions": fixture.rating_count, "rated_movies": manifest["counts"]["rated_movies"],
    });
    assert_eq!(manifest["counts"], counts);
    assert_eq!(manifest["counts"]["rated_movies"], MOVIES - 1, "nobody rated film 42");
    assert_eq!((&manifest["name"], &manifest["rejected"]["total"]), (&"films".into(), &0.into()));
    let files: Vec<&str> =
        manifest["inputs"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap()).collect();
    for file in ["movies.csv", "ratings.csv", "links.csv", "tags.csv"] {
        assert!(files.contains(&file), "{files:?}");
    }
    assert_eq!(&place.json(&["dataset", "list"])[0], manifest);
    let shown = place.json(&["dataset", "show", "films"]);
    assert_eq!(&shown["manifest"], manifest);
    let known = |field: &str| {
        let fields = shown["coverage"]["fields"].as_array().unwrap();
        fields.iter().find(|row| row["field"] == field).unwrap_or_else(|| panic!("{field}"))["known"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(known("movies.year"), u64::from(MOVIES) - 1);
    assert_eq!(known("movies.genres"), u64::from(MOVIES) - 1);
    assert_eq!(known("movies.imdb_id"), u64::from(MOVIES));
    assert_eq!(known("movies.tmdb_id"), u64::from(MOVIES) - 1);
    assert_eq!(known("movies.tags"), 1);
    let text = place.run(&["dataset", "show", "films"]).done().stdout;
    for said in ["42 films", "60 users", "movies.year", "GroupLens"] {
        assert!(text.contains(said), "{said} in {text}");
    }
    let files = place.names("data/films");
    assert_eq!(files, ["dataset.json", "interactions.parquet", "movies.parquet", "users.parquet"]);
}

#[test]
fn the_whole_way_from_ratings_to_recommendations() {
    let place = ready();
    let similar = place.json(&["similar", "1", "-k", "5"]);
    assert_eq!(numbers(&similar).len(), 5);
    assert!(numbers(&similar).into_iter().all(is_western), "{similar}");
    let by_title = place.run(&["similar", "the trail of number 1", "-k", "5", "--json"]).done();
    assert_eq!(numbers(&by_title.json()), numbers(&similar));
    assert!(by_title.stderr.contains("The Trail of Number 1"), "what the title was taken for: {by_title:?}");
    for (user, western) in [("1", true), ("2", false)] {
        let list = place.json(&["recommend", user, "-k", "3"]);
        assert!(numbers(&list).into_iter().all(|movie| is_western(movie) == western), "{list}");
        assert_eq!(list["user_id"], user);
        let list = place.json(&["neighbors", user, "-k", "20"]);
        assert!(numbers(&list).into_iter().all(|other| (other % 2 == 1) == western), "{list}");
        assert!(ids(&list).len() == 20 && !ids(&list).contains(&user.to_owned()), "{list}");
    }
    let liked =
        place.json(&["recommend", "--liked", "25", "26", "28", "30", "32", "--disliked", "3", "-k", "5"]);
    assert!(numbers(&liked).into_iter().all(|movie| !is_western(movie)), "{liked}");
    assert!(!numbers(&liked).iter().any(|movie| [25, 26, 28, 30, 32, 3].contains(movie)), "{liked}");
    let popular = place.json(&["popular", "-k", "1000"]);
    assert_eq!(popular["location"]["answered"], "world");
    assert_eq!(numbers(&popular).len(), MOVIES as usize, "all there are, though more are asked for");
    assert_eq!(place.json(&["popular", "--location", "KR"])["location"]["answered"], "world");
}

#[test]
fn lists_are_tables_for_people() {
    let place = ready();
    for (arguments, note) in [
        (&["similar", "1"][..], "retrieval"),
        (&["recommend", "1"], "events"),
        (&["recommend", "--liked", "1"], "retrieval"),
        (&["popular"], "world on"),
    ] {
        let run = place.run(arguments).done();
        let mut lines = run.stdout.lines();
        let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(head, ["score", "title", "year", "genres", "id"]);
        assert_eq!(lines.count(), 10, "{run:?}");
        assert!(run.stderr.contains(note), "{note} in {run:?}");
        assert!(!run.stdout.contains('\u{1b}'), "no colours into a pipe");
    }
    let run = place.run(&["neighbors", "1", "-k", "3"]).done();
    let lines: Vec<&str> = run.stdout.lines().map(str::trim).collect();
    assert_eq!((lines.len(), lines[0].split_whitespace().collect::<Vec<_>>()), (4, vec!["score", "user"]));
    assert!(run.stderr.contains("personalized, retrieval exact"), "{run:?}");
}

#[test]
fn training_and_building_report_what_they_made() {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]).done();
    let trained =
        place.json(&["train", "films", "--dim", "8", "--epochs", "3", "--seed", "7", "--model", "small"]);
    assert_eq!((&trained["users"], &trained["movies"]), (&USERS.into(), &MOVIES.into()));
    assert_eq!(trained["manifest"]["dimension"], 8);
    assert_eq!(trained["manifest"]["data_set"]["name"], "films");
    assert_eq!(
        place.names("data/films/models/small"),
        ["model.json", "movie_embeddings.parquet", "user_embeddings.parquet"]
    );
    let built = place.json(&["index", "build", "films", "--model", "small"]);
    assert_eq!(built["activated"], true);
    let counts = &built["manifest"]["counts"];
    assert_eq!((&counts["movies"], &counts["users"]), (&MOVIES.into(), &USERS.into()));
    let text = place.run(&["train", "films", "--dim", "8", "--epochs", "2"]).done();
    assert!(text.stdout.contains("8 dimensions") && text.stdout.contains("written to"), "{text:?}");
    let text = place.run(&["index", "build", "films"]).done();
    assert!(
        text.stdout.contains("bundle 2")
            && text.stdout.contains("recall@10")
            && text.stdout.contains("live now"),
        "{text:?}"
    );
    assert!(text.stderr.contains(" s"), "progress goes to stderr: {text:?}");
}

#[test]
fn a_killed_training_goes_on_from_its_checkpoint() {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]).done();
    let common = ["train", "films", "--dim", "8", "--epochs", "400"];
    let whole = place.json(&[&common[..], &["--model", "whole"]].concat());
    assert!(whole["resumed_from"].is_null());
    let arguments = [&common[..], &["--checkpoint-seconds", "0"]].concat();
    let mut child = place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = place.path("data/films/models/.ials.checkpoint/model.json");
    wait_for("a checkpoint", || checkpoint.exists().then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("data/films/models/ials").exists(), "killed long before the end");
    let run = place.run(&common).done();
    assert!(run.stderr.contains("went on from a checkpoint of epoch"), "{run:?}");
    let tables = |model: &str| {
        let text =
            std::fs::read_to_string(place.path(&format!("data/films/models/{model}/model.json"))).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["tables"].clone()
    };
    assert_eq!(tables("ials"), tables("whole"), "as if never interrupted");
    assert!(!checkpoint.exists());
}

#[test]
fn training_logs_its_loss_where_no_terminal_shows_it() {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]).done();
    let arguments = ["--log-json", "train", "films", "--dim", "8", "--early-stopping", "--epochs", "9"];
    let run = place.run_with(&arguments, &[("CINEDEX_LOG", "info")]).done();
    let events = run.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let train =
        events.map(|event| event["fields"].clone()).find(|fields| fields["stage"] == "train").unwrap();
    assert!(train["loss"].as_f64().unwrap() > 0.0 && train["total"] == 18, "{train}");
}

fn versions(place: &Place) -> Vec<(String, bool)> {
    let list = place.json(&["index", "list"]);
    let rows = list.as_array().unwrap().iter();
    rows.map(|row| (row["version"].as_str().unwrap().to_owned(), row["live"].as_bool().unwrap())).collect()
}

#[test]
fn bundles_are_listed_verified_activated_and_removed() {
    let place = ready();
    let first = versions(&place)[0].0.clone();
    let second =
        place.json(&["index", "build", "films", "--no-activate"])["version"].as_str().unwrap().to_owned();
    let mut listed = versions(&place);
    listed.sort();
    let mut expect = vec![(first.clone(), true), (second.clone(), false)];
    expect.sort();
    assert_eq!(listed, expect);
    let verified = place.json(&["index", "verify", &second]);
    assert_eq!(verified["version"], *second);
    assert!(
        verified["files"].as_u64().unwrap() >= 5 && verified["bytes"].as_u64().unwrap() > 1000,
        "{verified}"
    );
    assert_eq!(place.json(&["index", "verify"])["version"], *first, "the live one if none is named");
    place.run(&["index", "remove", &first]).refused(&[&first, "live", "activate another"]);
    place.run(&["index", "activate", &second]).done();
    assert_eq!(std::fs::read_to_string(place.path("indexes/CURRENT")).unwrap().trim(), second);
    assert_eq!(place.json(&["similar", "1"])["index_version"], *second);
    place.run(&["index", "remove", &first]).done();
    assert_eq!(versions(&place), [(second.clone(), true)]);
    place.run(&["index", "activate", &first]).refused(&[&first, "index list"]);
    assert_eq!(versions(&place), [(second, true)], "a refusal changes nothing");
    assert!(place.run(&["index", "list"]).done().stdout.contains("live"));
}

#[test]
fn old_bundles_go_when_there_are_more_than_are_kept() {
    let place = ready();
    for _ in 0..3 {
        place.run(&["index", "build", "films", "--keep", "2"]).done();
    }
    let left = versions(&place);
    assert!(left.len() <= 3, "{left:?}");
    assert_eq!(left.iter().filter(|(_, live)| *live).count(), 1);
}

#[test]
fn models_are_judged_side_by_side() {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]).done();
    let arguments =
        ["evaluate", "films", "--model", "ials", "--model", "popularity", "--dim", "8", "--epochs", "5"];
    let judged = place.json(&arguments);
    let models: Vec<&str> =
        judged.as_array().unwrap().iter().map(|one| one["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["ials", "popularity"]);
    let recall = |model: usize| judged[model]["metrics"]["recall@20"].as_f64().unwrap();
    assert!(recall(0) > recall(1), "two tastes that never meet need a model: {judged}");
    let table = place.run(&arguments).done().stdout;
    assert!(table.contains("recall@20") && table.contains("popularity"), "{table}");
    let temporal =
        place.json(&["evaluate", "films", "--protocol", "temporal", "--model", "recent-popularity"]);
    assert_eq!(
        (&temporal["model"], &temporal["protocol"]),
        (&"recent-popularity".into(), &"temporal".into())
    );
}

#[test]
fn replacing_is_meant_and_whole() {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    let import = ["dataset", "import", "movielens", &folder, "--name", "films"];
    place.run(&import).done();
    train(&place);
    let before = std::fs::read(place.path("data/films/dataset.json")).unwrap();
    place.run(&import).refused(&["films", "--replace"]);
    assert_eq!(std::fs::read(place.path("data/films/dataset.json")).unwrap(), before);
    // A replacement that fails leaves what was there, its models included.
    let broken = place.write("broken/movies.csv", "movieId,title,genres\n1,A (2000),Drama\n");
    let broken = broken.trim_end_matches("/movies.csv").to_owned();
    place.write("broken/ratings.csv", "userId,movieId,rating,timestamp\n1,x,y,z\n");
    place.write("broken/links.csv", "movieId,imdbId,tmdbId\n");
    place.write("broken/tags.csv", "userId,movieId,tag,timestamp\n");
    place
        .run(&["dataset", "import", "movielens", &broken, "--name", "films", "--replace"])
        .refused(&["ratings.csv", "line 2"]);
    assert_eq!(std::fs::read(place.path("data/films/dataset.json")).unwrap(), before);
    assert!(place.path("data/films/models/ials/model.json").is_file());
    place.write("source/tags.csv", "userId,movieId,tag,timestamp\r\n");
    place.run(&[&import[..], &["--replace"]].concat()).done();
    assert_ne!(std::fs::read(place.path("data/films/dataset.json")).unwrap(), before);
    assert_eq!(place.names("data"), ["films"], "nothing temporary is left");
}
