//! One opinion a user and film: what remains of a data set's interactions once repeats are settled. Splits, training, the
//! bundle's histories and popularity all start from it.

use cinedex_domain::{InteractionKind, MovieIndex, PreferencePolicy, Recency};

use crate::Dataset;

/// The opinions of all users, by user and then by movie. An explicit opinion (rating, like, dislike, favourite) outweighs
/// a watch or skip of the same movie; among equals the latest counts, and of equal times the one that stands last.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinions {
    /// Users of the data set.
    pub user_count: usize,
    /// Movies of the data set.
    pub movie_count: usize,
    /// `user_count + 1` positions: user `u` owns `offsets[u]..offsets[u + 1]`.
    pub offsets: Vec<u64>,
    /// Movie rows, ascending within a user.
    pub movies: Vec<u32>,
    /// Signed preferences, never 0, whatever their age.
    pub preferences: Vec<f32>,
    /// Milliseconds UTC, [`crate::Interactions::NO_TIME`] if unknown.
    pub timestamps_ms: Vec<i64>,
    /// Rows of the data set's interactions.
    pub rows: Vec<u32>,
}

impl Opinions {
    /// Settles the interactions of a data set under a policy.
    pub fn of(dataset: &Dataset, policy: &PreferencePolicy) -> Self {
        let interactions = &dataset.interactions;
        let scale = dataset.manifest.rating_scale;
        let strength =
            |row: usize| policy.preference(interactions.kinds[row], interactions.value(row), scale);
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(interactions.len());
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
            opinions.offsets[(key >> 32) as usize + 1] += 1;
            opinions.movies.push(key as u32);
            opinions.preferences.push(strength(row as usize).unwrap_or_default());
            opinions.timestamps_ms.push(interactions.timestamps_ms[row as usize]);
            opinions.rows.push(row);
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
            rows: Vec::with_capacity(capacity),
        }
    }

    /// Positions of one user.
    pub fn range(&self, user: usize) -> std::ops::Range<usize> {
        self.offsets[user] as usize..self.offsets[user + 1] as usize
    }

    /// The same with preferences weakened by age, as the policy says: what is learned from and folded in.
    #[must_use]
    pub fn aged(mut self, policy: &PreferencePolicy) -> Self {
        if policy.half_life_days.is_some() {
            let recency = Recency::new(policy.half_life_days, self.timestamps_ms.iter().copied());
            for (preference, &time) in self.preferences.iter_mut().zip(&self.timestamps_ms) {
                *preference *= recency.weight(time);
            }
        }
        self
    }

    /// The same without what the users said for whom `left_out` is true; a value a user. Users and movies keep their rows.
    #[must_use]
    pub fn without_users(&self, left_out: &[bool]) -> Self {
        let mut rest = Self::empty(self.user_count, self.movie_count, self.movies.len());
        for (user, left_out) in left_out.iter().enumerate() {
            if !left_out {
                let range = self.range(user);
                rest.movies.extend_from_slice(&self.movies[range.clone()]);
                rest.preferences.extend_from_slice(&self.preferences[range.clone()]);
                rest.timestamps_ms.extend_from_slice(&self.timestamps_ms[range.clone()]);
                rest.rows.extend_from_slice(&self.rows[range]);
            }
            rest.offsets[user + 1] = rest.movies.len() as u64;
        }
        rest
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
}
