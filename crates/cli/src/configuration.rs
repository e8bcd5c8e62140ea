//! The configuration in force: flags over environment over `cinedex.toml` over defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cinedex_domain::PreferencePolicy;
use cinedex_server::ServerOptions;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

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
    /// Folder of the log of what happens while serving (`CINEDEX_FEEDBACK`); if empty, `feedback` in the folder of data.
    pub(crate) feedback: PathBuf,
    /// What interactions mean to training: weights by kind of interaction and by age.
    pub(crate) preference: PreferencePolicy,
    /// How to serve; `CINEDEX_` and a field's name in upper case is its environment variable.
    pub(crate) serve: ServerOptions,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            data: "data".into(),
            indexes: "indexes".into(),
            feedback: PathBuf::new(),
            preference: PreferencePolicy::default(),
            serve: ServerOptions::default(),
        }
    }
}

impl Configuration {
    /// Reads the file and lays the environment and the global flags over it.
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
        if let Some(feedback) = &arguments.feedback {
            configuration.feedback.clone_from(feedback);
        }
        if configuration.feedback.as_os_str().is_empty() {
            configuration.feedback = configuration.data.join("feedback");
        }
        Ok(configuration)
    }

    /// The same, with a word in place of each secret: what may be shown.
    pub(crate) fn redacted(&self) -> Self {
        Self { serve: self.serve.clone().redacted(), ..self.clone() }
    }

    fn from_file(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a configuration", path.display()))
    }

    /// Lays the environment and then the flags of `serve` over the rest.
    pub(crate) fn with_serve(self, flags: &ServeArguments) -> Result<Self> {
        self.overlaid(flags, |name| std::env::var(name).ok())
    }

    fn overlaid(
        mut self,
        flags: &ServeArguments,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let mut table = Table::try_from(&self.serve).context("the defaults are a table")?;
        let fields: Vec<String> = table.keys().cloned().collect();
        for field in &fields {
            let variable = format!("CINEDEX_{}", field.to_uppercase());
            if let Some(text) = environment(&variable) {
                set(&mut table, field, &text).with_context(|| format!("environment variable {variable}"))?;
            }
        }
        for setting in &flags.set {
            let (field, text) =
                setting.split_once('=').with_context(|| format!("--set {setting}: write FIELD=VALUE"))?;
            if !fields.iter().any(|known| known == field) {
                bail!("--set {field}: unknown; known are {}", fields.join(", "));
            }
            if field == "admin_key" {
                bail!(
                    "--set admin_key: everybody on this machine could see it; give it by CINEDEX_ADMIN_KEY"
                );
            }
            set(&mut table, field, text).with_context(|| format!("--set {setting}"))?;
        }
        if let Some(bind) = flags.bind {
            table.insert("bind".to_owned(), Value::String(bind.to_string()));
        }
        if flags.open {
            table.insert("open".to_owned(), Value::Boolean(true));
        }
        self.serve = table.try_into().context("how to serve")?;
        Ok(self)
    }
}

/// Reads `text` as a value of the kind that `field` has.
fn set(table: &mut Table, field: &str, text: &str) -> Result<()> {
    let value = match table.get(field) {
        Some(Value::Integer(_)) => Value::Integer(text.parse().context("a whole number is needed")?),
        Some(Value::Boolean(_)) => Value::Boolean(text.parse().context("true or false is needed")?),
        _ if field == "bind" || (field == "operations_bind" && !text.is_empty()) => {
            let bind: SocketAddr =
                text.parse().context("an address and a port are needed, 127.0.0.1:8080")?;
            Value::String(bind.to_string())
        }
        _ => Value::String(text.to_owned()),
    };
    table.insert(field.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_say_some_of_it_and_nothing_unknown() {
        let some: Configuration = toml::from_str("data = \"d\"\n[serve]\ncache_bytes = 1").unwrap();
        assert_eq!(some.data, PathBuf::from("d"));
        assert_eq!(some.serve, ServerOptions { cache_bytes: 1, ..ServerOptions::default() });
        let some: Configuration = toml::from_str("[preference]\nwatch = 0.3\nhalf_life_days = 365").unwrap();
        assert_eq!((some.preference.watch, some.preference.half_life_days), (0.3, Some(365.0)));
        assert!(toml::from_str::<Configuration>("[preference]\nwach = 1").is_err());
        assert!(toml::from_str::<Configuration>("dta = \"d\"").is_err());
        assert!(toml::from_str::<Configuration>("[serve]\nbnid = \"127.0.0.1:1\"").is_err());
    }

    #[test]
    fn flags_lie_over_the_environment_and_that_over_the_file() {
        let mut file = Configuration::default();
        (file.serve.workers, file.serve.cache_bytes, file.serve.queue_length) = (2, 5, 7);
        let flags = ServeArguments { set: vec!["workers=4".to_owned()], ..ServeArguments::default() };
        let environment = |name: &str| match name {
            "CINEDEX_WORKERS" => Some("3".to_owned()),
            "CINEDEX_CACHE_BYTES" => Some("6".to_owned()),
            _ => None,
        };
        let serve = file.overlaid(&flags, environment).unwrap().serve;
        assert_eq!((serve.workers, serve.cache_bytes, serve.queue_length), (4, 6, 7));
    }

    #[test]
    fn a_malformed_setting_is_refused_with_its_name() {
        let check = |setting: &str, expect: &str| {
            let flags = ServeArguments { set: vec![setting.to_owned()], ..ServeArguments::default() };
            let error = Configuration::default().overlaid(&flags, |_| None).unwrap_err();
            assert!(format!("{error:#}").contains(expect), "{error:#}");
        };
        check("workers", "FIELD=VALUE");
        check("wrokers=1", "known are");
        check("workers=many", "whole number");
        check("bind=nowhere", "--set bind=nowhere");
        check("operations_bind=nowhere", "--set operations_bind=nowhere");
        check("admin_key=a key that others would see", "CINEDEX_ADMIN_KEY");
    }
}
