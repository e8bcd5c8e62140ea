//! From a list of events to what training reads: one signed preference for each user and movie.

use cinedex_domain::{MovieIndex, UserIndex};
use cinedex_vectors::Csr;

/// Gathers `(user, movie, preference, timestamp in ms)` into `user_count × movie_count` rows. Of a repeated pair the last by
/// time stays, of equal times the last given; an unknown time is `i64::MIN`, older than all. Panics if an index is out of
/// range.
pub fn preferences(
    user_count: usize,
    movie_count: usize,
    events: impl IntoIterator<Item = (UserIndex, MovieIndex, f32, i64)>,
) -> Csr<f32> {
    let triplets =
        events.into_iter().map(|(user, movie, preference, time)| (user.0, movie.0, (preference, time)));
    let later = |kept: (f32, i64), given: (f32, i64)| if given.1 >= kept.1 { given } else { kept };
    Csr::from_triplets_by(user_count, movie_count, triplets, later).map(|(preference, _)| preference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_by_time_stays() {
        let event = |movie, preference, time| (UserIndex(0), MovieIndex(movie), preference, time);
        let csr = preferences(
            2,
            3,
            [event(2, 1.0, 5), event(2, -1.0, 4), event(0, 0.3, i64::MIN), event(0, 1.0, i64::MIN)],
        );
        assert_eq!(csr.row(0), (&[0, 2][..], &[1.0, 1.0][..]));
        assert_eq!(csr.row(1).0.len(), 0);
    }
}
