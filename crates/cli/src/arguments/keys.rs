//! Flags of `cinedex keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print it, this once: only its SHA-256 is kept.
    Create {
        /// What the audit log calls it: 1 to 64 letters, digits and ._-
        name: String,
        /// What it is good for; each scope also for those before it.
        #[arg(long, value_enum)]
        scope: KeyScope,
        /// Where keys are kept.
        #[command(flatten)]
        file: KeyFileArgument,
    },
    /// The keys there are, without the keys themselves.
    List {
        /// Where keys are kept.
        #[command(flatten)]
        file: KeyFileArgument,
    },
    /// Remove a key; a server that runs refuses it within a second.
    Revoke {
        /// Its name.
        name: String,
        /// Where keys are kept.
        #[command(flatten)]
        file: KeyFileArgument,
    },
}

/// Where keys are kept.
#[derive(Debug, Args)]
pub(crate) struct KeyFileArgument {
    /// File of keys, TOML [default: `keys_file` of the server's configuration].
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// What a key is good for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum KeyScope {
    /// Recommendations, movies, people, metrics.
    Read,
    /// Interactions, forgetting, movies put and withdrawn.
    Write,
    /// The admin routes.
    Admin,
}
