//! Rankings of random worlds against scoring every movie by the equation of `BlendSettings`, from nothing but the parts that
//! the bundle was built of.

use std::collections::HashSet;

use cinedex_domain::{BlendSettings, Metric, Movie, MovieFilter, MovieId, MovieIndex};
use cinedex_index::{BundleInput, Histories, Place, PlacePopularity, Provenance, SpreadInput};
use cinedex_model::{FoldIn, TasteMoments, gramian};
use cinedex_vectors::{Csr, Matrix, dot, norm};
use proptest::prelude::*;

use crate::world::{Bench, World, settings};
use crate::{EngineOptions, Snapshot, UserRequest};

const DIMENSION: usize = 4;
/// Rounding: the engine sums in single precision and takes the spread from moments.
const TOLERANCE: f64 = 2e-3;

#[derive(Debug, Clone)]
struct Parts {
    metric: Metric,
    blend: BlendSettings,
    /// A row a movie; shortened ones have no embedding.
    factors: Matrix,
    likes: Vec<u8>,
    recent: Vec<u8>,
    history: Vec<(MovieIndex, f32)>,
}

fn parts() -> impl Strategy<Value = Parts> {
    let movies = 30usize..420;
    let weight = || prop_oneof![1 => Just(0.0f32), 3 => 0.0f32..3.0];
    let blend = (weight(), 0.5f32..8.0, weight());
    let history =
        prop::collection::btree_map(0u32..30, prop_oneof![Just(1.0f32), Just(-1.0), 0.1f32..1.0], 1..9);
    (movies, blend, history, any::<bool>()).prop_flat_map(|(movies, (popularity, half_life, recent), history, cosine)| {
        let row = prop_oneof![1 => Just(vec![0.0f32; DIMENSION]), 9 => prop::collection::vec(-1.0f32..1.0, DIMENSION)];
        let counts = || prop::collection::vec(prop_oneof![Just(0u8), 0u8..40], movies);
        (prop::collection::vec(row, movies), counts(), counts()).prop_map(move |(rows, likes, counts)| Parts {
            metric: if cosine { Metric::Cosine } else { Metric::InnerProduct },
            blend: BlendSettings {
                popularity_weight: popularity,
                half_life_interactions: half_life,
                recent_weight: recent,
                ..BlendSettings::NONE
            },
            factors: Matrix::from_packed(DIMENSION, rows.concat()),
            likes,
            recent: counts,
            history: history.iter().map(|(&movie, &preference)| (MovieIndex(movie), preference)).collect(),
        })
    })
}

impl Parts {
    fn snapshot(&self, bench: &Bench) -> Snapshot {
        let count = self.factors.rows();
        let movies: Vec<Movie> = (0..count)
            .map(|row| {
                let mut movie = Movie::new(MovieId::new(&row.to_string()).unwrap(), format!("Film {row}"));
                movie.year = Some(1950 + (row % 50) as u16);
                movie
            })
            .collect();
        let events = self.likes.iter().map(|&likes| u64::from(likes)).sum();
        let likes = (0u32..).zip(&self.likes).map(|(movie, &likes)| (0, movie, f32::from(likes)));
        let popularity = PlacePopularity {
            places: vec![Place { location: None, parent: None, events }],
            counts: Csr::from_triplets(1, count, likes),
            prior: vec![10.0],
        };
        let mut settings = settings(&World { metric: self.metric, ..World::default() });
        settings.blend = self.blend;
        let gram = gramian(self.factors.view());
        let TasteMoments { movies: spread_movies, mean, unit_gramian } =
            TasteMoments::of(self.factors.view(), self.metric);
        let recent: Vec<f32> = self.recent.iter().copied().map(f32::from).collect();
        let input = BundleInput {
            movies: &movies,
            movie_factors: self.factors.view(),
            users: &[],
            locations: &[],
            user_factors: None,
            histories: &Histories::empty(0),
            popularity: &popularity,
            settings: &settings,
            gramian: gram.view(),
            spread: SpreadInput {
                movies: spread_movies,
                mean: &mean,
                unit_gramian: unit_gramian.as_ref().map(Matrix::view),
            },
            recent_counts: &recent,
            provenance: &Provenance::default(),
        };
        let version = bench.publish(&input);
        Snapshot::new(bench.root.open(&version).unwrap(), EngineOptions::default().min_events)
    }

    /// The score of every movie; `None` if the history says nothing.
    fn scores(&self) -> Option<Vec<f64>> {
        let gram = gramian(self.factors.view());
        let fold_in = settings(&World::default()).fold_in?;
        let mut taste = FoldIn::new(self.factors.view(), gram.view(), fold_in).vector(&self.history);
        let length = norm(&taste);
        if length == 0.0 {
            return None;
        }
        if self.metric == Metric::Cosine {
            for value in &mut taste {
                *value /= length;
            }
        }
        let rows = || (0..self.factors.rows()).map(|row| self.factors.row(row));
        let divisor = |row: &[f32]| if self.metric == Metric::Cosine { norm(row).max(1e-30) } else { 1.0 };
        let tastes: Vec<f64> = rows().map(|row| f64::from(dot(&taste, row) / divisor(row))).collect();
        let embedded = tastes.iter().zip(rows()).filter(|(_, row)| norm(row) > 0.0).map(|(taste, _)| *taste);
        let sigma = deviation(&embedded.collect::<Vec<_>>());
        let total: f64 = self.likes.iter().map(|&likes| f64::from(likes)).sum();
        let equal = 10.0 / self.factors.rows() as f64;
        let rates = self.likes.iter().map(|&likes| ((f64::from(likes) + equal) / (total + 10.0)).ln());
        let z = standardised(rates.collect());
        let r = standardised(self.recent.iter().map(|&count| f64::from(count).ln_1p()).collect());
        let blend = &self.blend;
        let (half_life, known) = (f64::from(blend.half_life_interactions), self.history.len() as f64);
        let place = f64::from(blend.popularity_weight) * half_life / (half_life + known);
        let recent = f64::from(blend.recent_weight);
        let parts = tastes.iter().zip(z.iter().zip(&r));
        Some(parts.map(|(taste, (z, r))| taste + sigma * (place * z + recent * r)).collect())
    }
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

fn standardised(values: Vec<f64>) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let deviation = deviation(&values);
    let scale = if deviation > 1e-6 { deviation.recip() } else { 0.0 };
    values.into_iter().map(|value| (value - mean) * scale).collect()
}

fn listed(snapshot: &Snapshot, parts: &Parts, request: &UserRequest) -> Vec<(usize, f64)> {
    let list = snapshot.for_preferences(&parts.history, request).unwrap();
    let number = |id: &str| id.parse::<usize>().unwrap();
    list.items.iter().map(|item| (number(item.movie_id), f64::from(item.score.unwrap()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_ranking_is_that_of_scoring_every_movie(
        parts in parts(),
        year_min in prop::option::of(1950u16..2000),
        include_seen in any::<bool>(),
        limit in 1usize..60,
        offset in 0usize..40,
    ) {
        let bench = Bench::new();
        let snapshot = parts.snapshot(&bench);
        let Some(scores) = parts.scores() else { return Ok(()) };
        let seen: HashSet<usize> = parts.history.iter().map(|(movie, _)| movie.row()).collect();
        let allowed = |row: &usize| {
            year_min.is_none_or(|year| 1950 + (row % 50) as u16 >= year) && (include_seen || !seen.contains(row))
        };
        let filter = MovieFilter { year_min, ..MovieFilter::default() };
        let request = UserRequest { limit: limit + offset, filter, include_seen, ..UserRequest::default() };
        let found = listed(&snapshot, &parts, &request);
        let mut best: Vec<f64> = (0..scores.len()).filter(allowed).map(|row| scores[row]).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        best.truncate(limit + offset);
        prop_assert_eq!(found.len(), best.len());
        let distinct: HashSet<usize> = found.iter().map(|(row, _)| *row).collect();
        prop_assert!(distinct.len() == found.len() && distinct.iter().all(allowed));
        for ((row, score), best) in found.iter().zip(&best) {
            let near = TOLERANCE * (1.0 + best.abs());
            prop_assert!((score - scores[*row]).abs() < near, "{} {} {}", row, score, scores[*row]);
            prop_assert!((scores[*row] - best).abs() < near, "{} {} {}", row, scores[*row], best);
        }
        let page = UserRequest { offset, limit, ..request };
        prop_assert_eq!(&listed(&snapshot, &parts, &page)[..], &found[offset.min(found.len())..]);
    }
}
