//! Data sets through the built program: the published ones where this machine has them (`CINEDEX_SHARED`), a download from
//! loopback, and an app's own tables.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod download;
mod facts;
mod imdb;
mod movielens;
mod own_tables;
#[path = "../support/mod.rs"]
mod support;
