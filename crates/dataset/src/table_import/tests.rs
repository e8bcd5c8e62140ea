//! Whole imports of small tables, CSV and Parquet, good and bad.

use std::fs;
use std::path::PathBuf;

use cinedex_domain::{InteractionKind, RatingScale, silent};
use cinedex_storage::{InteractionRow, InteractionWriter, write_movies, write_users};

use super::*;
use crate::{Dataset, Interactions};

const CSV: TableFormat = TableFormat::Csv { delimiter: b',', header: true };

struct World {
    folder: tempfile::TempDir,
    root: DataRoot,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = DataRoot::new(folder.path().join("data"));
        Self { folder, root }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn import(&self, import: &TableImport) -> Result<ImportReport, DatasetError> {
        import_table(&self.root, "set", import, &ImportOptions::default(), &silent)
    }

    fn load(&self) -> Dataset {
        Dataset::load(&self.root, "set").unwrap()
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.root.path()).map_or(true, |mut entries| entries.next().is_none())
    }
}

fn mapped(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(field, column)| (field.to_owned(), column.to_owned())).collect()
}

#[test]
fn three_csv_files_with_columns_mapped_become_a_data_set() {
    let world = World::new();
    let events = "who;what;did;stars;when;where\n7;m1;rating;4,5;2020-01-01T00:00:00Z;us/ca/Fresno\n7;m2;Like;;1577836801;\nkim;m1;skip;;;KR\n";
    let mut import = TableImport::new(
        TableFormat::Csv { delimiter: b';', header: true },
        vec![world.write("events.csv", events.replace("4,5", "4.5"))],
    );
    let movies =
        "id;name;year;genre;adult;imdbId\nm1;\"Heat; again\";1995;Crime|Drama;0;113277\nm9;Nine;;;;\n";
    import.movies = Some(world.write("movies.csv", movies));
    import.users = Some(world.write("users.csv", "id;home;age\n7;US/NY;30\n8;;\n"));
    import.columns = mapped(&[
        ("user_id", "who"),
        ("movie_id", "what"),
        ("kind", "did"),
        ("value", "stars"),
        ("timestamp", "when"),
        ("interactions.location", "where"),
        ("users.location", "home"),
    ]);
    import.rating_scale = Some(RatingScale::FIVE_STARS);
    let report = world.import(&import).unwrap();
    assert_eq!((report.manifest.rejected.total, report.manifest.inputs.len()), (0, 3));
    let Dataset { movies, users, interactions, .. } = world.load();
    assert_eq!(
        movies.iter().map(|movie| movie.title.as_str()).collect::<Vec<_>>(),
        ["Heat; again", "m2", "Nine"]
    );
    let heat = &movies[0];
    assert_eq!(
        (heat.year, heat.adult, heat.imdb_id.as_deref()),
        (Some(1995), Some(false), Some("tt0113277"))
    );
    assert_eq!(heat.genres, ["Crime", "Drama"]);
    assert_eq!(users.iter().map(|user| user.user_id.as_str()).collect::<Vec<_>>(), ["7", "8", "kim"]);
    assert_eq!(users[0].location.as_ref().unwrap().as_str(), "US/NY");
    assert_eq!((users[0].attributes["age"].as_str(), users[1].attributes.len()), ("30", 0));
    let kinds = [InteractionKind::Rating, InteractionKind::Like, InteractionKind::Skip];
    assert_eq!(interactions.kinds, kinds);
    assert_eq!((interactions.value(0), interactions.value(1)), (Some(4.5), None));
    assert_eq!(interactions.timestamps_ms, [1_577_836_800_000, 1_577_836_801_000, Interactions::NO_TIME]);
    let places: Vec<&str> =
        interactions.location_table.iter().map(cinedex_domain::Location::as_str).collect();
    assert_eq!(
        (places, interactions.locations),
        (vec!["US/CA/Fresno", "KR"], vec![0, Interactions::NO_LOCATION, 1])
    );
}

#[test]
fn usual_names_need_no_mapping_and_files_without_a_header_have_numbers() {
    let world = World::new();
    let text = "\u{feff}userId,movieId,rating,timestamp\r\n1,10,5.0,964982703\r\n2,10,0.5,964982704\r\n";
    let report = world.import(&TableImport::new(CSV, vec![world.write("ratings.csv", text)])).unwrap();
    assert_eq!(report.manifest.interaction_range_ms, Some((964_982_703_000, 964_982_704_000)));
    assert_eq!(report.manifest.rating_scale, RatingScale::FIVE_STARS);
    let world = World::new();
    let format = TableFormat::Csv { delimiter: b'\t', header: false };
    let mut import = TableImport::new(format, vec![world.write("plays.tsv", "a\tx\nb\ty\n")]);
    import.columns = mapped(&[("user_id", "1"), ("movie_id", "2")]);
    import.default_kind = InteractionKind::Watch;
    assert_eq!(world.import(&import).unwrap().manifest.counts.interactions, 2);
    assert_eq!(world.load().interactions.kinds, [InteractionKind::Watch; 2]);
}

#[test]
fn parquet_tables_are_imported_from_files_and_directories_of_parts() {
    let world = World::new();
    let parts = world.folder.path().join("parts");
    fs::create_dir(&parts).unwrap();
    for (name, user_id) in [("part-1.parquet", "1"), ("part-0.parquet", "0")] {
        let mut writer = InteractionWriter::create(&parts.join(name)).unwrap();
        let row = InteractionRow {
            user_id,
            movie_id: "5",
            kind: InteractionKind::Rating,
            value: Some(3.0),
            timestamp_ms: Some(1234),
            location: Some("US"),
        };
        writer.push(row).unwrap();
        writer.finish().unwrap();
    }
    fs::write(parts.join("_SUCCESS"), "").unwrap();
    let movies = world.folder.path().join("movies.parquet");
    let mut movie = cinedex_domain::Movie::new("5".parse().unwrap(), "Five");
    movie.genres = vec!["Drama".into(), "War".into()];
    movie.year = Some(1999);
    write_movies(&movies, std::slice::from_ref(&movie)).unwrap();
    let users = world.folder.path().join("users.parquet");
    let mut user = User::new("1".parse().unwrap());
    user.attributes.insert("plan".into(), "free".into());
    write_users(&users, std::slice::from_ref(&user)).unwrap();
    let mut import = TableImport::new(TableFormat::Parquet, vec![parts]);
    (import.movies, import.users) = (Some(movies), Some(users));
    let report = world.import(&import).unwrap();
    assert_eq!((report.manifest.rejected.total, report.manifest.source.kind.as_str()), (0, "parquet"));
    let dataset = world.load();
    assert_eq!(dataset.movies, [movie]);
    assert_eq!(dataset.users[1], user);
    assert_eq!(dataset.interactions.users.iter().map(|user| user.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(dataset.interactions.timestamps_ms, [1234, 1234]);
}

#[test]
fn malformed_rows_are_reported_with_file_line_column_and_reason() {
    let world = World::new();
    let mut text = b"userId,movieId,rating,timestamp,location\n".to_vec();
    for line in [
        &b"1,1,five,1,"[..],
        b"1,1,9,1,",
        b"1,1,,1,",
        b",1,4,1,",
        b"1,1,4",
        b"1,1,4,1,,6",
        b"1,L\xE9on,4,1,",
        b"1,1,4,soon,",
        b"1,1,4,964982703000,",
        b"1,1,4,1,USA",
        b"1,\"1,4,1,",
        b"1,1,nan,1,",
    ] {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    (0..3000).for_each(|user| text.extend_from_slice(format!("{user},1,4,1,\n").as_bytes()));
    let mut import = TableImport::new(CSV, vec![world.write("ratings.csv", text)]);
    import.rating_scale = Some(RatingScale::FIVE_STARS);
    let report = world.import(&import).unwrap();
    assert_eq!((report.manifest.counts.interactions, report.manifest.rejected.total), (3000, 12));
    let found: Vec<String> = report.examples.iter().map(ToString::to_string).collect();
    let expect = [
        "line 2, column rating: not a finite number (\"five\")",
        "line 3, column rating: the rating is off the scale",
        "line 4, column rating: a rating needs a value",
        "line 5, column userId: the id is missing",
        "line 6, column timestamp: another number of columns",
        "line 7, column 6: another number of columns",
        "line 8, column 1: invalid UTF-8",
        "line 9, column timestamp: not a time",
        "line 10, column timestamp: the time is past",
        "line 11, column location: not a place",
        "line 12, column 1: a quote is not closed",
        "line 13, column rating: not a finite number (\"nan\")",
    ];
    for (found, expect) in found.iter().zip(expect) {
        assert!(found.starts_with("ratings.csv, ") && found.contains(expect), "{found} / {expect}");
    }
    assert_eq!(report.manifest.rejected.by_reason["another number of columns than the first row"], 2);
}

#[test]
fn repeated_ids_of_movies_and_users_are_rejected() {
    let world = World::new();
    let mut events = "user,item\n".to_owned();
    (0..200).for_each(|user| events.push_str(&format!("{user},1\n")));
    let mut import = TableImport::new(CSV, vec![world.write("events.csv", events)]);
    import.default_kind = InteractionKind::Like;
    import.movies = Some(world.write("movies.csv", "id,title\n1,One\n1,Two\n"));
    import.users = Some(world.write("users.csv", "id\n1\n1\n"));
    let report = world.import(&import).unwrap();
    assert_eq!(report.manifest.rejected.by_reason["the id occurs twice"], 2);
    assert_eq!(world.load().movies[0].title, "One");
}

fn check_refused(change: impl FnOnce(&World, &mut TableImport), expect: &[&str]) {
    let world = World::new();
    let path = world.write("ratings.csv", "userId,movieId,rating\n1,1,4\n2,1,3\n");
    let mut import = TableImport::new(CSV, vec![path]);
    change(&world, &mut import);
    let message = world.import(&import).unwrap_err().to_string();
    assert!(expect.iter().all(|part| message.contains(part)), "{message}");
    assert!(world.is_empty(), "something was left");
}

#[test]
fn what_cannot_be_imported_is_refused_and_leaves_nothing() {
    check_refused(
        |_, import| import.columns = mapped(&[("user_id", "customer")]),
        &["customer", "userId, movieId, rating"],
    );
    check_refused(|_, import| import.columns = mapped(&[("usr", "userId")]), &["usr", "not a field"]);
    check_refused(|_, import| import.columns = mapped(&[("movies.title", "x")]), &["\"x\"", "title"]);
    check_refused(|_, import| import.interactions.clear(), &["at least one file"]);
    check_refused(|_, import| import.interactions.push("/none.csv".into()), &["/none.csv"]);
    check_refused(|world, import| import.movies = Some(world.write("m.csv", "")), &["m.csv", "empty"]);
    check_refused(
        |world, import| import.movies = Some(world.write("m.csv", "title\nHeat\n")),
        &["m.csv", "movie_id"],
    );
    check_refused(
        |world, import| import.interactions = vec![world.write("r.csv", "userId,movieId\n")],
        &["no interactions"],
    );
    check_refused(|world, import| import.interactions = vec![world.folder.path().to_owned()], &["directory"]);
    let quote = TableFormat::Csv { delimiter: b'"', header: true };
    check_refused(|_, import| import.format = quote, &["delimiter"]);
    check_refused(
        |_, import| import.format = TableFormat::Parquet,
        &["ratings.csv", "not a readable parquet file"],
    );
    let bad = "userId,movieId,rating\n1,1,4\n1,1,x\n";
    check_refused(
        |world, import| import.interactions = vec![world.write("r.csv", bad)],
        &["1 of 2 rows", "r.csv, line 3"],
    );
}

#[test]
fn ids_may_be_unicode_but_not_longer_than_256_bytes() {
    let world = World::new();
    let mut text = format!("user,item\n{},1\nzoë ✓,映画\n", "x".repeat(10_000));
    (0..200).for_each(|user| text.push_str(&format!("{user},1\n")));
    let mut import = TableImport::new(CSV, vec![world.write("events.csv", text)]);
    import.default_kind = InteractionKind::Watch;
    let report = world.import(&import).unwrap();
    assert_eq!((report.manifest.rejected.total, report.examples[0].line), (1, 2));
    assert!(report.examples[0].found.chars().count() <= 61);
    assert!(world.load().movies.iter().any(|movie| movie.title == "映画"));
}

#[test]
fn a_header_that_names_a_column_twice_is_refused() {
    let world = World::new();
    let import = TableImport::new(CSV, vec![world.write("e.csv", "user,user,movie,rating\n1,2,10,5\n")]);
    let error = world.import(&import).unwrap_err().to_string();
    assert!(error.contains("\"user\" twice"), "{error}");
    assert!(world.is_empty());
}

#[test]
fn a_data_set_that_is_replaced_hands_its_models_on() {
    let world = World::new();
    let import = TableImport::new(CSV, vec![world.write("e.csv", "user,movie,rating\n1,10,5\n")]);
    world.import(&import).unwrap();
    let model = world.root.path_of("set").unwrap().join("models/mine/movie_embeddings.parquet");
    fs::create_dir_all(model.parent().unwrap()).unwrap();
    fs::write(&model, "precious").unwrap();
    let options = ImportOptions { replace: true, ..ImportOptions::default() };
    import_table(&world.root, "set", &import, &options, &silent).unwrap();
    assert_eq!(fs::read(&model).unwrap(), b"precious");
}
