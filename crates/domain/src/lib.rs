//! The vocabulary of Cinedex, as types that cannot be wrong. It knows nothing of files, threads, vectors or HTTP.
//!
//! Glossary:
//! - **movie**, **user**: named by the caller's own ids ([`MovieId`], [`UserId`]); inside one data set or bundle they are
//!   dense rows ([`MovieIndex`], [`UserIndex`]), numbered in the canonical order of ids.
//! - **interaction**: what a user did with a movie ([`InteractionKind`]), with value, time and place.
//! - **event**: an interaction as it arrives while serving ([`Event`]).
//! - **preference**: what training makes of interactions: a signed strength in -1 to 1 ([`PreferencePolicy`]).
//! - **location**: a path from large to small, country, subdivision, city ([`Location`]).
//! - **embedding**, **factors**: a learned vector of a movie or user; **fold-in**: the vector of a user computed from a
//!   history without training ([`FoldInSettings`]).
//! - **filter**: which movies may be answered ([`MovieFilter`]).
//!
//! ```
//! use cinedex_domain::{InteractionKind, Location, MovieId, PreferencePolicy, RatingScale};
//!
//! let movie = MovieId::new("318")?;
//! assert!(movie < MovieId::new("1000")?, "decimal ids go by value");
//! let place: Location = "us/ca/Fresno".parse()?;
//! assert_eq!(place.parent().map(|p| p.to_string()), Some("US/CA".to_owned()));
//! let policy = PreferencePolicy::default();
//! assert_eq!(policy.preference(InteractionKind::Rating, Some(5.0), RatingScale::FIVE_STARS), Some(1.0));
//! # Ok::<(), cinedex_domain::DomainError>(())
//! ```

mod error;
mod event;
mod filter;
mod id;
mod interaction;
mod location;
mod movie;
mod preference;
mod progress;
mod recency;
mod settings;

pub use error::DomainError;
pub use event::{Event, MAX_EVENT_ID_BYTES, MAX_TIMESTAMP_MS};
pub use filter::MovieFilter;
pub use id::{IdKey, MAX_ID_BYTES, MovieId, MovieIndex, UserId, UserIndex, check_id, compare_ids};
pub use interaction::{InteractionKind, RatingScale};
pub use location::Location;
pub use movie::{Movie, User};
pub use preference::{LIKED, PreferencePolicy};
pub use progress::{Progress, Step, silent};
pub use recency::Recency;
pub use settings::{BlendSettings, DEFAULT_RECENT_SHARE, FoldInSettings, Metric, ModelSettings};
