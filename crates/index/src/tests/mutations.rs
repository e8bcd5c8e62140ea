//! Files cut short at every page, and twenty thousand alterations, with the old checksums and with new ones: refused with the
//! file's name, or answering as if nothing were wrong; never a panic.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use serde_json::{Value, json};

use super::forgery::{Choices, Forgery, Stage};
use super::interrogation::interrogate;
use super::world::World;
const PAGE: usize = 4096;
const MUTATIONS: u32 = 10_000;

/// A bundle small enough to be asked everything, and another one.
fn small() -> (Forgery, Forgery) {
    (Forgery::of(&World::new(60, 9, 5)), Forgery::of(&World::new(44, 7, 5)))
}

fn run(mutate: impl Fn(&[u8])) {
    let config =
        Config { cases: MUTATIONS, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let bytes = proptest::collection::vec(any::<u8>(), 24..72);
    let tested = runner.run(&bytes, |bytes| {
        mutate(&bytes);
        Ok(())
    });
    if let Err(fault) = tested {
        panic!("{fault}");
    }
}

#[test]
fn files_cut_at_every_page_are_refused_with_their_name() {
    let whole = Forgery::of(&World::new(1200, 700, 12));
    let mut stage = Stage::new(&whole);
    let mut cuts = 0;
    for (name, bytes) in &whole.files {
        let header = 64 * (1 + u32::from_le_bytes(bytes[28..32].try_into().unwrap()) as usize % 256);
        let ends = [0, 1, 7, 63, 64, 65, header - 1, header, bytes.len() - 1];
        for length in (PAGE..bytes.len()).step_by(PAGE).chain(ends).filter(|&length| length < bytes.len()) {
            let mut cut = whole.clone();
            cut.files.get_mut(name).unwrap().truncate(length);
            let mut agreeing = cut.clone();
            agreeing.manifest["files"][name]["bytes"] = length.into();
            for (case, forgery) in [("as it is", &cut), ("agreeing", &agreeing)] {
                let refused = stage.open_sealed(forgery).map(drop).unwrap_err().to_string();
                assert!(refused.contains(name), "{name} cut to {length}, the manifest {case}: {refused}");
                cuts += 1;
            }
        }
        assert!(bytes.len() > PAGE || name == "popularity.bin", "{name} has only {} bytes", bytes.len());
    }
    interrogate(&stage.open_sealed(&whole).unwrap());
    println!("{cuts} cuts, every one refused");
    assert!(cuts > 300, "{cuts}");
}

#[test]
fn ten_thousand_alterations_under_old_checksums_are_refused_with_the_files_name() {
    let (bundle, other) = small();
    let stage = RefCell::new(Stage::new(&bundle));
    let refused = RefCell::new(BTreeMap::<String, u32>::new());
    run(|bytes| {
        let mut altered = bundle.clone();
        let name = altered.alter(&mut Choices::new(bytes), &other);
        match stage.borrow_mut().open(&altered) {
            Ok(_) => assert!(altered == bundle, "{name}: an alteration was accepted"),
            Err(error) => {
                assert!(error.to_string().contains(&name), "{name}: {error}");
                *refused.borrow_mut().entry(name).or_default() += 1;
            }
        }
    });
    println!("of {MUTATIONS} alterations refused: {:?}", refused.borrow());
    assert!(refused.borrow().values().sum::<u32>() > MUTATIONS * 8 / 10);
}

#[test]
fn ten_thousand_alterations_under_new_checksums_are_refused_or_harmless() {
    let (bundle, other) = small();
    let stage = RefCell::new(Stage::new(&bundle));
    let counts = RefCell::new([0u32; 3]);
    run(|bytes| {
        let mut altered = bundle.clone();
        let name = altered.alter(&mut Choices::new(bytes), &other);
        altered.seal(&name);
        let answer = stage.borrow_mut().open_sealed(&altered);
        let mut counts = counts.borrow_mut();
        match answer {
            Ok(opened) => {
                interrogate(&opened);
                counts[1] += 1;
                // Measuring takes longer than asking.
                if counts[1] % 100 == 0 {
                    let _ = stage.borrow().verify();
                    counts[2] += 1;
                }
            }
            Err(error) => {
                // What contradicts another file may be noticed there.
                let reason = error.to_string();
                assert!(bundle.names().iter().any(|name| reason.contains(name)), "{name}: {reason}");
                counts[0] += 1;
            }
        }
    });
    let [refused, harmless, verified] = counts.into_inner();
    println!(
        "of {MUTATIONS} alterations {refused} refused, {harmless} harmless, {verified} of these measured again"
    );
    assert!(refused > MUTATIONS / 4 && harmless > MUTATIONS / 20, "{refused} refused, {harmless} harmless");
}

/// The numbers of a document: where they stand, and what stands there.
fn numbers(document: &Value, path: &str, found: &mut Vec<String>) {
    match document {
        Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| numbers(value, &format!("{path}/{key}"), found));
        }
        Value::Array(items) => {
            items
                .iter()
                .take(2)
                .enumerate()
                .for_each(|(at, item)| numbers(item, &format!("{path}/{at}"), found));
        }
        Value::Number(_) => found.push(path.to_owned()),
        _ => {}
    }
}

#[test]
fn every_number_of_the_manifest_may_lie() {
    let (bundle, _) = small();
    let mut stage = Stage::new(&bundle);
    let mut paths = Vec::new();
    numbers(&bundle.manifest, "", &mut paths);
    let (mut refused, mut harmless) = (0, 0);
    for path in &paths {
        for lie in
            [json!(0), json!(1), json!(-1), json!(u32::MAX), json!(u64::MAX), json!(1e308), json!(1e-320)]
        {
            let mut altered = bundle.clone();
            *altered.manifest.pointer_mut(path).unwrap() = lie.clone();
            match stage.open_sealed(&altered) {
                Ok(opened) => {
                    interrogate(&opened);
                    harmless += 1;
                }
                Err(error) => {
                    let reason = error.to_string();
                    assert!(
                        bundle.names().iter().any(|name| reason.contains(name)),
                        "{path} is {lie}: {reason}"
                    );
                    refused += 1;
                }
            }
        }
    }
    println!("{} numbers of the manifest: {refused} lies refused, {harmless} harmless", paths.len());
    assert!(paths.len() > 30 && refused > 50, "{paths:?}");
}
