//! IMDb's tables joined to ml-latest-small, as many as the data sets' own description says.

use serde_json::Value;

use crate::facts::{known, movies};
use crate::support::{Place, shared, text};

#[test]
fn imdb_is_joined_to_ml_latest_small() {
    let Some(shared) = shared() else { return };
    let place = Place::new();
    let source = text(&shared.join("datasets/ml-latest-small"));
    place.run(&["dataset", "import", "movielens", &source, "--name", "films"]).done();
    let enrich = |folder: &str| -> Value {
        let folder = text(&shared.join("datasets/imdb-sample").join(folder));
        place.json(&["dataset", "enrich", "imdb", &folder, "--name", "films"])
    };
    let ratings = enrich("full-2017-10-29");
    assert_eq!((&ratings["movies"], &ratings["movies_with_imdb_id"]), (&9742.into(), &9742.into()));
    assert_eq!(ratings["matched_movies"], 9665);
    assert_eq!(
        (&ratings["files"][0]["rows"], &ratings["files"][0]["malformed"]),
        (&775_956.into(), &0.into())
    );
    assert_eq!(known(&place, "films", "movies.imdb_rating"), 9665);
    let matrix = movies(&place, "films").remove("2571").unwrap();
    assert_eq!((matrix.imdb_rating, matrix.imdb_votes), (Some(8.7), Some(1_345_808)));
    assert!(ratings["manifest"]["notices"].to_string().contains("Information courtesy of IMDb"));
    let sample = enrich("movies-2017");
    let matched = |file: &str| {
        let rows = sample["files"].as_array().unwrap().iter();
        rows.clone().find(|row| row["file"] == file).unwrap_or_else(|| panic!("{sample}"))["matched_movies"]
            .clone()
    };
    assert_eq!(matched("title.basics.tsv"), 121);
    assert_eq!(sample["files"][0]["rows"], 18_199);
    check_what_was_learned(&place);
    // The data set is the same but for its films: whoever trained on it may go on.
    assert_eq!(sample["manifest"]["counts"], ratings["manifest"]["counts"]);
    assert_eq!(
        sample["manifest"]["tables"]["interactions.parquet"],
        ratings["manifest"]["tables"]["interactions.parquet"]
    );
    let nothing = text(&shared.join("datasets/ml-100k"));
    place
        .run(&["dataset", "enrich", "imdb", &nothing, "--name", "films"])
        .refused(&["ml-100k", "title.basics"]);
}

fn check_what_was_learned(place: &Place) {
    let movies = movies(place, "films");
    let pirates = movies.values().find(|movie| movie.imdb_id.as_deref() == Some("tt1790809")).unwrap();
    assert_eq!((pirates.runtime_minutes, pirates.adult), (Some(129), Some(false)));
    assert!(
        pirates.alternative_titles.iter().any(|title| title == "Fluch der Karibik: Salazars Rache"),
        "{pirates:?}"
    );
    assert!(
        movies.values().all(|movie| movie.countries.is_empty()),
        "places of release are not countries of production"
    );
    assert_eq!(known(place, "films", "movies.runtime_minutes"), 121);
}
