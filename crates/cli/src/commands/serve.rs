//! `cinedex serve`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use cinedex_feedback::{FeedbackError, Log, LogOptions, Opened};
use cinedex_index::IndexRoot;
use cinedex_recommender::{Engine, EngineOptions};
use cinedex_server::{Parts, ServerOptions};

use super::Context;
use crate::arguments::ServeArguments;
use crate::configuration::Configuration;
use crate::terminal;

pub(super) fn run(context: Context, flags: &ServeArguments) -> Result<()> {
    let configuration = context.configuration.with_serve(flags)?;
    if flags.print_config {
        return print(&configuration, context.json);
    }
    configuration.serve.validate()?;
    let engine = Arc::new(Engine::new(IndexRoot::new(&configuration.indexes), EngineOptions::default()));
    let log = open_log(flags, &configuration.feedback, &configuration.serve, &engine)?;
    serve(engine, log, &configuration.serve, |address| {
        let (indexes, scheme) = (configuration.indexes.display(), configuration.serve.scheme());
        terminal::note(&format!("cinedex serves {indexes} on {scheme}://{address}"));
        terminal::note(&format!("documentation of the API: {scheme}://{address}/docs"));
    })
}

/// Opens the log of what happens while serving, unless nothing is to be written; the engine hears of everything that is new in
/// it. A server that is about to end still has the log: it is waited for as long as it may take to drain.
pub(super) fn open_log(
    flags: &ServeArguments,
    folder: &Path,
    options: &ServerOptions,
    engine: &Arc<Engine>,
) -> Result<Option<Arc<Log>>> {
    if flags.read_only {
        return Ok(None);
    }
    let until = Instant::now() + Duration::from_secs(options.drain_seconds + options.shutdown_seconds);
    let mut waiting = false;
    let Opened { log, cut, .. } = loop {
        let hearing = Arc::clone(engine);
        match Log::open(folder, &LogOptions::default(), move |logged| hearing.hear(logged)) {
            Err(FeedbackError::InUse { .. }) if Instant::now() < until => {
                if !std::mem::replace(&mut waiting, true) {
                    terminal::note(&format!("the log {} is in use; waiting for its end", folder.display()));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            opened => break opened?,
        }
    };
    if let Some(cut) = cut {
        let (bytes, path, after) = (cut.bytes, cut.path.display(), cut.after);
        terminal::note(&format!(
            "the log was cut after position {after}: {bytes} bytes of {path} were not whole"
        ));
    }
    Ok(Some(Arc::new(log)))
}

/// Serves until a signal asks it to stop.
pub(super) fn serve(
    engine: Arc<Engine>,
    log: Option<Arc<Log>>,
    options: &ServerOptions,
    on_ready: impl FnOnce(std::net::SocketAddr),
) -> Result<()> {
    cinedex_server::serve(Parts { engine, log, operations: None }, options, on_ready)?;
    Ok(())
}

/// Shows the configuration in force, without its secrets.
pub(super) fn print(configuration: &Configuration, json: bool) -> Result<()> {
    let configuration = configuration.redacted();
    if json {
        return terminal::print_json(&configuration);
    }
    terminal::print(&toml::to_string(&configuration)?)
}
