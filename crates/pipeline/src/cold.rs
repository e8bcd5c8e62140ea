//! What the protocols for cold films and cold users share: rankings judged on the same users, and their paired differences.

use std::collections::BTreeMap;

use cinedex_domain::MovieIndex;
use cinedex_model::{RecallBase, Targets};
use cinedex_vectors::TopK;
use serde_json::{Value, json};

/// What a protocol for cold films or users found.
#[derive(Debug, Clone, PartialEq)]
pub struct ColdEvaluation {
    /// `cold-movies` or `cold-users`.
    pub protocol: &'static str,
    /// Users who were ranked for.
    pub users: usize,
    /// Films held out; none in `cold-users`.
    pub held_out_movies: usize,
    /// What was learned: settings of the metadata, strengths of groups.
    pub learned: Value,
    /// In the order in which they are best read.
    pub rankings: Vec<ColdRanking>,
}

/// One way to rank.
#[derive(Debug, Clone, PartialEq)]
pub struct ColdRanking {
    /// Its name.
    pub model: String,
    /// Means over users by name and depth, `held-out ndcg@10`.
    pub metrics: BTreeMap<String, Figure>,
    /// Paired differences to other rankings by their names: this one less the other.
    pub differences: BTreeMap<String, BTreeMap<String, Figure>>,
}

/// Mean over users and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Mean.
    pub mean: f64,
    /// Standard error of the mean.
    pub standard_error: f64,
}

/// One user: what is neither candidate nor target, and what is to be found.
pub(crate) struct ColdCase {
    pub(crate) user: u32,
    pub(crate) left_out: Vec<u32>,
    pub(crate) targets: Vec<MovieIndex>,
}

/// Films that are ranked among themselves.
pub(crate) struct Scope {
    /// Before the metric's name, with a space; empty for none.
    pub(crate) prefix: &'static str,
    /// Rows, all of the catalogue if `None`.
    pub(crate) movies: Option<Vec<u32>>,
    pub(crate) recall_at: Vec<usize>,
    pub(crate) ndcg_at: Vec<usize>,
}

impl Scope {
    fn names(&self) -> Vec<String> {
        let recalls = self.recall_at.iter().map(|k| format!("{}recall@{k}", self.prefix));
        recalls.chain(self.ndcg_at.iter().map(|k| format!("{}ndcg@{k}", self.prefix))).collect()
    }

    fn measure(&self, scores: &[f32], targets: &Targets) -> impl Iterator<Item = f64> {
        let depth = self.recall_at.iter().chain(&self.ndcg_at).copied().max().unwrap_or(0);
        let mut top = TopK::new(depth);
        match &self.movies {
            Some(movies) => movies.iter().for_each(|&movie| top.push(movie, scores[movie as usize])),
            None => top.push_all(0, scores),
        }
        let ranking: Vec<MovieIndex> =
            top.into_sorted().into_iter().map(|hit| MovieIndex(hit.index)).collect();
        let recall = |&k: &usize| targets.recall(&ranking, k, RecallBase::AtMostK);
        let gain = |&k: &usize| targets.ndcg(&ranking, k);
        self.recall_at.iter().map(recall).chain(self.ndcg_at.iter().map(gain)).collect::<Vec<_>>().into_iter()
    }
}

/// Judges rankings on the same cases and keeps every user's figures.
pub(crate) struct ColdJudge<'a> {
    cases: &'a [ColdCase],
    scopes: Vec<Scope>,
    movie_count: usize,
    /// By ranking, then by user, then by metric.
    judged: Vec<(String, Vec<Vec<f64>>)>,
}

impl<'a> ColdJudge<'a> {
    pub(crate) fn new(cases: &'a [ColdCase], scopes: Vec<Scope>, movie_count: usize) -> Self {
        Self { cases, scopes, movie_count, judged: Vec::new() }
    }

    /// `score(user, scores)` fills a score for every movie of the catalogue. Rankings judged before under the same name, on other users,
    /// are continued.
    pub(crate) fn judge(&mut self, name: &str, mut score: impl FnMut(u32, &mut [f32])) {
        let mut scores = vec![0.0f32; self.movie_count];
        let mut figures = Vec::with_capacity(self.cases.len());
        for case in self.cases {
            score(case.user, &mut scores);
            for &movie in &case.left_out {
                scores[movie as usize] = f32::NAN;
            }
            let targets = Targets::new(&case.targets);
            figures.push(self.scopes.iter().flat_map(|scope| scope.measure(&scores, &targets)).collect());
        }
        self.judged.push((name.to_owned(), figures));
    }

    /// Means, and the paired differences of the named pairs.
    pub(crate) fn rankings(&self, pairs: &[(&str, &str)]) -> Vec<ColdRanking> {
        let names: Vec<String> = self.scopes.iter().flat_map(Scope::names).collect();
        let by_metric = |value: &dyn Fn(usize, usize) -> f64| -> BTreeMap<String, Figure> {
            let figure = |metric| Figure::of((0..self.cases.len()).map(|user| value(user, metric)).collect());
            names.iter().enumerate().map(|(metric, name)| (name.clone(), figure(metric))).collect()
        };
        let find =
            |name: &str| self.judged.iter().find(|(judged, _)| judged == name).map(|(_, figures)| figures);
        let ranking = |(model, own): &(String, Vec<Vec<f64>>)| {
            let rivals = pairs.iter().filter(|(name, _)| name == model);
            let differences = rivals.filter_map(|(_, rival)| {
                let other = find(rival)?;
                Some((rival.to_string(), by_metric(&|user, metric| own[user][metric] - other[user][metric])))
            });
            ColdRanking {
                model: model.clone(),
                metrics: by_metric(&|user, metric| own[user][metric]),
                differences: differences.collect(),
            }
        };
        self.judged.iter().map(ranking).collect()
    }
}

impl Figure {
    fn of(values: Vec<f64>) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { mean, standard_error: (squares / (count - 1.0).max(1.0) / count).sqrt() }
    }

    fn json(figures: &BTreeMap<String, Self>) -> Value {
        let figure = |(name, figure): (&String, &Self)| {
            (name.clone(), json!({ "mean": figure.mean, "standard_error": figure.standard_error }))
        };
        Value::Object(figures.iter().map(figure).collect())
    }
}

impl ColdEvaluation {
    /// The document that the command line prints.
    pub fn to_json(&self) -> Value {
        let ranking = |ranking: &ColdRanking| {
            let differences =
                ranking.differences.iter().map(|(rival, figures)| (rival.clone(), Figure::json(figures)));
            json!({
                "model": ranking.model,
                "metrics": Figure::json(&ranking.metrics),
                "differences": Value::Object(differences.collect()),
            })
        };
        json!({
            "protocol": self.protocol,
            "users": self.users,
            "held_out_movies": self.held_out_movies,
            "learned": self.learned,
            "rankings": self.rankings.iter().map(ranking).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_are_judged_on_the_same_users_and_compared_in_pairs() {
        let case = |user, target| ColdCase { user, left_out: vec![0], targets: vec![MovieIndex(target)] };
        let cases = [case(0, 1), case(1, 2)];
        let scope =
            Scope { prefix: "held-out ", movies: Some(vec![0, 1, 2]), recall_at: vec![1], ndcg_at: vec![] };
        let mut judge = ColdJudge::new(&cases, vec![scope], 4);
        judge.judge("one", |_, scores| scores.copy_from_slice(&[9.0, 2.0, 1.0, 8.0]));
        judge.judge("own", |user, scores| scores.copy_from_slice(&[9.0, 1.0, 2.0 * user as f32, 8.0]));
        let rankings = judge.rankings(&[("own", "one"), ("own", "missing")]);
        let name = "held-out recall@1";
        assert_eq!(rankings[0].metrics[name], Figure { mean: 0.5, standard_error: 0.5 });
        assert_eq!(rankings[1].metrics[name], Figure { mean: 1.0, standard_error: 0.0 });
        assert_eq!(rankings[1].differences["one"][name], Figure { mean: 0.5, standard_error: 0.5 });
        assert_eq!(rankings[1].differences.len(), 1);
    }
}
