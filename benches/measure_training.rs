//! One training in a process of its own, for the scripts under `measure/` and `peers/`: seconds and peak memory of
//! [`train_ials`] from the user × movie rows to both factors, as one line of JSON. Reading or generating the pairs is excluded.
//! Run as a benchmark (`cargo bench`) it trains once on few pairs.
#![allow(missing_docs, reason = "a benchmark has no public surface")]

#[path = "world/pairs.rs"]
mod pairs;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cinedex_domain::silent;
use cinedex_model::{Factors, IalsParameters, train_ials};
use cinedex_vectors::{Csr, Matrix, instruction_set};
use serde_json::json;

const USAGE: &str = "measure_training (--text FILE | --binary FILE | --generate PAIRS) [--write FILE] [--factors FILE]
  [--dimension N] [--epochs N] [--cg-steps N] [--threads N] [--seed N] [--regularization X] [--unobserved-weight X] [--repeat N]";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test" || argument == "--bench") {
        return measure(
            &pairs::generated(100_000),
            &IalsParameters { epochs: 1, ..IalsParameters::default() },
            None,
        );
    }
    let (mut data, mut factors, mut write, mut repeat) = (None, None, None, 1);
    let mut parameters =
        IalsParameters { epochs: 15, dimension: 64, threads: 2, ..IalsParameters::default() };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { panic!("{USAGE}") };
        match name.as_str() {
            "--text" => data = Some(pairs::read_text(Path::new(value)).expect("readable pairs")),
            "--binary" => data = Some(pairs::read_binary(Path::new(value)).expect("readable pairs")),
            "--generate" => data = Some(pairs::generated(number(value))),
            "--write" => write = Some(value),
            "--factors" => factors = Some(Path::new(value)),
            "--dimension" => parameters.dimension = number(value),
            "--epochs" => parameters.epochs = number(value),
            "--cg-steps" => parameters.cg_steps = number(value),
            "--threads" => parameters.threads = number(value),
            "--seed" => parameters.seed = number(value),
            "--regularization" => parameters.regularization = number(value),
            "--unobserved-weight" => parameters.unobserved_weight = number(value),
            "--repeat" => repeat = number(value),
            _ => panic!("{USAGE}"),
        }
    }
    let data = data.expect(USAGE);
    if let Some(path) = write {
        pairs::write_binary(&data, Path::new(path)).expect("a writable file");
    }
    for _ in 0..repeat {
        measure(&data, &parameters, factors);
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number\n{USAGE}"))
}

fn measure(data: &Csr<f32>, parameters: &IalsParameters, factors_file: Option<&Path>) {
    // Linux: the highest resident size starts again from the present one.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = resident_bytes("VmRSS");
    let processor = processor_seconds();
    let began = Instant::now();
    let factors = train_ials(data, parameters, &silent, &AtomicBool::new(false)).expect("learned");
    let seconds = began.elapsed().as_secs_f64();
    let processor = processor_seconds() - processor;
    let peak = resident_bytes("VmHWM");
    if let Some(path) = factors_file {
        write_factors(&factors, path).expect("a writable file");
    }
    let sample = json!({
        "users": data.row_count(), "movies": data.column_count(), "pairs": data.entry_count(),
        "dimension": parameters.dimension, "epochs": parameters.epochs, "cg_steps": parameters.cg_steps,
        "threads": parameters.threads, "instructions": instruction_set().as_str(), "seconds": seconds,
        "processor_seconds": processor,
        "flop": floating_point_operations(data, parameters), "bytes_before": before, "bytes_peak": peak,
        "bytes_over_data": peak.saturating_sub(before),
    });
    println!("{sample}");
}

/// Additions and multiplications that the algorithm needs: of each pair and side a product with the residual and with each
/// direction but the last, of which the curvature alone counts; of each row as many products with the Gramian; the Gramians.
fn floating_point_operations(data: &Csr<f32>, parameters: &IalsParameters) -> f64 {
    let (d, steps) = (parameters.dimension as f64, parameters.cg_steps as f64);
    let rows = (data.row_count() + data.column_count()) as f64;
    let of_pairs = 2.0 * data.entry_count() as f64 * (4.0 * d * steps + 2.0 * d);
    let of_rows = rows * (steps + 1.0) * 2.0 * d * d;
    let of_gramians = rows * d * (d + 1.0);
    parameters.epochs as f64 * (of_pairs + of_rows + of_gramians)
}

/// Processor time of all threads so far, which other programs' work disturbs less than the clock, in hundredths of a second
/// (`/proc/self/stat`, user and system); 0 where there is none.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// A size of `/proc/self/status` in bytes; 0 where there is none.
fn resident_bytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Users' rows, then movies', as little-endian `f32`.
fn write_factors(factors: &Factors, path: &Path) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(fs::File::create(path)?);
    let mut write =
        |matrix: &Matrix| matrix.as_slice().iter().try_for_each(|value| out.write_all(&value.to_le_bytes()));
    write(&factors.users)?;
    write(&factors.movies)?;
    out.flush()
}
