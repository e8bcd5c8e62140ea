//! MovieLens as published, in three layouts; counts are those of the data sets' own description.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use crate::facts::{counts, interactions, known, movies, users};
use crate::support::{Place, shared, text};

fn import(place: &Place, source: &Path, name: &str, more: &[&str]) -> Value {
    let source = text(source);
    let report = place.json(&[&["dataset", "import", "movielens", &source, "--name", name], more].concat());
    report["manifest"].clone()
}

/// How many of `codes` lie in a US state or territory, by the table of prefixes: five digits, nine, or five and four. The
/// forces abroad (AA, AE, AP) are no place.
fn placed(shared: &Path, codes: &[String]) -> u64 {
    let table = std::fs::read_to_string(shared.join("datasets/us-zip3-state.csv")).unwrap();
    let rows = table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let states = rows.filter(|row| !["AA", "AE", "AP"].contains(&row[2]));
    let ranges: Vec<(&str, &str)> = states.map(|row| (row[0], row[1])).collect();
    let in_range = |code: &&String| {
        let digits: String = code.replacen('-', "", 1);
        let sound = digits.bytes().all(|byte| byte.is_ascii_digit()) && [5, 9].contains(&digits.len());
        let plain = !code.contains('-') || (code.len() == 10 && code.as_bytes()[5] == b'-');
        sound && plain && ranges.iter().any(|(from, to)| (*from..=*to).contains(&&digits[..3]))
    };
    codes.iter().filter(in_range).count() as u64
}

#[test]
fn ml_100k_has_its_counts_titles_and_places() {
    let Some(shared) = shared() else { return };
    let place = Place::new();
    let manifest = import(&place, &shared.join("datasets/ml-100k"), "ml-100k", &[]);
    assert_eq!(manifest["counts"], counts(1682, 943, 100_000, 1682));
    assert_eq!(manifest["rejected"]["total"], 0, "{}", manifest["rejected"]);
    assert_eq!(manifest["source"]["kind"], "movielens-100k");
    let movies = movies(&place, "ml-100k");
    let miserables = &movies["543"];
    assert_eq!((miserables.title.as_str(), miserables.year), ("Les Misérables", Some(1995)));
    let veronique = &movies["1005"];
    assert!(
        veronique.title.starts_with("La double vie de Véronique")
            || veronique.title.starts_with("La Double vie de Véronique"),
        "{veronique:?}"
    );
    let names = |id: &str| -> Vec<String> {
        let movie = &movies[id];
        movie.original_title.iter().chain(&movie.alternative_titles).cloned().collect()
    };
    assert!(names("1005").iter().any(|name| name == "The Double Life of Veronique"), "{:?}", names("1005"));
    assert!(names("1252").iter().any(|name| name == "Le Mépris"), "{:?}", names("1252"));
    assert_eq!(movies["1"].genres, ["Animation", "Children", "Comedy"]);
    check_places(&place, &shared, "ml-100k", "datasets/ml-100k/u.user", "|", &manifest);
    let user = &users(&place, "ml-100k")[0];
    assert_eq!((user.user_id.as_str(), user.location.as_ref().unwrap().as_str()), ("1", "US/AZ"));
    assert_eq!(interactions(&place, "ml-100k")[0], "196 242 rating 3 881250949000 -");
}

/// Users with a place: as many as the postal codes say, and the rest is counted in a notice.
fn check_places(place: &Place, shared: &Path, name: &str, file: &str, separator: &str, manifest: &Value) {
    let lines = std::fs::read_to_string(shared.join(file)).unwrap();
    let codes: Vec<String> =
        lines.lines().map(|line| line.rsplit(separator).next().unwrap().to_owned()).collect();
    let expect = placed(shared, &codes);
    assert!(expect > codes.len() as u64 * 9 / 10, "the oracle looked: {expect}");
    assert_eq!(known(place, name, "users.location"), expect);
    let notice = format!("{} of {} users have no place", codes.len() as u64 - expect, codes.len());
    assert!(manifest["notices"].to_string().contains(&notice), "{notice} in {}", manifest["notices"]);
}

#[test]
fn ml_1m_is_imported_without_times_and_with_those_that_are_known() {
    let Some(shared) = shared() else { return };
    let place = Place::new();
    let folder = shared.join("datasets/ml-1m");
    let named = text(&folder);
    let refused = place.run(&["dataset", "import", "movielens", &named, "--name", "ml-1m"]);
    refused.refused(&[
        "ratings.dat is missing",
        "--ratings",
        "user-movie-rating.dat",
        "ratings-known-timestamps.dat",
    ]);
    assert_eq!(place.names("data"), Vec::<String>::new());
    let manifest = import(&place, &folder, "ml-1m", &["--ratings", "user-movie-rating.dat"]);
    assert_eq!(manifest["counts"], counts(3883, 6040, 1_000_209, 3706));
    assert_eq!(
        (&manifest["rejected"]["total"], &manifest["interaction_range_ms"]),
        (&0.into(), &Value::Null)
    );
    let movies = movies(&place, "ml-1m");
    assert_eq!((movies["2571"].title.as_str(), movies["2571"].year), ("The Matrix", Some(1999)));
    assert_eq!(movies["2571"].genres, ["Action", "Sci-Fi", "Thriller"]);
    assert_eq!(movies["73"].title, "Les Misérables");
    check_places(&place, &shared, "ml-1m", "datasets/ml-1m/users.dat", "::", &manifest);
    let user = &users(&place, "ml-1m")[0];
    assert_eq!(user.location.as_ref().unwrap().as_str(), "US/MI");
    assert_eq!(user.attributes["zip_code"], "48067");
    let timed = import(&place, &folder, "ml-1m", &["--ratings", "ratings-known-timestamps.dat", "--replace"]);
    let rows = std::fs::read_to_string(folder.join("ratings-known-timestamps.dat")).unwrap();
    let films: HashSet<&str> = rows.lines().map(|line| line.split("::").nth(1).unwrap()).collect();
    assert_eq!(timed["counts"], counts(3883, 6040, 813_231, films.len() as u64));
    assert!(timed["interaction_range_ms"].is_array());
    assert_eq!(place.names("data"), ["ml-1m"]);
}

#[test]
fn ml_latest_small_is_the_same_from_the_folder_and_the_zip() {
    let Some(shared) = shared() else { return };
    let place = Place::new();
    let folder = import(&place, &shared.join("datasets/ml-latest-small"), "folder", &[]);
    let zip = import(&place, &shared.join("datasets/zips/ml-latest-small.zip"), "zip", &[]);
    for manifest in [&folder, &zip] {
        assert_eq!(manifest["counts"], counts(9742, 610, 100_836, 9724));
        assert_eq!(manifest["rejected"]["total"], 0);
        assert_eq!(manifest["source"]["kind"], "movielens-latest-small");
        assert!(manifest["source"]["licence"].as_str().unwrap().contains("non-commercial"), "{manifest}");
    }
    for table in ["movies", "users", "interactions"] {
        let file = format!("{table}.parquet");
        assert_eq!(folder["tables"][&file]["sha256"], zip["tables"][&file]["sha256"], "{table}");
    }
    let sha256 = "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436";
    assert_eq!(
        (&zip["inputs"][0]["file"], &zip["inputs"][0]["sha256"]),
        (&"ml-latest-small.zip".into(), &sha256.into())
    );
    let movies = movies(&place, "zip");
    assert_eq!((movies["2571"].title.as_str(), movies["2571"].year), ("The Matrix", Some(1999)));
    assert_eq!(movies["1"].imdb_id.as_deref(), Some("tt0114709"));
    assert_eq!(movies["1"].tmdb_id, Some(862));
    assert_eq!(
        (movies["47"].title.as_str(), &movies["47"].alternative_titles[..]),
        ("Seven", &["Se7en".to_owned()][..])
    );
    assert!(movies["293"].title == "Léon: The Professional", "{:?}", movies["293"]);
    assert_eq!(known(&place, "zip", "movies.tmdb_id"), 9742 - 8);
    assert_eq!(known(&place, "zip", "movies.imdb_id"), 9742);
    assert_eq!(interactions(&place, "zip")[0], "1 1 rating 4 964982703000 -");
}
