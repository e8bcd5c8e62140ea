//! Users as if new: of each nothing is known but where they live, their gender and their age, and what their group likes is
//! held against what everybody likes.

use std::collections::{BTreeMap, BTreeSet};

use cinedex_dataset::{DataRoot, Dataset, Opinions};
use cinedex_domain::{LIKED, MovieIndex, PreferencePolicy, Progress, Step, User};
use cinedex_model::{GroupPopularity, GroupTree};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::PipelineError;
use crate::cold::{ColdCase, ColdEvaluation, ColdJudge, Scope};

/// Fixed strengths, in users, beside which the learned ones are shown.
const FIXED_USERS: [u32; 3] = [10, 100, 1000];
/// More ages than these are numbers of years, not groups.
const MOST_AGE_GROUPS: usize = 10;
/// Youngest age of each group of ages but the first, as MovieLens 1M has them.
const AGE_GROUPS: [u32; 6] = [18, 25, 35, 45, 50, 56];

/// How users are split.
#[derive(Debug, Clone)]
pub struct ColdUsersRequest {
    /// Parts of the users; each is judged on what the others like.
    pub folds: usize,
    /// Seed of the split.
    pub seed: u64,
}

impl Default for ColdUsersRequest {
    fn default() -> Self {
        Self { folds: 5, seed: 42 }
    }
}

/// Judges popularity everywhere, in places and in groups, for users of whom nothing else is known. All that a user likes is to be
/// found; each user is judged once.
pub fn evaluate_cold_users(
    data: &DataRoot,
    name: &str,
    request: &ColdUsersRequest,
    progress: Progress<'_>,
) -> Result<ColdEvaluation, PipelineError> {
    let dataset = Dataset::load(data, name)?;
    let opinions = Opinions::of(&dataset, &PreferencePolicy::default());
    let likes: Vec<(u32, u32)> = opinions
        .triplets()
        .filter(|(_, _, preference)| *preference >= LIKED)
        .map(|(user, movie, _)| (user, movie))
        .collect();
    let cases = cases(dataset.users.len(), &likes);
    if cases.is_empty() {
        return Err(PipelineError::NothingToJudge { held_out: format!("\"{name}\"") });
    }
    let fold_of = folds(dataset.users.len(), request);
    let trees = trees(&dataset.users);
    let mut rates = Vec::new();
    let mut strengths = BTreeMap::new();
    for fold in 0..request.folds {
        progress(Step::new("judge", fold as u64, Some(request.folds as u64)));
        let known: Vec<(u32, u32)> =
            likes.iter().filter(|(user, _)| fold_of[*user as usize] != fold).copied().collect();
        rates.push(FoldRates::new(&trees, dataset.movies.len(), &known, dataset.users.len(), &mut strengths));
    }
    let mut judge = judge(&cases, dataset.movies.len());
    for name in rates[0].rankings.keys() {
        judge.judge(name, |user, scores| rates[fold_of[user as usize]].score(name, user, scores));
    }
    let pairs: Vec<(&str, &str)> =
        rates[0].rankings.keys().filter(|name| *name != WORLD).map(|name| (&name[..], WORLD)).collect();
    Ok(ColdEvaluation {
        protocol: "cold-users",
        users: cases.len(),
        held_out_movies: 0,
        learned: json!({ "strengths": strengths }),
        rankings: judge.rankings(&pairs),
    })
}

/// The ranking that every other one is held against.
const WORLD: &str = "world";

/// A tree of groups and its name.
struct NamedTree {
    name: &'static str,
    tree: GroupTree,
}

/// What is popular in the groups of one fold's training.
struct FoldRates<'a> {
    trees: &'a [NamedTree],
    /// By name of the ranking: the position of its tree, and for each group scores of all movies.
    rankings: BTreeMap<String, Ranking>,
}

enum Ranking {
    Groups {
        tree: usize,
        rates: Vec<Vec<f32>>,
    },
    /// `rate_place rate_group / rate_world` of two rankings.
    Both {
        place: String,
        group: String,
    },
}

impl<'a> FoldRates<'a> {
    fn new(
        trees: &'a [NamedTree],
        movie_count: usize,
        likes: &[(u32, u32)],
        user_count: usize,
        strengths: &mut BTreeMap<String, Vec<Value>>,
    ) -> Self {
        let likes_a_user = likes.len() as f32 / user_count as f32;
        let mut rankings = BTreeMap::new();
        for (tree, NamedTree { name, tree: groups }) in trees.iter().enumerate() {
            let learned = GroupPopularity::learn(groups, movie_count, likes);
            let levels = learned.strengths().len();
            strengths.entry((*name).to_owned()).or_default().push(json!(learned.strengths()));
            let world = learned.strengths().first().copied().unwrap_or(0.0);
            let mut add = |name: String, popularity: &GroupPopularity<'_>| {
                rankings.insert(name, Ranking::Groups { tree, rates: popularity.rates() });
            };
            add(format!("{name} learned"), &learned);
            let fixed = |strength| [vec![world], vec![strength; levels - 1]].concat();
            add(format!("{name} unshrunk"), &learned.with_strengths(fixed(0.0)));
            for users in FIXED_USERS {
                let strength = users as f32 * likes_a_user;
                add(format!("{name} prior {users:>4} users"), &learned.with_strengths(fixed(strength)));
            }
            if tree == 0 {
                add(WORLD.to_owned(), &learned.with_strengths(fixed(f32::MAX.sqrt())));
            }
        }
        let learned = |name: &str| format!("{name} learned");
        let has = |rankings: &BTreeMap<String, Ranking>, name: &str| rankings.contains_key(&learned(name));
        for (place, group) in [("state", "gender-age"), ("zip3", "gender-age")] {
            if has(&rankings, place) && has(&rankings, group) {
                let both = Ranking::Both { place: learned(place), group: learned(group) };
                rankings.insert(format!("{place} and {group} learned"), both);
            }
        }
        Self { trees, rankings }
    }

    fn score(&self, name: &str, user: u32, scores: &mut [f32]) {
        match &self.rankings[name] {
            Ranking::Groups { tree, rates } => {
                scores.copy_from_slice(&rates[self.trees[*tree].tree.of_user[user as usize] as usize]);
            }
            Ranking::Both { place, group } => {
                self.score(place, user, scores);
                let [mut in_group, mut world] = [scores.to_vec(), scores.to_vec()];
                self.score(group, user, &mut in_group);
                self.score(WORLD, user, &mut world);
                for (score, (group, world)) in scores.iter_mut().zip(in_group.iter().zip(world)) {
                    *score *= group / world.max(f32::MIN_POSITIVE);
                }
            }
        }
    }
}

fn judge(cases: &[ColdCase], movie_count: usize) -> ColdJudge<'_> {
    let scope = Scope { prefix: "", movies: None, recall_at: vec![10, 50], ndcg_at: vec![10, 100] };
    ColdJudge::new(cases, vec![scope], movie_count)
}

/// Everybody who likes something; likes stand by user.
fn cases(user_count: usize, likes: &[(u32, u32)]) -> Vec<ColdCase> {
    let mut cases: Vec<ColdCase> = (0..user_count as u32)
        .map(|user| ColdCase { user, left_out: Vec::new(), targets: Vec::new() })
        .collect();
    for &(user, movie) in likes {
        cases[user as usize].targets.push(MovieIndex(movie));
    }
    cases.retain(|case| !case.targets.is_empty());
    cases
}

/// The fold of each user.
fn folds(user_count: usize, request: &ColdUsersRequest) -> Vec<usize> {
    let mut fold_of: Vec<usize> = (0..user_count).map(|user| user % request.folds).collect();
    fold_of.shuffle(&mut ChaCha8Rng::seed_from_u64(request.seed));
    fold_of
}

/// The groupings for which the data set knows something.
fn trees(users: &[User]) -> Vec<NamedTree> {
    let ages: BTreeSet<&str> = users.iter().filter_map(|user| attribute(user, "age")).collect();
    let grouped = ages.len() <= MOST_AGE_GROUPS;
    let place = |user: &User| -> Vec<String> {
        user.location.iter().flat_map(|place| place.as_str().split('/').map(str::to_owned)).collect()
    };
    let zip3 = |user: &User| {
        let mut path = place(user);
        let prefix = attribute(user, "zip_code").and_then(|zip| zip.get(..3)).filter(|_| !path.is_empty());
        path.extend(prefix.map(str::to_owned));
        path
    };
    let gender = |user: &User| attribute(user, "gender").map(str::to_owned).into_iter().collect::<Vec<_>>();
    let gender_age = |user: &User| {
        let mut path = gender(user);
        let age = attribute(user, "age").filter(|_| !path.is_empty());
        path.extend(age.map(|age| if grouped { age.to_owned() } else { age_group(age) }));
        path
    };
    let age = |user: &User| {
        let age = attribute(user, "age").map(|age| if grouped { age.to_owned() } else { age_group(age) });
        age.into_iter().collect::<Vec<_>>()
    };
    let named = |name, path: &dyn Fn(&User) -> Vec<String>| NamedTree {
        name,
        tree: GroupTree::new(&users.iter().map(path).collect::<Vec<_>>()),
    };
    let trees = [
        named("state", &place),
        named("zip3", &zip3),
        named("gender", &gender),
        named("age", &age),
        named("gender-age", &gender_age),
    ];
    let known: Vec<NamedTree> = trees.into_iter().filter(|named| named.tree.parents.len() > 1).collect();
    if known.is_empty() { vec![named("everybody", &|_| Vec::new())] } else { known }
}

fn attribute<'a>(user: &'a User, name: &str) -> Option<&'a str> {
    user.attributes.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// The group of an age in years; what is no number is its own group.
fn age_group(age: &str) -> String {
    let Ok(years) = age.parse::<u32>() else { return age.to_owned() };
    AGE_GROUPS.iter().rev().find(|from| years >= **from).map_or_else(|| "under 18".to_owned(), u32::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{NAME, small};

    #[test]
    fn where_nothing_is_known_of_users_everybody_is_one_group() {
        let (_folder, root) = small();
        let request = ColdUsersRequest::default();
        let found = evaluate_cold_users(&root, NAME, &request, &cinedex_domain::silent).unwrap();
        let ranking = |name: &str| found.rankings.iter().find(|ranking| ranking.model == name).unwrap();
        assert_eq!(found.users, 40);
        assert_eq!(ranking("everybody learned").differences[WORLD]["ndcg@10"].mean, 0.0);
        assert!(ranking(WORLD).differences.is_empty());
    }

    #[test]
    fn groups_that_like_apart_are_served_apart_and_both_at_once() {
        let user = |row: u32| {
            let mut user = User::new(cinedex_domain::UserId::new(&row.to_string()).unwrap());
            user.location = row.is_multiple_of(2).then(|| "KR/11".parse().unwrap());
            let gender = if row % 4 < 2 { "F" } else { "M" };
            user.attributes =
                [("gender".to_owned(), gender.to_owned()), ("age".to_owned(), "25".to_owned())].into();
            user
        };
        let users: Vec<User> = (0..400).map(user).collect();
        let trees = trees(&users);
        // Places decide between films 0 and 1, genders between films 2 and 3.
        let likes: Vec<(u32, u32)> =
            (0..400).flat_map(|user| [(user, user % 2), (user, 2 + user % 4 / 2)]).collect();
        let rates = FoldRates::new(&trees, 4, &likes, 400, &mut BTreeMap::new());
        let mut scores = [0.0; 4];
        rates.score("state and gender-age learned", 2, &mut scores);
        assert!(scores[0] > scores[1] && scores[3] > scores[2], "{scores:?}");
        rates.score(WORLD, 2, &mut scores);
        assert!((scores[0] - scores[1]).abs() < 1e-3 && (scores[2] - scores[3]).abs() < 1e-3, "{scores:?}");
    }

    #[test]
    fn ages_in_years_are_grouped() {
        assert_eq!(
            ["7", "18", "49", "50", "99", "under 18"].map(age_group),
            ["under 18", "18", "45", "50", "56", "under 18"]
        );
    }
}
