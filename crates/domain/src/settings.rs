//! What a model says about itself to those who serve it: metric, fold-in, blend. Plain data, stored in `model.json` and in
//! the bundle's manifest.

use serde::{Deserialize, Serialize};

use crate::{PreferencePolicy, RatingScale};

/// How two embeddings of a model compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The score of a movie for a user is the inner product.
    InnerProduct,
    /// The score of a movie for a user is the cosine.
    Cosine,
}

/// The normal equation of one user, with which training and serving compute the same vector from a history. With movie
/// factors `y`, Gramian `G = sum of y y^T` over all movies, and for each movie `i` of the history a preference `p_i`: from 0
/// up its target `t_i` is `p_i` and its confidence `c_i` 1, below 0 the target is [`negative_target`](Self::negative_target) and
/// the confidence [`negative_weight`](Self::negative_weight) times `|p_i|`:
///
/// `(unobserved_weight G + sum c_i y_i y_i^T + lambda I) x = sum c_i t_i y_i`,
///
/// `lambda = regularization (history length + unobserved_weight movie_count)^frequency_exponent`
/// (Hu, Koren & Volinsky 2008; Rendle et al. 2021).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldInSettings {
    /// Regularisation before scaling by frequency.
    pub regularization: f32,
    /// Weight of each unobserved pair, whose target is 0.
    pub unobserved_weight: f32,
    /// Exponent of the frequency scaling, `nu` in the paper.
    pub frequency_exponent: f32,
    /// Target of a negative preference, at most 0.
    pub negative_target: f32,
    /// Confidence of a negative preference of -1.
    pub negative_weight: f32,
}

/// How popularity mixes into a user's scores. With `n` interactions known, `sigma` the standard deviation of the user's taste
/// scores over the movies that have an embedding, `z` the standardised log of the shrunk popularity in the place and `r` that of
/// `1 +` the number of recent likes:
///
/// `score = taste + sigma (popularity_weight half_life / (half_life + n) z + recent_weight r)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlendSettings {
    /// Weight of the place's popularity for a user of whom nothing is known, in standard deviations of taste.
    pub popularity_weight: f32,
    /// The number of interactions at which that weight has halved.
    pub half_life_interactions: f32,
    /// Weight of what was liked last, in standard deviations of taste.
    #[serde(default)]
    pub recent_weight: f32,
    /// Share of the likes that counts as recent, the last by time.
    #[serde(default = "default_recent_share")]
    pub recent_share: f32,
}

impl BlendSettings {
    /// Taste alone.
    pub const NONE: Self = Self {
        popularity_weight: 0.0,
        half_life_interactions: 1.0,
        recent_weight: 0.0,
        recent_share: DEFAULT_RECENT_SHARE,
    };

    /// The weight of the place's popularity for a user of whom `known` interactions are known, in standard deviations of
    /// taste.
    pub fn place_weight(&self, known: usize) -> f32 {
        self.popularity_weight * self.known_share(known)
    }

    /// The share of its full weight that the place's popularity keeps with `known` interactions, 1 to 0.
    pub fn known_share(&self, known: usize) -> f32 {
        self.half_life_interactions / (self.half_life_interactions + known as f32).max(f32::MIN_POSITIVE)
    }
}

/// The share of likes that counts as recent where nothing else is said.
pub const DEFAULT_RECENT_SHARE: f32 = 0.1;

fn default_recent_share() -> f32 {
    DEFAULT_RECENT_SHARE
}

/// Everything that serving needs to know of a model besides its embeddings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// Name of the algorithm, for example `ials`.
    pub algorithm: String,
    /// Length of an embedding.
    pub dimension: usize,
    /// How embeddings compare.
    pub metric: Metric,
    /// The user's normal equation; `None` for a foreign model, whose taste is the normalised mean of liked vectors.
    pub fold_in: Option<FoldInSettings>,
    /// The mixing of popularity.
    pub blend: BlendSettings,
    /// The mapping from interactions to preferences.
    pub preference: PreferencePolicy,
    /// The scale of ratings.
    pub rating_scale: RatingScale,
}
