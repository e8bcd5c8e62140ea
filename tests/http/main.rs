//! The HTTP contract on the demo world, over loopback, as an app's back end meets it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch;
mod demo;
mod filters;
mod pages;
mod people;
mod places;
mod problems;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
mod swap;
mod world;
