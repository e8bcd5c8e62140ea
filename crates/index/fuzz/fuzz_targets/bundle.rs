//! A bundle altered by a hostile writer, who makes every checksum agree: refused, or answering as if nothing were wrong. The
//! fuzzer's bytes say what is altered.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir crates/index/fuzz bundle`
#![no_main]
#![allow(dead_code, reason = "the tests of the crate use the rest")]

#[path = "../../src/tests/forgery.rs"]
mod forgery;
#[path = "../../src/tests/interrogation.rs"]
mod interrogation;
#[path = "../../src/tests/world.rs"]
mod world;

use std::cell::RefCell;

#[allow(unused_imports, reason = "the modules above name them as the crate's own")]
use cinedex_index::*;
use libfuzzer_sys::fuzz_target;

use forgery::{Choices, Forgery, Stage};
use interrogation::interrogate;
use world::World;

/// The bundle that is altered, another one, and where forgeries are shown.
struct Bench {
    bundle: Forgery,
    other: Forgery,
    stage: Stage,
}

impl Bench {
    fn new() -> Self {
        let bundle = Forgery::of(&World::new(40, 6, 3));
        let other = Forgery::of(&World::new(30, 5, 3));
        Self { stage: Stage::new(&bundle), bundle, other }
    }
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

fuzz_target!(|bytes: &[u8]| {
    BENCH.with_borrow_mut(|Bench { bundle, other, stage }| {
        let mut altered = bundle.clone();
        let name = altered.alter(&mut Choices::new(bytes), other);
        altered.seal(&name);
        if let Ok(opened) = stage.open_sealed(&altered) {
            interrogate(&opened);
        }
    });
});
