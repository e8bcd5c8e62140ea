//! Tables that are not what they should be: malformed, truncated, altered, empty, with ids that are too long or strange.

use crate::support::Place;
use crate::support::fixture::Fixture;
use crate::{report, report_refusal};

/// Imports a CSV as `own`, refused for all of `reasons`, and nothing is stored.
fn refuse(case: &str, csv: &[u8], reasons: &[&str]) {
    let place = Place::new();
    let path = place.write("events.csv", csv);
    let run = place.run(&["dataset", "import", "csv", &path, "--name", "own"]).refused(reasons);
    report_refusal(case, &place, &run);
    assert_eq!(place.names("data"), Vec::<String>::new(), "{case}");
}

#[test]
fn a_malformed_csv_is_refused_with_line_and_column() {
    refuse(
        "CSV: a word for a rating",
        b"user,movie,rating\n1,10,5\n1,11,five\n",
        &["events.csv", "line 3", "rating", "five"],
    );
    refuse("CSV: too few fields", b"user,movie,rating\n1\n", &["events.csv", "line 2"]);
    refuse("CSV: too many fields", b"user,movie,rating\n1,10,5,,,,\n", &["events.csv", "line 2"]);
    refuse(
        "CSV: a quote that is never closed",
        b"user,movie,rating\n1,\"10,5\n2,10,4\n",
        &["events.csv", "line"],
    );
    refuse("CSV: NaN as a rating", b"user,movie,rating\n1,10,NaN\n", &["line 2", "NaN"]);
    refuse("CSV: an infinite rating", b"user,movie,rating\n1,10,inf\n", &["line 2", "inf"]);
    refuse("CSV: 1e39 as a rating", b"user,movie,rating\n1,10,1e39\n", &["line 2", "1e39"]);
    refuse("CSV: invalid UTF-8", b"user,movie,rating\n\xff\xfe,10,5\n", &["events.csv", "line 2"]);
    refuse("CSV: no header that is known", b"a,b,c\n1,10,5\n", &["events.csv", "user_id", "a, b, c"]);
    refuse("CSV: bytes at random", b"\x00\x01\x02\xff\xfe\n\x00,\x00", &["events.csv"]);
    refuse("CSV: an empty file", b"", &["events.csv"]);
    refuse("CSV: a header and nothing else", b"user,movie,rating\n", &["no interactions"]);
    let long = format!("user,movie,rating\n{},10,5\n", "x".repeat(10_000));
    refuse("CSV: an id of 10,000 characters", long.as_bytes(), &["line 2", "user", "256"]);
    let line = format!("user,movie,rating\n1,10,5{}\n", "0".repeat(3 << 20));
    refuse("CSV: a line of 3 MiB", line.as_bytes(), &["line 2"]);
}

#[test]
fn an_id_that_occurs_twice_is_rejected_with_its_line() {
    let place = Place::new();
    let events = place.write("events.csv", "user,movie,rating\n1,10,5\n");
    let films = place.write("films.csv", "movie_id,title\n10,One\n11,Two\n10,Three\n");
    let import = ["dataset", "import", "csv", &events, "--movies", &films, "--name", "own"];
    let run = place.run(&import).refused(&["films.csv", "line 4", "movie_id", "occurs twice"]);
    report_refusal("CSV: one movie id twice", &place, &run);
    assert_eq!(place.names("data"), Vec::<String>::new());
}

#[test]
fn an_empty_movielens_folder_of_ratings_is_refused() {
    let place = Place::new();
    let fixture = Fixture { ratings: "userId,movieId,rating,timestamp\r\n".to_owned(), ..Fixture::new() };
    let folder = fixture.write(&place, "source");
    let run = place
        .run(&["dataset", "import", "movielens", &folder, "--name", "films"])
        .refused(&["no interactions"]);
    report_refusal("empty data set (MovieLens without a rating)", &place, &run);
    assert_eq!(place.names("data"), Vec::<String>::new());
}

/// A data set in Parquet, as the program itself writes it.
fn written() -> (Place, String) {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]).done();
    let table = place.text("data/films/interactions.parquet");
    (place, table)
}

#[test]
fn a_truncated_or_altered_parquet_is_refused_by_name() {
    let (place, table) = written();
    let whole = std::fs::read(&table).unwrap();
    let import = |case: &str, bytes: &[u8]| {
        let path = place.write("events.parquet", bytes);
        let run =
            place.run(&["dataset", "import", "parquet", &path, "--name", "own"]).refused(&["events.parquet"]);
        report_refusal(case, &place, &run);
        assert_eq!(place.names("data"), ["films"], "{case}");
    };
    import("Parquet: the second half is missing", &whole[..whole.len() / 2]);
    import("Parquet: the last byte is missing", &whole[..whole.len() - 1]);
    import("Parquet: empty", b"");
    import("Parquet: a CSV under that name", b"user,movie\n1,2\n");
}

/// Page checksums are optional in Parquet and most writers leave them out: where there is none, another value of the right
/// form cannot be told from the right one. What the program has written itself is held against its sha256, below.
#[test]
fn a_flipped_byte_in_a_foreign_parquet_is_refused_by_name_or_read_as_it_stands() {
    let (place, table) = written();
    let whole = std::fs::read(&table).unwrap();
    let mut refused = 0;
    for step in 0..40 {
        let mut altered = whole.clone();
        altered[step * (whole.len() - 1) / 39] ^= 0x20;
        let path = place.write("events.parquet", altered);
        let run = place.run(&["dataset", "import", "parquet", &path, "--name", "own", "--replace", "--json"]);
        if run.status == Some(0) {
            assert!(run.json()["manifest"]["counts"]["interactions"].as_u64() > Some(0), "byte {step}/39");
        } else {
            run.refused(&["events.parquet"]);
            refused += 1;
        }
    }
    assert!(refused > 10, "{refused} of 40 were noticed");
    let answer = format!(
        "{refused} of 40 positions: exit 1 with the file's name; the others read as they stand (no page checksums)"
    );
    report("Parquet from elsewhere: a flipped byte", &answer);
}

#[test]
fn a_damaged_table_of_a_data_set_stops_training() {
    let (place, table) = written();
    let whole = std::fs::read(&table).unwrap();
    for (case, bytes) in [
        ("data set: truncated interactions.parquet, then train", whole[..whole.len() / 2].to_vec()),
        ("data set: flipped byte in interactions.parquet, then train", {
            let mut bytes = whole.clone();
            bytes[whole.len() / 3] ^= 0x20;
            bytes
        }),
    ] {
        std::fs::write(&table, bytes).unwrap();
        let run =
            place.run(&["train", "films", "--dim", "8", "--epochs", "1"]).refused(&["interactions.parquet"]);
        report_refusal(case, &place, &run);
        assert!(!place.path("data/films/models").exists());
    }
    std::fs::write(place.path("data/films/dataset.json"), "{").unwrap();
    let run = place.run(&["train", "films"]).refused(&["dataset.json", "import the data set again"]);
    report_refusal("data set: broken dataset.json, then train", &place, &run);
}

#[test]
fn names_never_lead_out_of_the_root() {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    for name in [
        "..",
        "../x",
        "/etc/passwd",
        "%2e%2e",
        "a/b",
        ".hidden",
        "",
        "a b",
        "Ä",
        "x\u{1b}[2J",
        &"x".repeat(65),
    ] {
        let run = place
            .run(&["dataset", "import", "movielens", &folder, "--name", name])
            .refused(&["cannot name a data set"]);
        report_refusal(
            &format!("data set named {:?}", name.chars().take(20).collect::<String>()),
            &place,
            &run,
        );
        place.run(&["dataset", "show", name]).refused(&["cannot name a data set"]);
        place.run(&["train", name]).refused(&["cannot name a data set"]);
    }
    assert_eq!(place.names("data"), Vec::<String>::new());
    place.run(&["index", "remove", "../../etc"]).refused(&["is not a version"]);
}
