//! What a user did with a movie, and the scale that ratings are on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::error::excerpt;

/// What a user did with a movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum InteractionKind {
    /// Gave a value on the data set's rating scale.
    Rating = 0,
    /// Watched it.
    Watch = 1,
    /// Liked it.
    Like = 2,
    /// Disliked it.
    Dislike = 3,
    /// Put it among the favourites.
    Favorite = 4,
    /// Was shown it and passed on.
    Skip = 5,
}

impl InteractionKind {
    /// All kinds, by their number.
    pub const ALL: [Self; 6] =
        [Self::Rating, Self::Watch, Self::Like, Self::Dislike, Self::Favorite, Self::Skip];

    /// The name in files and over HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rating => "rating",
            Self::Watch => "watch",
            Self::Like => "like",
            Self::Dislike => "dislike",
            Self::Favorite => "favorite",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for InteractionKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for InteractionKind {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| DomainError::UnknownKind { found: excerpt(text) })
    }
}

/// The lowest and highest rating of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Ends", into = "Ends")]
pub struct RatingScale {
    lowest: f32,
    highest: f32,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Ends {
    lowest: f32,
    highest: f32,
}

impl RatingScale {
    /// Half a star to five stars.
    pub const FIVE_STARS: Self = Self { lowest: 0.5, highest: 5.0 };

    /// Checks that both ends are finite and ascending, and that the top is above 0: preferences are shares of the top.
    pub fn new(lowest: f32, highest: f32) -> Result<Self, DomainError> {
        if lowest.is_finite() && highest.is_finite() && lowest < highest && highest > 0.0 {
            Ok(Self { lowest, highest })
        } else {
            Err(DomainError::MalformedScale)
        }
    }

    /// The lowest rating.
    pub fn lowest(self) -> f32 {
        self.lowest
    }

    /// The highest rating.
    pub fn highest(self) -> f32 {
        self.highest
    }

    /// Whether `value` is finite and on the scale.
    pub fn contains(self, value: f32) -> bool {
        value >= self.lowest && value <= self.highest
    }
}

impl TryFrom<Ends> for RatingScale {
    type Error = DomainError;

    fn try_from(ends: Ends) -> Result<Self, DomainError> {
        Self::new(ends.lowest, ends.highest)
    }
}

impl From<RatingScale> for Ends {
    fn from(scale: RatingScale) -> Self {
        Self { lowest: scale.lowest, highest: scale.highest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_name() {
        for kind in InteractionKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert!("Rating".parse::<InteractionKind>().is_err());
    }

    #[test]
    fn a_scale_must_ascend_and_be_finite() {
        assert!(RatingScale::new(1.0, 5.0).is_ok());
        assert!(RatingScale::new(5.0, 5.0).is_err());
        assert!(RatingScale::new(-10.0, -1.0).is_err());
        assert!(RatingScale::new(-5.0, 0.0).is_err());
        assert!(RatingScale::new(f32::NAN, 5.0).is_err());
        assert!(!RatingScale::FIVE_STARS.contains(f32::NAN));
        assert!(serde_json::from_str::<RatingScale>(r#"{"lowest":5,"highest":1}"#).is_err());
    }
}
