//! From what happened to what it means: the one mapping that training, fold-in and evaluation share.

use serde::{Deserialize, Serialize};

use crate::{InteractionKind, RatingScale};

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
        }
    }
}

impl PreferencePolicy {
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
    fn other_kinds_speak_for_themselves() {
        check(InteractionKind::Like, None, Some(1.0));
        check(InteractionKind::Dislike, Some(5.0), Some(-1.0));
        check(InteractionKind::Skip, None, None);
    }
}
