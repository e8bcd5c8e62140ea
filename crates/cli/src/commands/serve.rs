//! `cinedex serve`.

use std::sync::Arc;

use anyhow::Result;
use cinedex_index::IndexRoot;
use cinedex_recommender::{Engine, EngineOptions};
use cinedex_server::ServerOptions;

use super::Context;
use crate::arguments::ServeArguments;
use crate::configuration::Configuration;
use crate::terminal;

pub(super) fn run(context: Context, flags: &ServeArguments) -> Result<()> {
    let configuration = context.configuration.with_serve(flags)?;
    if flags.print_config {
        return print(&configuration, context.json);
    }
    let engine = Arc::new(Engine::new(IndexRoot::new(&configuration.indexes), EngineOptions::default()));
    serve(engine, &configuration.serve, |address| {
        let (indexes, scheme) = (configuration.indexes.display(), configuration.serve.scheme());
        terminal::note(&format!("cinedex serves {indexes} on {scheme}://{address}"));
        terminal::note(&format!("documentation of the API: {scheme}://{address}/docs"));
    })
}

/// Serves until a signal asks it to stop.
pub(super) fn serve(
    engine: Arc<Engine>,
    options: &ServerOptions,
    on_ready: impl FnOnce(std::net::SocketAddr),
) -> Result<()> {
    cinedex_server::serve(engine, options, on_ready)?;
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
