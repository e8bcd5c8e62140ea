//! `cinedex serve`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use cinedex_feedback::{Log, LogOptions, Opened};
use cinedex_index::IndexRoot;
use cinedex_recommender::{Engine, EngineOptions};
use cinedex_server::{Operations, Parts};

use super::Context;
use super::operations::Operator;
use crate::arguments::ServeArguments;
use crate::configuration::Configuration;
use crate::terminal;

pub(super) fn run(context: Context, flags: &ServeArguments) -> Result<()> {
    let configuration = context.configuration.with_serve(flags)?;
    if flags.print_config {
        return print(&configuration, context.json);
    }
    configuration.serve.validate()?;
    configuration.rebuild.validate()?;
    let engine = Arc::new(Engine::new(IndexRoot::new(&configuration.indexes), EngineOptions::default()));
    let log = if flags.read_only { None } else { Some(open_log(&configuration.feedback, &engine)?) };
    let indexes = IndexRoot::new(&configuration.indexes);
    serve(engine, log, indexes, &configuration, |address| {
        let (indexes, scheme) = (configuration.indexes.display(), configuration.serve.scheme());
        terminal::note(&format!("cinedex serves {indexes} on {scheme}://{address}"));
        terminal::note(&format!("documentation of the API: {scheme}://{address}/docs"));
    })
}

/// Opens the log of what happens while serving; the engine hears of everything that is new in it.
pub(super) fn open_log(folder: &Path, engine: &Arc<Engine>) -> Result<Arc<Log>> {
    let hearing = Arc::clone(engine);
    let Opened { log, cut, .. } =
        Log::open(folder, &LogOptions::default(), move |logged| hearing.hear(logged))?;
    if let Some(cut) = cut {
        let (bytes, path, after) = (cut.bytes, cut.path.display(), cut.after);
        terminal::note(&format!(
            "the log was cut after position {after}: {bytes} bytes of {path} were not whole"
        ));
        tracing::warn!(bytes, after, within = cut.within, "log cut to its last good record");
    }
    Ok(Arc::new(log))
}

/// Serves until a signal asks it to stop; rebuilds meanwhile, on request and by the clock, the bundles of `indexes`.
pub(super) fn serve(
    engine: Arc<Engine>,
    log: Option<Arc<Log>>,
    indexes: IndexRoot,
    configuration: &Configuration,
    on_ready: impl FnOnce(std::net::SocketAddr),
) -> Result<()> {
    let operator = Operator::open(configuration, indexes, log.clone())?;
    let scheduler = operator.by_the_clock()?;
    let operations = Some(Arc::clone(&operator) as Arc<dyn Operations>);
    let served = cinedex_server::serve(Parts { engine, operations }, &configuration.serve, on_ready);
    drop(scheduler);
    operator.end();
    Ok(served?)
}

/// Shows the configuration in force, without its secrets.
pub(super) fn print(configuration: &Configuration, json: bool) -> Result<()> {
    let configuration = configuration.redacted();
    if json {
        return terminal::print_json(&configuration);
    }
    terminal::print(&toml::to_string(&configuration)?)
}
