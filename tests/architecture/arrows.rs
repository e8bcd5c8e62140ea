//! The allowed arrows between our crates, and the homes of the crates that must stay in one place.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::DependencyKind;

use crate::{crate_name, metadata, root};

/// From each crate to the crates that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("vectors", &["domain"]),
    ("storage", &["domain"]),
    ("dataset", &["domain", "storage"]),
    ("model", &["domain", "storage", "vectors"]),
    ("index", &["domain", "storage", "vectors"]),
    ("feedback", &["domain"]),
    ("recommender", &["domain", "feedback", "index", "model", "vectors"]),
    ("pipeline", &["dataset", "domain", "feedback", "index", "model", "recommender", "storage", "vectors"]),
    ("server", &["domain", "feedback", "recommender"]),
    (
        "cli",
        &["dataset", "domain", "feedback", "index", "model", "pipeline", "recommender", "server", "storage"],
    ),
];

/// Third-party crates and the only crates of ours that may name them outside tests.
const HOMES: &[(&str, &[&str])] = &[
    ("actix-web", &["server"]),
    ("tokio", &["server"]),
    ("moka", &["server"]),
    ("rustls", &["server"]),
    ("arrow", &["storage"]),
    ("parquet", &["storage"]),
    ("hnsw_rs", &["index"]),
    ("memmap2", &["index"]),
    ("ureq", &["dataset"]),
    ("anyhow", &["cli"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

fn manifests() -> (Arrows, Arrows) {
    let mut ours = Arrows::new();
    let mut theirs = Arrows::new();
    for package in metadata(false).packages {
        let name = crate_name(&package);
        let (own, third) = (ours.entry(name.clone()).or_default(), theirs.entry(name).or_default());
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            match dependency.name.strip_prefix("cinedex-") {
                Some(crate_of_ours) => own.insert(crate_of_ours.to_owned()),
                None => third.insert(dependency.name.clone()),
            };
        }
    }
    (ours, theirs)
}

#[test]
fn every_arrow_is_allowed() {
    let (found, _) = manifests();
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    for (from, targets) in &found {
        let allowed = allowed
            .get(from.as_str())
            .unwrap_or_else(|| panic!("crates/{from} is not in the table of arrows"));
        for target in targets {
            assert!(allowed.contains(target.as_str()), "crates/{from} may not depend on crates/{target}");
        }
    }
    assert_eq!(found.len(), ARROWS.len(), "the table of arrows names a crate that does not exist");
}

#[test]
fn third_party_crates_stay_at_home() {
    let (_, theirs) = manifests();
    for (dependency, homes) in HOMES {
        for (name, dependencies) in &theirs {
            let used = dependencies.contains(*dependency);
            assert!(!used || homes.contains(&name.as_str()), "crates/{name} may not depend on {dependency}");
        }
    }
}

#[test]
fn the_map_says_what_the_manifests_say() {
    let text = std::fs::read_to_string(root().join("crates/README.md")).unwrap();
    let mut map = Arrows::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        // The map has four columns between its borders; other tables of the page do not.
        if cells.len() != 6 {
            continue;
        }
        let targets =
            cells[2].split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect();
        map.insert(cells[1].trim_matches('`').to_owned(), targets);
    }
    let (found, _) = manifests();
    assert_eq!(map, found, "crates/README.md (left) and the manifests (right) disagree");
}
