//! The name of a bundle. It knows nothing of what is in one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::IndexError;
use crate::error::excerpt;

/// `YYYYMMDDThhmmssZ-` and the first 8 hex digits of the manifest's SHA-256. Versions order by time of building. It is
/// safe as the name of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

impl Version {
    /// From the time of building and the manifest's SHA-256 in hex.
    pub(crate) fn of(created: jiff::Timestamp, manifest_sha256: &str) -> Result<Self, IndexError> {
        let digits = manifest_sha256.get(..8).unwrap_or_default();
        format!("{}-{digits}", created.strftime("%Y%m%dT%H%M%SZ")).parse()
    }

    /// The name, `20250131T235959Z-0123abcd`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last 8 digits: the beginning of the manifest's SHA-256.
    pub fn hash(&self) -> &str {
        &self.0[17..]
    }
}

impl FromStr for Version {
    type Err = IndexError;

    fn from_str(text: &str) -> Result<Self, IndexError> {
        let pattern = b"ddddddddTddddddZ-xxxxxxxx";
        let fits = text.len() == pattern.len()
            && text.bytes().zip(pattern).all(|(byte, &shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
                _ => byte == shape,
            });
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(IndexError::MalformedVersion { found: excerpt(text) })
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: bool) {
        assert_eq!(text.parse::<Version>().is_ok(), expect, "{text:?}");
    }

    #[test]
    fn a_version_is_a_time_and_a_hash_and_nothing_else() {
        check("20250131T235959Z-0123abcd", true);
        for text in [
            "",
            "demo",
            "../../../../etc/passwd-ab",
            "20250131T235959Z-0123ABCD",
            "20250131T235959Z-0123abcde",
            "20250131t235959Z-0123abcd",
            "20250131T235959Z/0123abcd",
            "2025013éT23595Z-0123abcd",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn it_comes_from_time_and_manifest() {
        let created: jiff::Timestamp = "2025-01-31T23:59:59.7Z".parse().unwrap();
        let version = Version::of(created, &"0123abcdef".repeat(6)).unwrap();
        assert_eq!((version.as_str(), version.hash()), ("20250131T235959Z-0123abcd", "0123abcd"));
    }
}
