//! Judges a ranker on held-out preferences: the protocols, the means over users, and how far chance moves them.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use cinedex_domain::MovieIndex;
use rayon::prelude::*;
use serde::Serialize;

use crate::metrics::{RecallBase, Targets};
use crate::paired::mean_and_error;
use crate::{Audiences, Paired, Ranker};

/// One user to be judged on.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The user's row in training, where known there.
    pub user: Option<u32>,
    /// What is known of the user, signed; left out of the ranking.
    pub history: Vec<(MovieIndex, f32)>,
    /// What is to be found; a user without is not counted.
    pub targets: Vec<MovieIndex>,
}

/// What is measured and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// `strong` or `temporal`.
    pub name: &'static str,
    /// What recall divides by.
    pub recall_base: RecallBase,
    /// Depths of recall.
    pub recall_at: Vec<usize>,
    /// Depths of NDCG.
    pub ndcg_at: Vec<usize>,
    /// Depth of the reciprocal rank.
    pub reciprocal_rank_at: usize,
    /// Depth of coverage, mean popularity, novelty and diversity.
    pub coverage_at: usize,
}

impl Protocol {
    /// Users unknown in training, part of whose likes are folded in (Liang et al. 2018).
    pub fn strong() -> Self {
        Self {
            name: "strong",
            recall_base: RecallBase::AtMostK,
            recall_at: vec![20, 50],
            ndcg_at: vec![10, 100],
            reciprocal_rank_at: 100,
            coverage_at: 20,
        }
    }

    /// Known users, whose later likes are to be found.
    pub fn temporal() -> Self {
        Self {
            name: "temporal",
            recall_base: RecallBase::Targets,
            recall_at: vec![10, 50],
            ndcg_at: vec![10, 100],
            reciprocal_rank_at: 100,
            coverage_at: 10,
        }
    }

    /// The metric by which settings are chosen.
    pub fn objective(&self) -> String {
        format!("ndcg@{}", if self.recall_base == RecallBase::AtMostK { 100 } else { 10 })
    }

    fn depth(&self) -> usize {
        let depths = self.recall_at.iter().chain(&self.ndcg_at);
        depths.copied().fold(self.reciprocal_rank_at.max(self.coverage_at), usize::max)
    }
}

/// What came out. Serialises as the command line prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Name of the ranker.
    pub model: String,
    /// Length of its embeddings, null where it has none.
    pub dimension: Option<usize>,
    /// Name of the protocol.
    pub protocol: &'static str,
    /// Users with a target.
    pub users: usize,
    /// Means over users by name and depth, `ndcg@100`; `coverage@k` is the share of the catalogue that occurs in anybody's
    /// first k, `mean_popularity@k` the mean number of likes in training of what occurs there; for `novelty@k` and
    /// `intra_list_diversity@k` see [`Evaluation::add_variety`].
    pub metrics: BTreeMap<String, f64>,
    /// Standard errors of those of the metrics that are means over users.
    pub standard_errors: BTreeMap<String, f64>,
    /// How it differs from the first model of a comparison, see [`Evaluation::pair`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paired: Option<Paired>,
    /// Those of the metrics that are means over users, user by user in the order of the cases with a target.
    #[serde(skip)]
    pub per_user: BTreeMap<String, Vec<f64>>,
    /// The first movies shown to each of these users, to the depth of coverage.
    #[serde(skip)]
    pub shown: Vec<Vec<MovieIndex>>,
    /// Set by who trained.
    pub train_seconds: f64,
    /// Time of ranking and measuring.
    pub evaluate_seconds: f64,
}

/// Ranks for each case and measures, in parallel on the current rayon pool; the result does not depend on the number of
/// threads. `like_counts` has for each movie of the catalogue its likes in training, see [`crate::like_counts`].
pub fn evaluate(ranker: &dyn Ranker, cases: &[Case], protocol: &Protocol, like_counts: &[u64]) -> Evaluation {
    let start = Instant::now();
    let (values, shown): (Vec<Vec<f64>>, Vec<Vec<MovieIndex>>) = cases
        .par_iter()
        .filter(|case| !case.targets.is_empty())
        .map(|case| judge(ranker, case, protocol))
        .collect();
    let k = protocol.coverage_at;
    let all_shown = || shown.iter().flatten();
    let distinct: HashSet<MovieIndex> = all_shown().copied().collect();
    let coverage = distinct.len() as f64 / like_counts.len().max(1) as f64;
    let popularity: u64 = all_shown().map(|movie| like_counts[movie.row()]).sum();
    let popularity = popularity as f64 / all_shown().count().max(1) as f64;
    let mut evaluation = Evaluation {
        model: ranker.name().to_owned(),
        dimension: ranker.dimension(),
        protocol: protocol.name,
        users: shown.len(),
        metrics: [(format!("coverage@{k}"), coverage), (format!("mean_popularity@{k}"), popularity)].into(),
        standard_errors: BTreeMap::new(),
        paired: None,
        per_user: BTreeMap::new(),
        shown,
        train_seconds: 0.0,
        evaluate_seconds: 0.0,
    };
    for (position, name) in names(protocol).into_iter().enumerate() {
        evaluation.add(name, values.iter().map(|values| values[position]).collect());
    }
    evaluation.evaluate_seconds = start.elapsed().as_secs_f64();
    evaluation
}

impl Evaluation {
    /// Measures what was shown beside its being right, to the depth of coverage: `novelty@k`, the mean self-information of the
    /// movies in bits, and `intra_list_diversity@k`, one minus the mean cosine of the audiences of two movies of a list.
    /// `audiences` are those of training.
    pub fn add_variety(&mut self, protocol: &Protocol, audiences: &Audiences) {
        let k = protocol.coverage_at;
        let (novelty, diversity) = (audiences.novelty(&self.shown), audiences.diversity(&self.shown));
        self.add(format!("novelty@{k}"), novelty);
        self.add(format!("intra_list_diversity@{k}"), diversity);
    }

    /// Adds a metric that is a mean over users.
    fn add(&mut self, name: String, values: Vec<f64>) {
        let (mean, error) = mean_and_error(values.iter().copied());
        self.metrics.insert(name.clone(), mean);
        self.standard_errors.insert(name.clone(), error);
        self.per_user.insert(name, values);
    }
}

/// Names of what [`judge`] measures, in its order.
fn names(protocol: &Protocol) -> Vec<String> {
    let recalls = protocol.recall_at.iter().map(|k| format!("recall@{k}"));
    let gains = protocol.ndcg_at.iter().map(|k| format!("ndcg@{k}"));
    recalls.chain(gains).chain([format!("mrr@{}", protocol.reciprocal_rank_at)]).collect()
}

/// The measures of one case, and what was shown to it.
fn judge(ranker: &dyn Ranker, case: &Case, protocol: &Protocol) -> (Vec<f64>, Vec<MovieIndex>) {
    let exclude: Vec<MovieIndex> = case.history.iter().map(|&(movie, _)| movie).collect();
    let mut ranking = ranker.rank(case.user, &case.history, protocol.depth(), &exclude);
    let targets = Targets::new(&case.targets);
    let recalls = protocol.recall_at.iter().map(|&k| targets.recall(&ranking, k, protocol.recall_base));
    let gains = protocol.ndcg_at.iter().map(|&k| targets.ndcg(&ranking, k));
    let first = targets.reciprocal_rank(&ranking, protocol.reciprocal_rank_at);
    let values = recalls.chain(gains).chain([first]).collect();
    ranking.truncate(protocol.coverage_at);
    (values, ranking)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Popularity, like_counts};
    use cinedex_vectors::Csr;

    #[test]
    fn popularity_by_hand() {
        // Likes of movies 0 to 3: 3, 2, 1, 0.
        let likes = [(0, 0, 1.0), (1, 0, 1.0), (2, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0), (0, 2, 1.0)];
        let training = Csr::from_triplets(3, 4, likes);
        let case = |history: &[u32], targets: &[u32]| Case {
            user: None,
            history: history.iter().map(|&movie| (MovieIndex(movie), 1.0)).collect(),
            targets: targets.iter().copied().map(MovieIndex).collect(),
        };
        let cases = [case(&[0], &[2]), case(&[1], &[0, 3]), case(&[2], &[])];
        let protocol = Protocol {
            recall_at: vec![1],
            ndcg_at: vec![2],
            reciprocal_rank_at: 2,
            coverage_at: 1,
            ..Protocol::strong()
        };
        let likes = like_counts(&training);
        let mut result = evaluate(&Popularity::new(&likes), &cases, &protocol, &likes);
        // The first is shown 1, 2, 3 and finds 2 second; the second 0, 2, 3 and finds 0 first, 3 beyond the second.
        let second = 1.0 / 3f64.log2();
        let expect = [
            ("coverage@1", 0.5),
            ("mean_popularity@1", 2.5),
            ("mrr@2", 0.75),
            ("ndcg@2", f64::midpoint(second, 1.0 / (1.0 + second))),
            ("recall@1", 0.5),
        ];
        assert_eq!(result.users, 2);
        for ((name, value), (expected_name, expected)) in result.metrics.iter().zip(expect) {
            assert!(name == expected_name && (value - expected).abs() < 1e-12, "{name} {value} {expected}");
        }
        assert!((result.standard_errors["recall@1"] - 0.5).abs() < 1e-12);
        let json = serde_json::to_value(&result).unwrap();
        assert_eq!((json["model"].as_str(), json["dimension"].is_null()), (Some("popularity"), true));
        assert!(["paired", "per_user", "shown"].iter().all(|field| json.get(field).is_none()));
        result.add_variety(&protocol, &Audiences::new(&training));
        // Shown are movie 1, of two of three users, and movie 0, of all of them.
        assert!((result.metrics["novelty@1"] - 1.5f64.log2() / 2.0).abs() < 1e-12);
        assert_eq!(result.metrics["intra_list_diversity@1"], 0.0);
        result.pair(&result.clone());
        let json = serde_json::to_value(&result).unwrap();
        let recall = &json["paired"]["metrics"]["recall@1"];
        assert_eq!(json["paired"]["against"], "popularity");
        assert_eq!(
            (recall["difference"].as_f64(), recall["within_noise"].as_bool()),
            (Some(0.0), Some(true))
        );
        assert!(json["paired"]["metrics"].get("coverage@1").is_none(), "no mean over users");
    }

    #[test]
    fn nobody_gives_zeros() {
        let training = Csr::from_triplets(0, 0, []);
        let mut result = evaluate(&Popularity::new(&[]), &[], &Protocol::temporal(), &[]);
        result.add_variety(&Protocol::temporal(), &Audiences::new(&training));
        assert!(result.users == 0 && result.metrics.values().all(|value| *value == 0.0));
    }
}
