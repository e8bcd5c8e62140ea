//! Embeddings from elsewhere that cannot be served: not numbers, of unequal length, under one id twice.

use cinedex_storage::{Embeddings, write_embeddings};

use crate::support::Place;
use crate::support::fixture::{MOVIES, ready};
use crate::{report, report_refusal};

const DIMENSION: usize = 4;

/// An embedding for each film of the fixture.
fn sound() -> Embeddings {
    let ids: Vec<String> = (1..=MOVIES).map(|id| id.to_string()).collect();
    let values = (0..ids.len() * DIMENSION).map(|at| (at as f32 * 0.7).sin()).collect();
    Embeddings { ids, dimension: DIMENSION, values }
}

/// Builds a bundle from tables of movies and users that were written by hand; the bundle that is live stays.
struct Foreign {
    place: Place,
    live: String,
}

impl Foreign {
    fn new() -> Self {
        let place = ready();
        let live = std::fs::read_to_string(place.path("indexes/CURRENT")).unwrap();
        std::fs::create_dir(place.path("data/films/models/foreign")).unwrap();
        Self { place, live }
    }

    fn write(&self, table: &str, column: &str, embeddings: &Embeddings) {
        let path = self.place.path(&format!("data/films/models/foreign/{table}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_embeddings(&path, column, embeddings).unwrap();
    }

    fn movies(&self, embeddings: &Embeddings) {
        self.write("movie_embeddings.parquet", "movie_id", embeddings);
    }

    fn refuse(&self, case: &str, reasons: &[&str]) {
        let run = self.place.run(&["index", "build", "films", "--model", "foreign"]).refused(reasons);
        report_refusal(case, &self.place, &run);
        assert_eq!(std::fs::read_to_string(self.place.path("indexes/CURRENT")).unwrap(), self.live);
        let names = self.place.names("indexes");
        assert_eq!(names.len(), 3, "{case}: only CURRENT, HISTORY and the bundle before: {names:?}");
    }
}

#[test]
fn numbers_that_are_none_are_refused_with_their_id() {
    let foreign = Foreign::new();
    for (case, value, said) in [
        ("NaN", f32::NAN, "NaN"),
        ("infinite", f32::INFINITY, "inf"),
        ("-infinite", f32::NEG_INFINITY, "-inf"),
    ] {
        let mut embeddings = sound();
        embeddings.values[6 * DIMENSION + 2] = value;
        foreign.movies(&embeddings);
        foreign.refuse(
            &format!("embeddings: a component is {case}"),
            &["movie_embeddings.parquet", "\"7\"", said],
        );
    }
    foreign.movies(&sound());
    let mut users =
        Embeddings { ids: vec!["1".into(), "2".into()], dimension: DIMENSION, values: vec![0.5; 8] };
    users.values[5] = f32::NAN;
    foreign.write("user_embeddings.parquet", "user_id", &users);
    foreign.refuse("embeddings: NaN in a user's", &["user_embeddings.parquet", "\"2\"", "NaN"]);
    let mut huge = sound();
    huge.values[0] = 3e38;
    foreign.movies(&huge);
    std::fs::remove_file(foreign.place.path("data/films/models/foreign/user_embeddings.parquet")).unwrap();
    foreign.refuse("embeddings: finite, but 3e38", &["not a finite number of sensible size"]);
}

#[test]
fn lengths_that_differ_are_refused() {
    let foreign = Foreign::new();
    foreign.movies(&sound());
    let users = Embeddings { ids: vec!["1".into()], dimension: 3, values: vec![0.5; 3] };
    foreign.write("user_embeddings.parquet", "user_id", &users);
    foreign.refuse("embeddings: users of another dimension", &["user_embeddings.parquet", "3", "4"]);
    let parts = Foreign::new();
    parts.write("movie_embeddings.parquet/part-0.parquet", "movie_id", &sound());
    let odd = Embeddings { ids: vec!["99".into()], dimension: 5, values: vec![0.1; 5] };
    parts.write("movie_embeddings.parquet/part-1.parquet", "movie_id", &odd);
    parts.refuse("embeddings: a row of another dimension", &["part-1.parquet", "99", "5", "4"]);
    parts.place.write("data/films/models/foreign/model.json", "{\"dimension\": 7}");
    std::fs::remove_file(
        parts.place.path("data/films/models/foreign/movie_embeddings.parquet/part-1.parquet"),
    )
    .unwrap();
    parts.refuse("embeddings: model.json of another dimension", &["4", "7", "model.json"]);
}

#[test]
fn ids_that_cannot_be_are_refused() {
    let foreign = Foreign::new();
    let mut embeddings = sound();
    embeddings.ids[9] = "3".into();
    foreign.movies(&embeddings);
    foreign.refuse("embeddings: one id twice", &["movie_embeddings.parquet", "3", "second time"]);
    let mut embeddings = sound();
    embeddings.ids[9] = "x".repeat(10_000);
    foreign.movies(&embeddings);
    foreign.refuse("embeddings: an id of 10,000 characters", &["movie_embeddings.parquet", "256"]);
    let strangers = Embeddings { ids: vec!["nobody's".into()], dimension: DIMENSION, values: vec![1.0; 4] };
    foreign.movies(&strangers);
    foreign.refuse(
        "embeddings: of films that the data set does not have",
        &["foreign", "no embedding for any movie"],
    );
    foreign.movies(&Embeddings { dimension: DIMENSION, ..Embeddings::default() });
    foreign.refuse("embeddings: no rows", &["movie_embeddings.parquet", "no rows"]);
}

#[test]
fn tables_that_cannot_be_read_are_refused_by_name() {
    let foreign = Foreign::new();
    foreign.movies(&sound());
    let path = "data/films/models/foreign/movie_embeddings.parquet";
    let whole = std::fs::read(foreign.place.path(path)).unwrap();
    foreign.place.write(path, &whole[..whole.len() / 2]);
    foreign.refuse("embeddings: truncated", &["movie_embeddings.parquet"]);
    foreign.place.write(path, &whole);
    let id = ["index", "build", "films", "--model", "foreign", "--id-column", "id"];
    let run = foreign.place.run(&id).refused(&["movie_embeddings.parquet", "\"id\"", "movie_id"]);
    report_refusal("embeddings: a column that is not there", &foreign.place, &run);
    foreign.place.write("data/films/models/foreign/model.json", "{");
    foreign.refuse("embeddings: broken model.json", &["model.json"]);
}

#[test]
fn a_flipped_byte_is_refused_by_name_or_read_as_it_stands() {
    let foreign = Foreign::new();
    foreign.movies(&sound());
    let path = "data/films/models/foreign/movie_embeddings.parquet";
    let whole = std::fs::read(foreign.place.path(path)).unwrap();
    let mut refused = 0;
    for step in 0..30 {
        let mut altered = whole.clone();
        altered[step * (whole.len() - 1) / 29] ^= 0x10;
        foreign.place.write(path, altered);
        let run = foreign.place.run(&["index", "build", "films", "--model", "foreign", "--no-activate"]);
        if run.status != Some(0) {
            // Values that are no numbers of sensible size are found when the bundle is built, which names what they are.
            let named =
                ["movie_embeddings.parquet", "movie factors", "no embedding for any movie", "recall@10"];
            assert!(named.iter().any(|name| run.stderr.contains(name)), "{run:?}");
            run.refused(&[]);
            refused += 1;
        }
    }
    assert!(refused > 5, "{refused} of 30 were noticed");
    let answer =
        format!("{refused} of 30 positions: exit 1; the others read as they stand (no page checksums)");
    report("embeddings: a flipped byte", &answer);
}

#[test]
fn zero_vectors_and_films_without_an_embedding_are_served_last() {
    let foreign = Foreign::new();
    let mut embeddings = sound();
    embeddings.values[..DIMENSION].fill(0.0);
    embeddings.ids.truncate(30);
    embeddings.values.truncate(30 * DIMENSION);
    foreign.movies(&embeddings);
    foreign.place.run(&["index", "build", "films", "--model", "foreign"]).done();
    let similar = foreign.place.json(&["similar", "2", "-k", "1000"]);
    let items = similar["items"].as_array().unwrap();
    assert_eq!(items.len(), MOVIES as usize - 1, "all others are answered");
    let last: Vec<u32> =
        items[28..].iter().map(|item| item["movie_id"].as_str().unwrap().parse().unwrap()).collect();
    assert!(last.contains(&1) && last.contains(&35), "{last:?}");
    report("embeddings: a zero vector, and 12 films without one", "served last, by genre and popularity");
    foreign.place.json(&["similar", "1"]);
}
