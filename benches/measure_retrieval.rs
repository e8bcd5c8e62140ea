//! Retrieval in a process of its own, for the scripts under `measure/` and `peers/`: a catalogue of factors really trained is
//! built, opened and asked, one command each, which prints lines of JSON. Run as a benchmark (`cargo bench`) it goes through all of it on a
//! small catalogue.
#![allow(missing_docs, reason = "a benchmark has no public surface")]

#[path = "world/catalogue.rs"]
mod catalogue;
#[path = "world/cells.rs"]
mod cells;
#[path = "world/factors.rs"]
mod factors;
#[path = "world/hnsw_rs.rs"]
mod hnsw;
#[path = "world/pairs.rs"]
mod pairs;
#[path = "world/questions.rs"]
mod questions;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cinedex_domain::MovieIndex;
use cinedex_index::{Allowed, BuildOptions, Bundle, IndexRoot, Strategy};
use serde_json::{Value, json};

use crate::cells::Plan;
use crate::questions::{Way, ask};

const USAGE: &str = "measure_retrieval COMMAND
  train (--text FILE | --pairs N --movies N) --factors FILE [--dimension N] [--epochs N] [--threads N]
  build --factors FILE --indexes FOLDER [--users N] [--threads N] [--connections N] [--ef-construction N]
  open --indexes FOLDER [--queries N]
  cells --indexes FOLDER [--queries N] [--rounds N] [--filters none|all]
  session --indexes FOLDER
  hnsw-rs --factors FILE [--threads N] [--connections N] [--ef-construction N]";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test" || argument == "--bench") {
        return go_through();
    }
    let (command, rest) = arguments.split_first().expect(USAGE);
    let options = Options(rest.to_vec());
    match command.as_str() {
        "train" => train(&options),
        "build" => build(&options),
        "open" => open(&options),
        "cells" => cells(&options),
        "session" => session(&options),
        "hnsw-rs" => hnsw_rs(&options),
        _ => panic!("{USAGE}"),
    }
}

/// `--name value` pairs.
struct Options(Vec<String>);

impl Options {
    fn text(&self, name: &str) -> Option<&str> {
        let position = self.0.iter().position(|word| word.strip_prefix("--") == Some(name))?;
        Some(self.0.get(position + 1).expect(USAGE))
    }

    fn number(&self, name: &str, otherwise: usize) -> usize {
        self.text(name).map_or(otherwise, |text| text.parse().expect(USAGE))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.text(name).expect(USAGE).into()
    }

    fn bundle(&self) -> Bundle {
        let root = IndexRoot::new(self.path("indexes"));
        let version = root.current().expect("readable").expect("built before");
        root.open(&version).expect("a good bundle")
    }

    fn build(&self) -> BuildOptions {
        let default = BuildOptions::default();
        BuildOptions {
            threads: self.number("threads", 2),
            connections: self.number("connections", default.connections),
            ef_construction: self.number("ef-construction", default.ef_construction),
            ..default
        }
    }
}

/// All commands but the sessions, on few movies.
fn go_through() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("retrieval/benchmark");
    let (factors, indexes) = (folder.join("factors"), folder.join("indexes"));
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut options = words("--movies 5000 --pairs 300000 --dimension 32 --epochs 4 --queries 24 --rounds 1");
    options.extend(["--factors".into(), factors.display().to_string()]);
    options.extend(["--indexes".into(), indexes.display().to_string()]);
    let options = Options(options);
    train(&options);
    build(&options);
    open(&options);
    cells(&options);
}

fn train(options: &Options) {
    let began = Instant::now();
    let pairs = match options.text("text") {
        Some(path) => pairs::read_text(Path::new(path)).expect("readable pairs"),
        None => {
            pairs::generated_catalogue(options.number("pairs", 300_000), options.number("movies", 10_000))
        }
    };
    let pair_seconds = began.elapsed().as_secs_f64();
    let (dimension, epochs) = (options.number("dimension", 64), options.number("epochs", 16));
    let began = Instant::now();
    let factors = factors::train(&pairs, dimension, epochs, options.number("threads", 0));
    let seconds = began.elapsed().as_secs_f64();
    factors::write(&factors, &options.path("factors")).expect("a writable file");
    let mut audiences = vec![0u32; pairs.column_count()];
    pairs.columns().iter().for_each(|&movie| audiences[movie as usize] += 1);
    audiences.sort_unstable();
    let quantiles = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0];
    let audience = quantiles.map(|share| audiences[(share * (audiences.len() - 1) as f64) as usize]);
    let sample = json!({
        "users": pairs.row_count(), "movies": pairs.column_count(), "pairs": pairs.entry_count(),
        "dimension": dimension, "epochs": epochs, "pair_seconds": pair_seconds, "seconds": seconds,
        "audience_quantiles": audience,
    });
    println!("{sample}");
}

/// Builds a bundle, the only one of its folder: seconds by part, bytes by file, and the highest resident memory over that of the
/// input.
fn build(options: &Options) {
    let factors = factors::read(&options.path("factors"), options.number("users", 10_000)).expect("factors");
    // Linux: the highest resident size starts again from the present one.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = resident_bytes("VmRSS");
    let root = IndexRoot::new(options.path("indexes"));
    let report = catalogue::publish(&root, &factors, &options.build());
    let peak = resident_bytes("VmHWM");
    root.prune(0).expect("older bundles are removed");
    let manifest = &report.manifest;
    let files: serde_json::Map<String, Value> =
        manifest.files.iter().map(|(name, file)| (name.clone(), file.bytes.into())).collect();
    let sample = json!({
        "movies": factors.movies.rows(), "users": factors.users.rows(), "dimension": factors.movies.dimension(),
        "seconds": report.seconds, "parts": manifest.build, "counts": manifest.counts,
        "files": files, "bytes": report.bytes, "bytes_before": before, "bytes_peak": peak,
        "parameters": manifest.parameters, "calibration": manifest.calibration,
    });
    println!("{sample}");
}

/// Opens a bundle and asks for the first time, then `--queries` times: milliseconds and memory.
fn open(options: &Options) {
    let began = Instant::now();
    let bundle = options.bundle();
    let open_ms = began.elapsed().as_secs_f64() * 1e3;
    let movies = bundle.movie_factors().rows();
    let all = Allowed::all(movies);
    let began = Instant::now();
    std::hint::black_box(bundle.similar(MovieIndex(movies as u32 / 2), 10, &all));
    let first_ms = began.elapsed().as_secs_f64() * 1e3;
    let after_open = resident();
    let step = 7919;
    for query in 0..options.number("queries", 10_000) {
        std::hint::black_box(bundle.similar(MovieIndex((query * step % movies) as u32), 10, &all));
    }
    let sample = json!({
        "movies": movies, "open_ms": open_ms, "first_query_ms": first_ms, "resident_after_open": after_open,
        "resident_after_queries": resident(),
    });
    println!("{sample}");
}

fn cells(options: &Options) {
    let plan = Plan {
        filters: options.text("filters") != Some("none"),
        queries: options.number("queries", 200),
        rounds: options.number("rounds", 3),
        breadths: vec![16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768],
    };
    cells::print_cells(&options.bundle(), &plan);
}

fn session(options: &Options) {
    let bundle = options.bundle();
    let all = Allowed::all(bundle.movie_factors().rows());
    println!("{}", json!({ "movies": all.len(), "calibration": bundle.manifest().calibration }));
    questions::session(|question, way, row, k| ask(&bundle, question, row, k, &all, Way::parse(way)).items);
}

fn hnsw_rs(options: &Options) {
    let factors = factors::read(&options.path("factors"), 0).expect("factors");
    let unit = catalogue::unit_rows(factors.movies.view());
    let BuildOptions { threads, connections, ef_construction, .. } = options.build();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let began = Instant::now();
    let graph = pool.install(|| hnsw::build(unit.view(), connections, ef_construction));
    println!("{}", json!({ "seconds": began.elapsed().as_secs_f64() }));
    questions::session(|_, way, row, k| match Way::parse(way).0 {
        Some(Strategy::Graph { ef }) => hnsw::search(&graph, unit.view(), row, k, ef as usize),
        _ => panic!("hnsw_rs has a graph and nothing else"),
    });
}

/// Resident bytes, in all and those that are no mapped file.
fn resident() -> Value {
    json!({ "all": resident_bytes("VmRSS"), "anonymous": resident_bytes("RssAnon") })
}

/// A size of `/proc/self/status` in bytes; 0 where there is none.
fn resident_bytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
