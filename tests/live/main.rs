//! What changes while serving, over real HTTP against the real binary: what was acknowledged is in the next answer, once, and stays
//! there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod events;
mod forgetting;
mod full;
mod history;
mod movies;
mod refusals;
mod retries;
#[path = "../support/mod.rs"]
mod support;
mod trends;
mod world;
