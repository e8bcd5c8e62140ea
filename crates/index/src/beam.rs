//! The walk of a graph towards a query by coded vectors: a beam of the best nodes so far, of which the best that was not yet is
//! expanded (Malkov & Yashunin 2018, Algorithm 2). It knows nothing of files and movies; what it finds is scored in full elsewhere.

use std::cell::RefCell;

use cinedex_vectors::{CodedQuery, CodesView, prefetch};

/// Nodes have so many numbers at most; what is left of a word holds two marks.
pub(crate) const MAX_NODES: usize = 1 << 30;
/// Bits of a packed candidate below its node: waiting to be expanded, and let through.
const WAITING: u64 = 1;
const ACCEPTED: u64 = 2;
/// How many times its breadth a beam may hold of nodes that are not let through, and how many at least.
const CROWD: usize = 16;
const LEAST_CROWD: usize = 1024;

/// So many of the first nodes a walk begins at, those nearest to the query.
const DOORS: usize = 4;

/// How many of so many nodes, the first, are scored to find where a walk begins: the root of the number, as many as a node has
/// others around it on average. They stand for the upper layers of the paper, at less cost and with fewer concepts.
pub(crate) fn entrances(nodes: usize) -> usize {
    nodes.isqrt()
}

/// Links of the nodes.
pub(crate) trait Links {
    /// The nodes that `node` links to.
    fn of(&self, node: u32) -> &[u32];
}

/// The nodes' vectors as codes, and the number by which the product of a node's codes with the query's is to be multiplied.
#[derive(Clone, Copy)]
pub(crate) struct Coded<'a> {
    pub(crate) codes: CodesView<'a>,
    pub(crate) scales: &'a [f32],
}

/// How far a walk goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Nodes kept, 1 or more.
    pub(crate) ef: usize,
    /// Nodes scored after which it gives up.
    pub(crate) limit: usize,
}

impl Effort {
    /// To the end.
    pub(crate) fn of(ef: usize) -> Self {
        Self { ef, limit: usize::MAX }
    }
}

/// Working memory of a search, which allocates nothing once it has grown.
#[derive(Default)]
pub(crate) struct Beam {
    /// One bit a node.
    visited: Vec<u64>,
    /// Nodes whose bit is set.
    touched: Vec<u32>,
    /// Packed candidates, the best first. Behind the last that is let through none follows once there are enough.
    pool: Vec<u64>,
    /// Before this place of the pool all are expanded.
    cursor: usize,
    /// How many of the pool are let through.
    accepted: usize,
    /// Neighbours at hand, and the products of their codes with the query's.
    unseen: Vec<u32>,
    products: Vec<i32>,
}

thread_local! {
    static BEAM: RefCell<Beam> = RefCell::default();
}

impl Beam {
    /// Lends the thread's own.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        BEAM.with_borrow_mut(work)
    }

    /// Walks from `starts` and leaves at most `ef` nodes that `accept` lets through; see [`Beam::found`]. `false` if it
    /// gave up because `limit` nodes had been scored.
    pub(crate) fn search(
        &mut self,
        space: Coded<'_>,
        links: &impl Links,
        query: &CodedQuery,
        starts: &[u32],
        Effort { ef, limit }: Effort,
        accept: impl Fn(u32) -> bool,
    ) -> bool {
        self.reset(space.scales.len());
        self.take_unvisited(starts);
        self.offer_unseen(space, query, ef, &accept);
        while let Some(&candidate) = self.pool.get(self.cursor) {
            if candidate & WAITING == 0 {
                self.cursor += 1;
                continue;
            }
            if self.touched.len() >= limit {
                return false;
            }
            self.pool[self.cursor] = candidate & !WAITING;
            self.cursor += 1;
            self.take_unvisited(links.of(node_of(candidate)));
            if let Some(&next) = self.pool.get(self.cursor) {
                prefetch(links.of(node_of(next)));
            }
            self.offer_unseen(space, query, ef, &accept);
        }
        true
    }

    /// How many nodes the last search scored on its way.
    pub(crate) fn scored(&self) -> usize {
        self.touched.len()
    }

    /// What the last search found, the best first: product of codes times scale, and node.
    pub(crate) fn found(&self) -> impl Iterator<Item = (f32, u32)> {
        let accepted = self.pool.iter().filter(|&&candidate| candidate & ACCEPTED != 0);
        accepted.map(|&candidate| (score_of(candidate), node_of(candidate)))
    }

    /// Scores the entrances and adds the nearest few of them to `starts`.
    pub(crate) fn enter(&mut self, space: Coded<'_>, query: &CodedQuery, starts: &mut Vec<u32>) {
        let entrances = entrances(space.scales.len());
        self.products.resize(entrances, 0);
        space.codes.inner_products(0, query, &mut self.products);
        let mut nearest = [(f32::NEG_INFINITY, 0); DOORS];
        for ((node, &scale), &product) in (0..).zip(space.scales).zip(&self.products) {
            let score = scale * product as f32;
            if score > nearest[DOORS - 1].0 {
                let place = nearest.partition_point(|&(other, _)| other >= score);
                nearest[place..].rotate_right(1);
                nearest[place] = (score, node);
            }
        }
        starts.extend(nearest.iter().take(entrances).map(|&(_, node)| node));
    }

    fn reset(&mut self, nodes: usize) {
        for node in self.touched.drain(..) {
            self.visited[node as usize / 64] = 0;
        }
        self.visited.resize(nodes.div_ceil(64).max(self.visited.len()), 0);
        self.pool.clear();
        (self.cursor, self.accepted) = (0, 0);
    }

    /// Which neighbours are new is known before any is scored, so that memory can be asked for all of them at once.
    #[inline]
    fn take_unvisited(&mut self, nodes: &[u32]) {
        self.unseen.resize(nodes.len(), 0);
        let mut count = 0;
        for &node in nodes {
            let word = &mut self.visited[node as usize / 64];
            let bit = 1 << (node % 64);
            // Without a branch, which nothing could foretell.
            self.unseen[count] = node;
            count += usize::from(*word & bit == 0);
            *word |= bit;
        }
        self.unseen.truncate(count);
        self.touched.extend_from_slice(&self.unseen);
    }

    #[inline]
    fn offer_unseen(
        &mut self,
        space: Coded<'_>,
        query: &CodedQuery,
        ef: usize,
        accept: &impl Fn(u32) -> bool,
    ) {
        let unseen = std::mem::take(&mut self.unseen);
        let mut products = std::mem::take(&mut self.products);
        products.resize(unseen.len(), 0);
        space.codes.inner_products_of(&unseen, query, &mut products);
        let crowd = ef.saturating_mul(CROWD).max(LEAST_CROWD);
        let mut least = self.least(ef, crowd);
        for (&node, &product) in unseen.iter().zip(&products) {
            let score = score(space, node, product);
            if score > least {
                self.insert(pack(score, node, accept(node)), ef, crowd);
                least = self.least(ef, crowd);
            }
        }
        (self.unseen, self.products) = (unseen, products);
    }

    /// What is not above this cannot enter any more.
    #[inline]
    fn least(&self, ef: usize, crowd: usize) -> f32 {
        if self.accepted < ef && self.pool.len() < crowd {
            return f32::NEG_INFINITY;
        }
        self.pool.last().map_or(f32::NEG_INFINITY, |&last| score_of(last))
    }

    #[inline]
    fn insert(&mut self, candidate: u64, ef: usize, crowd: usize) {
        let place = self.pool.partition_point(|&other| other > candidate);
        self.pool.insert(place, candidate);
        self.cursor = self.cursor.min(place);
        self.accepted += usize::from(candidate & ACCEPTED != 0);
        if self.accepted > ef || self.pool.len() > crowd {
            self.drop_last();
        }
        if self.accepted == ef {
            while self.pool.last().is_some_and(|&last| last & ACCEPTED == 0) {
                self.drop_last();
            }
        }
    }

    #[inline]
    fn drop_last(&mut self) {
        if let Some(last) = self.pool.pop() {
            self.accepted -= usize::from(last & ACCEPTED != 0);
        }
    }
}

#[inline]
fn score(space: Coded<'_>, node: u32, product: i32) -> f32 {
    space.scales[node as usize] * product as f32
}

/// A score and a node as one number that orders by score, and among equal scores prefers the lower node.
#[inline]
fn pack(score: f32, node: u32, accepted: bool) -> u64 {
    let bits = score.to_bits();
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    let node = u64::from(MAX_NODES as u32 - 1 - node) << 2;
    u64::from(ordered) << 32 | node | u64::from(accepted) << 1 | WAITING
}

#[inline]
fn node_of(candidate: u64) -> u32 {
    MAX_NODES as u32 - 1 - (candidate as u32 >> 2)
}

#[inline]
fn score_of(candidate: u64) -> f32 {
    let ordered = (candidate >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_numbers_order_by_score_and_then_by_node(
            a in -2f32..2.0, b in -2f32..2.0, m in 0u32..9, n in 0u32..9, accepted: bool,
        ) {
            prop_assert_eq!((score_of(pack(a, m, accepted)), node_of(pack(a, m, accepted))), (a, m));
            prop_assert_eq!(pack(a, m, accepted) & ACCEPTED != 0, accepted);
            if a != b {
                prop_assert_eq!(pack(a, m, accepted) > pack(b, n, true), a > b);
            }
            if m != n {
                prop_assert_eq!(pack(a, m, accepted) > pack(a, n, true), m < n);
            }
        }
    }
}
