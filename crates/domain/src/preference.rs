//! From what happened to what it means: the one mapping that training, fold-in and evaluation share.

use serde::{Deserialize, Serialize};

use crate::{DomainError, InteractionKind, RatingScale};

/// Turns an interaction into a signed preference in -1 to 1, never 0: its sign says for or against, its size how strongly.
/// A rating of at least [`positive_share`](Self::positive_share) of the scale's top is positive, of at most
/// [`negative_share`](Self::negative_share) negative, between them weak. Stored in `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreferencePolicy {
    /// A rating of at least this share of the scale's top is a full preference.
    pub positive_share: f32,
    /// A rating of at most this share of the scale's top is evidence against.
    pub negative_share: f32,
    /// Preference of a rating between the two; 0 leaves it out.
    pub weak: f32,
    /// Preference of a negative rating; 0 leaves it out. Weaker than a dislike by default: on MovieLens, validation
    /// says that who rates a film low has at least chosen to see it.
    pub negative: f32,
    /// Preference of a watch; 0 leaves it out.
    pub watch: f32,
    /// Preference of a like.
    pub like: f32,
    /// Preference of a dislike.
    pub dislike: f32,
    /// Preference of a favourite.
    pub favorite: f32,
    /// Preference of a skip.
    pub skip: f32,
    /// Days after which an interaction counts half, see [`crate::Recency`]; without, age does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_life_days: Option<f32>,
}

impl Default for PreferencePolicy {
    fn default() -> Self {
        Self {
            positive_share: 0.75,
            negative_share: 0.4,
            weak: 0.4,
            negative: -0.2,
            watch: 0.6,
            like: 1.0,
            dislike: -1.0,
            favorite: 1.0,
            skip: -0.2,
            half_life_days: None,
        }
    }
}

impl PreferencePolicy {
    /// Checks every range: what speaks for a film is at least 0, what speaks against at most 0, all of size up to 1.
    pub fn validate(&self) -> Result<(), DomainError> {
        let check = |field, found: f32, low: f32, high: f32, expected| {
            let valid = found >= low && found <= high;
            let invalid = || DomainError::InvalidPreference { field, found: found.to_string(), expected };
            if valid { Ok(()) } else { Err(invalid()) }
        };
        let (share, favourable, unfavourable) = ("0 to 1", "0 to 1", "-1 to 0");
        check("positive_share", self.positive_share, 0.0, 1.0, share)?;
        check("negative_share", self.negative_share, -1.0, self.positive_share, "-1 to positive_share")?;
        check("weak", self.weak, 0.0, 1.0, favourable)?;
        check("negative", self.negative, -1.0, 0.0, unfavourable)?;
        check("watch", self.watch, 0.0, 1.0, favourable)?;
        check("like", self.like, 0.0, 1.0, favourable)?;
        check("dislike", self.dislike, -1.0, 0.0, unfavourable)?;
        check("favorite", self.favorite, 0.0, 1.0, favourable)?;
        check("skip", self.skip, -1.0, 0.0, unfavourable)?;
        let half_life = self.half_life_days.unwrap_or(1.0);
        check("half_life_days", half_life, 1e-3, 1e6, "0.001 to 1000000, or left out")
    }

    /// The preference of one interaction; `None` where it says nothing (a rating without a value, or a strength of 0).
    pub fn preference(&self, kind: InteractionKind, value: Option<f32>, scale: RatingScale) -> Option<f32> {
        let strength = match kind {
            InteractionKind::Rating => self.rating(value?, scale),
            InteractionKind::Watch => self.watch,
            InteractionKind::Like => self.like,
            InteractionKind::Dislike => self.dislike,
            InteractionKind::Favorite => self.favorite,
            InteractionKind::Skip => self.skip,
        };
        (strength != 0.0).then_some(strength)
    }

    fn rating(&self, value: f32, scale: RatingScale) -> f32 {
        let share = value / scale.highest();
        if share >= self.positive_share {
            1.0
        } else if share <= self.negative_share {
            self.negative
        } else {
            self.weak
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: InteractionKind, value: Option<f32>, expect: Option<f32>) {
        let policy = PreferencePolicy { skip: 0.0, ..PreferencePolicy::default() };
        assert_eq!(policy.preference(kind, value, RatingScale::FIVE_STARS), expect, "{kind} {value:?}");
    }

    #[test]
    fn ratings_fall_into_three_parts_of_the_scale() {
        check(InteractionKind::Rating, Some(4.0), Some(1.0));
        check(InteractionKind::Rating, Some(3.5), Some(0.4));
        check(InteractionKind::Rating, Some(2.5), Some(0.4));
        check(InteractionKind::Rating, Some(2.0), Some(-0.2));
        check(InteractionKind::Rating, None, None);
    }

    #[test]
    fn senseless_weights_are_refused_by_name() {
        let check = |change: fn(&mut PreferencePolicy), expect: &str| {
            let mut policy = PreferencePolicy::default();
            change(&mut policy);
            let message = policy.validate().unwrap_err().to_string();
            assert!(message.starts_with(expect), "{message}");
        };
        assert_eq!(PreferencePolicy::default().validate(), Ok(()));
        check(|policy| policy.watch = -0.5, "preference.watch is -0.5: it must be 0 to 1");
        check(|policy| policy.dislike = f32::NAN, "preference.dislike is NaN");
        check(|policy| policy.half_life_days = Some(0.0), "preference.half_life_days is 0");
    }

    #[test]
    fn other_kinds_speak_for_themselves() {
        check(InteractionKind::Like, None, Some(1.0));
        check(InteractionKind::Dislike, Some(5.0), Some(-1.0));
        check(InteractionKind::Skip, None, None);
    }
}
