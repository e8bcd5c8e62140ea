//! Who may call what: keys of which only SHA-256 is kept, from a file that is read again when it changes and from the
//! configuration. It knows nothing of routes but their scope.

use std::io::ErrorKind;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::watched_file::WatchedFile;
use crate::{ServerError, ServerOptions};

/// The name under which the audit log knows the key of the configuration.
const CONFIGURED_NAME: &str = "admin_key";

/// What a key is good for; each also for those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Recommendations, movies, people, metrics.
    Read,
    /// Interactions, forgetting, movies put and withdrawn.
    Write,
    /// The admin routes.
    Admin,
}

impl Scope {
    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// The file of keys, TOML: a `[[key]]` for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// All keys, each with a name of its own.
    #[serde(default, rename = "key")]
    pub keys: Vec<Key>,
}

/// What is kept of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What the audit log calls it: 1 to 64 letters, digits and `._-`.
    pub name: String,
    /// What it is good for.
    pub scope: Scope,
    /// SHA-256 of the key, 64 hex digits, see [`hash_key`].
    pub sha256: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

impl KeyFile {
    /// Reads and checks the text of a file; what is wrong is said with the key's place in it, never with its digest.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!("line {}: {}", before.lines().count().max(1), error.message())
        })?;
        for (position, key) in file.keys.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if !(1..=64).contains(&key.name.len()) || !key.name.bytes().all(plain) {
                return Err(format!("key {}: a name is 1 to 64 letters, digits and ._-", position + 1));
            }
            if file.keys[..position].iter().any(|other| other.name == key.name) {
                return Err(format!("key {}: the name {} is taken", position + 1, key.name));
            }
            if digest_of_hex(&key.sha256).is_none() {
                return Err(format!("key {}: sha256 must be 64 hex digits", position + 1));
            }
        }
        Ok(file)
    }
}

/// What a file keeps of a key: its SHA-256 as 64 hex digits.
pub fn hash_key(key: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(key.as_bytes()) {
        for half in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(half.into(), 16).expect("four bits are a hex digit"));
        }
    }
    hex
}

fn digest_of_hex(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (position, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * position..2 * position + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Who a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) name: Arc<str>,
    pub(crate) scope: Scope,
}

/// All keys in force.
pub(crate) struct KeyRing {
    keys: ArcSwap<Keys>,
    configured: Option<[u8; 32]>,
    file: WatchedFile,
    /// Whether a scope is open as long as it has no key.
    open: bool,
}

/// Why the file of keys does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// It cannot be understood.
    #[error("{0}")]
    Malformed(String),
}

impl From<String> for KeysError {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

#[derive(Default)]
struct Keys {
    digests: Vec<[u8; 32]>,
    holders: Vec<Holder>,
}

impl KeyRing {
    /// Reads the keys. A file that is not there is no keys; one that cannot be understood is refused, and so is an address
    /// that others can reach where there are none.
    pub(crate) fn open(options: &ServerOptions) -> Result<Self, ServerError> {
        let configured = options.admin_key.reveal();
        let ring = Self {
            keys: ArcSwap::default(),
            configured: (!configured.is_empty()).then(|| Sha256::digest(configured.as_bytes()).into()),
            file: WatchedFile::new(options.keys_file.clone()),
            open: options.bind.ip().is_loopback() || options.open,
        };
        ring.keys.store(Arc::new(ring.with_configured(KeyFile::default())));
        match ring.refresh() {
            Err(KeysError::Unreadable(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(ServerError::Keys { path: options.keys_file.clone(), reason: error.to_string() });
            }
            Ok(_) => {}
        }
        if !ring.open && ring.len() == 0 {
            return Err(ServerError::OpenBind { bind: options.bind });
        }
        Ok(ring)
    }

    /// Reads the file again if it has changed, and says whether it had. What cannot be understood, or is gone, leaves the keys
    /// as they were, and is said once.
    pub(crate) fn refresh(&self) -> Result<bool, KeysError> {
        let Some(content) = self.file.news()? else { return Ok(false) };
        let text = String::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
        let keys = self.with_configured(KeyFile::parse(&text)?);
        self.keys.store(Arc::new(keys));
        Ok(true)
    }

    /// How many keys are in force.
    pub(crate) fn len(&self) -> usize {
        self.keys.load().holders.len()
    }

    /// Whether a route of this scope asks for a key.
    pub(crate) fn is_closed(&self, scope: Scope) -> bool {
        scope == Scope::Admin || !self.open || self.has_key_of(scope)
    }

    /// Whether a key of exactly this scope exists.
    pub(crate) fn has_key_of(&self, scope: Scope) -> bool {
        self.keys.load().holders.iter().any(|holder| holder.scope == scope)
    }

    /// Whose key the value of an `Authorization` header carries. All keys are compared, in constant time.
    pub(crate) fn holder(&self, authorization: &[u8]) -> Option<Holder> {
        let keys = self.keys.load();
        if keys.holders.is_empty() {
            return None;
        }
        let (scheme, key) = authorization.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(key.trim_ascii()).into();
        let mut found = u32::MAX;
        for (position, known) in keys.digests.iter().enumerate() {
            let same: Choice = known.ct_eq(&digest);
            found.conditional_assign(&(position as u32), same);
        }
        keys.holders.get(found as usize).cloned()
    }

    fn with_configured(&self, file: KeyFile) -> Keys {
        let mut keys = Keys::default();
        if let Some(digest) = self.configured {
            keys.digests.push(digest);
            keys.holders.push(Holder { name: CONFIGURED_NAME.into(), scope: Scope::Admin });
        }
        for Key { name, scope, sha256, .. } in file.keys {
            // `parse` has refused what is no digest.
            let Some(digest) = digest_of_hex(&sha256) else { continue };
            keys.digests.push(digest);
            keys.holders.push(Holder { name: name.into(), scope });
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Secret;

    const READ: &str = "a-key-that-may-read";

    fn text(entries: &[(&str, Scope, &str)]) -> String {
        let key = |(name, scope, key): &(&str, Scope, &str)| Key {
            name: (*name).to_owned(),
            scope: *scope,
            sha256: hash_key(key),
            created: "2026-01-31T00:00:00Z".to_owned(),
        };
        toml::to_string(&KeyFile { keys: entries.iter().map(key).collect() }).unwrap()
    }

    fn options(folder: &Path) -> ServerOptions {
        ServerOptions { keys_file: folder.join("keys.toml"), ..ServerOptions::default() }
    }

    #[test]
    fn a_key_is_found_by_its_digest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        options.admin_key = Secret::new("sixteen bytes or more");
        std::fs::write(&options.keys_file, text(&[("app", Scope::Read, READ)])).unwrap();
        let ring = KeyRing::open(&options).unwrap();
        let check = |header: &str, expect: Option<(&str, Scope)>| {
            let holder = ring.holder(header.as_bytes());
            let found = holder.as_ref().map(|holder| (&*holder.name, holder.scope));
            assert_eq!(found, expect, "{header}");
        };
        check("Bearer a-key-that-may-read", Some(("app", Scope::Read)));
        check("bearer  a-key-that-may-read ", Some(("app", Scope::Read)));
        check("BEARER sixteen bytes or more", Some((CONFIGURED_NAME, Scope::Admin)));
        for wrong in ["", "Bearer", "Bearer ", "a-key-that-may-read", "Basic a-key-that-may-read", "Bearer é"]
        {
            check(wrong, None);
        }
        check(&format!("Bearer {}", hash_key(READ)), None);
        assert!(ring.is_closed(Scope::Read) && !ring.is_closed(Scope::Write) && ring.is_closed(Scope::Admin));
    }

    #[test]
    fn a_changed_file_counts_and_a_broken_or_missing_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let ring = KeyRing::open(&options).unwrap();
        assert!(ring.len() == 0 && !ring.refresh().unwrap(), "no file is no keys");
        std::fs::write(&options.keys_file, text(&[("app", Scope::Read, READ)])).unwrap();
        assert!(ring.refresh().unwrap() && !ring.refresh().unwrap() && ring.len() == 1);
        std::fs::write(&options.keys_file, "[[key]]\nname = 1").unwrap();
        assert!(ring.refresh().is_err() && ring.len() == 1);
        std::fs::remove_file(&options.keys_file).unwrap();
        assert!(ring.refresh().is_err() && ring.len() == 1, "a file that is gone opens nothing");
        std::fs::write(&options.keys_file, text(&[])).unwrap();
        assert!(ring.refresh().unwrap() && ring.len() == 0);
    }

    #[test]
    fn what_a_file_must_not_say_is_refused() {
        let digest = hash_key(READ);
        let entry = |name: &str, sha256: &str| {
            format!("[[key]]\nname = \"{name}\"\nscope = \"read\"\nsha256 = \"{sha256}\"\ncreated = \"\"\n")
        };
        let check = |text: &str, expect: &str| {
            let error = KeyFile::parse(text).unwrap_err();
            assert!(error.contains(expect) && !error.contains(&digest), "{error}");
        };
        check(&entry("a b", &digest), "name");
        check(&entry("", &digest), "name");
        check(&entry("a", "abc"), "64 hex");
        check(&entry("a", &"é".repeat(32)), "64 hex");
        check(&(entry("a", &digest) + &entry("a", &digest)), "taken");
        check(&entry("a", &digest).replace("read", "root"), "root");
        check(&(entry("a", &digest) + "key = \"secret\""), "key");
        assert_eq!(KeyFile::parse("").unwrap(), KeyFile::default());
    }

    #[test]
    fn an_address_that_others_can_reach_needs_keys_or_must_be_meant() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = ServerOptions { bind: "0.0.0.0:80".parse().unwrap(), ..options(folder.path()) };
        assert!(matches!(KeyRing::open(&options), Err(ServerError::OpenBind { .. })));
        options.open = true;
        assert!(!KeyRing::open(&options).unwrap().is_closed(Scope::Read));
        options.open = false;
        options.admin_key = Secret::new("sixteen bytes or more");
        // Nothing is open that was not meant to be: the admin key opens it.
        assert!(KeyRing::open(&options).unwrap().is_closed(Scope::Read));
        options.bind = "[::1]:0".parse().unwrap();
        assert!(!KeyRing::open(&options).unwrap().is_closed(Scope::Write));
    }
}
