//! Why a request could not be answered.

use cinedex_domain::MovieId;

/// Why a request could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecommendError {
    /// No bundle has been loaded yet.
    #[error("no index is loaded yet; try again in a moment, or build one with: cinedex index build")]
    NotReady,
    /// The catalogue has no such movie.
    #[error("movie \"{movie_id}\" is not in the catalogue")]
    UnknownMovie {
        /// The id asked for, cut to a printable length.
        movie_id: String,
    },
    /// A filter names a genre that no movie has.
    #[error("genre \"{genre}\" is unknown; known are {}", known.join(", "))]
    UnknownGenre {
        /// The name asked for.
        genre: String,
        /// Every genre of the catalogue.
        known: Vec<String>,
    },
    /// The model has no fold-in settings, so its scores do not decompose.
    #[error(
        "the model that is served has no fold-in settings, so its scores cannot be explained; ask without explain"
    )]
    ExplanationUnavailable,
    /// A rating of the request's history without a value, or off the model's scale.
    #[error("the rating of movie \"{movie_id}\" needs a value from {lowest} to {highest}")]
    ValueOffScale {
        /// Position in the history, from 0.
        position: usize,
        /// The movie rated.
        movie_id: MovieId,
        /// Lowest rating.
        lowest: f32,
        /// Highest rating.
        highest: f32,
    },
    /// No bundle could be opened.
    #[error("no index could be opened")]
    Open {
        /// What the index said.
        #[source]
        source: cinedex_index::IndexError,
    },
}
