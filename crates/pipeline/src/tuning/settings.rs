//! What is searched: the settings of a training and of how it is served, and the space that they are drawn from.

use cinedex_domain::{BlendSettings, LIKED, PreferencePolicy};
use cinedex_model::IalsParameters;
use cinedex_vectors::Csr;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::ProtocolKind;

/// Settings of a model that a tuning chooses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedSettings {
    /// Length of an embedding.
    pub dimension: usize,
    /// Passes over users and movies.
    pub epochs: usize,
    /// Regularisation before scaling by frequency.
    pub regularization: f32,
    /// Weight of each unobserved pair.
    pub unobserved_weight: f32,
    /// Exponent of the frequency scaling.
    pub frequency_exponent: f32,
    /// Days after which an interaction counts half.
    pub half_life_days: Option<f32>,
    /// How far the preferences of ratings lie from 1, as a multiple of what the policy says.
    pub rating_contrast: f32,
    /// Weight of what was liked last, in standard deviations of taste.
    pub recent_weight: f32,
    /// Share of the likes that counts as recent.
    pub recent_share: f32,
}

impl TunedSettings {
    /// The settings that a model has without tuning.
    pub fn of(parameters: &IalsParameters, policy: &PreferencePolicy, blend: BlendSettings) -> Self {
        Self {
            dimension: parameters.dimension,
            epochs: parameters.epochs,
            regularization: parameters.regularization,
            unobserved_weight: parameters.unobserved_weight,
            frequency_exponent: parameters.frequency_exponent,
            half_life_days: policy.half_life_days,
            rating_contrast: 1.0,
            recent_weight: blend.recent_weight,
            recent_share: blend.recent_share,
        }
    }

    /// The hyper-parameters, the rest as in `others`.
    pub fn parameters(&self, others: &IalsParameters) -> IalsParameters {
        IalsParameters {
            dimension: self.dimension,
            epochs: self.epochs,
            regularization: self.regularization,
            unobserved_weight: self.unobserved_weight,
            frequency_exponent: self.frequency_exponent,
            ..others.clone()
        }
    }

    /// What interactions mean, the rest as in `others`.
    pub fn policy(&self, others: &PreferencePolicy) -> PreferencePolicy {
        PreferencePolicy {
            half_life_days: self.half_life_days,
            ratings: others.ratings.map(|rating| self.contrasted(rating)),
            ..others.clone()
        }
    }

    /// The preference of a rating to which the policy gives `preference`.
    pub(super) fn contrasted(&self, preference: f32) -> f32 {
        let contrasted = (1.0 - (1.0 - preference) * self.rating_contrast).clamp(-1.0, 1.0);
        // What is liked stays liked.
        if preference >= LIKED { contrasted.max(LIKED) } else { contrasted.min(LIKED.next_down()) }
    }

    /// How popularity mixes in, the rest as in `others`.
    pub fn blend(&self, others: BlendSettings) -> BlendSettings {
        BlendSettings { recent_weight: self.recent_weight, recent_share: self.recent_share, ..others }
    }

    /// Whether both train the same factors: they may differ in what is mixed in afterwards.
    pub(super) fn train_alike(&self, other: &Self) -> bool {
        let factors = |settings: &Self| Self { recent_weight: 0.0, recent_share: 0.0, ..settings.clone() };
        factors(self) == factors(other)
    }
}

/// Settings that are not searched but given.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct FixedSettings {
    /// See [`TunedSettings::dimension`].
    pub dimension: Option<usize>,
    /// See [`TunedSettings::epochs`].
    pub epochs: Option<usize>,
    /// See [`TunedSettings::regularization`].
    pub regularization: Option<f32>,
    /// See [`TunedSettings::unobserved_weight`].
    pub unobserved_weight: Option<f32>,
    /// See [`TunedSettings::frequency_exponent`].
    pub frequency_exponent: Option<f32>,
    /// See [`TunedSettings::half_life_days`].
    pub half_life_days: Option<f32>,
    /// See [`TunedSettings::recent_weight`].
    pub recent_weight: Option<f32>,
    /// See [`TunedSettings::recent_share`].
    pub recent_share: Option<f32>,
}

impl FixedSettings {
    fn over(&self, settings: TunedSettings) -> TunedSettings {
        TunedSettings {
            dimension: self.dimension.unwrap_or(settings.dimension),
            epochs: self.epochs.unwrap_or(settings.epochs),
            regularization: self.regularization.unwrap_or(settings.regularization),
            unobserved_weight: self.unobserved_weight.unwrap_or(settings.unobserved_weight),
            frequency_exponent: self.frequency_exponent.unwrap_or(settings.frequency_exponent),
            half_life_days: self.half_life_days.or(settings.half_life_days),
            recent_weight: self.recent_weight.unwrap_or(settings.recent_weight),
            recent_share: self.recent_share.unwrap_or(settings.recent_share),
            ..settings
        }
    }
}

/// Where settings are drawn from.
#[derive(Debug, Clone)]
pub(super) struct Space {
    /// The settings without tuning, the given ones laid over.
    pub(super) baseline: TunedSettings,
    /// The same with the regularisation that the number of users gives, if it is left to that.
    center: TunedSettings,
    pub(super) fixed: FixedSettings,
    pub(super) protocol: ProtocolKind,
    /// Whether all preferences come from ratings, whose contrast can be searched.
    pub(super) graded: bool,
}

/// Lengths of embeddings that are tried.
const DIMENSIONS: [usize; 4] = [32, 64, 128, 256];
/// Regularisation and unobserved weight that are near the best over time on MovieLens 1M, and nothing mixed in: strong
/// regularisation and little weight of the unobserved, along a ridge of equals.
const TEMPORAL: [(f32, f32); 3] = [(0.045, 0.1), (0.035, 0.15), (0.02, 0.4)];
/// Ranges of what is drawn.
const REGULARIZATION: (f32, f32) = (3e-4, 0.3);
const UNOBSERVED_WEIGHT: (f32, f32) = (0.01, 4.0);
const FREQUENCY_EXPONENT: (f32, f32) = (0.5, 1.3);
const HALF_LIFE_DAYS: (f32, f32) = (30.0, 3000.0);
/// Within it the same ratings are liked.
const RATING_CONTRAST: (f32, f32) = (0.8, 1.35);

impl Space {
    pub(super) fn new(
        defaults: TunedSettings,
        fixed: &FixedSettings,
        protocol: ProtocolKind,
        graded: bool,
        preferences: &Csr<f32>,
    ) -> Self {
        let baseline = fixed.over(defaults);
        let parameters = baseline.parameters(&IalsParameters::default()).for_data(preferences);
        let regularization = parameters.regularization;
        let center = TunedSettings { regularization, ..baseline.clone() };
        Self { baseline, center, fixed: fixed.clone(), protocol, graded }
    }

    /// The `number`-th settings to be tried, from 0: first those that have served elsewhere, then by turns a neighbour of the
    /// best so far and something new.
    pub(super) fn draw(
        &self,
        number: usize,
        best: Option<&TunedSettings>,
        random: &mut ChaCha8Rng,
    ) -> TunedSettings {
        let known = if self.protocol == ProtocolKind::Temporal { &TEMPORAL[..] } else { &[] };
        let drawn = match (known.get(number), best) {
            (Some(&(regularization, unobserved_weight)), _) => {
                TunedSettings { regularization, unobserved_weight, ..self.center.clone() }
            }
            (None, Some(best)) if number.is_multiple_of(2) => self.near(best, 0.25, random),
            _ => self.anywhere(random),
        };
        self.fixed.over(TunedSettings { epochs: self.baseline.epochs, ..drawn })
    }

    fn anywhere(&self, random: &mut ChaCha8Rng) -> TunedSettings {
        let mut drawn = if self.protocol == ProtocolKind::Temporal {
            let unobserved_weight = 0.05 * 10f32.powf(random.random_range(0.0..1.0));
            let ridge = TEMPORAL[0].0 * (unobserved_weight / TEMPORAL[0].1).powf(-0.6);
            TunedSettings { regularization: ridge, unobserved_weight, ..self.center.clone() }
        } else {
            self.center.clone()
        };
        drawn.dimension = DIMENSIONS[random.random_range(0..DIMENSIONS.len())];
        if self.protocol == ProtocolKind::Temporal && random.random_range(0..4) == 0 {
            drawn.half_life_days = Some(500.0);
        }
        self.near(&drawn, 0.6, random)
    }

    /// Moves each setting by a normal number of this deviation in log space.
    fn near(&self, from: &TunedSettings, deviation: f32, random: &mut ChaCha8Rng) -> TunedSettings {
        let mut moved = |value: f32, deviation: f32, (low, high): (f32, f32)| {
            let step: f32 = StandardNormal.sample(random);
            rounded((value * (deviation * step).exp()).clamp(low, high))
        };
        let mut near = TunedSettings {
            regularization: moved(from.regularization, deviation, REGULARIZATION),
            unobserved_weight: moved(from.unobserved_weight, deviation, UNOBSERVED_WEIGHT),
            frequency_exponent: moved(from.frequency_exponent, deviation / 10.0, FREQUENCY_EXPONENT),
            half_life_days: from.half_life_days.map(|days| moved(days, 2.0 * deviation, HALF_LIFE_DAYS)),
            ..from.clone()
        };
        if self.graded {
            near.rating_contrast = moved(from.rating_contrast, deviation, RATING_CONTRAST);
        }
        if random.random_range(0..4) == 0
            && let Some(at) = DIMENSIONS.iter().position(|&dimension| dimension == from.dimension)
        {
            let next = if random.random_range(0..2) == 0 { at.saturating_sub(1) } else { at + 1 };
            near.dimension = DIMENSIONS[next.min(DIMENSIONS.len() - 1)];
        }
        near
    }
}

/// To three digits, which say all that a search can find and are easily handed on.
fn rounded(value: f32) -> f32 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn what_is_given_is_never_moved_and_the_rest_stays_in_its_range() {
        let (parameters, policy) = (IalsParameters::default(), PreferencePolicy::default());
        let defaults = TunedSettings::of(&parameters, &policy, BlendSettings::NONE);
        let fixed =
            FixedSettings { dimension: Some(24), regularization: Some(0.5), ..FixedSettings::default() };
        for protocol in [ProtocolKind::Strong, ProtocolKind::Temporal] {
            let space = Space::new(defaults.clone(), &fixed, protocol, true, &Csr::from_triplets(100, 1, []));
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let mut best = None;
            for number in 0..300 {
                let drawn = space.draw(number, best.as_ref(), &mut random);
                assert_eq!((drawn.dimension, drawn.regularization), (24, 0.5));
                assert!((0.01..=4.0).contains(&drawn.unobserved_weight), "{drawn:?}");
                assert!(drawn.parameters(&parameters).validate().is_ok(), "{drawn:?}");
                assert_eq!(drawn.policy(&policy).validate(), Ok(()));
                best = Some(drawn);
            }
        }
    }

    #[test]
    fn numbers_are_rounded_to_what_can_be_told_apart() {
        assert_eq!((rounded(0.008_444), rounded(1.0), rounded(1234.5)), (0.00844, 1.0, 1230.0));
    }
}
