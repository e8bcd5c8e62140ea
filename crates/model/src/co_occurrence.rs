//! How often movies are liked together: rows of `Xᵀ X` of the positive preferences `X`, users × movies, made when they are
//! asked for, so that nobody has to hold all pairs. It knows nothing of what is made of them.

use cinedex_vectors::Csr;

/// The positive part of users × movies, from both sides.
pub(crate) struct CoOccurrence {
    by_user: Csr<f32>,
    by_movie: Csr<f32>,
}

impl CoOccurrence {
    /// Positive preferences count by their size, others not at all.
    pub(crate) fn of_positives(preferences: &Csr<f32>) -> Self {
        Self::new(positives(preferences))
    }

    /// Every positive preference counts 1, others not at all.
    pub(crate) fn of_likes(preferences: &Csr<f32>) -> Self {
        Self::new(positives(preferences).map(|_| 1.0))
    }

    fn new(by_user: Csr<f32>) -> Self {
        Self { by_movie: by_user.transpose(), by_user }
    }

    /// Number of movies.
    pub(crate) fn movie_count(&self) -> usize {
        self.by_movie.row_count()
    }

    /// Number of users, those without any positive preference included.
    pub(crate) fn user_count(&self) -> usize {
        self.by_user.row_count()
    }

    /// Number of users with a positive preference for the movie.
    pub(crate) fn audience(&self, movie: usize) -> usize {
        self.by_movie.row(movie).0.len()
    }

    /// `sum_u x_um x_uj` of the movie with each movie `j` below the length of `sums`. Whole counts are exact up to 2^24.
    pub(crate) fn row(&self, movie: usize, sums: &mut [f32]) {
        sums.fill(0.0);
        let (users, own) = self.by_movie.row(movie);
        for (&user, own) in users.iter().zip(own) {
            let (movies, values) = self.by_user.row(user as usize);
            for (&other, value) in movies.iter().zip(values) {
                // Columns ascend.
                let Some(sum) = sums.get_mut(other as usize) else { break };
                *sum += own * value;
            }
        }
    }

    /// `sum_u x_um²` of each movie: the diagonal.
    pub(crate) fn squared_norms(&self) -> Vec<f32> {
        let squares = |movie| self.by_movie.row(movie).1.iter().map(|value| value * value).sum();
        (0..self.movie_count()).map(squares).collect()
    }
}

fn positives(preferences: &Csr<f32>) -> Csr<f32> {
    let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in 0..preferences.row_count() {
        let (movies, own) = preferences.row(row);
        let positive = movies.iter().zip(own).filter(|(_, preference)| **preference > 0.0);
        for (&movie, &preference) in positive {
            columns.push(movie);
            values.push(preference);
        }
        offsets.push(columns.len() as u64);
    }
    Csr::from_parts(preferences.column_count(), offsets, columns, values)
        .expect("some of the entries of well-formed rows are well-formed rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_positive_counts() {
        let preferences = Csr::from_triplets(
            3,
            4,
            [(0, 0, 1.0), (0, 2, 0.5), (1, 0, 1.0), (1, 2, 1.0), (1, 1, -1.0), (2, 2, 0.0)],
        );
        let check = |pairs: &CoOccurrence, movie: usize, expect: &[f32]| {
            let mut sums = vec![9.0; expect.len()];
            pairs.row(movie, &mut sums);
            assert_eq!(sums, expect);
        };
        let sized = CoOccurrence::of_positives(&preferences);
        check(&sized, 0, &[2.0, 0.0, 1.5, 0.0]);
        check(&sized, 2, &[1.5, 0.0, 1.25, 0.0]);
        check(&sized, 2, &[1.5, 0.0]);
        check(&sized, 1, &[0.0; 4]);
        assert_eq!(sized.squared_norms(), [2.0, 0.0, 1.25, 0.0]);
        let likes = CoOccurrence::of_likes(&preferences);
        check(&likes, 2, &[2.0, 0.0, 2.0, 0.0]);
        assert_eq!((likes.audience(2), likes.user_count(), likes.movie_count()), (2, 3, 4));
    }
}
