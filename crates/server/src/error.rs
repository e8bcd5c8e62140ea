//! Why the server could not run. Faults of single requests are problem documents, see `problem`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// An option has a value that it cannot have.
    #[error("{option}: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What it must be.
        reason: &'static str,
    },
    /// A bind that others can reach, without protection.
    #[error(
        "{bind} can be reached from other machines and the API has no keys; make some with cinedex keys create, bind to 127.0.0.1, or say --open if that is meant"
    )]
    OpenBind {
        /// The address.
        bind: SocketAddr,
    },
    /// The file of keys cannot be used.
    #[error("cannot use the keys in {path}: {reason}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate or its key cannot be used.
    #[error("cannot serve TLS with {path}: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The address could not be bound.
    #[error("could not listen on {bind}; is another server running there?")]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("could not start the {name} thread")]
    Thread {
        /// What it was for.
        name: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The server stopped by itself.
    #[error("the server failed while running")]
    Run {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The thread that runs the server ended without an answer.
    #[error("the server's thread ended unexpectedly")]
    Ended,
}
