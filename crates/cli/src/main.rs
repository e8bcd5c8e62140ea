//! The binary `cinedex`: reads the command line and runs one command. What commands do lives in the libraries.

mod arguments;
mod commands;
mod configuration;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    terminal::start_log(arguments.log_json);
    match commands::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&error);
            ExitCode::FAILURE
        }
    }
}
