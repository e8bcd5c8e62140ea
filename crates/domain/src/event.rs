//! What a user did with a movie, as it arrives while serving.

use serde::{Deserialize, Serialize};

use crate::{InteractionKind, Location, MovieId, UserId};

/// Something a user did with a movie, as it arrives while serving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who.
    pub user_id: UserId,
    /// What movie.
    pub movie_id: MovieId,
    /// What was done.
    pub kind: InteractionKind,
    /// The rating, finite.
    pub value: Option<f32>,
    /// When it happened, milliseconds UTC.
    pub timestamp_ms: i64,
    /// Where.
    pub location: Option<Location>,
    /// The caller's own id of the event, 1 to 256 bytes: of two events of a user with the same id the second is a repetition.
    pub event_id: Option<String>,
}
