//! From what happened to what it means: the one mapping that training, fold-in and evaluation share.

use serde::{Deserialize, Serialize};

use crate::{DomainError, InteractionKind, RatingScale};

/// A preference from here on says that the film is liked: by the default policy a rating of at least 75 % of the scale's top, and
/// every kind but skip and dislike. Only such films are to be found in evaluation, and only such opinions make popularity.
pub const LIKED: f32 = 0.75;

/// Turns an interaction into a signed preference in -1 to 1, never 0. From 0 up it is the score that training aims at for the
/// pair, 0 being that of a film never heard of and 1 that of a favourite: a low rating is still interest, because people choose
/// what they see. Below 0 it is evidence against. Stored in `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreferencePolicy {
    /// Preferences of ratings of 20, 40, 60, 80 and 100 % of the scale's top, never falling; between them straight lines, below
    /// the first the first.
    pub ratings: [f32; 5],
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
            ratings: [0.27, 0.36, 0.55, 0.82, 1.0],
            watch: 0.8,
            like: 1.0,
            dislike: -1.0,
            favorite: 1.0,
            skip: -0.2,
            half_life_days: None,
        }
    }
}

impl PreferencePolicy {
    /// Checks every range: all of size up to 1, ratings never falling, a skip and a dislike not in favour.
    pub fn validate(&self) -> Result<(), DomainError> {
        let check = |field, found: f32, low: f32, high: f32, expected| {
            let valid = found >= low && found <= high;
            let invalid = || DomainError::InvalidPreference { field, found: found.to_string(), expected };
            if valid { Ok(()) } else { Err(invalid()) }
        };
        let mut lowest = -1.0;
        for rating in self.ratings {
            check("ratings", rating, lowest, 1.0, "-1 to 1, none below the one before")?;
            lowest = rating;
        }
        check("watch", self.watch, 0.0, 1.0, "0 to 1")?;
        check("like", self.like, 0.0, 1.0, "0 to 1")?;
        check("dislike", self.dislike, -1.0, 0.0, "-1 to 0")?;
        check("favorite", self.favorite, 0.0, 1.0, "0 to 1")?;
        check("skip", self.skip, -1.0, 0.0, "-1 to 0")?;
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
        let last = self.ratings.len() - 1;
        let place = (value / scale.highest() * self.ratings.len() as f32 - 1.0).clamp(0.0, last as f32);
        let below = (place as usize).min(last - 1);
        let (from, to) = (self.ratings[below], self.ratings[below + 1]);
        from + (place - below as f32) * (to - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: InteractionKind, value: Option<f32>, expect: Option<f32>) {
        let policy = PreferencePolicy { skip: 0.0, ..PreferencePolicy::default() };
        let found = policy.preference(kind, value, RatingScale::FIVE_STARS);
        let close = match (found, expect) {
            (Some(found), Some(expect)) => (found - expect).abs() < 1e-6,
            (found, expect) => found == expect,
        };
        assert!(close, "{kind} {value:?}: {found:?}");
    }

    #[test]
    fn ratings_are_graded_along_the_scale() {
        check(InteractionKind::Rating, Some(5.0), Some(1.0));
        check(InteractionKind::Rating, Some(4.5), Some(0.91));
        check(InteractionKind::Rating, Some(4.0), Some(0.82));
        check(InteractionKind::Rating, Some(3.0), Some(0.55));
        check(InteractionKind::Rating, Some(1.0), Some(0.27));
        check(InteractionKind::Rating, Some(0.5), Some(0.27));
        check(InteractionKind::Rating, None, None);
        let liked = |value| {
            let policy = PreferencePolicy::default();
            policy.preference(InteractionKind::Rating, Some(value), RatingScale::FIVE_STARS) >= Some(LIKED)
        };
        assert!(liked(4.0) && liked(3.75) && !liked(3.5));
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
        check(|policy| policy.ratings[3] = 0.1, "preference.ratings is 0.1");
    }

    #[test]
    fn other_kinds_speak_for_themselves() {
        check(InteractionKind::Like, None, Some(1.0));
        check(InteractionKind::Dislike, Some(5.0), Some(-1.0));
        check(InteractionKind::Skip, None, None);
    }
}
