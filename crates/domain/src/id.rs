//! Ids of movies and users: the caller's own strings, their canonical order, and the dense rows that follow it.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::DomainError;

/// The longest id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 256;

/// Checks that `text` may be an id: 1 to [`MAX_ID_BYTES`] bytes.
pub fn check_id(text: &str) -> Result<(), DomainError> {
    match text.len() {
        0 => Err(DomainError::EmptyId),
        found if found > MAX_ID_BYTES => Err(DomainError::LongId { found }),
        _ => Ok(()),
    }
}

/// The canonical order of ids: unsigned decimals (no leading zero, below 2^64) first, by value; then all others, by bytes.
pub fn compare_ids(left: &str, right: &str) -> Ordering {
    IdKey::of(left).cmp(&IdKey::of(right))
}

/// What ids are ordered by, for who compares one id with many: see [`compare_ids`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdKey<'a> {
    /// A canonical unsigned decimal.
    Number(u64),
    /// Any other id.
    Text(&'a str),
}

impl<'a> IdKey<'a> {
    /// The key of an id.
    pub fn of(id: &'a str) -> Self {
        let bytes = id.as_bytes();
        let canonical = matches!(bytes, [b'0'] | [b'1'..=b'9', ..]) && bytes.iter().all(u8::is_ascii_digit);
        match id.parse() {
            Ok(number) if canonical => Self::Number(number),
            _ => Self::Text(id),
        }
    }
}

macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = concat!("The caller's own id of a ", $what, ": UTF-8, 1 to 256 bytes. Cheap to clone. Ordered canonically, see [`compare_ids`].")]
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps an id.
            pub fn new(text: &str) -> Result<Self, DomainError> {
                check_id(text)?;
                Ok(Self(text.into()))
            }

            /// The id as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", &*self.0)
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                compare_ids(&self.0, &other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl std::str::FromStr for $name {
            type Err = DomainError;

            fn from_str(text: &str) -> Result<Self, DomainError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(IdVisitor).and_then(|text| Self::new(&text).map_err(de::Error::custom))
            }
        }
    };
}

id!(MovieId, "movie");
id!(UserId, "user");

/// Accepts a string or an unsigned integer.
struct IdVisitor;

impl de::Visitor<'_> for IdVisitor {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an id: a string of 1 to 256 bytes, or an unsigned integer")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// A movie's row in one data set or bundle; rows follow the canonical order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MovieIndex(pub u32);

/// A user's row in one data set or bundle; rows follow the canonical order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserIndex(pub u32);

impl MovieIndex {
    /// As a position in a slice.
    pub fn row(self) -> usize {
        self.0 as usize
    }
}

impl UserIndex {
    /// As a position in a slice.
    pub fn row(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_order(sorted: &[&str]) {
        let mut ids: Vec<MovieId> = sorted.iter().rev().map(|text| MovieId::new(text).unwrap()).collect();
        ids.sort();
        assert_eq!(ids.iter().map(MovieId::as_str).collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn decimals_come_first_and_by_value() {
        check_order(&[
            "0",
            "2",
            "10",
            "18446744073709551615",
            "+1",
            "007",
            "18446744073709551616",
            "tt01",
            "é",
        ]);
    }

    #[test]
    fn an_id_has_1_to_256_bytes() {
        assert_eq!(UserId::new(""), Err(DomainError::EmptyId));
        assert!(UserId::new(&"x".repeat(256)).is_ok());
        assert_eq!(UserId::new(&"é".repeat(129)), Err(DomainError::LongId { found: 258 }));
    }

    #[test]
    fn an_integer_is_accepted_as_input() {
        assert_eq!(serde_json::from_str::<MovieId>("318").unwrap().as_str(), "318");
        assert_eq!(serde_json::from_str::<MovieId>("\"tt01\"").unwrap().as_str(), "tt01");
        assert!(serde_json::from_str::<MovieId>("-1").is_err());
        assert!(serde_json::from_str::<MovieId>("1.5").is_err());
    }

    proptest! {
        #[test]
        fn the_order_is_total_and_agrees_with_equality(a in "[0-9a-z]{1,4}", b in "[0-9a-z]{1,4}", c in "[0-9a-z]{1,4}") {
            prop_assert_eq!(compare_ids(&a, &b), compare_ids(&b, &a).reverse());
            prop_assert_eq!(compare_ids(&a, &b) == Ordering::Equal, a == b);
            if compare_ids(&a, &b) != Ordering::Greater && compare_ids(&b, &c) != Ordering::Greater {
                prop_assert_ne!(compare_ids(&a, &c), Ordering::Greater);
            }
        }
    }
}
