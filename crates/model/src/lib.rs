//! Learns embeddings from preferences ([`train_ials`]), turns histories into tastes ([`FoldIn`]), shrinks the popularity of
//! places ([`learn_prior`], [`shrunk_rates`]), stores models ([`Model`]) and judges rankers ([`evaluate`]). It knows nothing of data
//! sets' formats, of indexes or of requests.
//!
//! ```
//! use cinedex_domain::{MovieIndex, UserIndex, silent};
//! use cinedex_model::{FoldIn, IalsParameters, gramian, preferences, train_ials};
//!
//! let events = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 3)];
//! let events = events.map(|(user, movie)| (UserIndex(user), MovieIndex(movie), 1.0, 0));
//! let parameters = IalsParameters { dimension: 4, ..IalsParameters::default() };
//! let factors = train_ials(&preferences(4, 4, events), &parameters, &silent, &false.into())?;
//! let gram = gramian(factors.movies.view());
//! let fold_in = FoldIn::new(factors.movies.view(), gram.view(), parameters.fold_in());
//! let taste = fold_in.vector(&[(MovieIndex(3), 1.0)]);
//! let score = |movie| cinedex_vectors::dot(&taste, factors.movies.row(movie));
//! assert!(score(2) > score(0));
//! # Ok::<(), cinedex_model::ModelError>(())
//! ```

mod blend;
mod cholesky;
mod co_occurrence;
mod dense;
mod early_stopping;
mod error;
mod evaluation;
mod feature_regression;
mod fold_in;
mod gramian;
mod groups;
mod half_step;
mod ials;
mod loss;
mod metadata;
mod metadata_trial;
mod metrics;
mod model_files;
mod paired;
mod place_popularity;
mod preferences;
mod rankers;
mod short_history;
mod variety;

pub use blend::{TasteMoments, TasteSpread, add_recent, recent_scores};
pub use early_stopping::{BestEpoch, Validation, train_ials_validated};
pub use error::ModelError;
pub use evaluation::{Case, Evaluation, Protocol, evaluate};
pub use fold_in::{FoldIn, FoldedUser, mean_of_liked};
pub use gramian::{gramian, observed_gramian};
pub use groups::{GroupPopularity, GroupTree};
pub use ials::{
    AUTOMATIC_REGULARIZATION, Epoch, Factors, IalsParameters, solve_users, train_ials, train_ials_observed,
};
pub use metadata::{MetadataReport, MetadataSettings, MovieMetadata, complete_movie_factors};
pub use metrics::{RecallBase, Targets};
pub use model_files::{DataSetReference, MODEL_FORMAT_VERSION, Model, ModelColumns, ModelManifest};
pub use paired::{Paired, PairedDifference};
pub use place_popularity::{PlaceEvent, learn_prior, place_counts, shrunk_rates, uniform_rates};
pub use preferences::preferences;
pub use rankers::{
    Blend, Ease, EaseParameters, IalsRanker, ItemKnn, ItemKnnParameters, Popularity, Ranker, like_counts,
    recent_like_counts,
};
pub use short_history::ShortHistory;
pub use variety::Audiences;
