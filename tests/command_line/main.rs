//! The command line as a person or a script meets it: help, exit status, streams, JSON, configuration, and the whole way from
//! a folder of ratings to recommendations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod configuration;
mod flow;
mod help;
mod operating;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
mod tuning;
