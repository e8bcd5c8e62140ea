//! An app's own tables, CSV and Parquet, under its own names of columns.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;

use crate::facts::{counts, interactions, movies, users};
use crate::support::Place;

const EVENTS: &str = "\
customer;film;stars;seen_at;where
anna;tt01;4.5;2024-03-01T10:00:00Z;kr/11/Seoul
ben;7;2;2024-03-02T11:30:00+01:00;US/CA
\"b;c\";\"a,b\";5;;
";

#[test]
fn csv_with_its_own_columns_separator_and_places() {
    let place = Place::new();
    let events = place.write("events.csv", EVENTS);
    let films = place.write(
        "films.csv",
        "film;name;released;kinds;lands\ntt01;Première;1999;Drama|Crime;fr|be\n7;Seven;1995;;\n",
    );
    let people = place.write("people.csv", "customer;home;plan\nanna;KR;gold\nzoe;NG/LA/Lagos;free\n");
    let report = place.json(&[
        "dataset",
        "import",
        "csv",
        &events,
        "--movies",
        &films,
        "--users",
        &people,
        "--name",
        "own",
        "--delimiter",
        ";",
        "--column",
        "user_id=customer",
        "--column",
        "movie_id=film",
        "--column",
        "value=stars",
        "--column",
        "timestamp=seen_at",
        "--column",
        "interactions.location=where",
        "--column",
        "users.location=home",
        "--column",
        "title=name",
        "--column",
        "year=released",
        "--column",
        "genres=kinds",
        "--column",
        "countries=lands",
        "--scale",
        "1:5",
    ]);
    assert_eq!(report["manifest"]["counts"], counts(3, 4, 3, 3));
    assert_eq!(report["manifest"]["rejected"]["total"], 0);
    assert_eq!(
        interactions(&place, "own"),
        [
            "anna tt01 rating 4.5 1709287200000 KR/11/Seoul",
            "ben 7 rating 2 1709375400000 US/CA",
            "b;c a,b rating 5 - -",
        ]
    );
    let movies = movies(&place, "own");
    let film = &movies["tt01"];
    assert_eq!((film.title.as_str(), film.year), ("Première", Some(1999)));
    assert_eq!(
        (&film.genres[..], &film.countries[..]),
        (&["Drama".to_owned(), "Crime".to_owned()][..], &["FR".to_owned(), "BE".to_owned()][..])
    );
    assert_eq!(movies["a,b"].title, "a,b", "a film that only occurs in events has its id for a title");
    let users = users(&place, "own");
    let zoe = users.iter().find(|user| user.user_id.as_str() == "zoe").unwrap();
    assert_eq!(zoe.location.as_ref().unwrap().as_str(), "NG/LA/Lagos");
    assert_eq!(zoe.attributes["plan"], "free");
}

#[test]
fn csv_without_header_and_with_other_kinds_of_events() {
    let place = Place::new();
    let watched = place.write("watched.csv", "1,10,1700000000000\n2,10,1700000001000\n");
    let report = place.json(&[
        "dataset",
        "import",
        "csv",
        &watched,
        "--name",
        "own",
        "--no-header",
        "--kind",
        "watch",
        "--time-unit",
        "milliseconds",
        "--column",
        "user_id=1",
        "--column",
        "movie_id=2",
        "--column",
        "timestamp=3",
    ]);
    assert_eq!(report["manifest"]["counts"], counts(1, 2, 2, 1));
    assert_eq!(interactions(&place, "own"), ["1 10 watch - 1700000000000 -", "2 10 watch - 1700000001000 -"]);
    let mixed =
        place.write("mixed.csv", "user_id,movie_id,kind,value\n1,10,like,\n1,11,rating,3\n1,12,dislike,\n");
    place.run(&["dataset", "import", "csv", &mixed, "--name", "mixed"]).done();
    assert_eq!(interactions(&place, "mixed"), ["1 10 like - - -", "1 11 rating 3 - -", "1 12 dislike - - -"]);
}

#[test]
fn malformed_rows_are_reported_with_file_line_column_and_reason() {
    let place = Place::new();
    let text = "user,movie,rating,timestamp\n1,10,5,1\n1,11,six,1\n,12,3,1\n1,13,3,yesterday\n1,14,9,1\n1,15\n1,16,4,1\n";
    let events = place.write("events.csv", text);
    let import = ["dataset", "import", "csv", &events, "--name", "own", "--scale", "1:5"];
    place.run(&import).refused(&["5 of 7 rows", "events.csv", "line 3", "rating", "six", "--max-rejected"]);
    let report = place.json(&[&import[..], &["--max-rejected", "0.9"]].concat());
    assert_eq!(report["manifest"]["counts"]["interactions"], 2);
    let examples = report["examples"].as_array().unwrap();
    let lines: Vec<u64> = examples.iter().map(|example| example["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7]);
    for (example, column) in examples.iter().zip(["rating", "user", "timestamp", "rating"]) {
        assert_eq!(
            (&example["file"], &example["column"]),
            (&"events.csv".into(), &column.into()),
            "{example}"
        );
        assert!(example["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
    let by_reason = report["manifest"]["rejected"]["by_reason"].as_object().unwrap();
    assert_eq!(by_reason.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 5);
}

#[test]
fn a_mapping_that_cannot_be_is_refused_before_a_row_is_read() {
    let place = Place::new();
    let events = place.write("events.csv", "a,b\n1,2\n");
    let import =
        |more: &[&str]| place.run(&[&["dataset", "import", "csv", &events, "--name", "own"], more].concat());
    import(&[]).refused(&["events.csv", "user_id", "a, b"]);
    import(&["--column", "user_id=a"]).refused(&["movie_id", "a, b"]);
    import(&["--column", "user_id=a", "--column", "movie_id=c"]).refused(&["\"c\"", "a, b"]);
    import(&["--column", "user_id=a", "--column", "movie_id=b", "--column", "colour=b"]).refused(&["colour"]);
    import(&["--column", "user_id"]).refused(&["FIELD=COLUMN"]);
    import(&["--kind", "adore"]).refused(&["adore"]);
    import(&["--scale", "5:1"]).refused(&["lowest value below"]);
    import(&["--delimiter", "→"]).refused(&["--delimiter"]);
    assert_eq!(place.names("data"), Vec::<String>::new());
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn part(users: &[i64], films: &[&str], stars: &[f64], micros: &[i64]) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("uid", Arc::new(Int64Array::from(users.to_vec()))),
        ("film", Arc::new(StringArray::from(films.to_vec()))),
        ("stars", Arc::new(Float64Array::from(stars.to_vec()))),
        ("at", Arc::new(TimestampMicrosecondArray::from(micros.to_vec()))),
    ]
}

#[test]
fn parquet_with_its_own_columns_from_part_files() {
    let place = Place::new();
    let second = 1_700_000_000_000_000;
    write_parquet(
        &place.path("events/part-1.parquet"),
        part(&[3, 4], &["x", "y"], &[1.0, 5.0], &[second, second + 1500]),
    );
    write_parquet(&place.path("events/part-2.parquet"), part(&[3], &["y"], &[4.0], &[second + 1_000_000]));
    let genres = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), Some(2)]), None]);
    let films: Vec<(&str, ArrayRef)> = vec![
        ("film", Arc::new(StringArray::from(vec!["x", "z"]))),
        ("name", Arc::new(StringArray::from(vec!["Ex", "Zed"]))),
        ("genres", Arc::new(genres)),
    ];
    write_parquet(&place.path("films.parquet"), films);
    let (events, films) = (place.text("events"), place.text("films.parquet"));
    let import = [
        "dataset",
        "import",
        "parquet",
        &events,
        "--movies",
        &films,
        "--name",
        "own",
        "--column",
        "user_id=uid",
        "--column",
        "movie_id=film",
        "--column",
        "value=stars",
        "--column",
        "timestamp=at",
        "--column",
        "title=name",
    ];
    let report = place.json(&import);
    assert_eq!(report["manifest"]["counts"], counts(3, 2, 3, 2));
    assert_eq!(
        interactions(&place, "own"),
        ["3 x rating 1 1700000000000 -", "4 y rating 5 1700000000001 -", "3 y rating 4 1700000001000 -"]
    );
    let movies = movies(&place, "own");
    assert_eq!(
        (movies["x"].title.as_str(), &movies["x"].genres[..]),
        ("Ex", &["1".to_owned(), "2".to_owned()][..])
    );
    assert_eq!((movies["y"].title.as_str(), movies["z"].title.as_str()), ("y", "Zed"));
}

#[test]
fn what_is_written_is_what_is_read_again() {
    let place = Place::new();
    let events = place
        .write("events.csv", "user,movie,rating,timestamp,location\n1,10,5,1700000000,US/CA\n2,10,1,,\n");
    place.run(&["dataset", "import", "csv", &events, "--name", "one"]).done();
    let [movies, users, interacted] =
        ["movies", "users", "interactions"].map(|table| place.text(&format!("data/one/{table}.parquet")));
    place
        .run(&[
            "dataset",
            "import",
            "parquet",
            &interacted,
            "--movies",
            &movies,
            "--users",
            &users,
            "--name",
            "two",
        ])
        .done();
    assert_eq!(interactions(&place, "one"), interactions(&place, "two"));
}
