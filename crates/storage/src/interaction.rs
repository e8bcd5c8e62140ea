//! One interaction as it stands in `interactions.parquet`, and the names of that table's columns.

use cinedex_domain::InteractionKind;

pub(crate) const USER_ID: &str = "user_id";
pub(crate) const MOVIE_ID: &str = "movie_id";
pub(crate) const KIND: &str = "kind";
pub(crate) const VALUE: &str = "value";
pub(crate) const TIMESTAMP: &str = "timestamp";
pub(crate) const LOCATION: &str = "location";

/// Stands for no place among codes of places.
pub const NO_CODE: u32 = u32::MAX;
/// Stands for no time; smaller than every time.
pub const NO_TIME: i64 = i64::MIN;

/// One row of `interactions.parquet`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InteractionRow<'a> {
    /// The caller's id of the user, 1 to 256 bytes.
    pub user_id: &'a str,
    /// The caller's id of the movie, 1 to 256 bytes.
    pub movie_id: &'a str,
    /// What the user did.
    pub kind: InteractionKind,
    /// The rating, finite.
    pub value: Option<f32>,
    /// When, in milliseconds since 1970 UTC.
    pub timestamp_ms: Option<i64>,
    /// Where, as a `cinedex_domain::Location` writes itself.
    pub location: Option<&'a str>,
}
