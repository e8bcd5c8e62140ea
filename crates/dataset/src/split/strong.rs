//! Strong generalisation: users who are judged are unknown in training (Liang et al. 2018, "Variational Autoencoders for
//! Collaborative Filtering", section 4.2).

use cinedex_domain::{PreferencePolicy, Recency};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Catalogue, Event, HeldOutUser, Signals, Split, called, check_share, opinions, refuse};
use crate::{Dataset, DatasetError};

/// How users and their positives are divided.
#[derive(Debug, Clone, PartialEq)]
pub struct StrongOptions {
    /// Share of users for validation, and as many for test.
    pub held_out_share: f64,
    /// Share of a held-out user's positives that is to be found.
    pub target_share: f64,
    /// Users with fewer positives are left out.
    pub minimum_positives: usize,
    /// What the split is made of.
    pub signals: Signals,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for StrongOptions {
    fn default() -> Self {
        Self {
            held_out_share: 0.1,
            target_share: 0.2,
            minimum_positives: 5,
            signals: Signals::Positives,
            seed: 1,
        }
    }
}

/// Splits users at random: those of validation and test are not in training, whose movies are the catalogue. The same options
/// give the same split. Refuses a data set with too few users to judge on.
pub fn split_strong(
    dataset: &Dataset,
    policy: &PreferencePolicy,
    options: &StrongOptions,
) -> Result<Split, DatasetError> {
    check_share("the share of held-out users", options.held_out_share * 2.0)?;
    check_share("the share of targets", options.target_share)?;
    let opinions = opinions(dataset, policy, options.signals);
    let positives = |row: usize| opinions[row].iter().filter(|opinion| opinion.is_positive()).count();
    let mut users: Vec<usize> =
        (0..opinions.len()).filter(|&row| positives(row) >= options.minimum_positives.max(1)).collect();
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    users.shuffle(&mut random);
    let held_out = (users.len() as f64 * options.held_out_share).round() as usize;
    if held_out == 0 || users.len() <= 2 * held_out {
        return Err(refuse(&called(dataset), "too few users have enough positives to hold some out"));
    }
    let (test, rest) = users.split_at_mut(held_out);
    let (validation, training) = rest.split_at_mut(held_out);
    training.sort_unstable();
    let learned = training.iter().flat_map(|&row| opinions[row].iter().copied()).collect();
    let movie_ids = dataset.movies.iter().map(|movie| &movie.movie_id);
    let user_ids = dataset.users.iter().map(|user| &user.user_id);
    let (catalogue, training) = Catalogue::training(movie_ids, user_ids, learned);
    let times = training.events.iter().map(|event| event.timestamp_ms);
    let draw = Draw { dataset, catalogue, options, recency: Recency::new(policy.half_life_days, times) };
    let training = training.aged(policy.half_life_days);
    let mut judge = |users: &mut [usize]| -> Vec<HeldOutUser> {
        users.sort_unstable();
        users.iter().filter_map(|&row| draw.user(row, &opinions[row], &mut random)).collect()
    };
    let split = Split { validation: judge(validation), test: judge(test), training };
    if split.test.is_empty() {
        Err(refuse(&called(dataset), "no held-out user is left with a target"))
    } else {
        Ok(split)
    }
}

/// What is the same for every user who is held out.
struct Draw<'a> {
    dataset: &'a Dataset,
    catalogue: Catalogue,
    options: &'a StrongOptions,
    /// Of what is learned from.
    recency: Recency,
}

impl Draw<'_> {
    fn user(&self, row: usize, opinions: &[Event], random: &mut ChaCha8Rng) -> Option<HeldOutUser> {
        let mut positives: Vec<usize> = (0..opinions.len())
            .filter(|&at| opinions[at].is_positive() && self.catalogue.movie(&opinions[at]).is_some())
            .collect();
        // Something must be known and something to be found.
        if positives.len() < 2 {
            return None;
        }
        positives.shuffle(random);
        let wanted = (positives.len() as f64 * self.options.target_share) as usize;
        let targets = &positives[..wanted.clamp(1, positives.len() - 1)];
        let known =
            opinions.iter().enumerate().filter(|(at, _)| !targets.contains(at)).map(|(_, event)| event);
        let aged = |event: &Event| event.preference * self.recency.weight(event.timestamp_ms);
        Some(HeldOutUser {
            user_id: self.dataset.users[row].user_id.clone(),
            user: None,
            history: known.filter_map(|event| Some((self.catalogue.movie(event)?, aged(event)))).collect(),
            targets: self.catalogue.targets(targets.iter().map(|&at| &opinions[at])),
        })
    }
}
