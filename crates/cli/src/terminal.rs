//! What a person sees: the log, progress on stderr, tables and JSON on stdout.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cinedex_domain::Step;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// Starts the log on stderr; `CINEDEX_LOG` says what is logged, warnings by default.
pub(crate) fn start_log(json: bool) {
    let wanted = std::env::var("CINEDEX_LOG").unwrap_or_default();
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&wanted)).with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder.with_ansi(false).init();
    }
}

/// Says on stderr why the command failed, cause after cause.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut said = error.to_string();
    let mut line = format!("cinedex: {said}");
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !said.contains(&text) {
            line = format!("{line}: {text}");
            said = text;
        }
    }
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Progress of one command: a bar where stderr is a terminal, a line a stage and events in the log where it is not.
pub(crate) struct ProgressView {
    state: Mutex<Stage>,
    bar: Option<ProgressBar>,
}

struct Stage {
    name: String,
    began: Instant,
    logged: Option<Instant>,
}

impl Stage {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), began: Instant::now(), logged: None }
    }

    /// Logs the first step, and then one a second.
    fn log(&mut self, step: Step<'_>) {
        if self.logged.is_some_and(|logged| logged.elapsed() < Duration::from_secs(1)) {
            return;
        }
        self.logged = Some(Instant::now());
        let elapsed = self.began.elapsed().as_secs_f64();
        let left = step
            .total
            .filter(|_| step.done > 0)
            .map(|total| elapsed * total.saturating_sub(step.done) as f64 / step.done as f64);
        let (stage, done, total, loss) = (step.stage, step.done, step.total, step.loss);
        tracing::info!(stage, done, total, loss, eta_seconds = left, "progress");
    }
}

impl ProgressView {
    /// Starts with nothing shown.
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { state: Mutex::new(Stage::new("")), bar }
    }

    /// Shows one step.
    pub(crate) fn show(&self, step: Step<'_>) {
        // A poisoned lock means that a worker panicked; the panic itself is what will be reported.
        let Ok(mut stage) = self.state.lock() else { return };
        if stage.name != step.stage {
            self.close(&stage);
            *stage = Stage::new(step.stage);
            if let Some(bar) = &self.bar {
                bar.reset();
                bar.set_style(style(step.total.is_some()));
                bar.set_message(stage.name.clone());
            }
        }
        let Some(bar) = &self.bar else { return stage.log(step) };
        if let Some(total) = step.total {
            bar.set_length(total);
        }
        bar.set_position(step.done);
        if let Some(loss) = step.loss {
            bar.set_message(format!("{}, loss {loss:.5}", stage.name));
        }
    }

    /// Says something between two steps.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => note(line),
        }
    }

    fn close(&self, stage: &Stage) {
        if stage.name.is_empty() {
            return;
        }
        let line = format!("  {} {:.1} s", stage.name, stage.began.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.println(line),
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }
}

impl Drop for ProgressView {
    fn drop(&mut self) {
        if let Ok(stage) = self.state.lock() {
            self.close(&stage);
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(bounded: bool) -> ProgressStyle {
    let template = if bounded {
        "  {msg} {wide_bar} {human_pos}/{human_len} {eta}"
    } else {
        "  {msg} {spinner} {human_pos} {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What is logged: warnings if nothing (or nothing that can be understood) is wanted. actix logs an error for each malformed
/// request, which any client can send; that is left out unless it is asked for by name.
fn filter(wanted: &str) -> EnvFilter {
    let wanted = if wanted.trim().is_empty() { "warn" } else { wanted };
    let directives =
        if wanted.contains("actix_http") { wanted.to_owned() } else { format!("{wanted},actix_http=off") };
    EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("warn,actix_http=off"))
}

/// A note on stderr, beside the result.
pub(crate) fn note(text: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a result. A closed pipe (`| head`) is the reader's right and ends the program quietly.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints one JSON document.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// A table for reading: a head, rows, and the columns that hold numbers.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// A number with its thousands apart.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an error of actix and a warning of the server are logged.
    fn check(wanted: &str, expect: (bool, bool)) {
        use tracing::Level;
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(filter(wanted)).with_writer(std::io::sink).finish();
        let logged = tracing::subscriber::with_default(subscriber, || {
            (
                tracing::event_enabled!(target: "actix_http::h1::dispatcher", Level::ERROR),
                tracing::event_enabled!(target: "cinedex_server::service", Level::WARN),
            )
        });
        assert_eq!(logged, expect, "{wanted}");
    }

    #[test]
    fn malformed_requests_do_not_fill_the_log() {
        check("", (false, true));
        check("debug", (false, true));
        check("cinedex_server=info", (false, true));
        check("error", (false, false));
        check("=!=", (false, true));
        check("warn,actix_http=error", (true, true));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000_209), "1,000,209");
    }
}
