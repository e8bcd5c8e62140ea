//! Splits: what a model learns from, and on whom it is judged. They know nothing of models and metrics.
//!
//! - Strong generalisation (Liang et al. 2018): users of validation and test are unknown in training; part of what they liked is
//!   folded in, the rest is to be found.
//! - Temporal: users are known; what they liked last is to be found.
//!
//! A positive is a preference of at least [`POSITIVE`]; only positives are ever to be found.

mod files;
mod strong;
mod temporal;
#[cfg(test)]
mod tests;

use cinedex_domain::{MovieId, MovieIndex, PreferencePolicy, UserId, UserIndex};

use crate::{Dataset, DatasetError, Interactions};

pub use files::{HeldOutUsers, read_held_out, read_training};
pub use strong::{StrongOptions, split_strong};
pub use temporal::{TemporalOptions, split_temporal_global, split_temporal_per_user};

/// A preference from here on is a positive: by the default policy every kind but skip and dislike, and ratings of at least 75 %.
pub const POSITIVE: f32 = 0.5;

/// What a model learns from. Rows are its own: movies that do not occur in it are not in its catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingSet {
    /// The catalogue, in the canonical order of ids; a [`MovieIndex`] here is a position in it.
    pub movie_ids: Vec<MovieId>,
    /// The users, in the canonical order of ids; a [`UserIndex`] here is a position in it.
    pub user_ids: Vec<UserId>,
    /// What they did, each pair of user and movie once.
    pub events: Vec<Event>,
}

/// One pair of a training set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Who.
    pub user: UserIndex,
    /// What movie.
    pub movie: MovieIndex,
    /// For (positive) or against, in -1 to 1; 1 in splits from files.
    pub preference: f32,
    /// Milliseconds UTC; [`Interactions::NO_TIME`], which is older than all, without one.
    pub timestamp_ms: i64,
}

/// One user to be judged on.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOutUser {
    /// Who.
    pub user_id: UserId,
    /// The row in the training set; `None` under strong generalisation.
    pub user: Option<UserIndex>,
    /// What is known: folded in under strong generalisation, else the user's part of the training set; oldest first, rows of
    /// the training set's catalogue. It is left out of rankings.
    pub history: Vec<(MovieIndex, f32)>,
    /// What is to be found: at least one, ascending, each once, none of the history.
    pub targets: Vec<MovieIndex>,
}

/// A data set, split. Users are in the canonical order of ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Split {
    /// What a model learns from.
    pub training: TrainingSet,
    /// For tuning and early stopping; empty under the temporal splits.
    pub validation: Vec<HeldOutUser>,
    /// For judging.
    pub test: Vec<HeldOutUser>,
}

/// Which interactions a split of a data set is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signals {
    /// Positives only, each with preference 1: what published figures use.
    #[default]
    Positives,
    /// All that say something, with their signed preferences; still only positives are to be found.
    All,
}

/// One pair of a data set: the latest that the user said of the movie.
#[derive(Debug, Clone, Copy)]
struct Opinion {
    user: u32,
    movie: u32,
    preference: f32,
    timestamp_ms: i64,
}

impl Opinion {
    fn is_positive(&self) -> bool {
        self.preference >= POSITIVE
    }
}

/// The opinions of each user, in the order of users; within a user by time, then as in the file. A repeated pair counts once,
/// with its latest row.
fn opinions(dataset: &Dataset, policy: &PreferencePolicy, signals: Signals) -> Vec<Vec<Opinion>> {
    let Dataset { manifest, interactions, .. } = dataset;
    let mut by_user: Vec<Vec<Opinion>> = vec![Vec::new(); dataset.users.len()];
    for row in 0..interactions.len() {
        let (kind, value) = (interactions.kinds[row], interactions.value(row));
        let Some(preference) = policy.preference(kind, value, manifest.rating_scale) else { continue };
        let user = interactions.users[row];
        let (movie, timestamp_ms) = (interactions.movies[row].0, interactions.timestamps_ms[row]);
        by_user[user.row()].push(Opinion { user: user.0, movie, preference, timestamp_ms });
    }
    for opinions in &mut by_user {
        // Stable sorts: rows of one time stay as in the file.
        opinions.sort_by_key(|opinion| opinion.timestamp_ms);
        opinions.reverse();
        let mut seen = std::collections::HashSet::new();
        opinions.retain(|opinion| seen.insert(opinion.movie));
        opinions.reverse();
        if signals == Signals::Positives {
            opinions.retain(Opinion::is_positive);
            for opinion in opinions.iter_mut() {
                opinion.preference = 1.0;
            }
        }
    }
    by_user
}

/// The movies and users that occur in what is learned from, numbered anew.
struct Catalogue {
    /// For each movie of the data set its row, or none.
    movie_rows: Vec<Option<u32>>,
    user_rows: Vec<Option<u32>>,
}

impl Catalogue {
    /// Makes the training set of `opinions`, whose order it keeps.
    fn training(dataset: &Dataset, opinions: impl Iterator<Item = Opinion>) -> (Self, TrainingSet) {
        let mut events: Vec<Event> = opinions
            .map(|opinion| Event {
                user: UserIndex(opinion.user),
                movie: MovieIndex(opinion.movie),
                preference: opinion.preference,
                timestamp_ms: opinion.timestamp_ms,
            })
            .collect();
        let movie_rows = number(dataset.movies.len(), events.iter().map(|event| event.movie.row()));
        let user_rows = number(dataset.users.len(), events.iter().map(|event| event.user.row()));
        for event in &mut events {
            event.movie = MovieIndex(movie_rows[event.movie.row()].unwrap_or_default());
            event.user = UserIndex(user_rows[event.user.row()].unwrap_or_default());
        }
        let movies = dataset.movies.iter().zip(&movie_rows);
        let users = dataset.users.iter().zip(&user_rows);
        let training = TrainingSet {
            movie_ids: movies
                .filter(|(_, row)| row.is_some())
                .map(|(movie, _)| movie.movie_id.clone())
                .collect(),
            user_ids: users.filter(|(_, row)| row.is_some()).map(|(user, _)| user.user_id.clone()).collect(),
            events,
        };
        (Self { movie_rows, user_rows }, training)
    }

    fn movie(&self, opinion: &Opinion) -> Option<MovieIndex> {
        self.movie_rows[opinion.movie as usize].map(MovieIndex)
    }

    /// What is known of a user, as rows of the catalogue.
    fn history<'a>(&self, opinions: impl Iterator<Item = &'a Opinion>) -> Vec<(MovieIndex, f32)> {
        opinions.filter_map(|opinion| Some((self.movie(opinion)?, opinion.preference))).collect()
    }

    /// The positives among opinions, as ascending rows of the catalogue.
    fn targets<'a>(&self, opinions: impl Iterator<Item = &'a Opinion>) -> Vec<MovieIndex> {
        let mut targets: Vec<MovieIndex> = opinions
            .filter(|opinion| opinion.is_positive())
            .filter_map(|opinion| self.movie(opinion))
            .collect();
        targets.sort_unstable();
        targets
    }
}

/// Numbers what occurs, in ascending order.
fn number(length: usize, occurring: impl Iterator<Item = usize>) -> Vec<Option<u32>> {
    let mut rows = vec![None; length];
    occurring.for_each(|row| rows[row] = Some(0));
    let mut next = 0..;
    rows.iter_mut().flatten().for_each(|row| *row = next.next().unwrap_or_default());
    rows
}

fn refuse(dataset: &Dataset, reason: &str) -> DatasetError {
    DatasetError::Split {
        name: format!("the data set \"{}\"", dataset.manifest.name),
        reason: reason.to_owned(),
    }
}

/// Refuses a share that is not between 0 and 1, both excluded.
fn check_share(name: &'static str, share: f64) -> Result<(), DatasetError> {
    if share > 0.0 && share < 1.0 {
        return Ok(());
    }
    Err(DatasetError::InvalidOption {
        name,
        found: share.to_string(),
        reason: "it is a share between 0 and 1",
    })
}

/// Whether any interaction has a time, without which nothing is last.
fn has_times(interactions: &Interactions) -> bool {
    interactions.timestamps_ms.iter().any(|&time| time != Interactions::NO_TIME)
}
