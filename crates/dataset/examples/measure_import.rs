//! Measures the import of a large CSV of ratings and loading it again: `measure_import CSV [THREE COLUMNS ARE FOUND BY NAME]`.

use std::path::PathBuf;
use std::time::Instant;

use cinedex_dataset::{DataRoot, Dataset, ImportOptions, TableFormat, TableImport, import_table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("name a CSV of ratings")?);
    let root = DataRoot::new(path.with_extension("data"));
    let options = ImportOptions { replace: true, ..ImportOptions::default() };
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => TableFormat::Parquet,
        _ => TableFormat::Csv { delimiter: b',', header: true },
    };
    let import = TableImport::new(format, vec![path.clone()]);
    let report = import_table(&root, "large", &import, &options, &cinedex_domain::silent)?;
    let rows = report.manifest.counts.interactions;
    println!(
        "import {rows} rows in {:.2} s, {:.2} million rows/s",
        report.seconds,
        rows as f64 / report.seconds / 1e6
    );
    memory("import");
    let started = Instant::now();
    let dataset = Dataset::load(&root, "large")?;
    println!("load {} rows in {:.2} s", dataset.interactions.len(), started.elapsed().as_secs_f64());
    memory("load");
    Ok(())
}

fn memory(after: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("peak memory after {after}: {}", peak.unwrap_or("unknown"));
}
