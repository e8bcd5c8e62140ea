//! How the server runs: addresses, bounds and times. Where the values come from is the caller's business.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

use crate::ServerError;
use crate::cors::Origins;

/// The shortest admin key, in bytes.
const MIN_KEY_BYTES: usize = 16;

/// What stands for a secret where the options are shown.
const REDACTED: &str = "redacted";

/// How the server runs. Every field has a default; unknown fields are refused. An environment variable is `CINEDEX_` and the
/// field's name in upper case, for example `CINEDEX_CACHE_BYTES`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerOptions {
    /// Address and port; port 0 takes a free one. Default `127.0.0.1:8080`.
    pub bind: SocketAddr,
    /// Allows a bind that other machines can reach although the API has no keys. Reading and writing are then open as long as
    /// no key of their scope exists, as they are on loopback. Default false.
    pub open: bool,
    /// Address and port that answer `/livez`, `/readyz` and `/metrics` alone, without keys or TLS; empty is none. Default none.
    #[serde(with = "address_or_empty")]
    pub operations_bind: Option<SocketAddr>,
    /// Answers `/metrics` on `bind`, too, although `operations_bind` is set. Default false.
    pub public_metrics: bool,
    /// A key of scope admin, at least 16 bytes; empty is none. Give it by `CINEDEX_ADMIN_KEY`, not on a command line.
    pub admin_key: Secret,
    /// File of keys, TOML, read again within a second when it changes; one that is not there is no keys. Default `keys.toml`.
    pub keys_file: PathBuf,
    /// File to which each call that changes something by an admin key, or deletes or puts with any, is appended as a line of
    /// JSON; empty is none. Default `audit.jsonl`.
    pub audit_file: PathBuf,
    /// PEM file of the certificate and its chain, read again within a second when it changes; empty serves without TLS.
    pub tls_certificate: PathBuf,
    /// PEM file of the certificate's private key.
    pub tls_key: PathBuf,
    /// Origins whose pages may read answers, `https://films.example`, separated by spaces; `*` is all. Default none.
    pub cors_origins: String,
    /// Requests a second that one key, or one address without a key, may send in the long run; 0 is no limit. Default 0.
    pub rate_limit: u32,
    /// Requests that may come at once before `rate_limit` counts; 0 is as many as come in one second. Default 0.
    pub rate_burst: u32,
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
    /// One in so many requests is logged; 0 logs none but failures, refusals and slow ones. Default 100.
    pub access_log_every: u32,
    /// Seconds that a server that is told to stop goes on for, `/readyz` answering 503 `draining`, so that balancers turn away
    /// from it; a second signal cuts them short. Default 2.
    pub drain_seconds: u64,
    /// Seconds that requests in flight then have to end. Default 10.
    pub shutdown_seconds: u64,
}

/// Text that is never shown: not by `Debug`, and not by what is printed of [`ServerOptions::redacted`].
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "none" } else { REDACTED })
    }
}

/// An address that may be left out: in a configuration every field has a value, so that it can be seen and set by its name.
mod address_or_empty {
    use std::net::SocketAddr;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&address.map(|address| address.to_string()).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        let refused = |_| D::Error::custom("must be an address and a port, 127.0.0.1:9090");
        text.parse().map(Some).map_err(refused)
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        let cores = available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            open: false,
            operations_bind: None,
            public_metrics: false,
            admin_key: Secret::default(),
            keys_file: "keys.toml".into(),
            audit_file: "audit.jsonl".into(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            cors_origins: String::new(),
            rate_limit: 0,
            rate_burst: 0,
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
            access_log_every: 100,
            drain_seconds: 2,
            shutdown_seconds: 10,
        }
    }
}

impl ServerOptions {
    /// The same, with a word in place of each secret: what may be shown.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        if !self.admin_key.reveal().is_empty() {
            self.admin_key = Secret::new(REDACTED);
        }
        self
    }

    /// `https` with a certificate, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls_certificate.as_os_str().is_empty() { "http" } else { "https" }
    }

    /// Checks every bound, and that an open bind is meant where there can be no keys.
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
        if (1..MIN_KEY_BYTES).contains(&self.admin_key.reveal().len()) {
            let reason = "must have at least 16 bytes; CINEDEX_ADMIN_KEY gives it";
            return Err(ServerError::Option { option: "admin_key", reason });
        }
        if self.tls_certificate.as_os_str().is_empty() != self.tls_key.as_os_str().is_empty() {
            let reason = "TLS needs both, the certificate and its key";
            return Err(ServerError::Option { option: "tls_certificate, tls_key", reason });
        }
        if self.operations_bind.is_some_and(|bind| bind == self.bind && bind.port() != 0) {
            let reason = "must differ from bind";
            return Err(ServerError::Option { option: "operations_bind", reason });
        }
        if Origins::parse(&self.cors_origins).is_err() {
            let reason = "must be origins such as https://films.example, separated by spaces, or *";
            return Err(ServerError::Option { option: "cors_origins", reason });
        }
        let may_have_keys = !self.admin_key.reveal().is_empty() || self.keys_file.is_file();
        if !self.bind.ip().is_loopback() && !self.open && !may_have_keys {
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

    #[test]
    fn what_contradicts_itself_is_refused() {
        let check = |change: fn(&mut ServerOptions), expect: &str| {
            let mut options = ServerOptions::default();
            change(&mut options);
            let error = options.validate().unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(|options| options.admin_key = Secret::new("fifteen bytes.."), "16 bytes");
        check(|options| options.tls_key = "key.pem".into(), "TLS needs both");
        check(|options| options.operations_bind = Some(options.bind), "operations_bind");
        check(|options| options.cors_origins = "films.example".to_owned(), "https://films.example");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let key = "a key that nobody sees";
        let options = ServerOptions { admin_key: Secret::new(key), ..ServerOptions::default() };
        assert!(options.validate().is_ok());
        assert!(!format!("{options:?}").contains(key));
        let shown = serde_json::to_string(&options.redacted()).unwrap();
        assert!(!shown.contains(key) && shown.contains(r#""admin_key":"redacted""#), "{shown}");
    }

    #[test]
    fn an_address_may_be_left_out() {
        let parse = |text: &str| {
            serde_json::from_str::<ServerOptions>(&format!(r#"{{"operations_bind":"{text}"}}"#))
                .map(|options| options.operations_bind)
        };
        assert_eq!(parse("").unwrap(), None);
        assert_eq!(parse("127.0.0.1:9090").unwrap(), Some("127.0.0.1:9090".parse().unwrap()));
        assert!(parse("nowhere").unwrap_err().to_string().contains("an address and a port"));
    }
}
