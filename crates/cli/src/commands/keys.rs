//! `cinedex keys`: create, list, revoke. The file is the server's; a key itself is printed once and never kept.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cinedex_server::{Key, KeyFile, Scope, hash_key};
use cinedex_storage::write_file_atomically;
use serde_json::json;

use super::Context;
use crate::arguments::{KeyFileArgument, KeyScope, KeysCommand};
use crate::terminal;

pub(super) fn run(context: &Context, command: &KeysCommand) -> Result<()> {
    match command {
        KeysCommand::Create { name, scope, file } => create(context, name, *scope, &path(context, file)),
        KeysCommand::List { file } => list(context, &path(context, file)),
        KeysCommand::Revoke { name, file } => revoke(context, name, &path(context, file)),
    }
}

fn path(context: &Context, argument: &KeyFileArgument) -> PathBuf {
    argument.file.clone().unwrap_or_else(|| context.configuration.serve.keys_file.clone())
}

fn create(context: &Context, name: &str, scope: KeyScope, path: &Path) -> Result<()> {
    let mut file = read(path)?;
    if file.keys.iter().any(|key| key.name == name) {
        bail!("there is a key {name} in {}: revoke it first, or choose another name", path.display());
    }
    let scope = match scope {
        KeyScope::Read => Scope::Read,
        KeyScope::Write => Scope::Write,
        KeyScope::Admin => Scope::Admin,
    };
    // The generator of the thread is seeded by the system and meant for secrets.
    let key = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    file.keys.push(Key { name: name.to_owned(), scope, sha256: hash_key(&key), created });
    write(path, &file)?;
    if context.json {
        return terminal::print_json(&json!({
            "name": name, "scope": scope, "key": key, "file": path,
        }));
    }
    terminal::note(&format!(
        "key {name} of scope {} in {}; it is shown this once",
        scope.as_str(),
        path.display()
    ));
    terminal::print(&key)
}

fn list(context: &Context, path: &Path) -> Result<()> {
    let file = read(path)?;
    if context.json {
        return terminal::print_json(&file.keys);
    }
    if file.keys.is_empty() {
        return terminal::print(&format!("no keys in {}; cinedex keys create makes one", path.display()));
    }
    let row = |key: &Key| {
        let digest = key.sha256.get(..8).unwrap_or_default();
        vec![key.name.clone(), key.scope.as_str().to_owned(), key.created.clone(), format!("{digest}…")]
    };
    let rows = file.keys.iter().map(row).collect();
    terminal::print(&terminal::table(&["name", "scope", "created", "sha256"], rows, &[]))
}

fn revoke(context: &Context, name: &str, path: &Path) -> Result<()> {
    let mut file = read(path)?;
    let before = file.keys.len();
    file.keys.retain(|key| key.name != name);
    if file.keys.len() == before {
        bail!("there is no key {name} in {}; cinedex keys list shows them", path.display());
    }
    write(path, &file)?;
    if context.json {
        return terminal::print_json(&json!({ "name": name, "state": "revoked" }));
    }
    terminal::print(&format!("{name} is revoked"))
}

/// The keys of a file; none if it is not there.
fn read(path: &Path) -> Result<KeyFile> {
    match std::fs::read_to_string(path) {
        Ok(text) => KeyFile::parse(&text).map_err(|reason| anyhow::anyhow!("{}: {reason}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(KeyFile::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Replaces the file, once it is sure that the server can read it.
fn write(path: &Path, file: &KeyFile) -> Result<()> {
    let text = toml::to_string(file)?;
    KeyFile::parse(&text).map_err(|reason| anyhow::anyhow!(reason))?;
    Ok(write_file_atomically(path, text.as_bytes())?)
}
