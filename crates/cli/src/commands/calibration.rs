//! What was measured of a bundle, as a person reads it: each strategy's recall and time, with and without filters, and what
//! is done from it.

use cinedex_index::{Calibration, Cell, FilterKind, Measured, Strategy};

use crate::terminal::{self, thousands};

/// All tables.
pub(super) fn describe(calibration: &Calibration) -> String {
    let kinds = [
        ("similar films", &calibration.similar),
        ("films for a user", &calibration.for_user),
        ("users of like taste", &calibration.neighbors),
    ];
    let told: Vec<String> = kinds
        .into_iter()
        .filter(|(_, measured)| measured.queries > 0)
        .map(|(name, measured)| section(name, measured))
        .collect();
    if told.is_empty() { "too few embeddings to measure".to_owned() } else { told.join("\n\n") }
}

/// How the median latency without a filter compares with what was measured at build.
pub(super) fn compare(recorded: &Calibration, found: &Calibration) -> String {
    let pairs = [
        ("similar films", &recorded.similar, &found.similar),
        ("films for a user", &recorded.for_user, &found.for_user),
        ("users of like taste", &recorded.neighbors, &found.neighbors),
    ];
    let mut lines = Vec::new();
    for (name, recorded, found) in pairs {
        let (Some(before), Some(now)) = (recorded.cells.first(), found.cells.first()) else { continue };
        let recall = match (recorded.graph_recall_at_10(), found.graph_recall_at_10()) {
            (Some(before), Some(now)) => format!("recall@10 {now:.3}, {before:.3} at build"),
            (None, _) | (_, None) => "exact".to_owned(),
        };
        lines.push(format!(
            "{name}: {recall}; {:.1} µs for ten, {:.1} at build",
            now.planned_microseconds, before.planned_microseconds
        ));
    }
    lines.join("\n")
}

fn section(name: &str, measured: &Measured) -> String {
    let mut text = format!("{name}: {} queries, {} vectors", measured.queries, thousands(measured.rows));
    if !measured.breadths.is_empty() {
        let rows = measured.breadths.iter().map(|breadth| {
            let hundred = breadth.recall_at_100.map_or_else(String::new, |recall| format!("{recall:.3}"));
            vec![
                format!("ef {}", breadth.ef),
                format!("{:.3}", breadth.recall_at_10),
                hundred,
                microseconds(breadth.microseconds),
            ]
        });
        let head = ["graph", "recall@10", "recall@100", "µs"];
        text += &format!("\n{}", terminal::table(&head, rows.collect(), &[1, 2, 3]));
    }
    let rows: Vec<Vec<String>> = measured.cells.iter().filter(|cell| is_shown(cell)).map(cell_row).collect();
    let head =
        ["filter", "allowed", "top", "scan µs", "one by one", "graph", "recall", "as planned", "recall"];
    text += &format!("\n{}", terminal::table(&head, rows, &[1, 2, 3, 4, 5, 6, 7, 8]));
    for k in [10, 100] {
        text += &format!("\n  top {k}: {}", plan(measured, k));
    }
    text
}

/// All cells for ten, and without a filter for a hundred; the rest is for `--json`.
fn is_shown(cell: &Cell) -> bool {
    cell.k == 10 || cell.filter == FilterKind::None
}

fn cell_row(cell: &Cell) -> Vec<String> {
    let filter = match cell.filter {
        FilterKind::None => "none",
        FilterKind::Random => "at random",
        FilterKind::Like => "like the query",
        FilterKind::Unlike => "unlike the query",
    };
    let graph = cell.graph.map_or_else(String::new, |graph| microseconds(graph.microseconds));
    let recall = cell.graph.map_or_else(String::new, |graph| format!("{:.3}", graph.recall));
    vec![
        filter.to_owned(),
        thousands(cell.allowed),
        cell.k.to_string(),
        microseconds(cell.scan_microseconds),
        microseconds(cell.each_microseconds),
        graph,
        recall,
        microseconds(cell.planned_microseconds),
        format!("{:.3}", cell.planned_recall),
    ]
}

/// What answers as more is allowed.
fn plan(measured: &Measured, k: usize) -> String {
    let rows = measured.rows as usize;
    let regions = measured.planner.regions(k, rows);
    let parts = regions.iter().map(|&(strategy, up_to)| {
        let name = match strategy {
            Strategy::Each => "one by one".to_owned(),
            Strategy::Scan => "scan".to_owned(),
            Strategy::Graph { ef } => format!("graph (ef {ef})"),
        };
        if up_to >= rows {
            format!("{name} above")
        } else {
            format!("{name} up to {} allowed", thousands(up_to as u64))
        }
    });
    let parts: Vec<String> = parts.collect();
    if let [only] = &parts[..] {
        format!("always {}", only.trim_end_matches(" above"))
    } else {
        parts.join(", ")
    }
}

fn microseconds(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { thousands(value.round() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_is_said() {
        assert_eq!(describe(&Calibration::default()), "too few embeddings to measure");
        assert_eq!(compare(&Calibration::default(), &Calibration::default()), "");
    }
}
