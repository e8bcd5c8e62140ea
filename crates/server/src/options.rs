//! How the server runs: addresses, bounds and times. Where the values come from is the caller's business.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

use crate::ServerError;

/// How the server runs. Every field has a default; unknown fields are refused. An environment variable is `CINEDEX_` and the
/// field's name in upper case, for example `CINEDEX_CACHE_BYTES`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerOptions {
    /// Address and port; port 0 takes a free one. Default `127.0.0.1:8080`.
    pub bind: SocketAddr,
    /// Allows a bind that other machines can reach although the API has no keys. Default false.
    pub open: bool,
    /// Threads that read and write connections. Default: one a core.
    pub workers: usize,
    /// Threads that compute answers. Default: one a core.
    pub compute_threads: usize,
    /// Threads that wait for the disk when something is written; what is sent on so many connections at once is flushed
    /// together. Default 64.
    pub write_threads: usize,
    /// Takes interactions with movies that the catalogue does not have. Default false.
    pub accept_unknown_movies: bool,
    /// Requests that may wait for a compute thread; more are refused with 503. Default 256.
    pub queue_length: usize,
    /// Milliseconds that a request may wait for a compute thread before it is refused with 503. Default 500.
    pub deadline_ms: u64,
    /// Milliseconds that a whole request may take, its body included. Default 10,000.
    pub request_timeout_ms: u64,
    /// Seconds that an idle connection is kept. Default 30.
    pub keep_alive_seconds: u64,
    /// Connections open at once a worker. Default 10,000.
    pub connections: usize,
    /// Bytes of encoded answers kept for repeated requests; 0 keeps none. Default 64 MiB.
    pub cache_bytes: u64,
    /// Seconds that an encoded answer is kept, at most 300. Default 60.
    pub cache_ttl_seconds: u64,
    /// Largest request body in bytes. Default 1 MiB.
    pub body_bytes: usize,
    /// Longest path with query, in bytes, at most 65,536. Default 32 KiB.
    pub uri_bytes: usize,
    /// Milliseconds from which a request is logged as slow. Default 1,000.
    pub slow_ms: u64,
    /// Seconds that requests in flight have to end when the server stops. Default 10.
    pub shutdown_seconds: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let cores = available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            open: false,
            workers: cores,
            compute_threads: cores,
            write_threads: 64,
            accept_unknown_movies: false,
            queue_length: 256,
            deadline_ms: 500,
            request_timeout_ms: 10_000,
            keep_alive_seconds: 30,
            connections: 10_000,
            cache_bytes: 64 << 20,
            cache_ttl_seconds: 60,
            body_bytes: 1 << 20,
            uri_bytes: 32 << 10,
            slow_ms: 1_000,
            shutdown_seconds: 10,
        }
    }
}

impl ServerOptions {
    /// Checks every bound, and that an open bind is meant.
    pub fn validate(&self) -> Result<(), ServerError> {
        let positive = [
            ("workers", self.workers),
            ("compute_threads", self.compute_threads),
            ("write_threads", self.write_threads),
            ("queue_length", self.queue_length),
            ("connections", self.connections),
            ("body_bytes", self.body_bytes),
            ("deadline_ms", self.deadline_ms as usize),
            ("request_timeout_ms", self.request_timeout_ms as usize),
            ("keep_alive_seconds", self.keep_alive_seconds as usize),
        ];
        if let Some((option, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(ServerError::Option { option, reason: "must be at least 1" });
        }
        if [self.workers, self.compute_threads, self.write_threads].iter().any(|threads| *threads > 512) {
            return Err(ServerError::Option {
                option: "workers, compute_threads, write_threads",
                reason: "must be at most 512",
            });
        }
        if self.cache_ttl_seconds > 300 {
            return Err(ServerError::Option {
                option: "cache_ttl_seconds",
                reason: "must be at most 300, so that the cursors in kept answers stay good",
            });
        }
        if !(256..=65_536).contains(&self.uri_bytes) {
            return Err(ServerError::Option { option: "uri_bytes", reason: "must be from 256 to 65536" });
        }
        if !self.bind.ip().is_loopback() && !self.open {
            return Err(ServerError::OpenBind { bind: self.bind });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_beyond_loopback_must_be_meant() {
        let mut options = ServerOptions { bind: "0.0.0.0:80".parse().unwrap(), ..ServerOptions::default() };
        assert!(matches!(options.validate(), Err(ServerError::OpenBind { .. })));
        options.open = true;
        assert!(options.validate().is_ok());
        options.bind = "[::1]:0".parse().unwrap();
        options.open = false;
        assert!(options.validate().is_ok());
    }

    #[test]
    fn a_bound_that_stops_everything_is_refused() {
        let none = ServerOptions { workers: 0, ..ServerOptions::default() };
        assert!(matches!(none.validate(), Err(ServerError::Option { option: "workers", .. })));
        let long = ServerOptions { cache_ttl_seconds: 301, ..ServerOptions::default() };
        assert!(matches!(long.validate(), Err(ServerError::Option { option: "cache_ttl_seconds", .. })));
    }
}
