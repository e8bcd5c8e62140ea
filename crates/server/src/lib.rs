//! The HTTP API over the engine: routes, parameters, problem documents, a cache of encoded answers, a pool of threads that
//! compute, figures for monitoring, and documentation made from the same table of routes. It knows nothing of training,
//! of building an index, or of where options come from. actix stops here.
//!
//! - [`serve`] runs until the process is told to end; [`start`] runs beside the caller as a [`RunningServer`].
//! - [`ServerOptions`] are all bounds and times.
//! - [`Parts`] are what it serves: an engine, and what operators may do, see [`Operations`].
//! - [`KeyFile`] says who may call what.
//!
//! The log of actix itself (target `actix_http`) has an error for each malformed request, which any client can send: leave
//! that target out of the log, with `actix_http=off` in a filter.
//!
//! ```
//! use std::sync::Arc;
//!
//! use cinedex_index::IndexRoot;
//! use cinedex_recommender::{Engine, EngineOptions};
//! use cinedex_server::{ServerError, ServerOptions, start};
//!
//! // The engine finds its bundles in `indexes`; until one is there, data routes answer 503.
//! let engine = Arc::new(Engine::new(IndexRoot::new("indexes"), EngineOptions::default()));
//! let options = ServerOptions { bind: "127.0.0.1:0".parse().expect("an address"), ..ServerOptions::default() };
//! let server = start(engine, &options)?;
//! println!("http://{}/livez", server.address());
//! server.stop()?;
//! # Ok::<(), ServerError>(())
//! ```

mod access;
mod admin;
mod admin_routes;
mod audit;
mod batch;
mod body;
mod cache;
mod cors;
mod cursor;
mod docs;
mod error;
mod follow;
mod handle;
mod interactions;
mod keys;
mod limiter;
mod live;
mod live_metrics;
mod live_routes;
mod live_schemas;
mod metrics;
mod movie_body;
mod openapi;
mod operations;
mod options;
mod parameters;
mod pool;
mod problem;
mod request_id;
mod respond;
mod routes;
mod run;
mod schemas;
mod service;
mod stopping;
mod tls;
mod view;
mod watched_file;

pub use error::ServerError;
pub use keys::{Key, KeyFile, Scope, hash_key};
pub use operations::{OperationError, Operations, RebuildRequest, Task, TaskStatus, VersionInfo};
pub use options::{Secret, ServerOptions};
pub use run::{RunningServer, serve, start};
pub use service::Parts;
