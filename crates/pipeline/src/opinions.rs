//! One opinion a user and movie: what remains of a data set's interactions once repeats are settled. Training, the bundle's
//! histories and popularity all start from it.

use cinedex_dataset::Dataset;
use cinedex_domain::{InteractionKind, MovieIndex, PreferencePolicy};
use cinedex_vectors::Csr;

/// The opinions of all users, by user and then by movie. An explicit opinion (rating, like, dislike, favourite) outweighs
/// a watch or skip of the same movie; among equals the latest counts, and of equal times the one that stands last.
pub struct Opinions {
    /// Users of the data set.
    pub user_count: usize,
    /// Movies of the data set.
    pub movie_count: usize,
    /// `user_count + 1` positions: user `u` owns `offsets[u]..offsets[u + 1]`.
    pub offsets: Vec<u64>,
    /// Movie rows, ascending within a user.
    pub movies: Vec<u32>,
    /// Signed preferences, never 0.
    pub preferences: Vec<f32>,
    /// Milliseconds UTC, `i64::MIN` if unknown.
    pub timestamps_ms: Vec<i64>,
    /// Rows of the data set's table of locations: the interaction's own place; `u32::MAX` if it has none.
    pub locations: Vec<u32>,
}

impl Opinions {
    /// Settles the interactions of a data set under a policy.
    pub fn of(dataset: &Dataset, policy: &PreferencePolicy) -> Self {
        let interactions = &dataset.interactions;
        let scale = dataset.manifest.rating_scale;
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(interactions.len());
        let strength = |row: usize| {
            let value = interactions.values[row];
            policy.preference(interactions.kinds[row], (!value.is_nan()).then_some(value), scale)
        };
        for row in 0..interactions.len() {
            if strength(row).is_some() {
                let key = u64::from(interactions.users[row].0) << 32 | u64::from(interactions.movies[row].0);
                order.push((key, row as u32));
            }
        }
        let rank = |row: u32| {
            let row = row as usize;
            let explicit = !matches!(interactions.kinds[row], InteractionKind::Watch | InteractionKind::Skip);
            (explicit, interactions.timestamps_ms[row], row)
        };
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| rank(a.1).cmp(&rank(b.1))));
        let mut opinions = Self::empty(dataset.users.len(), dataset.movies.len(), order.len());
        for (position, &(key, row)) in order.iter().enumerate() {
            if order.get(position + 1).is_some_and(|next| next.0 == key) {
                continue;
            }
            let row = row as usize;
            opinions.offsets[(key >> 32) as usize + 1] += 1;
            opinions.movies.push(key as u32);
            opinions.preferences.push(strength(row).unwrap_or_default());
            opinions.timestamps_ms.push(interactions.timestamps_ms[row]);
            opinions.locations.push(interactions.locations[row]);
        }
        for user in 0..opinions.user_count {
            opinions.offsets[user + 1] += opinions.offsets[user];
        }
        opinions
    }

    fn empty(user_count: usize, movie_count: usize, capacity: usize) -> Self {
        Self {
            user_count,
            movie_count,
            offsets: vec![0; user_count + 1],
            movies: Vec::with_capacity(capacity),
            preferences: Vec::with_capacity(capacity),
            timestamps_ms: Vec::with_capacity(capacity),
            locations: Vec::with_capacity(capacity),
        }
    }

    /// Positions of one user.
    pub fn range(&self, user: usize) -> std::ops::Range<usize> {
        self.offsets[user] as usize..self.offsets[user + 1] as usize
    }

    /// `(user, movie, preference)` of all opinions, in order.
    pub fn triplets(&self) -> impl Iterator<Item = (u32, u32, f32)> + '_ {
        (0..self.user_count).flat_map(move |user| {
            self.range(user).map(move |at| (user as u32, self.movies[at], self.preferences[at]))
        })
    }

    /// One user's movies with their preferences.
    pub fn history(&self, user: usize) -> Vec<(MovieIndex, f32)> {
        self.range(user).map(|at| (MovieIndex(self.movies[at]), self.preferences[at])).collect()
    }

    /// The matrix that is factorised: users × movies, signed preferences.
    pub fn matrix(&self) -> Csr<f32> {
        Csr::from_triplets(self.user_count, self.movie_count, self.triplets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{NAME, small};

    #[test]
    fn an_explicit_opinion_outweighs_a_watch_and_the_latest_counts() {
        let (_folder, root) = small();
        let dataset = Dataset::load(&root, NAME).unwrap();
        let opinions = Opinions::of(&dataset, &PreferencePolicy::default());
        assert_eq!(opinions.history(0), [(MovieIndex(0), 1.0)]);
        assert_eq!(opinions.timestamps_ms[opinions.range(0)], [100_000]);
        assert_eq!(opinions.history(1), [(MovieIndex(6), 1.0)]);
        assert_eq!(opinions.history(2).last(), Some(&(MovieIndex(6), -1.0)));
        let matrix = opinions.matrix();
        assert_eq!((matrix.row_count(), matrix.column_count(), matrix.entry_count()), (40, 12, 2 + 38 * 6));
    }
}
