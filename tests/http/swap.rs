//! Another bundle goes live while requests are running: none fails, each is answered from one bundle, and going back is the
//! same.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::client::{agent, get, ids};
use crate::support::served::Served;
use crate::support::{Place, text};
use crate::world::{serve_indexes, world};

const TARGETS: [&str; 6] = [
    "/v1/popular?location=KR/11/Seoul",
    "/v1/users/42/recommendations",
    "/v1/users/42/neighbors",
    "/v1/users/somebody-new/recommendations?location=NG",
    "/v1/movies/the-godfather-1972/similar",
    "/v1/movies?q=the",
];

/// Clients that ask without a pause until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    versions: Arc<Mutex<BTreeSet<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(served: &Served) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let versions = Arc::new(Mutex::new(BTreeSet::new()));
        let client = |client: usize| {
            let (stop, answered, versions) =
                (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&versions));
            let address = served.address;
            std::thread::spawn(move || {
                let agent = agent();
                for turn in client.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Every other request is one that no cache knows.
                    let target = TARGETS[turn % TARGETS.len()].replace("42", &(turn % 5000 + 1).to_string());
                    let answer = get(&agent, address, &target, &[]).done();
                    versions.lock().unwrap().insert(answer["index_version"].as_str().unwrap().to_owned());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..3).map(client).collect();
        Self { stop, answered, versions, clients }
    }

    /// Ends; how many were answered, all of them well, and by which bundles.
    fn end(self) -> (usize, BTreeSet<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("no request failed");
        }
        let versions = self.versions.lock().unwrap().clone();
        (self.answered.load(Ordering::Relaxed), versions)
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
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Waits until a version is served; how long it took.
fn wait_live(served: &Served, version: &str) -> Duration {
    let began = Instant::now();
    crate::support::wait_for("the swap", || {
        (served.json("/readyz")["index_version"] == version).then_some(())
    });
    began.elapsed()
}

#[test]
fn a_bundle_goes_live_under_load_without_a_failed_request() {
    let demo = &world().place;
    let place = Place::new();
    let indexes = place.path("indexes");
    copy(&demo.path("indexes/demo"), &indexes);
    let served = serve_indexes(&place, &indexes);
    let old = served.json("/readyz")["index_version"].as_str().unwrap().to_owned();
    let first_page = served.json("/v1/popular?limit=5");
    let load = Load::start(&served);
    let root = text(&indexes);
    let arguments = ["index", "build", "demo", "--data", &demo.text("data"), "--indexes", &root];
    let built = place.json(&arguments);
    let new = built["version"].as_str().unwrap().to_owned();
    assert!(built["activated"] == true && new != old, "{built}");
    let took = wait_live(&served, &new);
    println!("live {:.2} s after the build, under load", took.as_secs_f64());
    assert!(took < Duration::from_secs(4), "{took:?}");
    check_old_page(&served, &first_page, &old);
    place.run(&["index", "activate", &old, "--indexes", &root]).done();
    let took = wait_live(&served, &old);
    println!("rolled back in {:.2} s, under load", took.as_secs_f64());
    assert!(took < Duration::from_secs(4), "{took:?}");
    let (answered, versions) = load.end();
    println!("{answered} requests answered during the two swaps, none failed");
    assert!(answered > 50, "{answered} requests");
    assert_eq!(versions, BTreeSet::from([old, new]), "each answer comes from one of the two");
}

/// A list that began on the old bundle goes on with it.
fn check_old_page(served: &Served, first: &serde_json::Value, old: &str) {
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = served.json(&format!("/v1/popular?limit=5&cursor={cursor}"));
    assert_eq!(next["index_version"], old);
    assert!(ids(&next).iter().all(|id| !ids(first).contains(id)));
}
