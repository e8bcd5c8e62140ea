//! Films as if new: some are held out, users are folded in without them, and what metadata predict of them is held against
//! who came to like them, with none and with few of their interactions revealed.

use std::cmp::Reverse;

use cinedex_domain::{FoldInSettings, LIKED, MovieIndex};
use cinedex_vectors::{Csr, Matrix, inner_products};
use rayon::prelude::*;

use crate::feature_regression::FeatureRegression;
use crate::metadata::combine;
use crate::{Factors, FoldIn, gramian};

/// One film in this many is held out.
const FOLDS: usize = 10;
/// Fewer held-out films than these teach nothing.
const FEWEST_MOVIES: usize = 10;
/// More would make it slower than better.
const MOST_MOVIES: usize = 300;
const MOST_USERS: usize = 1000;
/// Likes that a film needs to be held out.
const FEWEST_LIKES: usize = 5;
/// Interactions revealed of a held-out film.
const REVEALED: [usize; 4] = [1, 3, 10, 30];

/// Held-out films and the users on whom predictions are judged.
pub(crate) struct MetadataTrial<'a> {
    by_movie: &'a Csr<f32>,
    features: &'a Csr<f32>,
    fold_in: FoldInSettings,
    /// Held-out films in random order.
    movies: Vec<u32>,
    held_out: Vec<bool>,
    /// Users of the trial, in random order.
    users: Vec<u32>,
    /// Trained users, those of the trial folded in without the held-out films.
    user_factors: Matrix,
    /// Of the trained users.
    user_gramian: Matrix,
}

/// Held-out films of which some interactions were revealed: how many of each, learned embeddings, predicted ones, and who is
/// to be found.
pub(crate) struct Revealed {
    interactions: Vec<usize>,
    learned: Matrix,
    predicted: Matrix,
    cases: Vec<Case>,
}

/// One user of a trial; movies are positions among the films of the trial.
struct Case {
    user: u32,
    targets: Vec<u32>,
    /// Neither targets nor candidates.
    left_out: Vec<u32>,
}

impl<'a> MetadataTrial<'a> {
    /// Holds out a tenth of the described films, chosen by their row, and folds a sample of users in without them.
    pub(crate) fn new(
        factors: &Factors,
        by_user: &Csr<f32>,
        by_movie: &'a Csr<f32>,
        features: &'a Csr<f32>,
        fold_in: FoldInSettings,
    ) -> Self {
        let likes =
            |movie: u32| by_movie.row(movie as usize).1.iter().filter(|&&value| value >= LIKED).count();
        let described = |movie: &u32| !features.row(*movie as usize).0.is_empty();
        let mut movies: Vec<u32> = (0..by_movie.row_count() as u32)
            .filter(described)
            .filter(|&movie| likes(movie) >= FEWEST_LIKES)
            .collect();
        movies.sort_by_key(|&movie| mixed(movie));
        movies.truncate((movies.len() / FOLDS).min(MOST_MOVIES));
        if movies.len() < FEWEST_MOVIES {
            movies.clear();
        }
        let mut held_out = vec![false; by_movie.row_count()];
        for &movie in &movies {
            held_out[movie as usize] = true;
        }
        let concerned =
            |user: &u32| by_user.row(*user as usize).0.iter().any(|&movie| held_out[movie as usize]);
        let mut users: Vec<u32> = (0..by_user.row_count() as u32).filter(concerned).collect();
        users.sort_by_key(|&user| mixed(user));
        // The others stay, so that what is known of a film without the trial's users stays known.
        users.truncate((users.len() / 2).clamp(1, MOST_USERS));
        let mut trial = Self {
            by_movie,
            features,
            fold_in,
            movies,
            held_out,
            users,
            user_factors: factors.users.clone(),
            user_gramian: gramian(factors.users.view()),
        };
        trial.fold_users(&factors.movies, by_user);
        trial
    }

    /// How many films are held out.
    pub(crate) fn movie_count(&self) -> usize {
        self.movies.len()
    }

    /// How many interactions of a film are known in this trial.
    pub(crate) fn known(&self, movie: usize) -> usize {
        if self.held_out[movie] { 0 } else { self.by_movie.row(movie).0.len() }
    }

    /// NDCG of each user of the held-out films, ranked by predictions from features alone.
    pub(crate) fn unseen_gains(&self, regression: &FeatureRegression) -> Vec<f64> {
        let predicted = self.predicted(regression, &self.movies);
        self.gains(&predicted, &self.cases(&self.movies, 0))
    }

    /// Held-out films with some interactions revealed, for each number of them that enough films have.
    pub(crate) fn few_revealed(&self, regression: &FeatureRegression) -> Vec<Revealed> {
        let reveal = |&interactions: &usize| {
            let enough = |movie: &&u32| self.interactions(**movie).len() > interactions;
            let movies: Vec<u32> = self.movies.iter().filter(enough).copied().collect();
            let first = |movie: u32| self.interactions(movie)[..interactions].to_vec();
            self.reveal(regression, &movies, first, interactions)
        };
        REVEALED.iter().map(reveal).filter(|revealed| revealed.interactions.len() >= FEWEST_MOVIES).collect()
    }

    /// Held-out films with all that users outside of the trial said of them.
    pub(crate) fn known_revealed(&self, regression: &FeatureRegression) -> Revealed {
        let mut in_trial = vec![false; self.user_factors.rows()];
        for &user in &self.users {
            in_trial[user as usize] = true;
        }
        let of_others = |movie: u32| {
            let (users, values) = self.by_movie.row(movie as usize);
            let entries = users.iter().zip(values).filter(|(user, _)| !in_trial[**user as usize]);
            entries.map(|(&user, &value)| (MovieIndex(user), value)).collect()
        };
        self.reveal(regression, &self.movies, of_others, 0)
    }

    /// NDCG of each user where metadata are worth so many interactions.
    pub(crate) fn revealed_gains(&self, revealed: &Revealed, worth: f64) -> Vec<f64> {
        let mut movies = revealed.learned.clone();
        for (row, &interactions) in revealed.interactions.iter().enumerate() {
            let (learned, predicted) = (revealed.learned.row(row), revealed.predicted.row(row));
            movies.row_mut(row).copy_from_slice(&combine(learned, interactions, predicted, worth));
        }
        self.gains(&movies, &revealed.cases)
    }

    /// Solves the films' own equations from the interactions that `entries` says; of those with users of the trial the first
    /// `revealed` are no targets.
    fn reveal(
        &self,
        regression: &FeatureRegression,
        movies: &[u32],
        entries: impl Fn(u32) -> Vec<(MovieIndex, f32)> + Sync,
        revealed: usize,
    ) -> Revealed {
        // The equation of a film is that of a user with the sides exchanged.
        let solver = FoldIn::new(self.user_factors.view(), self.user_gramian.view(), self.fold_in);
        let solve = |&movie: &u32| {
            let entries = entries(movie);
            (entries.len(), solver.vector(&entries))
        };
        let (interactions, rows): (Vec<usize>, Vec<Vec<f32>>) = movies.par_iter().map(solve).unzip();
        Revealed {
            interactions,
            learned: Matrix::from_packed(self.user_factors.dimension(), rows.concat()),
            predicted: self.predicted(regression, movies),
            cases: self.cases(movies, revealed),
        }
    }

    fn fold_users(&mut self, movies: &Matrix, by_user: &Csr<f32>) {
        let mut known = movies.clone();
        for &movie in &self.movies {
            known.row_mut(movie as usize).fill(0.0);
        }
        let gramian = gramian(known.view());
        let solver = FoldIn::new(known.view(), gramian.view(), self.fold_in);
        let folded: Vec<Vec<f32>> = self
            .users
            .par_iter()
            .map(|&user| {
                let (columns, values) = by_user.row(user as usize);
                let entries =
                    columns.iter().zip(values).filter(|(movie, _)| !self.held_out[**movie as usize]);
                let history: Vec<_> = entries.map(|(&movie, &value)| (MovieIndex(movie), value)).collect();
                solver.vector(&history)
            })
            .collect();
        for (&user, vector) in self.users.iter().zip(folded) {
            self.user_factors.row_mut(user as usize).copy_from_slice(&vector);
        }
    }

    /// Interactions of a held-out film with users of the trial, in random order; the solver's movies are users here.
    fn interactions(&self, movie: u32) -> Vec<(MovieIndex, f32)> {
        let (users, values) = self.by_movie.row(movie as usize);
        let of_user = |&user: &u32| users.binary_search(&user).ok().map(|at| (MovieIndex(user), values[at]));
        let mut found: Vec<(MovieIndex, f32)> = self.users.iter().filter_map(of_user).collect();
        found.sort_by_key(|(user, _)| Reverse(mixed(user.0 ^ mixed(movie) as u32)));
        found
    }

    fn predicted(&self, regression: &FeatureRegression, movies: &[u32]) -> Matrix {
        let rows = movies.iter().map(|&movie| regression.predict(self.features.row(movie as usize)));
        Matrix::from_packed(self.user_factors.dimension(), rows.flatten().collect::<Vec<f32>>())
    }

    /// Who likes which of these films, the first interactions of each film left out.
    fn cases(&self, movies: &[u32], revealed: usize) -> Vec<Case> {
        let mut cases: Vec<Case> =
            self.users.iter().map(|&user| Case { user, targets: Vec::new(), left_out: Vec::new() }).collect();
        let mut rows = vec![0; self.user_factors.rows()];
        self.users.iter().enumerate().for_each(|(row, &user)| rows[user as usize] = row);
        for (position, &movie) in (0..).zip(movies) {
            for (order, (user, value)) in self.interactions(movie).into_iter().enumerate() {
                let case = &mut cases[rows[user.row()]];
                if order < revealed {
                    case.left_out.push(position);
                } else if value >= LIKED {
                    case.targets.push(position);
                }
            }
        }
        cases.retain(|case| !case.targets.is_empty());
        cases
    }

    /// NDCG of each user, of the whole ranking; equal scores share their places.
    fn gains(&self, movies: &Matrix, cases: &[Case]) -> Vec<f64> {
        let gain = |case: &Case| {
            let mut scores = vec![0.0; movies.rows()];
            inner_products(movies.view(), self.user_factors.row(case.user as usize), &mut scores);
            case.left_out.iter().for_each(|&movie| scores[movie as usize] = f32::NAN);
            let gain = |&movie: &u32| discount(place(&scores, scores[movie as usize]));
            let ideal: f64 = (0..case.targets.len()).map(|place| discount(place as f64)).sum();
            case.targets.iter().map(gain).sum::<f64>() / ideal
        };
        cases.par_iter().map(gain).collect()
    }
}

/// The mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The place of a score from 0: in the middle of those equal to it.
fn place(scores: &[f32], own: f32) -> f64 {
    let above = scores.iter().filter(|score| **score > own).count();
    let equal = scores.iter().filter(|score| **score == own).count();
    above as f64 + (equal.max(1) - 1) as f64 / 2.0
}

fn discount(place: f64) -> f64 {
    1.0 / (place + 2.0).log2()
}

/// Bits of a row, mixed: an order that has nothing to do with that of the rows (`SplitMix64`).
fn mixed(row: u32) -> u64 {
    let mut bits = u64::from(row).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
