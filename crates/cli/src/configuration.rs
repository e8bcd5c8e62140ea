//! The configuration in force: flags over environment (both read by the command line) over `cinedex.toml` over defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::arguments::{Arguments, ServeArguments};

/// The file that is read where it exists and none is named.
const DEFAULT_FILE: &str = "cinedex.toml";

/// Everything that a command may need to know; also the form of the configuration file, where every key is optional.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Configuration {
    /// Folder of data sets and models (`CINEDEX_DATA`).
    pub(crate) data: PathBuf,
    /// Folder of bundles (`CINEDEX_INDEXES`).
    pub(crate) indexes: PathBuf,
    /// How to serve.
    pub(crate) serve: ServeConfiguration,
}

/// How to serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServeConfiguration {
    /// Address to listen on (`CINEDEX_BIND`).
    pub(crate) bind: SocketAddr,
    /// Whether to listen beyond loopback although no key protects the service (`CINEDEX_OPEN`).
    pub(crate) open: bool,
    /// Memory for encoded answers, in bytes (`CINEDEX_CACHE_BYTES`).
    pub(crate) cache_bytes: u64,
    /// How long an encoded answer is kept, in seconds (`CINEDEX_CACHE_TTL_SECONDS`).
    pub(crate) cache_ttl_seconds: u64,
    /// Threads of the event loop; 0 is one a core (`CINEDEX_WORKERS`).
    pub(crate) workers: usize,
}

impl Default for Configuration {
    fn default() -> Self {
        Self { data: "data".into(), indexes: "indexes".into(), serve: ServeConfiguration::default() }
    }
}

impl Default for ServeConfiguration {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            open: false,
            cache_bytes: 64 << 20,
            cache_ttl_seconds: 300,
            workers: 0,
        }
    }
}

impl Configuration {
    /// Reads the file and lays the global flags over it.
    pub(crate) fn read(arguments: &Arguments) -> Result<Self> {
        let mut configuration = match &arguments.config {
            Some(path) => Self::from_file(path)?,
            None if Path::new(DEFAULT_FILE).is_file() => Self::from_file(Path::new(DEFAULT_FILE))?,
            None => Self::default(),
        };
        if let Some(data) = &arguments.data {
            configuration.data.clone_from(data);
        }
        if let Some(indexes) = &arguments.indexes {
            configuration.indexes.clone_from(indexes);
        }
        Ok(configuration)
    }

    fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a configuration", path.display()))
    }

    /// Lays the flags of `serve` over the rest.
    pub(crate) fn with_serve(mut self, flags: &ServeArguments) -> Self {
        let serve = &mut self.serve;
        serve.bind = flags.bind.unwrap_or(serve.bind);
        serve.open |= flags.open;
        serve.cache_bytes = flags.cache_bytes.unwrap_or(serve.cache_bytes);
        serve.cache_ttl_seconds = flags.cache_ttl_seconds.unwrap_or(serve.cache_ttl_seconds);
        serve.workers = flags.workers.unwrap_or(serve.workers);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_say_some_of_it_and_nothing_unknown() {
        let some: Configuration = toml::from_str("data = \"d\"\n[serve]\ncache_bytes = 1").unwrap();
        assert_eq!(some.data, PathBuf::from("d"));
        assert_eq!(some.serve, ServeConfiguration { cache_bytes: 1, ..ServeConfiguration::default() });
        assert!(toml::from_str::<Configuration>("dta = \"d\"").is_err());
        assert!(toml::from_str::<Configuration>("[serve]\nbnid = \"127.0.0.1:1\"").is_err());
    }

    #[test]
    fn a_flag_lies_over_the_file() {
        let flags = ServeArguments { workers: Some(3), ..ServeArguments::default() };
        let mut file = Configuration::default();
        file.serve.workers = 2;
        file.serve.cache_bytes = 5;
        let result = file.with_serve(&flags).serve;
        assert_eq!((result.workers, result.cache_bytes), (3, 5));
    }
}
