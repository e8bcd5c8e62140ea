//! One file a command. Each reads its flags, calls a library, and shows what came back.

mod backup;
mod calibration;
mod cold;
mod dataset;
mod demo;
mod evaluate;
mod index;
mod keys;
mod live_log;
mod operations;
mod query;
mod serve;
mod tables;
mod train;
mod tune;

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use cinedex_dataset::DataRoot;
use cinedex_index::IndexRoot;

use crate::arguments::{Arguments, Command};
use crate::configuration::Configuration;

/// Nothing cancels a command line but the end of its process: every write is atomic.
static NEVER: AtomicBool = AtomicBool::new(false);

/// What every command gets.
struct Context {
    configuration: Configuration,
    json: bool,
}

impl Context {
    fn data(&self) -> DataRoot {
        DataRoot::new(&self.configuration.data)
    }

    fn indexes(&self) -> IndexRoot {
        IndexRoot::new(&self.configuration.indexes)
    }
}

/// Runs the command that was asked for.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let context = Context { configuration: Configuration::read(&arguments)?, json: arguments.json };
    match arguments.command {
        Command::Demo(flags) => demo::run(context, &flags),
        Command::Dataset(command) => dataset::run(&context, command),
        Command::Train(flags) => train::run(&context, &flags),
        Command::Tune(flags) => tune::run(&context, &flags),
        Command::Evaluate(flags) => evaluate::run(&context, &flags),
        Command::Index(command) => index::run(&context, command),
        Command::Similar { movie, k } => query::similar(&context, &movie, k),
        Command::Recommend(flags) => query::recommend(&context, &flags),
        Command::Popular { location, k } => query::popular(&context, location.as_deref(), k),
        Command::Neighbors { user, k } => query::neighbors(&context, &user, k),
        Command::Serve(flags) => serve::run(context, &flags),
        Command::Keys(command) => keys::run(&context, &command),
        Command::Backup { folder } => backup::make(&context, &folder),
        Command::Restore { folder } => backup::put_back(&context, &folder),
    }
}
