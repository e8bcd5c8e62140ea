//! Whole imports: small sources in every layout, hostile ones, and the real ones where they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};

use cinedex_domain::{Movie, MovieId, User, silent};
use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::Dataset;

type Files<'a> = &'a [(&'a str, &'a [u8])];

const ONE_HUNDRED_THOUSAND: Files<'static> = &[
    ("u.data", b"1\t1\t3\t881250949\n2\t2\t5\t891717742\n2\t3\t1\t878887116\n"),
    ("u.genre", b"unknown|0\nAction|1\nChildren's|2\n\n"),
    (
        "u.item",
        b"1|Toy Story (1995)|01-Jan-1995||http://x|0|0|1\n2|Cit\xE9, La (1994)|||http://x|0|1|1\n3|unknown||||1|0|0\n",
    ),
    ("u.user", b"1|24|M|technician|85711\n2|53|F|other|T8H1N\n"),
];

const ONE_MILLION: Files<'static> = &[
    ("ratings.dat", b"1::1::5::978300760\n1::2::3::978302109\n"),
    ("movies.dat", b"1::Toy Story (1995)::Animation|Children's|Comedy\n2::L\xE9on (1994)::Drama\n"),
    ("users.dat", b"1::F::1::10::48067\n2::M::56::16::98107-2117\n"),
];

const TEN_MILLION: Files<'static> = &[
    ("ratings.dat", b"1::1::4.5::838985046\n"),
    ("movies.dat", "1::Léon (1994)::Drama\n2::Other (1990)::(no genres listed)\n".as_bytes()),
    ("tags.dat", b"5::1::assassin::1\n6::1::Hitman::2\n7::1::hitman::3\n"),
];

const CSV: Files<'static> = &[
    ("ratings.csv", b"userId,movieId,rating,timestamp\r\n1,1,4.0,964982703\r\n7,2,0.5,964981247\r\n"),
    ("movies.csv", b"movieId,title,genres\r\n1,\"Matrix, The (1999)\",Action|Sci-Fi\r\n2,Babylon 5,(no genres listed)\r\n"),
    ("links.csv", b"movieId,imdbId,tmdbId\r\n1,0133093,603\r\n2,10105,\r\n"),
    ("tags.csv", b"userId,movieId,tag,timestamp\r\n1,1,\"so, so\",1\r\n2,1,cyberpunk,2\r\n3,1,Cyberpunk,3\r\n"),
];

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> DataRoot {
        DataRoot::new(self.folder.path().join("data"))
    }

    fn folder_of(&self, files: Files<'_>) -> PathBuf {
        let path = self.folder.path().join("source");
        fs::create_dir_all(&path).unwrap();
        for (name, bytes) in files {
            fs::write(path.join(name), bytes).unwrap();
        }
        path
    }

    fn zip_of(&self, top: &str, files: Files<'_>) -> PathBuf {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            writer.start_file(format!("{top}/{name}"), SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        let path = self.folder.path().join("source.zip");
        fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
        path
    }

    fn import_with(&self, source: &Path, ratings: Option<&str>, share: f64) -> Result<ImportReport, String> {
        let options = ImportOptions { replace: false, max_rejected_share: share };
        let movielens =
            MovieLensOptions { ratings: ratings.map(PathBuf::from), ..MovieLensOptions::default() };
        import_movielens(&self.root(), "ml", source, &options, &movielens, &silent)
            .map_err(|error| error.to_string())
    }

    fn import(&self, source: &Path) -> Result<ImportReport, String> {
        self.import_with(source, None, 0.01)
    }

    fn load(&self) -> Dataset {
        Dataset::load(&self.root(), "ml").unwrap()
    }

    /// The import fails with this message and leaves nothing.
    fn check_refused(&self, source: &Path, ratings: Option<&str>, expect: &str) {
        let error = self.import_with(source, ratings, 0.01).expect_err("the import went through");
        assert!(error.contains(expect), "{error}");
        let left = fs::read_dir(self.folder.path().join("data")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something was left after: {error}");
    }
}

fn movie<'a>(data: &'a Dataset, id: &str) -> &'a Movie {
    data.movies.iter().find(|movie| movie.movie_id.as_str() == id).unwrap()
}

fn user<'a>(data: &'a Dataset, id: &str) -> &'a User {
    data.users.iter().find(|user| user.user_id.as_str() == id).unwrap()
}

fn place(user: &User) -> Option<&str> {
    user.location.as_ref().map(cinedex_domain::Location::as_str)
}

#[test]
fn the_100k_layout_is_read() {
    let world = World::new();
    let report = world.import(&world.folder_of(ONE_HUNDRED_THOUSAND)).unwrap();
    assert_eq!(report.manifest.source.kind, "movielens-100k");
    assert_eq!(report.manifest.rejected.total, 0);
    assert_eq!((report.manifest.rating_scale.lowest(), report.manifest.rating_scale.highest()), (1.0, 5.0));
    assert_eq!(report.manifest.notices.len(), 1, "{:?}", report.manifest.notices);
    let files: Vec<_> = report.manifest.inputs.iter().map(|input| input.file.as_str()).collect();
    assert_eq!(files, ["u.genre", "u.item", "u.user", "u.data"]);
    let data = world.load();
    assert_eq!(movie(&data, "1").genres, ["Children"]);
    assert_eq!((movie(&data, "2").title.as_str(), movie(&data, "2").year), ("La Cité", Some(1994)));
    assert_eq!(movie(&data, "2").genres, ["Action", "Children"]);
    assert!(movie(&data, "3").genres.is_empty() && movie(&data, "3").year.is_none());
    assert_eq!((place(user(&data, "1")), place(user(&data, "2"))), (Some("US/AZ"), None));
    assert_eq!(user(&data, "1").attributes["age"], "24");
    assert_eq!(data.interactions.timestamps_ms[0], 881_250_949_000);
}

#[test]
fn the_1m_layout_is_read() {
    let world = World::new();
    let report = world.import(&world.folder_of(ONE_MILLION)).unwrap();
    assert_eq!((report.manifest.source.kind.as_str(), report.manifest.rejected.total), ("movielens-1m", 0));
    let data = world.load();
    assert_eq!(movie(&data, "1").genres, ["Animation", "Children", "Comedy"]);
    assert_eq!(movie(&data, "2").title, "Léon");
    assert_eq!(user(&data, "1").attributes["occupation"], "K-12 student");
    assert_eq!(user(&data, "1").attributes["age"], "under 18");
    assert_eq!((place(user(&data, "1")), place(user(&data, "2"))), (Some("US/MI"), Some("US/WA")));
}

#[test]
fn the_10m_layout_is_read() {
    let world = World::new();
    let report = world.import(&world.folder_of(TEN_MILLION)).unwrap();
    assert_eq!(report.manifest.source.kind, "movielens-10m");
    assert_eq!(report.manifest.rating_scale.lowest(), 0.5);
    let data = world.load();
    assert_eq!(movie(&data, "1").title, "Léon");
    assert_eq!(movie(&data, "1").tags, ["Hitman", "assassin"]);
    assert!(movie(&data, "2").genres.is_empty());
    assert_eq!(data.interactions.values, [4.5]);
}

#[test]
fn the_csv_layout_is_read_from_a_folder_and_a_zip_alike() {
    let (one, other) = (World::new(), World::new());
    let report = one.import(&one.folder_of(CSV)).unwrap();
    assert_eq!((report.manifest.source.kind.as_str(), report.manifest.inputs.len()), ("movielens", 4));
    let report = other.import(&other.zip_of("ml-25m", CSV)).unwrap();
    assert_eq!((report.manifest.source.kind.as_str(), report.manifest.inputs.len()), ("movielens-25m", 1));
    let (data, zipped) = (one.load(), other.load());
    assert_eq!((&data.movies, &data.users), (&zipped.movies, &zipped.users));
    assert_eq!(data.interactions, zipped.interactions);
    let matrix = movie(&data, "1");
    assert_eq!((matrix.title.as_str(), matrix.year), ("The Matrix", Some(1999)));
    assert_eq!((matrix.imdb_id.as_deref(), matrix.tmdb_id), (Some("tt0133093"), Some(603)));
    assert_eq!(matrix.tags, ["cyberpunk", "so, so"]);
    let babylon = movie(&data, "2");
    assert_eq!((babylon.imdb_id.as_deref(), babylon.tmdb_id, babylon.year), (Some("tt0010105"), None, None));
    assert_eq!(data.users.len(), 2);
}

#[test]
fn malformed_rows_are_named_counted_and_left_out() {
    let ratings = b"userId,movieId,rating,timestamp\n1,1,4.0,1\n1,1,4.0\nx,1,4.0,1\n1,9,4.0,1\n1,1,9,1\n1,1,4,late\n1,\xFF,4,1\n\n1,2,5,1";
    let mut files = CSV.to_vec();
    files[0].1 = ratings;
    let world = World::new();
    let source = world.folder_of(&files);
    world.check_refused(&source, None, "ratings.csv, line 3, column timestamp: wrong number of fields");
    let report = world.import_with(&source, None, 1.0).unwrap();
    assert_eq!(report.manifest.counts.interactions, 2);
    let found: Vec<String> = report.examples.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "ratings.csv, line 3, column timestamp: wrong number of fields (\"1,1,4.0\")",
            "ratings.csv, line 4, column userId: the id is not a whole number without leading zeros (\"x\")",
            "ratings.csv, line 5, column movieId: the movie is unknown (\"9\")",
            "ratings.csv, line 6, column rating: the rating is off the scale (\"9\")",
            "ratings.csv, line 7, column timestamp: the timestamp is not a whole number of seconds since 1970 (\"late\")",
            "ratings.csv, line 8, column 1: invalid UTF-8 (\"1,\u{fffd},4,1\")",
        ]
    );
    assert_eq!(report.manifest.rejected.total, 6);
}

#[test]
fn malformed_films_and_people_are_left_out() {
    let mut files = ONE_MILLION.to_vec();
    files[1].1 = b"1::Toy Story (1995)::Comedy\n1::Again (1995)::Comedy\n2::Heat\n3::  ::Drama\n2::Leon (1994)::Drama\n";
    files[2].1 = b"1::F::1::10::48067\n2::M::2::16::1\n3::M::56::99::1\n1::F::1::10::48067\n";
    let world = World::new();
    let report = world.import_with(&world.folder_of(&files), None, 1.0).unwrap();
    let expect: BTreeMap<String, u64> = [
        ("the id occurred before", 2),
        ("wrong number of fields", 1),
        ("the title is empty", 1),
        ("not one of the age groups", 1),
        ("not one of the occupations", 1),
    ]
    .into_iter()
    .map(|(reason, count)| (reason.to_owned(), count))
    .collect();
    assert_eq!(report.manifest.rejected.by_reason, expect);
    assert_eq!(report.manifest.counts.movies, 2);
}

#[test]
fn ratings_may_be_named_and_may_lack_times() {
    let mut files = ONE_MILLION.to_vec();
    files[0] = ("my-ratings.dat", b"1::1::5\n1::2::3::978302109\n");
    let world = World::new();
    let source = world.folder_of(&files);
    world.check_refused(
        &source,
        None,
        "ratings.dat is missing; these could serve, name one with --ratings: my-ratings.dat (without times)",
    );
    world.check_refused(
        &source,
        Some("other.dat"),
        "there is no file other.dat; its files are: movies.dat, my-ratings.dat, users.dat",
    );
    world.check_refused(&source, Some("../my-ratings.dat"), "name a file inside the source");
    world.check_refused(&source, Some("/etc/passwd"), "name a file inside the source");
    let report = world.import_with(&source, Some("my-ratings.dat"), 0.01).unwrap();
    assert_eq!(report.manifest.notices, ["1 ratings have no time: their file gives none"]);
    assert_eq!(world.load().interactions.timestamps_ms, [crate::Interactions::NO_TIME, 978_302_109_000]);
}

#[test]
fn a_wrong_layout_is_one_clear_error_and_leaves_nothing() {
    let world = World::new();
    let source = world.folder_of(&[("readme.txt", b"hello")]);
    world.check_refused(&source, None, "its files are: readme.txt");
    world.check_refused(&source.join("readme.txt"), None, "neither a folder nor a zip archive");
    world.check_refused(&source.join("nowhere"), None, "cannot open");
    for (layout, missing) in [
        (ONE_HUNDRED_THOUSAND, "u.item"),
        (ONE_HUNDRED_THOUSAND, "u.genre"),
        (ONE_MILLION, "movies.dat"),
        (CSV, "movies.csv"),
        (CSV, "ratings.csv"),
    ] {
        let world = World::new();
        let files: Vec<_> = layout.iter().filter(|(name, _)| *name != missing).copied().collect();
        world.check_refused(&world.folder_of(&files), None, &format!("{missing} is missing"));
    }
    let world = World::new();
    let mut files = CSV.to_vec();
    files[0].1 = b"user,item,stars\n1,1,5\n";
    world.check_refused(&world.folder_of(&files), None, "line 1 of ratings.csv is \"user,item,stars\"");
}

#[test]
fn hostile_archives_leave_nothing() {
    let world = World::new();
    let mut files = CSV.to_vec();
    let zeros = vec![b'0'; 4 << 20];
    files.push(("bomb.csv", &zeros));
    world.check_refused(&world.zip_of("ml", &files), None, "zip bomb");
    let path = world.zip_of("ml", CSV);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    world.check_refused(&path, None, "truncated or damaged");
    // A byte of the ratings' compressed data: found only while they are read.
    let at = memchr::memmem::find(&bytes, b"ratings.csv").unwrap() + "ratings.csv".len() + 9;
    let mut bytes = bytes;
    bytes[at] ^= 0x41;
    fs::write(&path, &bytes).unwrap();
    world.check_refused(&path, None, "");
}

#[test]
fn an_existing_data_set_stays_unless_it_is_to_be_replaced() {
    let world = World::new();
    let source = world.folder_of(CSV);
    world.import(&source).unwrap();
    assert!(world.import(&source).unwrap_err().contains("--replace"));
    assert_eq!(world.load().interactions.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn arbitrary_bytes_in_any_file_never_panic(
        layout in 0_usize..4, file in 0_usize..4, bytes in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        let layout = [ONE_HUNDRED_THOUSAND, ONE_MILLION, TEN_MILLION, CSV][layout];
        let mut files = layout.to_vec();
        let at = file % files.len();
        files[at].1 = &bytes;
        let world = World::new();
        world.import_with(&world.folder_of(&files), None, 1.0).ok();
    }
}

fn shared(path: &str) -> Option<PathBuf> {
    let Some(shared) = std::env::var_os("CINEDEX_SHARED") else {
        eprintln!("skipped: CINEDEX_SHARED is not set");
        return None;
    };
    Some(Path::new(&shared).join("datasets").join(path))
}

/// Imports a real source and compares movies, users, interactions, rated movies.
fn check_real(
    path: &str,
    ratings: Option<&str>,
    expect: (u64, u64, u64, u64),
) -> Option<(World, ImportReport)> {
    let source = shared(path)?;
    let world = World::new();
    let report = world.import_with(&source, ratings, 0.0).unwrap();
    let counts = report.manifest.counts;
    assert_eq!((counts.movies, counts.users, counts.interactions, counts.rated_movies), expect);
    assert_eq!(report.manifest.rejected.total, 0);
    Some((world, report))
}

#[test]
fn the_real_100k_has_the_published_counts() {
    let Some((world, report)) = check_real("ml-100k", None, (1682, 943, 100_000, 1682)) else { return };
    assert_eq!(report.manifest.source.title, "MovieLens 100K");
    assert!(
        report.manifest.notices[0].starts_with("22 of 943 users have no place"),
        "{:?}",
        report.manifest.notices
    );
    let data = world.load();
    assert_eq!(movie(&data, "1").genres, ["Animation", "Children", "Comedy"]);
    assert!(data.movies.iter().filter(|movie| movie.year.is_none()).all(|movie| movie.title == "unknown"));
}

#[test]
fn the_real_1m_has_the_published_counts() {
    let Some((world, _)) = check_real("ml-1m", Some("user-movie-rating.dat"), (3883, 6040, 1_000_209, 3706))
    else {
        return;
    };
    let data = world.load();
    let mut stars = [0; 6];
    data.interactions.values.iter().for_each(|&value| stars[value as usize] += 1);
    assert_eq!(stars, [0, 56_174, 107_557, 261_197, 348_971, 226_310]);
    assert!(data.movies.iter().all(|movie| movie.year.is_some() && !movie.title.contains('\u{fffd}')));
    assert!(data.movies.iter().any(|movie| movie.original_title.as_deref() == Some("L'Uomo delle stelle")));
    let error = World::new().import(&shared("ml-1m").unwrap()).unwrap_err();
    assert!(error.contains("ratings-known-timestamps.dat, user-movie-rating.dat (without times)"), "{error}");
}

#[test]
fn the_real_1m_with_known_times_has_the_published_counts() {
    check_real("ml-1m", Some("ratings-known-timestamps.dat"), (3883, 6040, 813_231, 3691));
}

#[test]
fn the_real_latest_small_is_the_same_from_folder_and_zip() {
    let counts = (9742, 610, 100_836, 9724);
    let Some((world, report)) = check_real("ml-latest-small", None, counts) else { return };
    let (zipped, _) = check_real("zips/ml-latest-small.zip", None, counts).unwrap();
    assert_eq!(report.manifest.source.kind, "movielens-latest-small");
    let (data, zipped) = (world.load(), zipped.load());
    assert_eq!(data.movies, zipped.movies);
    assert_eq!(data.interactions, zipped.interactions);
    assert_eq!(data.movies.iter().filter(|movie| movie.imdb_id.is_some()).count(), 9742);
    assert_eq!(data.movies.iter().filter(|movie| movie.tmdb_id.is_none()).count(), 8);
    // Titles are right: no bracketed year is left, and an article only where it is no article.
    assert!(
        data.movies.iter().all(|movie| !movie.title.ends_with(", The") && !movie.title.ends_with("(1995)"))
    );
    assert_eq!(movie(&data, "2571").title, "The Matrix");
    let id = MovieId::new("193609").unwrap();
    assert_eq!(data.movies.last().unwrap().movie_id, id);
}
