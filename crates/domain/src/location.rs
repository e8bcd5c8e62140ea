//! Places: a path from large to small. It knows the form of the codes, not which countries exist.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::DomainError;
use crate::error::excerpt;

/// A place: an ISO 3166-1 alpha-2 country, then an ISO 3166-2 subdivision without the country prefix, then a city; each
/// level is optional from the right. Codes are kept in upper case, a city in the spelling that was given; comparison and
/// hashing ignore case.
#[derive(Debug, Clone)]
pub struct Location {
    path: String,
    folded: String,
}

impl Location {
    /// The path in its stored spelling, `US/CA/Fresno`.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The path in lower case: equal for places that are equal.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// The next larger place; `None` for a country, whose parent is the world.
    pub fn parent(&self) -> Option<Location> {
        let cut = self.path.rfind('/')?;
        Some(Self::from_checked(self.path[..cut].to_owned()))
    }

    /// 1 for a country, 2 for a subdivision, 3 for a city.
    pub fn level(&self) -> usize {
        self.path.matches('/').count() + 1
    }

    /// The country's code, two upper-case letters.
    pub fn country(&self) -> &str {
        &self.path[..2]
    }

    fn from_checked(path: String) -> Self {
        let folded = path.to_lowercase();
        Self { path, folded }
    }
}

impl FromStr for Location {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let malformed = |reason| DomainError::MalformedLocation { found: excerpt(text), reason };
        let mut levels = text.splitn(3, '/');
        let country = levels.next().unwrap_or_default();
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(malformed("the country must be two letters"));
        }
        let mut path = country.to_ascii_uppercase();
        if let Some(subdivision) = levels.next() {
            let plain = subdivision.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !plain || subdivision.is_empty() || subdivision.len() > 3 {
                return Err(malformed("the subdivision must be one to three letters or digits"));
            }
            path.push('/');
            path.push_str(&subdivision.to_ascii_uppercase());
        }
        if let Some(city) = levels.next() {
            let city = city.trim();
            if city.is_empty() || city.len() > 100 {
                return Err(malformed("the city must have 1 to 100 bytes"));
            }
            if city.chars().any(|c| c == '/' || c.is_control()) {
                return Err(malformed("the city must not contain a slash or a control character"));
            }
            path.push('/');
            path.push_str(city);
        }
        Ok(Self::from_checked(path))
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for Location {}

impl Hash for Location {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl PartialOrd for Location {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Location {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded.cmp(&other.folded)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path)
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.path)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expect: Option<&str>) {
        let found: Option<Location> = text.parse().ok();
        assert_eq!(found.as_ref().map(Location::as_str), expect, "{text:?}");
    }

    #[test]
    fn a_place_is_a_country_a_subdivision_or_a_city() {
        check("us", Some("US"));
        check("us/ca", Some("US/CA"));
        check("US/ca/Los Angeles", Some("US/CA/Los Angeles"));
        check("KR/11/서울", Some("KR/11/서울"));
        check("fr/idf/Paris", Some("FR/IDF/Paris"));
    }

    #[test]
    fn a_malformed_place_is_refused() {
        for text in
            ["", "U", "USA", "1A", "US/", "US/CALI", "US/C-A", "US/CA/", "US/CA/a/b", "US/CA/a\u{7}", "éa"]
        {
            check(text, None);
        }
    }

    #[test]
    fn comparison_ignores_case_and_the_spelling_stays() {
        let (left, right): (Location, Location) =
            ("US/CA/FRESNO".parse().unwrap(), "us/ca/Fresno".parse().unwrap());
        assert_eq!(left, right);
        assert_eq!(right.as_str(), "US/CA/Fresno");
        assert_eq!((right.level(), right.country()), (3, "US"));
    }

    proptest! {
        #[test]
        fn a_parsed_place_parses_again_to_itself(text in "\\PC{0,12}/?\\PC{0,4}/?\\PC{0,8}") {
            if let Ok(place) = text.parse::<Location>() {
                let again: Location = place.as_str().parse().unwrap();
                prop_assert_eq!(again.as_str(), place.as_str());
            }
        }
    }
}
