//! What may be asked, as plain data. It knows nothing of query strings: limits on sizes are checked by who reads those.

use std::str::FromStr;

use cinedex_domain::{DomainError, InteractionKind, Location, MovieFilter, MovieId};

/// What everywhere is called.
pub(crate) const EVERYWHERE: &str = "world";

/// Which place is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PlaceRequest {
    /// None: the user's stored place, else the world.
    #[default]
    Unasked,
    /// Everywhere, also for a user with a stored place.
    World,
    /// A place; the narrowest one around it with enough evidence answers.
    At(Location),
}

/// A list of movies: similar ones of one movie.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListRequest {
    /// Which movies may be answered.
    pub filter: MovieFilter,
    /// Items left out at the front, for later pages.
    pub offset: usize,
    /// Items wanted; 0 answers none.
    pub limit: usize,
    /// Items of the first page, for later pages: what an approximate search put there is not to come again. 0 is `limit`.
    pub first_page: usize,
}

/// Recommendations for a user, known or described by a history.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserRequest {
    /// Which movies may be answered.
    pub filter: MovieFilter,
    /// Also movies that the user has already seen.
    pub include_seen: bool,
    /// The place whose popularity speaks.
    pub location: PlaceRequest,
    /// 0 is by score alone, 1 by difference from what stands above alone. Finite, 0 to 1.
    pub diversity: f32,
    /// Whether each item says which movies of the history speak for it.
    pub explain: bool,
    /// Items left out at the front, for later pages.
    pub offset: usize,
    /// Items wanted; 0 answers none.
    pub limit: usize,
}

/// What is popular in a place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PopularRequest {
    /// Which movies may be answered.
    pub filter: MovieFilter,
    /// The place.
    pub location: PlaceRequest,
    /// Leaves out what this user has seen; an unknown user has seen nothing.
    pub user: Option<String>,
    /// Keeps what that user has seen.
    pub include_seen: bool,
    /// Items left out at the front, for later pages.
    pub offset: usize,
    /// Items wanted; 0 answers none.
    pub limit: usize,
}

/// Users of like taste.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NeighborRequest {
    /// Items left out at the front, for later pages.
    pub offset: usize,
    /// Items wanted; 0 answers none.
    pub limit: usize,
    /// Items of the first page, for later pages: what an approximate search put there is not to come again. 0 is `limit`.
    pub first_page: usize,
}

/// One entry of a history that a request carries.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryItem {
    /// The movie, perhaps unknown.
    pub movie_id: MovieId,
    /// What was done with it.
    pub kind: InteractionKind,
    /// The rating, on the model's scale; needed for [`InteractionKind::Rating`], ignored for other kinds.
    pub value: Option<f32>,
}

impl PlaceRequest {
    /// The place as it is written, everywhere as `world`; `None` if none is asked for.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Unasked => None,
            Self::World => Some(EVERYWHERE),
            Self::At(location) => Some(location.as_str()),
        }
    }

    /// The place to answer for, `None` for the world.
    pub(crate) fn location_or<'a>(&'a self, stored: Option<&'a Location>) -> Option<&'a Location> {
        match self {
            Self::Unasked => stored,
            Self::World => None,
            Self::At(location) => Some(location),
        }
    }
}

impl From<Location> for PlaceRequest {
    fn from(location: Location) -> Self {
        Self::At(location)
    }
}

/// `world` in any case, else a [`Location`].
impl FromStr for PlaceRequest {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        if text.eq_ignore_ascii_case(EVERYWHERE) { Ok(Self::World) } else { text.parse().map(Self::At) }
    }
}
