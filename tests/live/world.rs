//! The small world of two tastes, made once a run of this test binary; each test serves it with a log of its own.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::fixture::ready;
use crate::support::served::{PATIENT, Served};
use crate::support::{Place, text};

fn bundles() -> &'static Place {
    static BUNDLES: OnceLock<Place> = OnceLock::new();
    BUNDLES.get_or_init(ready)
}

/// A folder of its own, with the world's index.
pub(crate) struct Live {
    pub(crate) place: Place,
}

impl Live {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        copy(&bundles().path("indexes"), &place.path("indexes"));
        Self { place }
    }

    /// Serves it, with what its log says.
    pub(crate) fn serve(&self) -> Served {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Served {
        let serve = ["serve", "--bind", "127.0.0.1:0"];
        let served = Served::spawn(self.place.command(&[&serve[..], &PATIENT, arguments].concat()));
        served.wait_ready();
        served
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap_or_else(|error| panic!("{}: {error}", text(&target)));
        }
    }
}

/// What somebody did with a film.
pub(crate) fn did(user: &str, movie: u32, kind: &str) -> Value {
    json!({"user_id": user, "movie_id": movie.to_string(), "kind": kind})
}

/// How many of a list are westerns, films 1 to 20.
pub(crate) fn westerns(list: &Value) -> usize {
    let ids = crate::support::client::ids(list);
    ids.iter().filter(|id| id.parse::<u32>().is_ok_and(|id| id <= 20)).count()
}
