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

use cinedex_domain::{MovieId, MovieIndex, PreferencePolicy, Recency, UserId, UserIndex};

use crate::{Dataset, DatasetError, Interactions, Opinions};

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

impl TrainingSet {
    /// Weakens preferences by age, see [`Recency`]; splits of a data set have done it as the policy says.
    #[must_use]
    pub fn aged(mut self, half_life_days: Option<f32>) -> Self {
        let recency = Recency::new(half_life_days, self.events.iter().map(|event| event.timestamp_ms));
        self.events.iter_mut().for_each(|event| event.preference *= recency.weight(event.timestamp_ms));
        self
    }
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

/// One pair of a data set.
#[derive(Debug, Clone, Copy)]
struct Opinion {
    user: u32,
    movie: u32,
    /// Whatever its age.
    preference: f32,
    timestamp_ms: i64,
}

impl Opinion {
    fn is_positive(&self) -> bool {
        self.preference >= POSITIVE
    }
}

/// The opinions of each user, in the order of users; within a user by time, then as in the file.
fn opinions(dataset: &Dataset, policy: &PreferencePolicy, signals: Signals) -> Vec<Vec<Opinion>> {
    let settled = Opinions::of(dataset, policy);
    let of_user = |user: usize| {
        let mut positions: Vec<usize> = settled.range(user).collect();
        positions.sort_unstable_by_key(|&at| (settled.timestamps_ms[at], settled.rows[at]));
        let opinions = positions.into_iter().map(|at| Opinion {
            user: user as u32,
            movie: settled.movies[at],
            preference: settled.preferences[at],
            timestamp_ms: settled.timestamps_ms[at],
        });
        match signals {
            Signals::All => opinions.collect(),
            Signals::Positives => opinions
                .filter(Opinion::is_positive)
                .map(|opinion| Opinion { preference: 1.0, ..opinion })
                .collect(),
        }
    };
    (0..settled.user_count).map(of_user).collect()
}

/// The movies and users that occur in what is learned from, numbered anew.
struct Catalogue {
    /// For each movie of the data set its row, or none.
    movie_rows: Vec<Option<u32>>,
    user_rows: Vec<Option<u32>>,
    /// Of what is learned from.
    recency: Recency,
}

impl Catalogue {
    /// Makes the training set of `opinions`, whose order it keeps; `half_life_days` as in [`PreferencePolicy`].
    fn training(
        dataset: &Dataset,
        half_life_days: Option<f32>,
        opinions: impl Iterator<Item = Opinion>,
    ) -> (Self, TrainingSet) {
        let mut events: Vec<Event> = opinions
            .map(|opinion| Event {
                user: UserIndex(opinion.user),
                movie: MovieIndex(opinion.movie),
                preference: opinion.preference,
                timestamp_ms: opinion.timestamp_ms,
            })
            .collect();
        let recency = Recency::new(half_life_days, events.iter().map(|event| event.timestamp_ms));
        for event in &mut events {
            event.preference *= recency.weight(event.timestamp_ms);
        }
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
        (Self { movie_rows, user_rows, recency }, training)
    }

    fn movie(&self, opinion: &Opinion) -> Option<MovieIndex> {
        self.movie_rows[opinion.movie as usize].map(MovieIndex)
    }

    /// What is known of a user, as rows of the catalogue.
    fn history<'a>(&self, opinions: impl Iterator<Item = &'a Opinion>) -> Vec<(MovieIndex, f32)> {
        let aged = |opinion: &Opinion| opinion.preference * self.recency.weight(opinion.timestamp_ms);
        opinions.filter_map(|opinion| Some((self.movie(opinion)?, aged(opinion)))).collect()
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
