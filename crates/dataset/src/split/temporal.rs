//! Temporal splits: what happened last is to be found.

use cinedex_domain::{PreferencePolicy, UserIndex};

use super::{Catalogue, HeldOutUser, Opinion, Signals, Split, check_share, has_times, opinions, refuse};
use crate::{Dataset, DatasetError};

/// How much is held out.
#[derive(Debug, Clone, PartialEq)]
pub struct TemporalOptions {
    /// Share of interactions, of all or of each user, that is the test.
    pub test_share: f64,
    /// Per user: users with fewer positives are not judged on.
    pub minimum_positives: usize,
    /// What the split is made of.
    pub signals: Signals,
}

impl Default for TemporalOptions {
    fn default() -> Self {
        Self { test_share: 0.1, minimum_positives: 5, signals: Signals::Positives }
    }
}

/// The last share of all interactions by time is the test, for users and movies that occur before; ties go by the order of
/// users, then as in the file. Without a time an interaction is older than all. Refuses a data set without times.
pub fn split_temporal_global(
    dataset: &Dataset,
    policy: &PreferencePolicy,
    options: &TemporalOptions,
) -> Result<Split, DatasetError> {
    check_share("the share of the test", options.test_share)?;
    if !has_times(&dataset.interactions) {
        return Err(refuse(dataset, "its interactions have no times"));
    }
    let mut all: Vec<Opinion> = opinions(dataset, policy, options.signals).into_iter().flatten().collect();
    all.sort_by_key(|opinion| opinion.timestamp_ms);
    let cut = (all.len() as f64 * (1.0 - options.test_share)) as usize;
    let (before, after) = all.split_at_mut(cut);
    // By user again; a stable sort keeps the order of time.
    before.sort_by_key(|opinion| opinion.user);
    after.sort_by_key(|opinion| opinion.user);
    judge(dataset, policy, before, after)
}

/// The last share of each user's positives by time, at least one, is the test, for users with enough of them; what those users
/// did later than the first of these is left out of training. Refuses a data set without times.
pub fn split_temporal_per_user(
    dataset: &Dataset,
    policy: &PreferencePolicy,
    options: &TemporalOptions,
) -> Result<Split, DatasetError> {
    check_share("the share of the test", options.test_share)?;
    if !has_times(&dataset.interactions) {
        return Err(refuse(dataset, "its interactions have no times"));
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for opinions in opinions(dataset, policy, options.signals) {
        let positives: Vec<usize> = (0..opinions.len()).filter(|&at| opinions[at].is_positive()).collect();
        let cut = if positives.len() < options.minimum_positives.max(2) {
            opinions.len()
        } else {
            let held_out = ((positives.len() as f64 * options.test_share) as usize).max(1);
            positives[positives.len() - held_out]
        };
        before.extend_from_slice(&opinions[..cut]);
        after.extend_from_slice(&opinions[cut..]);
    }
    judge(dataset, policy, &before, &after)
}

/// Both are ordered by user, then time.
fn judge(
    dataset: &Dataset,
    policy: &PreferencePolicy,
    before: &[Opinion],
    after: &[Opinion],
) -> Result<Split, DatasetError> {
    let (catalogue, training) = Catalogue::training(dataset, policy.half_life_days, before.iter().copied());
    let of = |opinions: &[Opinion], user: u32| {
        let start = opinions.partition_point(|opinion| opinion.user < user);
        start..start + opinions[start..].partition_point(|opinion| opinion.user == user)
    };
    let mut test = Vec::new();
    for opinions in after.chunk_by(|left, right| left.user == right.user) {
        let user = opinions[0].user;
        let Some(row) = catalogue.user_rows[user as usize] else { continue };
        let targets = catalogue.targets(opinions.iter());
        if !targets.is_empty() {
            test.push(HeldOutUser {
                user_id: dataset.users[user as usize].user_id.clone(),
                user: Some(UserIndex(row)),
                history: catalogue.history(before[of(before, user)].iter()),
                targets,
            });
        }
    }
    if test.is_empty() {
        return Err(refuse(dataset, "no user of the last part occurs before it with a movie that does"));
    }
    Ok(Split { training, validation: Vec::new(), test })
}
