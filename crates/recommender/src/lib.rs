//! Answers one request from one immutable snapshot: the taste of a user, candidates, the blend with what is popular in the
//! place, diversity, reasons, search by title, people of like taste. It knows nothing of HTTP, and nothing of how a bundle came to be.
//!
//! - [`Engine`] holds the live [`Snapshot`], follows the `CURRENT` pointer, and keeps recent snapshots for later pages.
//! - [`Snapshot`] answers: [`Snapshot::similar`], [`Snapshot::for_user`], [`Snapshot::for_history`], [`Snapshot::popular`],
//!   [`Snapshot::search`], [`Snapshot::movie`], [`Snapshot::find_title`], [`Snapshot::neighbors`].
//! - [`Live`] remembers what the log says since, fed by [`Engine::hear`]; a [`View`] is a snapshot with that beside it, and answers the
//!   same questions, and [`View::trending`].
//! - [`MovieList`] is an answer, in the shape that the HTTP contract gives it; [`NeighborList`] is one of users.
//!
//! ```
//! use cinedex_index::IndexRoot;
//! use cinedex_recommender::{Engine, EngineOptions, RecommendError, UserRequest};
//!
//! fn row_for(engine: &Engine, user_id: &str) -> Result<Vec<String>, RecommendError> {
//!     let snapshot = engine.snapshot()?;
//!     let request = UserRequest { limit: 10, ..UserRequest::default() };
//!     let answer = snapshot.for_user(user_id, &request)?;
//!     Ok(answer.items.iter().map(|item| item.title.to_owned()).collect())
//! }
//!
//! let engine = Engine::new(IndexRoot::new("indexes"), EngineOptions::default());
//! assert!(matches!(row_for(&engine, "42"), Err(RecommendError::NotReady)));
//! ```

mod answer;
mod blend;
mod diversity;
mod engine;
mod error;
mod find;
mod lists;
mod live;
mod neighbors;
mod ranking;
mod request;
mod snapshot;
mod taste;
mod title_text;
mod titles;
mod told;
mod trending;
mod typing;
mod view;

#[cfg(test)]
mod exactness;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub use answer::{
    Genres, Item, MovieAnswer, MovieList, Neighbor, NeighborList, NeighborStrategy, PlaceAnswer, Reason,
    RetrievalKind, Source, Strategy,
};
pub use engine::{Engine, EngineOptions, Followed};
pub use error::RecommendError;
pub use find::TitleMatch;
pub use live::{Clock, Live, LiveOptions, LiveStatus};
pub use ranking::Window;
pub use request::{HistoryItem, ListRequest, NeighborRequest, PlaceRequest, PopularRequest, UserRequest};
pub use snapshot::Snapshot;
pub use taste::MAX_REASONS;
pub use view::View;
