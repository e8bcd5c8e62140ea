//! Bundles that were altered on disk: a flipped byte in any file is found, named, and answered by the last good bundle.

use std::path::{Path, PathBuf};

use crate::support::fixture::ready;
use crate::support::served::Served;
use crate::support::{Place, wait_for};
use crate::{report, report_refusal};

/// A place with two bundles: an older good one, and the live one.
struct Two {
    place: Place,
    old: String,
    live: String,
}

impl Two {
    fn new() -> Self {
        let place = ready();
        let old = current(&place);
        // Versions order by the second in which they are built.
        let second = |version: &str| version[..16].to_owned();
        let live = wait_for("a bundle of another second", || {
            place.run(&["index", "build", "films", "--keep", "100"]).done();
            let live = current(&place);
            (second(&live) != second(&old)).then_some(live)
        });
        for name in place.names("indexes") {
            if !["CURRENT", "HISTORY"].contains(&name.as_str()) && name != old && name != live {
                place.run(&["index", "remove", &name]).done();
            }
        }
        Self { place, old, live }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path(&format!("indexes/{}/{name}", self.live))
    }
}

fn current(place: &Place) -> String {
    std::fs::read_to_string(place.path("indexes/CURRENT")).unwrap().trim().to_owned()
}

/// Puts other bytes in a file's place; the files of a bundle are read-only.
fn overwrite(path: &Path, bytes: impl AsRef<[u8]>) {
    // An extra file is not there yet.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_in_each_file_is_named_and_the_last_good_bundle_serves() {
    let two = Two::new();
    let files = two.place.names(&format!("indexes/{}", two.live));
    assert!(files.len() >= 6 && files.contains(&"manifest.json".to_owned()), "{files:?}");
    for file in files {
        let whole = std::fs::read(two.file(&file)).unwrap();
        for share in [0, 1, 3, 5, 7] {
            let mut altered = whole.clone();
            altered[(whole.len() - 1) * share / 7] ^= 0x11;
            overwrite(&two.file(&file), &altered);
            two.place.run(&["index", "verify", &two.live]).refused(&[&file]);
            two.place.run(&["index", "activate", &two.live]).refused(&[&file]);
        }
        let run = two.place.run(&["index", "verify", &two.live]).refused(&[&file]);
        let served = Served::start(&two.place);
        let ready = served.json("/readyz");
        assert_eq!(ready["index_version"], *two.old, "{file}: the last good one");
        assert_eq!(served.json("/v1/popular")["index_version"], *two.old);
        let log = wait_for("the reason in the log", || Some(served.log()).filter(|log| log.contains(&file)));
        assert!(log.contains("last good"), "{log}");
        let fault = run.reason().split(&format!("{file}: ")).nth(1).unwrap_or(run.reason()).to_owned();
        report(
            &format!("bundle: a flipped byte in {file}"),
            &format!("refused ({fault}); serve logs {file} and serves the last good bundle"),
        );
        overwrite(&two.file(&file), whole);
    }
    two.place.run(&["index", "verify", &two.live]).done();
    assert_eq!(Served::start(&two.place).json("/readyz")["index_version"], *two.live);
}

#[test]
fn truncated_missing_and_superfluous_files_are_named() {
    let two = Two::new();
    for file in two.place.names(&format!("indexes/{}", two.live)) {
        let whole = std::fs::read(two.file(&file)).unwrap();
        overwrite(&two.file(&file), &whole[..whole.len() / 2]);
        two.place.run(&["index", "verify", &two.live]).refused(&[&file]);
        std::fs::remove_file(two.file(&file)).unwrap();
        let run = two.place.run(&["index", "activate", &two.live]).refused(&[&file]);
        report_refusal(&format!("bundle: {file} is missing"), &two.place, &run);
        assert_eq!(two.place.json(&["popular"])["index_version"], *two.old, "{file}");
        overwrite(&two.file(&file), whole);
    }
    overwrite(&two.file("extra.bin"), "x");
    two.place.run(&["index", "verify", &two.live]).refused(&["extra.bin", "unexpected"]);
}

#[test]
fn a_bundle_that_breaks_while_it_is_to_go_live_leaves_the_old_one_serving() {
    let two = Two::new();
    two.place.run(&["index", "activate", &two.old]).done();
    let served = Served::start(&two.place);
    assert_eq!(served.json("/readyz")["index_version"], *two.old);
    let file = two.file("graph.bin");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    overwrite(&file, bytes);
    // Past the command that would refuse it.
    std::fs::write(two.place.path("indexes/CURRENT"), &two.live).unwrap();
    wait_for("the refusal in the log", || served.log().contains("graph.bin").then_some(()));
    assert_eq!(served.json("/v1/popular")["index_version"], *two.old);
    report(
        "CURRENT is pointed at a damaged bundle while serving",
        "refused in the log with the file's name; the old one goes on serving",
    );
}

#[test]
fn nothing_good_is_left() {
    let place = ready();
    let file = format!("indexes/{}/scan.bin", current(&place));
    let mut bytes = std::fs::read(place.path(&file)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    place.write(&file, bytes);
    let run = place.run(&["similar", "1"]).refused(&["scan.bin", "cinedex index build"]);
    report_refusal("the only bundle is damaged, similar", &place, &run);
    let served = Served::spawn(place.command(&["serve", "--bind", "127.0.0.1:0"]));
    wait_for("the reason in the log", || served.log().contains("scan.bin").then_some(()));
    served.get("/v1/popular").problem(503, "not_ready", None);
    assert!(!served.get("/readyz").text().contains("scan.bin"), "the log tells, not the answer");
    report(
        "the only bundle is damaged, serve",
        "503 `not_ready`; the log names the file; a new bundle is taken up without a restart",
    );
    place.run(&["index", "build", "films"]).done();
    served.wait_ready();
}

#[test]
fn a_pointer_that_points_nowhere() {
    let place = ready();
    let good = current(&place);
    for (case, text) in [
        ("empty", ""),
        ("`../../etc/passwd`", "../../etc/passwd"),
        ("a version that is not there", "20200101T000000Z-00000000"),
        ("binary", "\u{0}\u{1}"),
    ] {
        place.write("indexes/CURRENT", text);
        assert_eq!(place.json(&["popular"])["index_version"], *good, "{case}");
        report(&format!("CURRENT: {case}"), "the last good bundle serves");
    }
}

#[test]
fn another_format_says_what_to_do() {
    let place = ready();
    let manifest = place.path(&format!("indexes/{}/manifest.json", current(&place)));
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("\"format_version\": 3"), "{text}");
    overwrite(&manifest, text.replace("\"format_version\": 3", "\"format_version\": 2"));
    let run = place.run(&["similar", "1"]).refused(&["manifest.json", "format 2", "run cinedex index build"]);
    report_refusal("a bundle of an older format", &place, &run);
}
