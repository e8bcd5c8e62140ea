//! Splits: what a model learns from, and on whom it is judged. They know nothing of models and metrics.
//!
//! - Strong generalisation (Liang et al. 2018): users of validation and test are unknown in training; part of what they liked is
//!   folded in, the rest is to be found.
//! - Temporal: users are known; what they liked last is to be found.
//!
//! A positive is a preference of at least [`LIKED`]; only positives are ever to be found.

mod files;
mod strong;
mod temporal;
#[cfg(test)]
mod tests;

use cinedex_domain::{LIKED, MovieId, MovieIndex, PreferencePolicy, Recency, UserId, UserIndex};

use crate::{Dataset, DatasetError, Opinions};

pub use files::{HeldOutUsers, read_held_out, read_training};
pub use strong::{StrongOptions, split_strong};
pub use temporal::{TemporalOptions, hold_out_last, split_temporal_global, split_temporal_per_user};

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
        for event in &mut self.events {
            event.preference *= recency.weight(event.timestamp_ms);
        }
        self
    }

    /// What each user did, oldest first; of equal times in the order of events.
    fn histories(&self) -> Vec<Vec<(MovieIndex, f32)>> {
        let mut events: Vec<&Event> = self.events.iter().collect();
        events.sort_by_key(|event| event.timestamp_ms);
        let mut histories = vec![Vec::new(); self.user_ids.len()];
        for event in events {
            histories[event.user.row()].push((event.movie, event.preference));
        }
        histories
    }
}

/// One pair of a training set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Who.
    pub user: UserIndex,
    /// What movie.
    pub movie: MovieIndex,
    /// For (positive) or against, in -1 to 1; 1 in splits from files without ratings.
    pub preference: f32,
    /// Milliseconds UTC; [`crate::Interactions::NO_TIME`], which is older than all, without one.
    pub timestamp_ms: i64,
}

impl Event {
    /// Of a preference that age has not weakened.
    fn is_positive(&self) -> bool {
        self.preference >= LIKED
    }
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
    /// For tuning and early stopping; under the temporal splits empty unless asked for.
    pub validation: Vec<HeldOutUser>,
    /// For judging.
    pub test: Vec<HeldOutUser>,
}

impl Split {
    /// Weakens what is learned from by age, and with it what is known of users who are known in training: for a split that was
    /// made whatever the age. See [`TrainingSet::aged`].
    #[must_use]
    pub fn aged(mut self, half_life_days: Option<f32>) -> Self {
        self.training = self.training.aged(half_life_days);
        let histories = self.training.histories();
        for judged in self.validation.iter_mut().chain(&mut self.test) {
            if let Some(user) = judged.user {
                judged.history.clone_from(&histories[user.row()]);
            }
        }
        self
    }
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

/// What each user of a data set did, whatever its age, in the order of users; within a user by time, then as in the file. Rows
/// are those of the data set.
fn opinions(dataset: &Dataset, policy: &PreferencePolicy, signals: Signals) -> Vec<Vec<Event>> {
    let settled = Opinions::of(dataset, policy);
    let of_user = |user: usize| {
        let mut positions: Vec<usize> = settled.range(user).collect();
        positions.sort_unstable_by_key(|&at| (settled.timestamps_ms[at], settled.rows[at]));
        let events = positions.into_iter().map(|at| Event {
            user: UserIndex(user as u32),
            movie: MovieIndex(settled.movies[at]),
            preference: settled.preferences[at],
            timestamp_ms: settled.timestamps_ms[at],
        });
        match signals {
            Signals::All => events.collect(),
            Signals::Positives => {
                events.filter(Event::is_positive).map(|event| Event { preference: 1.0, ..event }).collect()
            }
        }
    };
    (0..settled.user_count).map(of_user).collect()
}

/// The movies and users that occur in what is learned from, numbered anew.
struct Catalogue {
    /// For each movie of the source its row, or none.
    movie_rows: Vec<Option<u32>>,
    user_rows: Vec<Option<u32>>,
}

impl Catalogue {
    /// Makes the training set of `events`, whose order it keeps; their rows are positions in the ids.
    fn training<'a>(
        movie_ids: impl ExactSizeIterator<Item = &'a MovieId>,
        user_ids: impl ExactSizeIterator<Item = &'a UserId>,
        mut events: Vec<Event>,
    ) -> (Self, TrainingSet) {
        let movie_rows = number(movie_ids.len(), events.iter().map(|event| event.movie.row()));
        let user_rows = number(user_ids.len(), events.iter().map(|event| event.user.row()));
        for event in &mut events {
            event.movie = MovieIndex(movie_rows[event.movie.row()].unwrap_or_default());
            event.user = UserIndex(user_rows[event.user.row()].unwrap_or_default());
        }
        let training = TrainingSet {
            movie_ids: occurring(movie_ids, &movie_rows),
            user_ids: occurring(user_ids, &user_rows),
            events,
        };
        (Self { movie_rows, user_rows }, training)
    }

    fn movie(&self, event: &Event) -> Option<MovieIndex> {
        self.movie_rows[event.movie.row()].map(MovieIndex)
    }

    fn user(&self, event: &Event) -> Option<UserIndex> {
        self.user_rows[event.user.row()].map(UserIndex)
    }

    /// The positives among events, as ascending rows of the catalogue.
    fn targets<'a>(&self, events: impl Iterator<Item = &'a Event>) -> Vec<MovieIndex> {
        let mut targets: Vec<MovieIndex> =
            events.filter(|event| event.is_positive()).filter_map(|event| self.movie(event)).collect();
        targets.sort_unstable();
        targets
    }
}

fn occurring<'a, T: Clone + 'a>(ids: impl Iterator<Item = &'a T>, rows: &[Option<u32>]) -> Vec<T> {
    ids.zip(rows).filter(|(_, row)| row.is_some()).map(|(id, _)| id.clone()).collect()
}

/// Numbers what occurs, in ascending order.
fn number(length: usize, occurring: impl Iterator<Item = usize>) -> Vec<Option<u32>> {
    let mut rows = vec![None; length];
    occurring.for_each(|row| rows[row] = Some(0));
    let mut next = 0..;
    rows.iter_mut().flatten().for_each(|row| *row = next.next().unwrap_or_default());
    rows
}

/// How messages call a data set.
fn called(dataset: &Dataset) -> String {
    format!("the data set \"{}\"", dataset.manifest.name)
}

fn refuse(name: &str, reason: &str) -> DatasetError {
    DatasetError::Split { name: name.to_owned(), reason: reason.to_owned() }
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
