//! Films as if new: a part of them is held out of training with all that was said of them, and has to be found by who liked
//! them from metadata alone, and from metadata and a few interactions.

use std::sync::atomic::AtomicBool;

use cinedex_dataset::{DataRoot, Dataset, Opinions};
use cinedex_domain::{LIKED, Movie, MovieIndex, PreferencePolicy, Progress};
use cinedex_model::{Factors, FoldIn, IalsParameters, MovieMetadata, gramian, like_counts, train_ials};
use cinedex_vectors::{Csr, Matrix, inner_products};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::cold::{ColdCase, ColdEvaluation, ColdJudge, Scope};
use crate::features::movie_features;
use crate::{PipelineError, preference_matrix};

/// Interactions revealed of a held-out film; none of them is ever a target.
const REVEALED: [usize; 3] = [1, 3, 10];

/// What is held out and how is trained.
#[derive(Debug, Clone)]
pub struct ColdMoviesRequest {
    /// Hyper-parameters; their seed also chooses the films.
    pub parameters: IalsParameters,
    /// Share of the films with enough likes that is held out.
    pub share: f64,
    /// Likes that a film needs to be held out.
    pub minimum_likes: u64,
}

impl Default for ColdMoviesRequest {
    fn default() -> Self {
        Self { parameters: IalsParameters::default(), share: 0.1, minimum_likes: 20 }
    }
}

/// Trains without the held-out films and ranks them for everybody who liked some: among themselves, and in the whole catalogue.
pub fn evaluate_cold_movies(
    data: &DataRoot,
    name: &str,
    request: &ColdMoviesRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<ColdEvaluation, PipelineError> {
    let dataset = Dataset::load(data, name)?;
    let policy = PreferencePolicy::default();
    let matrix = preference_matrix(&Opinions::of(&dataset, &policy));
    let parameters = request.parameters.for_data(&matrix);
    let request = &ColdMoviesRequest { parameters, ..request.clone() };
    let trial = Trial::new(&matrix, request);
    if trial.cases.is_empty() {
        return Err(PipelineError::NothingToJudge { held_out: format!("\"{name}\"") });
    }
    let factors = train_ials(&trial.training, &request.parameters, progress, cancel)?;
    let features = movie_features(&dataset.movies);
    let metadata =
        MovieMetadata::learn(&factors, &trial.training, &features.values, request.parameters.fold_in());
    let predicted = trial.predicted(&factors, &metadata, &features.values);
    let mut judge = trial.judge();
    let mut random = ChaCha8Rng::seed_from_u64(request.parameters.seed);
    judge.judge("random", |_, scores| scores.iter_mut().for_each(|score| *score = random.random()));
    let popularity = trial.genre_popularity(&dataset.movies);
    judge.judge("genre-popularity", |_, scores| scores.copy_from_slice(&popularity));
    let mut by_embedding = |name: &str, held_out: &[Vec<f32>]| {
        let movies = trial.catalogue(&factors, held_out);
        judge.judge(name, |user, scores| {
            inner_products(movies.view(), factors.users.row(user as usize), scores);
        });
    };
    by_embedding("metadata", &predicted);
    let mut pairs =
        vec![("metadata".to_owned(), "random".to_owned()), ("metadata".into(), "genre-popularity".into())];
    for revealed in REVEALED {
        let learned = trial.learned(&factors, request, revealed);
        let shrunk: Vec<Vec<f32>> = learned
            .iter()
            .zip(&predicted)
            .map(|(learned, predicted)| metadata.combine(learned, revealed, predicted))
            .collect();
        let names = [format!("learned-{revealed}"), format!("shrunk-{revealed}")];
        by_embedding(&names[0], &learned);
        by_embedding(&names[1], &shrunk);
        let [learned, shrunk] = names;
        pairs.extend([(shrunk.clone(), learned), (shrunk, "metadata".into())]);
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(own, rival)| (&own[..], &rival[..])).collect();
    Ok(ColdEvaluation {
        protocol: "cold-movies",
        users: trial.cases.len(),
        held_out_movies: trial.held_out.len(),
        learned: json!({ "features": features.names.len(), "metadata": metadata.settings() }),
        rankings: judge.rankings(&pairs),
    })
}

/// The split.
struct Trial {
    training: Csr<f32>,
    /// Held-out films in random order.
    held_out: Vec<u32>,
    /// The first interactions of each held-out film, `(user, preference)`.
    revealed: Vec<Vec<(MovieIndex, f32)>>,
    cases: Vec<ColdCase>,
}

impl Trial {
    fn new(matrix: &Csr<f32>, request: &ColdMoviesRequest) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(request.parameters.seed);
        let likes = like_counts(matrix);
        let mut held_out: Vec<u32> = (0..)
            .zip(likes)
            .filter(|(_, likes)| *likes >= request.minimum_likes)
            .map(|(movie, _)| movie)
            .collect();
        held_out.shuffle(&mut random);
        held_out.truncate((held_out.len() as f64 * request.share).round() as usize);
        let mut is_held_out = vec![false; matrix.column_count()];
        for &movie in &held_out {
            is_held_out[movie as usize] = true;
        }
        let triplets = (0..matrix.row_count()).flat_map(|user| {
            let (movies, values) = matrix.row(user);
            movies.iter().zip(values).map(move |(&movie, &value)| (user as u32, movie, value))
        });
        let (hidden, kept): (Vec<_>, Vec<_>) =
            triplets.partition(|&(_, movie, _)| is_held_out[movie as usize]);
        let training = Csr::from_triplets(matrix.row_count(), matrix.column_count(), kept);
        let hidden = Csr::from_triplets(matrix.row_count(), matrix.column_count(), hidden).transpose();
        let mut cases: Vec<ColdCase> = (0..matrix.row_count())
            .map(|user| ColdCase {
                user: user as u32,
                left_out: training.row(user).0.to_vec(),
                targets: Vec::new(),
            })
            .collect();
        let mut revealed = Vec::new();
        for &movie in &held_out {
            let (users, values) = hidden.row(movie as usize);
            let mut entries: Vec<(u32, f32)> = users.iter().copied().zip(values.iter().copied()).collect();
            entries.shuffle(&mut random);
            let first = entries.len().min(REVEALED[REVEALED.len() - 1]);
            revealed.push(entries[..first].iter().map(|&(user, value)| (MovieIndex(user), value)).collect());
            for (position, (user, value)) in entries.into_iter().enumerate() {
                let case = &mut cases[user as usize];
                if position < first {
                    case.left_out.push(movie);
                } else if value >= LIKED {
                    case.targets.push(MovieIndex(movie));
                }
            }
        }
        // A user without a past has no taste yet; that is what `cold-users` is for.
        cases.retain(|case| !case.targets.is_empty() && !training.row(case.user as usize).0.is_empty());
        Self { training, held_out, revealed, cases }
    }

    fn judge(&self) -> ColdJudge<'_> {
        let held_out = Some(self.held_out.clone());
        let scopes = vec![
            Scope { prefix: "held-out ", movies: held_out, recall_at: vec![10, 50], ndcg_at: vec![10, 100] },
            Scope { prefix: "catalogue ", movies: None, recall_at: vec![10, 100], ndcg_at: vec![10, 100] },
        ];
        ColdJudge::new(&self.cases, scopes, self.training.column_count())
    }

    /// What metadata say of the held-out films; zeros where they say nothing.
    fn predicted(&self, factors: &Factors, metadata: &MovieMetadata, features: &Csr<f32>) -> Vec<Vec<f32>> {
        let none = || vec![0.0; factors.movies.dimension()];
        let predict = |&movie: &u32| metadata.predict(features.row(movie as usize)).unwrap_or_else(none);
        self.held_out.iter().map(predict).collect()
    }

    /// What is learned of the held-out films from their first interactions: their own normal equations.
    fn learned(&self, factors: &Factors, request: &ColdMoviesRequest, interactions: usize) -> Vec<Vec<f32>> {
        let gramian = gramian(factors.users.view());
        // The equation of a film is that of a user with the sides exchanged.
        let films = FoldIn::new(factors.users.view(), gramian.view(), request.parameters.fold_in());
        self.revealed
            .iter()
            .map(|entries| films.vector(&entries[..entries.len().min(interactions)]))
            .collect()
    }

    /// The trained films with these embeddings for the held-out ones.
    fn catalogue(&self, factors: &Factors, held_out: &[Vec<f32>]) -> Matrix {
        let mut movies = factors.movies.clone();
        for (&movie, vector) in self.held_out.iter().zip(held_out) {
            movies.row_mut(movie as usize).copy_from_slice(vector);
        }
        movies
    }

    /// Likes in training; of a held-out film the mean over its genres of the mean likes of a film of the genre.
    fn genre_popularity(&self, movies: &[Movie]) -> Vec<f32> {
        let likes: Vec<f32> = like_counts(&self.training).into_iter().map(|likes| likes as f32).collect();
        let mut is_held_out = vec![false; movies.len()];
        for &movie in &self.held_out {
            is_held_out[movie as usize] = true;
        }
        let known = || (0..movies.len()).filter(|&movie| !is_held_out[movie]);
        let mean = |of: &mut dyn Iterator<Item = f32>| {
            let (sum, count) = of.fold((0.0, 0.0f32), |(sum, count), value| (sum + value, count + 1.0));
            sum / count.max(1.0)
        };
        let of_genre = |genre: &String| {
            mean(&mut known().filter(|&movie| movies[movie].genres.contains(genre)).map(|movie| likes[movie]))
        };
        let everywhere = mean(&mut known().map(|movie| likes[movie]));
        let mut scores = likes.clone();
        for &movie in &self.held_out {
            let genres = &movies[movie as usize].genres;
            scores[movie as usize] =
                if genres.is_empty() { everywhere } else { mean(&mut genres.iter().map(of_genre)) };
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{NAME, small};

    #[test]
    fn what_is_held_out_is_neither_trained_on_nor_revealed_and_asked_for() {
        let (_folder, root) = small();
        let dataset = Dataset::load(&root, NAME).unwrap();
        let matrix = preference_matrix(&Opinions::of(&dataset, &PreferencePolicy::default()));
        let request = ColdMoviesRequest { share: 0.25, minimum_likes: 5, ..ColdMoviesRequest::default() };
        let trial = Trial::new(&matrix, &request);
        assert_eq!(trial.held_out.len(), 3);
        let training = trial.training.clone().transpose();
        for (&movie, revealed) in trial.held_out.iter().zip(&trial.revealed) {
            assert_eq!((training.row(movie as usize).0.len(), revealed.len()), (0, 10));
        }
        for case in &trial.cases {
            assert!(case.targets.iter().all(|movie| trial.held_out.contains(&movie.0)));
            assert!(case.targets.iter().all(|movie| !case.left_out.contains(&movie.0)));
        }
    }

    #[test]
    fn it_runs_where_nothing_is_known_of_films_and_refuses_where_none_is_liked_enough() {
        let (_folder, root) = small();
        let parameters = IalsParameters { dimension: 4, epochs: 4, ..IalsParameters::default() };
        let request = ColdMoviesRequest { parameters, share: 0.25, minimum_likes: 5 };
        let silent = &cinedex_domain::silent;
        let found = evaluate_cold_movies(&root, NAME, &request, silent, &AtomicBool::new(false)).unwrap();
        let names: Vec<&str> = found.rankings.iter().map(|ranking| &ranking.model[..]).collect();
        assert_eq!(names[..4], ["random", "genre-popularity", "metadata", "learned-1"]);
        let request = ColdMoviesRequest { minimum_likes: 1000, ..request };
        let refused = evaluate_cold_movies(&root, NAME, &request, silent, &AtomicBool::new(false));
        assert!(matches!(refused, Err(PipelineError::NothingToJudge { .. })));
    }
}
