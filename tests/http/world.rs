//! The demo world, prepared once a run of this test binary by the command that a new user runs first. Each test serves it
//! with a child of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::ids;
use crate::support::served::{PATIENT, Served, own_log};
use crate::support::{Place, text};

/// The demo world on disk.
pub(crate) struct World {
    pub(crate) place: Place,
    /// How long the first preparation took.
    pub(crate) prepared_in: Duration,
    /// All films with all their facts, by id, as the API tells them.
    pub(crate) films: BTreeMap<String, Value>,
    /// Keeps another run of this binary from preparing in the same folder.
    _lock: File,
}

/// The world; the first caller prepares it.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("http-demo");
        std::fs::create_dir_all(&root).unwrap();
        let lock = File::create(root.join("lock")).unwrap();
        lock.lock().unwrap();
        let path = root.join("world");
        // Of an earlier run, perhaps of an earlier version of the program.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        let place = Place::at(&path);
        let began = Instant::now();
        place.run(&["demo", "--prepare-only"]).done();
        let prepared_in = began.elapsed();
        eprintln!("the demo world was prepared in {:.1} s", prepared_in.as_secs_f64());
        let films = films(&serve_from(&place));
        World { place, prepared_in, films, _lock: lock }
    })
}

/// Serves the demo world.
pub(crate) fn serve() -> Served {
    serve_from(&world().place)
}

fn serve_from(place: &Place) -> Served {
    serve_indexes(place, &place.path("indexes/demo"))
}

/// Serves another root of bundles.
pub(crate) fn serve_indexes(place: &Place, indexes: &Path) -> Served {
    let root = text(indexes);
    let serve = ["serve", "--bind", "127.0.0.1:0", "--indexes", &root];
    let mut command = place.command(&[&serve[..], &PATIENT].concat());
    command.env("CINEDEX_FEEDBACK", own_log(place));
    let served = Served::spawn(command);
    served.wait_ready();
    served
}

fn films(served: &Served) -> BTreeMap<String, Value> {
    let all = served.all_ids("/v1/movies?limit=100");
    all.into_iter().map(|id| (id.clone(), served.json(&format!("/v1/movies/{id}")))).collect()
}

/// How many films of a list were made in a country.
pub(crate) fn made_in(list: &Value, country: &str) -> usize {
    let films = &world().films;
    let made = |id: &String| films[id]["countries"].as_array().unwrap().iter().any(|found| found == country);
    ids(list).iter().filter(|id| made(id)).count()
}
