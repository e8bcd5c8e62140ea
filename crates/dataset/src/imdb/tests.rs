//! Joins with small tables, malformed and damaged ones, and the real samples where they are.

use std::io::Write;

use cinedex_domain::{Movie, MovieId, silent};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::{Dataset, DatasetBuilder, ImportOptions, MovieLensOptions, Source};

const BASICS: &str = "tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres\n\
    tt0112682\tmovie\tThe City of Lost Children\tLa cité des enfants perdus\t0\t1995\t\\N\t112\tAdventure,Drama\n\
    tt0000009\tmovie\tElsewhere\tElsewhere\t0\t1995\t\\N\t90\tDrama\n\
    tt0113277\tmovie\tHeat\tHeat\tmaybe\t1995\t\\N\t170\tCrime\n\
    short\trow\n";
const RATINGS: &str = "tconst\taverageRating\tnumVotes\ntt0112682\t7.5\t72000\ntt0113277\t8.3\t700000\n";
const AKAS: &str = "titleId\tordering\ttitle\tregion\tlanguage\ttypes\tattributes\tisOriginalTitle\n\
    tt0112682\t1\tDie Stadt der verlorenen Kinder\tDE\tde\timdbDisplay\t\\N\t0\n\
    tt0112682\t2\tDIE STADT DER VERLORENEN KINDER\tAT\tde\timdbDisplay\t\\N\t0\n";

struct World {
    folder: tempfile::TempDir,
    root: DataRoot,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = DataRoot::new(folder.path().join("data"));
        let mut builder = DatasetBuilder::create(&root, "films", &ImportOptions::default()).unwrap();
        for (id, title, imdb_id) in [
            ("1", "The City of Lost Children", Some("tt0112682")),
            ("2", "Heat", Some("tt0113277")),
            ("3", "None", None),
        ] {
            let mut movie = Movie::new(MovieId::new(id).unwrap(), title);
            movie.imdb_id = imdb_id.map(str::to_owned);
            assert!(builder.add_movie(movie));
        }
        let row = cinedex_storage::InteractionRow {
            user_id: "u",
            movie_id: "1",
            kind: cinedex_domain::InteractionKind::Like,
            value: None,
            timestamp_ms: None,
            location: None,
        };
        builder.add_interaction(row).unwrap();
        let source = Source { kind: "test".into(), title: "Test".into(), licence: String::new(), url: None };
        builder.finish(source).unwrap();
        fs::create_dir(folder.path().join("imdb")).unwrap();
        Self { folder, root }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.folder.path().join("imdb").join(name), bytes).unwrap();
        self
    }

    fn enrich(&self) -> Result<EnrichReport, String> {
        let folder = self.folder.path().join("imdb");
        enrich_imdb(&self.root, "films", &folder, &silent).map_err(|error| error.to_string())
    }

    fn movies(&self) -> Vec<Movie> {
        Dataset::load(&self.root, "films").unwrap().movies
    }

    fn check_refused(&self, expect: &str) {
        let before = self.movies();
        let error = self.enrich().unwrap_err();
        assert!(error.contains(expect), "{error}");
        assert_eq!(self.movies(), before);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gave(file: &str, rows: u64, matched_movies: u64, malformed: u64) -> EnrichedFile {
    EnrichedFile { file: file.to_owned(), rows, matched_movies, malformed }
}

#[test]
fn all_three_tables_are_joined() {
    let world = World::new();
    world.write("title.basics.tsv", BASICS.as_bytes()).write("title.akas.tsv", AKAS.as_bytes());
    let report = world.write("title.ratings.tsv.gz", &gzip(RATINGS.as_bytes())).enrich().unwrap();
    let expect = [
        gave("title.basics.tsv", 2, 1, 2),
        gave("title.ratings.tsv.gz", 2, 2, 0),
        gave("title.akas.tsv", 2, 1, 0),
    ];
    assert_eq!(report.files, expect);
    assert_eq!((report.movies, report.movies_with_imdb_id, report.matched_movies), (3, 2, 2));
    assert_eq!(report.manifest.inputs.len(), 3);
    assert_eq!(report.manifest.notices, [NOTICE]);
    let found: Vec<String> = report.examples.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "title.basics.tsv, line 4, column isAdult: neither 0, 1 nor null (\"maybe\")",
            "title.basics.tsv, line 5, column tconst: wrong number of fields (\"short\\trow\")",
        ]
    );
    let movies = world.movies();
    let city = &movies[0];
    assert_eq!(city.original_title.as_deref(), Some("La cité des enfants perdus"));
    assert_eq!(
        (city.runtime_minutes, city.imdb_rating, city.imdb_votes),
        (Some(112), Some(7.5), Some(72_000))
    );
    assert_eq!(city.alternative_titles, ["Die Stadt der verlorenen Kinder"]);
    assert_eq!(city.genres, ["Adventure", "Drama"]);
    assert!(city.countries.is_empty());
    assert_eq!((movies[1].runtime_minutes, movies[1].imdb_rating), (None, Some(8.3)));
}

#[test]
fn a_second_time_changes_nothing() {
    let world = World::new();
    world.write("title.basics.tsv", BASICS.as_bytes()).write("title.akas.tsv", AKAS.as_bytes());
    let first = world.enrich().unwrap();
    let movies = world.movies();
    let second = world.enrich().unwrap();
    assert_eq!(world.movies(), movies);
    assert_eq!(
        (first.manifest.inputs, first.manifest.notices),
        (second.manifest.inputs, second.manifest.notices)
    );
}

#[test]
fn what_cannot_be_joined_changes_nothing() {
    let world = World::new();
    world.check_refused("none of title.basics, title.ratings and title.akas");
    world.write("title.ratings.tsv", b"id\trating\n").check_refused("has no column \"tconst\"");
    world.write("title.ratings.tsv", b"").check_refused("has no column \"tconst\"");
    fs::remove_file(world.folder.path().join("imdb/title.ratings.tsv")).unwrap();
    let whole = gzip(&RATINGS.as_bytes().repeat(500));
    world.write("title.ratings.tsv.gz", &whole[..whole.len() - 20]).check_refused("truncated or damaged");
    world.write("title.ratings.tsv.gz", b"plain text").check_refused("truncated or damaged");
    let missing = enrich_imdb(&world.root, "films", Path::new("/nowhere"), &silent).unwrap_err();
    assert!(missing.to_string().contains("cannot open /nowhere"));
}

#[test]
fn a_data_set_without_imdb_ids_matches_nothing() {
    let world = World::new();
    let report = world
        .write("title.ratings.tsv", b"tconst\taverageRating\tnumVotes\ntt99\t5.0\t10\n")
        .enrich()
        .unwrap();
    assert_eq!((report.matched_movies, report.files[0].rows), (0, 1));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
    #[test]
    fn arbitrary_rows_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("title.akas.tsv");
        fs::write(&path, [b"titleId\ttitle\tisOriginalTitle\n".as_slice(), &bytes].concat()).unwrap();
        let catalogue = Catalogue::new(&[]);
        let tsv = Tsv::open(&path, Table::Akas.columns()).unwrap();
        tsv.for_each_row(&silent, &mut Vec::new(), |row| catalogue.find(row[0]).map(|_| ())).unwrap();
    }
}

#[test]
fn the_real_samples_match_latest_small_as_published() {
    let Some(shared) = std::env::var_os("CINEDEX_SHARED") else {
        eprintln!("skipped: CINEDEX_SHARED is not set");
        return;
    };
    let datasets = Path::new(&shared).join("datasets");
    let folder = tempfile::tempdir().unwrap();
    let root = DataRoot::new(folder.path());
    let source = datasets.join("ml-latest-small");
    let movielens = MovieLensOptions::default();
    crate::import_movielens(&root, "films", &source, &ImportOptions::default(), &movielens, &silent).unwrap();
    let enrich = |sample: &str| {
        enrich_imdb(&root, "films", &datasets.join("imdb-sample").join(sample), &silent).unwrap()
    };
    let report = enrich("full-2017-10-29");
    assert_eq!(report.files, [gave("title.ratings.tsv.gz", 775_956, 9665, 0)]);
    assert_eq!(report.movies_with_imdb_id, 9742);
    let report = enrich("movies-2017");
    assert_eq!(
        (report.files[0].rows, report.files[0].matched_movies, report.files[0].malformed),
        (18_199, 121, 0)
    );
    assert_eq!((report.files[1].rows, report.files[2].rows), (7821, 32_852));
    let movies = Dataset::load(&root, "films").unwrap().movies;
    assert!(movies.iter().filter(|movie| movie.imdb_rating.is_some()).count() >= 9665);
    assert!(movies.iter().all(|movie| movie.countries.is_empty()));
}
