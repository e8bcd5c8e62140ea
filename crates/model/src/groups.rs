//! Popularity of groups of users: by attributes (gender, age) as by places, each group leaning on the one around it as strongly as
//! predicts held-out users best. The mathematics are those of places, see [`crate::learn_prior`].

use std::collections::BTreeMap;

use cinedex_vectors::Csr;

use crate::{PlaceEvent, learn_prior, place_counts, shrunk_rates, uniform_rates};

/// Groups within groups: row 0 is everybody, a group stands after the one around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTree {
    /// The row of the group around each; `None` for everybody.
    pub parents: Vec<Option<u32>>,
    /// For each user the row of the narrowest group.
    pub of_user: Vec<u32>,
}

impl GroupTree {
    /// From each user's way from the widest to the narrowest group, `["F", "25"]`; a user of whom nothing is known has an empty one, and
    /// counts for everybody only.
    pub fn new<S: Ord + Clone>(paths: &[Vec<S>]) -> Self {
        let mut rows: BTreeMap<&[S], u32> = BTreeMap::new();
        for path in paths {
            for length in 0..=path.len() {
                rows.insert(&path[..length], 0);
            }
        }
        rows.insert(&[], 0);
        // Sorted, a path stands after its own beginnings, the empty one first.
        for (row, place) in (0..).zip(rows.values_mut()) {
            *place = row;
        }
        let parents = rows.keys().map(|path| path.split_last().map(|(_, around)| rows[around])).collect();
        Self { parents, of_user: paths.iter().map(|path| rows[&path[..]]).collect() }
    }

    /// A user's like as [`crate::learn_prior`] and [`crate::place_counts`] take it.
    pub fn event(&self, user: u32, movie: u32) -> PlaceEvent {
        PlaceEvent { place: self.of_user[user as usize], user, movie }
    }

    /// How many groups are around each.
    pub fn levels(&self) -> Vec<usize> {
        let mut levels = Vec::with_capacity(self.parents.len());
        for parent in &self.parents {
            levels.push(parent.map_or(0, |parent: u32| levels[parent as usize] + 1));
        }
        levels
    }
}

/// What is popular in each group of a tree.
#[derive(Debug, Clone)]
pub struct GroupPopularity<'a> {
    tree: &'a GroupTree,
    levels: Vec<usize>,
    movie_count: usize,
    counts: Csr<f32>,
    totals: Vec<u64>,
    strengths: Vec<f32>,
}

impl<'a> GroupPopularity<'a> {
    /// Counts `likes`, `(user, movie)`, and learns how strongly each level leans on the one above from held-out users among them. Panics
    /// if a row is out of range.
    pub fn learn(tree: &'a GroupTree, movie_count: usize, likes: &[(u32, u32)]) -> Self {
        let events: Vec<PlaceEvent> = likes.iter().map(|&(user, movie)| tree.event(user, movie)).collect();
        let strengths = learn_prior(&tree.parents, movie_count, &events);
        let (counts, totals) = place_counts(&tree.parents, movie_count, events);
        Self { tree, levels: tree.levels(), movie_count, counts, totals, strengths }
    }

    /// Strengths of the levels in likes, everybody first, as [`crate::learn_prior`] has them.
    pub fn strengths(&self) -> &[f32] {
        &self.strengths
    }

    /// The same counts with other strengths, one a level.
    #[must_use]
    pub fn with_strengths(&self, strengths: Vec<f32>) -> Self {
        Self { strengths, ..self.clone() }
    }

    /// Rates of every group: groups × movies, each row summing to 1. A level without a strength leans on nothing.
    pub fn rates(&self) -> Vec<Vec<f32>> {
        let uniform = uniform_rates(self.movie_count);
        let mut rates: Vec<Vec<f32>> = Vec::with_capacity(self.levels.len());
        for (group, &level) in self.levels.iter().enumerate() {
            let around = self.tree.parents[group].map_or(&uniform, |parent| &rates[parent as usize]);
            let strength = self.strengths.get(level).copied().unwrap_or(0.0);
            rates.push(shrunk_rates(around, self.counts.row(group), self.totals[group] as f32, strength));
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(count: u32) -> Vec<Vec<&'static str>> {
        let path = |user: u32| match user % 5 {
            0 => vec![],
            1 => vec!["F", "18"],
            2 => vec!["F", "25"],
            3 => vec!["M", "18"],
            _ => vec!["M"],
        };
        (0..count).map(path).collect()
    }

    #[test]
    fn a_tree_has_every_beginning_of_every_path() {
        let tree = GroupTree::new(&paths(10));
        assert_eq!(tree.parents, [None, Some(0), Some(1), Some(1), Some(0), Some(4)]);
        assert_eq!(tree.of_user[..5], [0, 2, 3, 5, 4]);
        assert_eq!(tree.levels(), [0, 1, 2, 2, 1, 2]);
        let nobody = GroupTree::new::<&str>(&[]);
        assert_eq!((nobody.parents, nobody.of_user), (vec![None], vec![]));
    }

    #[test]
    fn groups_apart_lean_less_than_groups_alike() {
        let tree = GroupTree::new(&paths(1000));
        let likes = |film: fn(u32, u32) -> u32| -> Vec<(u32, u32)> {
            (0..1000).flat_map(|user| (0..8).map(move |event| (user, film(user, event)))).collect()
        };
        let mixed = |user: u32, event: u32| (user * 7919 + event * 104_729).wrapping_mul(2_654_435_761) >> 28;
        assert!(mixed(999, 7) < 16);
        let alike = likes(|user, event| (user * 7919 + event * 104_729).wrapping_mul(2_654_435_761) >> 28);
        let apart = likes(|user, event| {
            ((user * 7919 + event * 104_729).wrapping_mul(2_654_435_761) >> 29) + 8 * (user % 5 / 3)
        });
        let [alike, apart] = [&alike, &apart].map(|likes| GroupPopularity::learn(&tree, 16, likes));
        assert!(
            alike.strengths()[1] > 10.0 * apart.strengths()[1],
            "{:?} {:?}",
            alike.strengths(),
            apart.strengths()
        );
        for group in apart.rates() {
            assert!((group.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
        let plain = apart.with_strengths(vec![]).rates();
        assert_eq!(plain[1][8..].iter().sum::<f32>(), 0.0, "unshrunk, women like nothing of men's");
        let drawn = apart.with_strengths(vec![0.0, 1e12, 1e12]).rates();
        assert!(drawn[2].iter().zip(&drawn[0]).all(|(group, everybody)| (group - everybody).abs() < 1e-4));
    }
}
