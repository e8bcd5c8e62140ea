//! Versions and the pointer: built, activated, listed, removed, found again.

use std::fs;
use std::sync::atomic::AtomicBool;

use cinedex_domain::silent;

use super::world::World;
use crate::{BuildOptions, IndexError, IndexRoot, InputFault, Version, build};

fn two() -> (tempfile::TempDir, IndexRoot, [Version; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let root = IndexRoot::new(directory.path().join("indexes"));
    let mut world = World::new(60, 5, 4);
    let first = world.build(&root).unwrap().version;
    world.provenance.dataset = "second".into();
    let second = world.build(&root).unwrap().version;
    let mut versions = [first, second];
    versions.sort();
    (directory, root, versions)
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
fn pruning_keeps_the_live_one_and_the_newest() {
    let (_directory, root, [older, newer]) = two();
    assert!(root.prune(0).unwrap().is_empty(), "nothing is live");
    root.activate(&older).unwrap();
    assert!(root.prune(1).unwrap().is_empty());
    assert_eq!(root.prune(0).unwrap(), [newer]);
    assert_eq!(names(&root), [older]);
}

#[test]
fn foreign_names_are_ignored() {
    let (_directory, root, versions) = two();
    fs::create_dir(root.path().join("demo")).unwrap();
    fs::write(root.path().join("README.md"), "notes").unwrap();
    fs::write(root.path().join("20250131T235959Z-0123abcd"), "a file").unwrap();
    assert_eq!(names(&root).len(), 2);
    root.activate(&versions[0]).unwrap();
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
    assert_eq!(found, [versions[0].as_str(), versions[1].as_str(), "CURRENT"]);
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
    ] {
        let refused = build(&root, &world.input(), &options, &silent, &AtomicBool::new(false));
        assert!(matches!(refused, Err(IndexError::Input(InputFault::Parameter { .. }))));
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_pointer_or_bundle_finds_the_newest_good_one_and_says_why() {
    let (_directory, root, [older, newer]) = two();
    root.activate(&newer).unwrap();
    let scan = root.path().join(newer.as_str()).join("scan.bin");
    let whole = fs::read(&scan).unwrap();
    fs::write(&scan, &whole[..whole.len() - 1]).unwrap();
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
    for version in [&older, &newer] {
        fs::remove_file(root.path().join(version.as_str()).join("graph.bin")).unwrap();
    }
    assert!(matches!(root.open_current_or_last_good(), Err(IndexError::NothingUsable { .. })));
}

#[test]
fn verify_reads_everything_and_measures_again() {
    let (_directory, root, [older, _]) = two();
    let report = root.verify(&older).unwrap();
    assert_eq!((report.version, report.files), (older.clone(), 8));
    assert!(report.calibration.recall_at_10 > 0.99);
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
