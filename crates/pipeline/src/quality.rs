//! Quality as a gate: a few users, drawn by their ids and so the same ones each time, are never learned from; a new bundle and
//! the live one are judged on them, user by user.

use cinedex_dataset::{Dataset, Opinions};
use cinedex_domain::{LIKED, MovieId, MovieIndex};
use cinedex_index::{IndexRoot, Version};
use cinedex_model::{Case, Evaluation, PairedDifference, Protocol, evaluate};
use serde::{Deserialize, Serialize};

use crate::PipelineError;
use crate::served::ServedRanker;

/// The metric that decides.
const METRIC: &str = "ndcg@100";
/// Share of a user's likes, the last by time, that is to be found.
const TARGET_SHARE: f64 = 0.2;
/// Users with fewer likes are not judged on.
const MINIMUM_LIKES: usize = 5;

/// Which users rebuilds never learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOut {
    /// How many in a thousand; 0 holds nobody out.
    pub per_mille: u32,
    /// Of fewer users than this who can be judged on nobody is held out: they could not tell bundles apart.
    pub minimum_users: usize,
}

impl Default for HeldOut {
    fn default() -> Self {
        Self { per_mille: 20, minimum_users: 100 }
    }
}

impl HeldOut {
    /// For each user whether the model is to do without; `None` if nobody is held out.
    pub(crate) fn of(self, dataset: &Dataset, opinions: &Opinions) -> Option<Vec<bool>> {
        let drawn = |row: usize| {
            let hash = cinedex_storage::xxh3(dataset.users[row].user_id.as_str().as_bytes());
            hash % 1000 < u64::from(self.per_mille)
        };
        let left_out: Vec<bool> = (0..dataset.users.len()).map(drawn).collect();
        let judged =
            (0..left_out.len()).filter(|&row| left_out[row] && likes(opinions, row).len() >= MINIMUM_LIKES);
        (self.per_mille > 0 && judged.count() >= self.minimum_users.max(2)).then_some(left_out)
    }
}

/// How well bundles serve the users of whom their models have not learned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Users judged on.
    pub users: usize,
    /// NDCG@100 of the new bundle: of each user's likes the last fifth is to be found, the rest is folded in.
    pub ndcg: f64,
    /// The same of the live bundle and how the new one differs from it, where the live one holds out the same users.
    pub live: Option<LiveQuality>,
}

/// The live bundle on the same users.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LiveQuality {
    /// Its NDCG@100.
    pub ndcg: f64,
    /// The new bundle's less the live one's.
    pub difference: f64,
    /// Standard error of the difference, user by user.
    pub standard_error: f64,
    /// Whether chance alone would make it.
    pub within_noise: bool,
}

impl Quality {
    /// Judges a new bundle of `dataset`, and the live one if there is one to compare with, on the users who were held out.
    pub(crate) fn judge(
        indexes: &IndexRoot,
        new: &Version,
        live: Option<&Version>,
        dataset: &Dataset,
        opinions: &Opinions,
        held_out: &[bool],
    ) -> Result<Self, PipelineError> {
        let held_out = (0..held_out.len()).filter(|&row| held_out[row]);
        let cases: Vec<Case> = held_out.filter_map(|row| case(opinions, row)).collect();
        let mut like_counts = vec![0; opinions.movie_count];
        let liked = opinions.movies.iter().zip(&opinions.preferences).filter(|(_, liked)| **liked >= LIKED);
        liked.for_each(|(&movie, _)| like_counts[movie as usize] += 1);
        let movie_ids: Vec<MovieId> = dataset.movies.iter().map(|movie| movie.movie_id.clone()).collect();
        let judged = |version: &Version| -> Result<Evaluation, PipelineError> {
            let ranker = ServedRanker::open(indexes, version, movie_ids.clone())?;
            Ok(evaluate(&ranker, &cases, &Protocol::strong(), &like_counts))
        };
        let mut found = judged(new)?;
        let ndcg = found.metrics[METRIC];
        let live = match live {
            None => None,
            Some(live) => {
                let live = judged(live)?;
                found.pair(&live);
                let paired = found.paired.take().and_then(|paired| paired.metrics.get(METRIC).copied());
                paired.map(|paired| LiveQuality::of(live.metrics[METRIC], paired))
            }
        };
        Ok(Self { users: cases.len(), ndcg, live })
    }

    /// Why the new bundle is too much worse than the live one, see [`crate::Gate::max_quality_loss`]; `None` if it is not.
    pub(crate) fn refuse(&self, max_loss: f64) -> Option<String> {
        let live = self.live?;
        let lost = -live.difference > max_loss * live.ndcg && !live.within_noise;
        lost.then(|| {
            format!(
                "NDCG@100 on {} users held out is {:.4}, that of the live bundle {:.4}: the gate allows a loss of {:.1} %",
                self.users,
                self.ndcg,
                live.ndcg,
                100.0 * max_loss
            )
        })
    }
}

impl LiveQuality {
    fn of(ndcg: f64, paired: PairedDifference) -> Self {
        let PairedDifference { difference, standard_error, within_noise } = paired;
        Self { ndcg, difference, standard_error, within_noise }
    }
}

/// Positions of what a user likes, oldest first.
fn likes(opinions: &Opinions, user: usize) -> Vec<usize> {
    let mut likes: Vec<usize> =
        opinions.range(user).filter(|&at| opinions.preferences[at] >= LIKED).collect();
    likes.sort_by_key(|&at| opinions.timestamps_ms[at]);
    likes
}

fn case(opinions: &Opinions, user: usize) -> Option<Case> {
    let likes = likes(opinions, user);
    if likes.len() < MINIMUM_LIKES {
        return None;
    }
    let hidden = ((likes.len() as f64 * TARGET_SHARE) as usize).max(1);
    let targets = &likes[likes.len() - hidden..];
    let known = opinions.range(user).filter(|at| !targets.contains(at));
    let mut targets: Vec<MovieIndex> = targets.iter().map(|&at| MovieIndex(opinions.movies[at])).collect();
    targets.sort_unstable();
    let history = known.map(|at| (MovieIndex(opinions.movies[at]), opinions.preferences[at])).collect();
    Some(Case { user: None, history, targets })
}

#[cfg(test)]
mod tests {
    use cinedex_domain::PreferencePolicy;

    use super::*;
    use crate::test_world::{NAME, small};

    #[test]
    fn the_same_users_are_held_out_each_time_if_there_are_enough() {
        let (_folder, data) = small();
        let dataset = Dataset::load(&data, NAME).unwrap();
        let opinions = Opinions::of(&dataset, &PreferencePolicy::default());
        let held = |per_mille, minimum_users| HeldOut { per_mille, minimum_users }.of(&dataset, &opinions);
        let some = held(300, 2).unwrap();
        let count = some.iter().filter(|held| **held).count();
        assert!((3..30).contains(&count), "{count}");
        assert_eq!(held(300, 2).unwrap(), some);
        let more = held(600, 2).unwrap();
        assert!(
            some.iter().zip(&more).all(|(some, more)| more >= some),
            "a larger draw has the smaller in it"
        );
        assert_eq!((held(300, 40), held(0, 0)), (None, None));
    }

    #[test]
    fn the_last_likes_are_to_be_found_and_the_rest_is_known() {
        let (_folder, data) = small();
        let dataset = Dataset::load(&data, NAME).unwrap();
        let opinions = Opinions::of(&dataset, &PreferencePolicy::default());
        assert_eq!(case(&opinions, 0), None, "a single like");
        let case = case(&opinions, 2).unwrap();
        assert_eq!((case.targets.len(), case.history.len()), (1, 5));
        assert!(case.history.iter().all(|(movie, _)| !case.targets.contains(movie)));
    }

    #[test]
    fn only_a_loss_beyond_chance_and_tolerance_is_refused() {
        let check = |difference, within_noise, expect| {
            let live = LiveQuality { ndcg: 0.5, difference, standard_error: 0.001, within_noise };
            let quality = Quality { users: 100, ndcg: 0.5 + difference, live: Some(live) };
            assert_eq!(quality.refuse(0.02).is_some(), expect, "{difference} {within_noise}");
        };
        check(0.1, false, false);
        check(-0.009, false, false);
        check(-0.011, false, true);
        check(-0.2, true, false);
        assert_eq!(Quality { users: 100, ndcg: 0.0, live: None }.refuse(0.0), None);
    }
}
