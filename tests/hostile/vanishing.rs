//! Bundles that are replaced or deleted while they are served: whoever asks meanwhile or afterwards is answered, whole and from
//! one bundle, and what is not served any more is let go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use cinedex_storage::sha256_bytes;
use serde_json::Value;

use crate::report;
use crate::support::client::{agent, get};
use crate::support::fixture::ready;
use crate::support::served::Served;
use crate::support::{Place, wait_for};

const TARGETS: [&str; 6] = [
    "/v1/movies/1/similar?limit=20",
    "/v1/users/1/recommendations?limit=30",
    "/v1/users/2/neighbors?limit=10",
    "/v1/popular?limit=40",
    "/v1/movies?q=the",
    "/v1/movies/3",
];

/// What was answered: by target and version, each different document.
type Answers = BTreeMap<(&'static str, String), BTreeSet<String>>;

/// Clients that ask without a pause until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Answers>>,
}

impl Load {
    fn start(served: &Served) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |client: usize| {
            let (stop, address) = (Arc::clone(&stop), served.address);
            std::thread::spawn(move || {
                let (agent, mut answers) = (agent(), Answers::new());
                for turn in client.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let target = TARGETS[turn % TARGETS.len()];
                    let document = get(&agent, address, target, &[]).done();
                    let version = document["index_version"].as_str().unwrap().to_owned();
                    answers.entry((target, version)).or_default().insert(document.to_string());
                }
                answers
            })
        };
        Self { stop: Arc::clone(&stop), clients: (0..3).map(client).collect() }
    }

    /// Ends; panics if any request failed.
    fn end(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Answers::new();
        for client in self.clients {
            for (asked, documents) in client.join().expect("no request failed") {
                all.entry(asked).or_default().extend(documents);
            }
        }
        all
    }
}

/// Serves without a cache, so that each request is answered from the files.
fn serve(place: &Place) -> Served {
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--set", "deadline_ms=9000", "--set", "cache_bytes=0"];
    let served = Served::spawn(place.command(&arguments));
    served.wait_ready();
    served
}

fn current(place: &Place) -> String {
    std::fs::read_to_string(place.path("indexes/CURRENT")).unwrap().trim().to_owned()
}

fn wait_live(served: &Served, version: &str) {
    wait_for("the swap", || (served.json("/readyz")["index_version"] == version).then_some(()));
}

fn ask_everything(served: &Served) -> Vec<Value> {
    TARGETS.iter().map(|target| served.json(target)).collect()
}

/// Versions of which the process has files mapped, whether or not they still have a name.
#[cfg(target_os = "linux")]
fn mapped(served: &Served) -> BTreeSet<String> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", served.process())).unwrap();
    let bundles = maps.lines().filter_map(|line| line.split_once("/indexes/")?.1.split('/').next());
    // A bundle is put out of sight before its files are removed.
    let name = |bundle: &str| bundle.trim_start_matches('.').trim_end_matches(".removed").to_owned();
    bundles.map(name).collect()
}

#[test]
fn bundles_replaced_and_deleted_under_those_who_ask() {
    let place = ready();
    let old = current(&place);
    let served = serve(&place);
    let first_page = served.json("/v1/users/1/recommendations?limit=5");
    let load = Load::start(&served);
    // Another model, so that the two bundles cannot be taken for each other.
    place.run(&["train", "films", "--dim", "6", "--epochs", "3", "--threads", "1"]).done();
    place.run(&["index", "build", "films", "--keep", "100"]).done();
    let new = current(&place);
    wait_live(&served, &new);
    place.run(&["index", "remove", &old]).done();
    assert!(!place.path(&format!("indexes/{old}")).exists());
    let cursor = first_page["next_cursor"].as_str().unwrap();
    let next = served.json(&format!("/v1/users/1/recommendations?limit=5&cursor={cursor}"));
    assert_eq!(next["index_version"], *old, "a list goes on with a bundle that has no files any more");
    report(
        "the bundle of a list's first page is removed before the second",
        "the second page is of the same bundle",
    );
    let before = ask_everything(&served);
    // File by file, as an administrator might, and then everything.
    for file in place.names(&format!("indexes/{new}")) {
        std::fs::remove_file(place.path(&format!("indexes/{new}/{file}"))).unwrap();
        served.json(TARGETS[0]);
    }
    assert_eq!(ask_everything(&served), before);
    std::fs::remove_dir_all(place.path("indexes")).unwrap();
    assert_eq!(ask_everything(&served), before);
    let answers = load.end();
    assert_eq!(ask_everything(&served), before);
    for ((target, version), documents) in &answers {
        assert!([&old, &new].contains(&version), "{version}");
        assert_eq!(documents.len(), 1, "{target} of {version} has one answer");
    }
    for target in TARGETS {
        assert!(
            answers.contains_key(&(target, old.clone())) && answers.contains_key(&(target, new.clone())),
            "{target}"
        );
    }
    #[cfg(target_os = "linux")]
    assert_eq!(mapped(&served), BTreeSet::from([old, new]), "maps outlive the names of their files");
    report(
        "the files, the directory and the root of the live bundle are deleted under load",
        "every request before, meanwhile and afterwards is answered, whole and from one bundle",
    );
}

/// The live bundle once more, under another name.
#[cfg(target_os = "linux")]
fn copied(place: &Place, number: usize) -> String {
    let source = place.path(&format!("indexes/{}", current(place)));
    let manifest = std::fs::read_to_string(source.join("manifest.json")).unwrap();
    let manifest = manifest.replacen("\"created\": \"20", &format!("\"created\": \"{}", 30 + number), 1);
    let version = format!("20{number:02}0131T235959Z-{}", &sha256_bytes(manifest.as_bytes())[..8]);
    let target = place.path(&format!("indexes/{version}"));
    copy(&source, &target);
    let path = target.join("manifest.json");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path, manifest).unwrap();
    version
}

#[cfg(target_os = "linux")]
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Eight replaced bundles are kept for lists that began on them.
#[test]
#[cfg(target_os = "linux")]
fn the_maps_of_replaced_bundles_are_let_go() {
    let place = ready();
    let first = current(&place);
    let served = serve(&place);
    assert_eq!(mapped(&served), BTreeSet::from([first.clone()]));
    let mut live = vec![first.clone()];
    for number in 0..10 {
        let version = copied(&place, number);
        std::fs::write(place.path("indexes/CURRENT"), &version).unwrap();
        wait_live(&served, &version);
        std::fs::remove_dir_all(place.path(&format!("indexes/{}", live[number]))).unwrap();
        served.json(TARGETS[number % TARGETS.len()]);
        live.push(version);
    }
    let kept: BTreeSet<String> = live[2..].iter().cloned().collect();
    wait_for("the oldest maps to go", || (mapped(&served) == kept).then_some(()));
    ask_everything(&served);
    report(
        "ten bundles go live one after the other and are deleted",
        "the eight last stay mapped, the others are let go",
    );
}
