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
/// factors `y`, Gramian `G = sum of y y^T` over all movies, and for each movie `i` of the history a preference `p_i`,
/// confidence `c_i = |p_i|` (times [`negative_weight`](Self::negative_weight) if negative) and target `t_i` (1, or
/// [`negative_target`](Self::negative_target)):
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

/// How the popularity of the place mixes into a user's scores: with `n` interactions known and `z` the standardised log
/// of the shrunk popularity, `score = taste + weight half_life / (half_life + n) z`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlendSettings {
    /// Weight of the popularity for a user of whom nothing is known.
    pub popularity_weight: f32,
    /// The number of interactions at which that weight has halved.
    pub half_life_interactions: f32,
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
