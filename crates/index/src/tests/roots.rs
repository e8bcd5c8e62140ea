//! Versions and the pointer: built, activated, listed, removed, found again.

use std::fs;
use std::sync::atomic::AtomicBool;

use cinedex_domain::silent;

use super::world::{World, make_writable};
use crate::{BuildOptions, CurrentStamp, IndexError, IndexRoot, InputFault, Version, build};

/// Built, not activated; oldest first.
fn built<const COUNT: usize>() -> (tempfile::TempDir, IndexRoot, [Version; COUNT]) {
    let directory = tempfile::tempdir().unwrap();
    let root = IndexRoot::new(directory.path().join("indexes"));
    let mut world = World::new(60, 5, 4);
    let mut versions = std::array::from_fn(|number| {
        world.provenance.dataset = format!("set {number}");
        let version = world.build(&root).unwrap().version;
        make_writable(&root, &version);
        version
    });
    versions.sort();
    (directory, root, versions)
}

fn two() -> (tempfile::TempDir, IndexRoot, [Version; 2]) {
    built()
}

fn activate(root: &IndexRoot, versions: &[&Version]) {
    for version in versions {
        root.activate(version).unwrap();
    }
}

fn history(root: &IndexRoot) -> Vec<String> {
    let text = fs::read_to_string(root.path().join("HISTORY")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn truncate(root: &IndexRoot, version: &Version) {
    let scan = root.path().join(version.as_str()).join("scan.bin");
    let whole = fs::read(&scan).unwrap();
    fs::write(&scan, &whole[..whole.len() - 1]).unwrap();
}

fn names(root: &IndexRoot) -> Vec<Version> {
    root.versions().unwrap().into_iter().map(|summary| summary.version).collect()
}

#[test]
fn nothing_is_live_until_activated() {
    let (_directory, root, [older, newer]) = two();
    assert_eq!(root.current().unwrap(), None);
    assert!(matches!(root.open_current_or_last_good(), Err(IndexError::NoCurrent { .. })));
    root.activate(&newer).unwrap();
    root.activate(&older).unwrap();
    assert_eq!(root.current().unwrap(), Some(older.clone()));
    let (bundle, refused) = root.open_current_or_last_good().unwrap();
    assert!(bundle.version() == &older && refused.is_none());
    let summaries = root.versions().unwrap();
    assert_eq!(summaries.iter().map(|summary| summary.live).collect::<Vec<_>>(), [false, true]);
    assert!(summaries.iter().all(|summary| summary.bytes > 0 && summary.manifest.is_ok()));
}

#[test]
fn a_root_that_is_not_there_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let root = IndexRoot::new(directory.path().join("none"));
    assert!(names(&root).is_empty() && root.current().unwrap().is_none());
    assert!(root.prune(1).unwrap().is_empty());
}

#[test]
fn the_live_version_is_not_removed() {
    let (_directory, root, [older, newer]) = two();
    root.activate(&newer).unwrap();
    assert!(matches!(root.remove(&newer), Err(IndexError::VersionLive { .. })));
    let open = root.open(&older).unwrap();
    root.remove(&older).unwrap();
    assert_eq!(names(&root), [newer]);
    assert!(matches!(root.remove(&older), Err(IndexError::UnknownVersion { .. })));
    assert!(matches!(root.open(&older), Err(IndexError::UnknownVersion { .. })));
    assert!(matches!(root.activate(&older), Err(IndexError::UnknownVersion { .. })));
    // What was open stays readable.
    assert_eq!(open.user_id(cinedex_domain::UserIndex(4)), "4");
}

#[test]
fn pruning_keeps_what_was_live_most_recently() {
    // Whatever the order of building: the live one is not the newest, the one just replaced is the oldest.
    let (_directory, root, [never, first, live, third, second]) = built();
    assert!(root.prune(0).unwrap().is_empty(), "nothing is live");
    activate(&root, &[&first, &second, &third, &first, &live]);
    assert_eq!(history(&root), [&first, &second, &third, &first, &live].map(Version::as_str));
    assert!(root.prune(9).unwrap() == [never] && root.prune(3).unwrap().is_empty());
    assert_eq!(root.prune(2).unwrap(), [second]);
    assert_eq!(history(&root), [&first, &third, &first, &live].map(Version::as_str));
    assert_eq!(root.prune(1).unwrap(), [third]);
    assert_eq!(names(&root), [live.clone(), first.clone()]);
    assert_eq!(root.prune(0).unwrap(), [first]);
    assert_eq!(history(&root), [live.as_str()]);
}

#[test]
fn pruning_spares_what_never_was_live_unless_it_is_older_than_all_that_is_kept() {
    let (_directory, root, [a, b, c, d]) = built();
    activate(&root, &[&b, &c]);
    assert_eq!(root.prune(1).unwrap(), [a]);
    assert_eq!(root.prune(0).unwrap(), [b]);
    assert_eq!(names(&root), [d, c]);
}

#[test]
fn the_one_just_replaced_stays_even_if_it_went_live_by_hand() {
    let (_directory, root, [a, b, c]) = built();
    let point_at = |version: &Version| fs::write(root.path().join("CURRENT"), version.as_str()).unwrap();
    point_at(&a);
    activate(&root, &[&c]);
    assert!(root.prune(1).unwrap().is_empty(), "the first of a root without a history");
    point_at(&b);
    activate(&root, &[&c]);
    assert_eq!(root.prune(1).unwrap(), [a]);
    assert_eq!(history(&root), [&c, &b, &c].map(Version::as_str));
    truncate(&root, &b);
    fs::remove_file(root.path().join("HISTORY")).unwrap();
    point_at(&b);
    activate(&root, &[&c]);
    assert_eq!(history(&root), [c.as_str()], "what cannot be opened was not live");
}

#[test]
fn a_mark_tells_why_and_goes_with_the_version_or_its_activation() {
    let (_directory, root, [a, b, c]) = built();
    let marks = |root: &IndexRoot| -> Vec<Option<String>> {
        root.versions().unwrap().into_iter().map(|summary| summary.refused).collect()
    };
    let marker = |version: &Version| root.path().join(format!("{version}.refused"));
    assert_eq!(marks(&root), [None, None, None]);
    activate(&root, &[&c]);
    root.mark_refused(&a, "recall is 0.500").unwrap();
    root.mark_refused(&b, "first").unwrap();
    root.mark_refused(&b, " second\nline ü\n").unwrap();
    let [recall, second] = ["recall is 0.500", "second\nline ü"].map(|reason| Some(reason.to_owned()));
    assert_eq!(marks(&root), [None, second.clone(), recall]);
    root.activate(&b).unwrap();
    assert!(marks(&root)[1].is_none() && !marker(&b).exists());
    root.remove(&a).unwrap();
    assert!(!marker(&a).exists());
    assert!(matches!(root.mark_refused(&a, "gone"), Err(IndexError::UnknownVersion { .. })));
    root.mark_refused(&c, &"ü".repeat(5000)).unwrap();
    assert_eq!(marks(&root)[0].as_ref().unwrap().chars().count(), 2000);
    assert_eq!(root.prune(0).unwrap(), std::slice::from_ref(&c));
    assert!(!marker(&c).exists());
}

#[test]
fn the_stamp_tells_that_the_pointer_was_written_again() {
    let (_directory, root, [older, newer]) = two();
    let none = root.current_stamp();
    assert_eq!(none, root.current_stamp());
    root.activate(&newer).unwrap();
    let first: CurrentStamp = root.current_stamp();
    assert!(first != none && first == root.current_stamp());
    root.mark_refused(&older, "not of the pointer").unwrap();
    assert_eq!(first, root.current_stamp());
    root.activate(&newer).unwrap();
    assert_ne!(first, root.current_stamp());
}

#[test]
fn a_list_tells_the_live_version_while_another_one_takes_its_place() {
    let (_directory, root, [older, newer]) = two();
    root.activate(&older).unwrap();
    let there = |version: &Version| root.path().join(version.as_str());
    let aside = |version: &Version| root.path().join(format!("{version}-aside"));
    fs::rename(there(&newer), aside(&newer)).unwrap();
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for turn in 0..60 {
                let (comes, goes) = if turn % 2 == 0 { (&newer, &older) } else { (&older, &newer) };
                fs::rename(aside(comes), there(comes)).unwrap();
                root.activate(comes).unwrap();
                fs::rename(there(goes), aside(goes)).unwrap();
            }
        });
        while !changes.is_finished() {
            let versions = root.versions().unwrap();
            assert_eq!(versions.iter().filter(|version| version.live).count(), 1);
        }
    });
}

#[test]
fn changes_of_the_root_wait_for_each_other() {
    let (_directory, root, [older, newer]) = two();
    root.activate(&older).unwrap();
    root.activate(&newer).unwrap();
    let check = |change: &(dyn Fn() + Sync)| {
        let another = fs::File::open(root.path()).unwrap();
        another.lock().unwrap();
        std::thread::scope(|scope| {
            let (done, told) = std::sync::mpsc::channel();
            scope.spawn(move || {
                change();
                done.send(()).unwrap();
            });
            let early = told.recv_timeout(std::time::Duration::from_millis(200));
            drop(another);
            assert!(early.is_err(), "it did not wait");
            told.recv().unwrap();
        });
    };
    check(&|| root.activate(&newer).unwrap());
    check(&|| drop(root.prune(1).unwrap()));
    check(&|| root.remove(&older).unwrap());
}

#[test]
#[cfg(unix)]
fn files_of_a_bundle_are_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let root = IndexRoot::new(directory.path());
    let version = World::new(60, 5, 4).build(&root).unwrap().version;
    for entry in fs::read_dir(root.path().join(version.as_str())).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        // Whether others may read is the process's mask's to say.
        assert_eq!(mode & 0o733, 0o400, "{:?}", entry.file_name());
    }
    root.verify(&version).unwrap();
    root.remove(&version).unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn the_next_build_removes_what_killed_ones_left() {
    let (_directory, root, [older, _]) = two();
    let left = [
        ".building.tmp-killed",
        ".20250131T235959Z-0123abcd.tmp-killed",
        ".20250131T235959Z-0123abcd.removed",
    ];
    let others = [".hidden", ".building", ".20250131T235959Z-0123abcd.mine"];
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    for name in left.iter().chain(&others) {
        fs::create_dir(root.path().join(name)).unwrap();
        fs::write(root.path().join(name).join("scan.bin"), "half").unwrap();
        fs::File::open(root.path().join(name)).unwrap().set_modified(hour_ago).unwrap();
    }
    let mut world = World::new(60, 5, 4);
    world.provenance.dataset = "third".into();
    world.build(&root).unwrap();
    assert!(left.iter().all(|name| !root.path().join(name).exists()));
    assert!(others.iter().all(|name| root.path().join(name).exists()));
    root.open(&older).unwrap();
}

#[test]
fn foreign_names_are_ignored() {
    let (_directory, root, versions) = two();
    fs::create_dir(root.path().join("demo")).unwrap();
    fs::write(root.path().join("README.md"), "notes").unwrap();
    fs::write(root.path().join("20250131T235959Z-0123abcd"), "a file").unwrap();
    assert_eq!(names(&root).len(), 2);
    activate(&root, &[&versions[0], &versions[1]]);
    assert_eq!(root.prune(0).unwrap().len(), 1);
    assert!(root.path().join("demo").is_dir());
}

#[test]
fn nothing_else_is_left_in_the_root() {
    let (_directory, root, versions) = two();
    root.activate(&versions[0]).unwrap();
    let mut found: Vec<String> = fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, [versions[0].as_str(), versions[1].as_str(), "CURRENT", "HISTORY"]);
}

#[test]
fn a_cancelled_or_refused_build_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let root = IndexRoot::new(directory.path());
    let world = World::new(60, 5, 4);
    let cancelled = build(&root, &world.input(), &world.options, &silent, &AtomicBool::new(true));
    assert!(matches!(cancelled, Err(IndexError::Cancelled)));
    for options in [
        BuildOptions { connections: 257, ..BuildOptions::default() },
        BuildOptions { connections: 0, ..BuildOptions::default() },
        BuildOptions { ef_construction: 0, ..BuildOptions::default() },
        BuildOptions { recall_queries: 0, ..BuildOptions::default() },
        BuildOptions { target_recall: 0.49, ..BuildOptions::default() },
        BuildOptions { target_recall: f64::NAN, ..BuildOptions::default() },
    ] {
        let refused = build(&root, &world.input(), &options, &silent, &AtomicBool::new(false));
        assert!(matches!(refused, Err(IndexError::Input(InputFault::Parameter { .. }))));
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_pointer_or_bundle_finds_the_last_good_one_and_says_why() {
    let (_directory, root, [older, newer]) = two();
    activate(&root, &[&older, &newer]);
    let scan = root.path().join(newer.as_str()).join("scan.bin");
    let whole = fs::read(&scan).unwrap();
    truncate(&root, &newer);
    let (bundle, refused) = root.open_current_or_last_good().unwrap();
    assert_eq!(bundle.version(), &older);
    assert!(refused.unwrap().to_string().contains("scan.bin: "));
    fs::write(&scan, &whole).unwrap();
    let pointers: [&[u8]; 5] = [b"", b"garbage\n", b"../../etc", b"\xff\xfe", &[b'x'; 5000]];
    for pointer in pointers {
        fs::write(root.path().join("CURRENT"), pointer).unwrap();
        let (bundle, refused) = root.open_current_or_last_good().unwrap();
        assert_eq!(bundle.version(), &newer);
        assert!(refused.unwrap().to_string().contains("CURRENT: "));
        assert!(root.remove(&older).is_err(), "what is live is not known");
    }
    fs::write(root.path().join("CURRENT"), "20250131T235959Z-0123abcd\n").unwrap();
    let (bundle, refused) = root.open_current_or_last_good().unwrap();
    assert!(bundle.version() == &newer && matches!(refused, Some(IndexError::UnknownVersion { .. })));
    fs::remove_file(root.path().join("CURRENT")).unwrap();
    let (bundle, refused) = root.open_current_or_last_good().unwrap();
    assert!(bundle.version() == &newer && matches!(refused, Some(IndexError::NoCurrent { .. })));
    for version in [&older, &newer] {
        truncate(&root, version);
    }
    assert!(matches!(root.open_current_or_last_good(), Err(IndexError::NoCurrent { .. })));
    fs::write(root.path().join("CURRENT"), older.as_str()).unwrap();
    match root.open_current_or_last_good() {
        Err(IndexError::NothingUsable { reason, .. }) => {
            let scan = root.path().join(older.as_str()).join("scan.bin").display().to_string();
            assert!(reason.to_string().starts_with(&scan), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_never_was_live_is_not_the_last_good_one() {
    let (_directory, root, [first, second, refused, never]) = built();
    activate(&root, &[&first, &second, &first]);
    root.mark_refused(&refused, "recall").unwrap();
    truncate(&root, &first);
    let (bundle, why) = root.open_current_or_last_good().unwrap();
    assert!(bundle.version() == &second && why.is_some());
    truncate(&root, &second);
    match root.open_current_or_last_good() {
        Err(IndexError::NothingUsable { reason, .. }) => assert!(reason.to_string().contains(first.as_str())),
        other => panic!("{other:?}"),
    }
    fs::remove_file(root.path().join("HISTORY")).unwrap();
    assert!(matches!(root.open_current_or_last_good(), Err(IndexError::NothingUsable { .. })));
    fs::remove_file(root.path().join("CURRENT")).unwrap();
    let none = root.open_current_or_last_good().unwrap_err().to_string();
    assert!(none.starts_with("no bundle is live"), "{none}");
    assert!(none.ends_with("; run cinedex index build or activate"), "{none}");
    root.open(&never).unwrap();
}

#[test]
fn verify_reads_everything_and_measures_again() {
    let (_directory, root, [older, _]) = two();
    let report = root.verify(&older).unwrap();
    assert_eq!((report.version, report.files), (older.clone(), 9));
    assert!(report.calibration.similar.breadths[0].recall_at_10 > 0.99);
    assert_eq!(report.calibration.similar.queries, report.recorded.similar.queries);
    fs::write(root.path().join(older.as_str()).join("extra"), "x").unwrap();
    let refused = root.verify(&older).unwrap_err().to_string();
    assert!(refused.ends_with("extra: unexpected, the manifest does not name it"), "{refused}");
    assert!(root.activate(&older).is_err());
}

#[test]
fn with_one_thread_the_graph_is_the_same_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let root = IndexRoot::new(directory.path());
    let mut world = World::new(1500, 5, 8);
    world.options.threads = 1;
    let hash = |world: &World| world.build(&root).unwrap().manifest.files["graph.bin"].sha256.clone();
    let first = hash(&world);
    world.provenance.title = "another manifest".into();
    assert_eq!(hash(&world), first);
}
