//! Betters the lowest layer of a graph that was built fast and roughly. Every node searches the graph as it is for its nearest,
//! keeps those that lie in different directions, and is linked back (Malkov & Yashunin 2018, Algorithms 1 and 4; the rounds over
//! all nodes are those of Fu et al. 2019, "Fast approximate nearest neighbor search with the navigating spreading-out graph").
//!
//! A round reads only the graph of the round before, so that its result does not depend on the number of threads.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cinedex_domain::{Progress, Step};
use cinedex_vectors::CodedQuery;
use rayon::prelude::*;

use crate::IndexError;
use crate::beam::{Beam, Coded, Effort, Links};

/// Candidates that a node's search keeps in the first round, at most.
const FIRST_EF: usize = 128;
/// See [`Refinement::spread`]; 1 is the paper's. More links, of which some lead farther, were worth their cost.
const SPREAD: f32 = 1.3;
/// Nodes that one task takes.
const NODES: usize = 256;

/// How a layer is bettered.
#[derive(Debug, Clone)]
pub(crate) struct Refinement {
    /// Links that a node may have.
    pub(crate) capacity: usize,
    /// Candidates that a node's search keeps, round for round.
    pub(crate) rounds: Vec<usize>,
    /// A candidate is left out if it is nearer to one that is kept than to the node by this factor.
    pub(crate) spread: f32,
}

impl Refinement {
    /// Two rounds: the first finds the neighbourhoods, the second searches the better graph with all candidates. `connections` is
    /// half of the links that a node may have.
    pub(crate) fn new(connections: usize, ef_construction: usize) -> Self {
        let first = ef_construction.min(FIRST_EF);
        Self { capacity: 2 * connections, rounds: vec![first, ef_construction], spread: SPREAD }
    }
}

/// Links of a layer with room for a fixed number a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slots {
    capacity: usize,
    links: Vec<u32>,
    counts: Vec<u32>,
}

impl Slots {
    /// Copies lists, each up to `capacity`.
    pub(crate) fn new(lists: impl Iterator<Item = impl AsRef<[u32]>>, nodes: usize, capacity: usize) -> Self {
        let mut slots = Self { capacity, links: vec![0; nodes * capacity], counts: vec![0; nodes] };
        for ((list, slot), count) in lists.zip(slots.links.chunks_exact_mut(capacity)).zip(&mut slots.counts)
        {
            let list = list.as_ref();
            let kept = list.len().min(capacity);
            slot[..kept].copy_from_slice(&list[..kept]);
            *count = kept as u32;
        }
        slots
    }

    /// The lists.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.links.chunks_exact(self.capacity).zip(&self.counts).map(|(slot, &count)| &slot[..count as usize])
    }
}

impl Links for Slots {
    #[inline]
    fn of(&self, node: u32) -> &[u32] {
        let start = node as usize * self.capacity;
        &self.links[start..start + self.counts[node as usize] as usize]
    }
}

/// Betters `slots`, the links of the layer that holds all nodes of `space`, whose scales make products cosines but for a factor.
pub(crate) fn refine(
    space: Coded<'_>,
    mut slots: Slots,
    refinement: &Refinement,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<Slots, IndexError> {
    let nodes = space.scales.len() as u64;
    let total = 2 * nodes * refinement.rounds.len() as u64;
    let done = AtomicU64::new(0);
    let step = || {
        let done = done.fetch_add(NODES as u64, Ordering::Relaxed);
        progress(Step::new("refining links", done.min(total), Some(total)));
        if cancel.load(Ordering::Relaxed) { Err(IndexError::Cancelled) } else { Ok(()) }
    };
    for &ef in &refinement.rounds {
        let chosen = each_node(space, refinement.capacity, &step, |node, work, out| {
            work.choose(space, &slots, node, (ef, refinement), out);
        })?;
        let back = Back::new(&chosen);
        slots = each_node(space, refinement.capacity, &step, |node, work, out| {
            work.merge(space, &chosen, &back, node, refinement, out);
        })?;
    }
    Ok(slots)
}

/// Makes the links of every node, in parallel.
fn each_node(
    space: Coded<'_>,
    capacity: usize,
    step: &(impl Fn() -> Result<(), IndexError> + Sync),
    make: impl Fn(u32, &mut Work, &mut Vec<u32>) + Sync,
) -> Result<Slots, IndexError> {
    let nodes = space.scales.len();
    let mut next = Slots { capacity, links: vec![0; nodes * capacity], counts: vec![0; nodes] };
    let links = next.links.par_chunks_mut(NODES * capacity);
    let tasks = links.zip(next.counts.par_chunks_mut(NODES)).enumerate();
    tasks.try_for_each(|(task, (slots, counts))| {
        step()?;
        WORK.with_borrow_mut(|work| {
            let mut out = Vec::with_capacity(capacity);
            for (place, (slot, count)) in slots.chunks_exact_mut(capacity).zip(counts).enumerate() {
                out.clear();
                make((task * NODES + place) as u32, work, &mut out);
                slot[..out.len()].copy_from_slice(&out);
                *count = out.len() as u32;
            }
        });
        Ok::<(), IndexError>(())
    })?;
    Ok(next)
}

/// Who links to each node, ascending.
struct Back {
    offsets: Vec<u64>,
    from: Vec<u32>,
}

impl Back {
    fn new(slots: &Slots) -> Self {
        let nodes = slots.counts.len();
        let mut offsets = vec![0u64; nodes + 1];
        slots.iter().flatten().for_each(|&to| offsets[to as usize + 1] += 1);
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        let mut next = offsets.clone();
        let mut from = vec![0; offsets[nodes] as usize];
        for (node, links) in (0..).zip(slots.iter()) {
            for &to in links {
                from[next[to as usize] as usize] = node;
                next[to as usize] += 1;
            }
        }
        Self { offsets, from }
    }

    fn of(&self, node: u32) -> &[u32] {
        &self.from[self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize]
    }
}

thread_local! {
    static WORK: RefCell<Work> = RefCell::new(Work::new());
}

/// Working memory of a thread.
struct Work {
    beam: Beam,
    query: CodedQuery,
    starts: Vec<u32>,
    candidates: Vec<(f32, u32)>,
    /// Of each candidate, whether one that is kept stands for it.
    covered: Vec<bool>,
    nodes: Vec<u32>,
    products: Vec<i32>,
}

impl Work {
    fn new() -> Self {
        Self {
            beam: Beam::default(),
            query: CodedQuery::new(&[]),
            starts: Vec::new(),
            candidates: Vec::new(),
            covered: Vec::new(),
            nodes: Vec::new(),
            products: Vec::new(),
        }
    }

    /// Of the nearest of `node` those that lie in different directions.
    fn choose(
        &mut self,
        space: Coded<'_>,
        links: &Slots,
        node: u32,
        (ef, refinement): (usize, &Refinement),
        out: &mut Vec<u32>,
    ) {
        self.query.set_codes(space.codes.row(node as usize));
        self.starts.clear();
        self.starts.push(node);
        self.beam.enter(space, &self.query, &mut self.starts);
        self.beam.search(space, links, &self.query, &self.starts, Effort::of(ef), |_| true);
        self.candidates.clear();
        let own = space.scales[node as usize];
        let found = self.beam.found().filter(|&(_, other)| other != node);
        self.candidates.extend(found.map(|(score, other)| (score * own, other)));
        self.select(space, refinement, 0, out);
    }

    /// What `node` chose and what chose it, or of too many those that lie in different directions.
    fn merge(
        &mut self,
        space: Coded<'_>,
        chosen: &Slots,
        back: &Back,
        node: u32,
        refinement: &Refinement,
        out: &mut Vec<u32>,
    ) {
        let own = chosen.of(node);
        out.extend_from_slice(own);
        out.extend(back.of(node).iter().filter(|other| !own.contains(other)));
        self.query.set_codes(space.codes.row(node as usize));
        self.products.resize(out.len(), 0);
        space.codes.inner_products_of(out, &self.query, &mut self.products);
        let scale = space.scales[node as usize];
        let scored = out.iter().zip(&self.products);
        self.candidates.clear();
        self.candidates.extend(
            scored.map(|(&other, &product)| (scale * (space.scales[other as usize] * product as f32), other)),
        );
        self.candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        if out.len() > refinement.capacity {
            out.clear();
            self.select(space, refinement, refinement.capacity, out);
        } else {
            out.clear();
            out.extend(self.candidates.iter().map(|candidate| candidate.1));
        }
    }

    /// Of the candidates, nearest first, those that are nearer to the node than to all that are kept before them, as
    /// many as there is room for; then the nearest of the rest up to `filled`.
    fn select(&mut self, space: Coded<'_>, refinement: &Refinement, filled: usize, out: &mut Vec<u32>) {
        let count = self.candidates.len();
        self.covered.clear();
        self.covered.resize(count, false);
        self.nodes.clear();
        self.nodes.extend(self.candidates.iter().map(|candidate| candidate.1));
        for place in 0..count {
            if self.covered[place] {
                continue;
            }
            let kept = self.nodes[place];
            out.push(kept);
            if out.len() == refinement.capacity {
                return;
            }
            let after = place + 1..count;
            self.query.set_codes(space.codes.row(kept as usize));
            self.products.resize(after.len(), 0);
            space.codes.inner_products_of(&self.nodes[after.clone()], &self.query, &mut self.products);
            let scale = space.scales[kept as usize];
            for (place, &product) in after.zip(&self.products) {
                let (score, other) = self.candidates[place];
                let between = scale * (space.scales[other as usize] * product as f32);
                // Squared distances are 2 - 2 cosine.
                self.covered[place] |= refinement.spread * (1.0 - between) <= 1.0 - score;
            }
        }
        let rest = self.nodes.iter().zip(&self.covered).filter(|&(_, &covered)| covered);
        let missing = filled.saturating_sub(out.len());
        out.extend(rest.map(|(&node, _)| node).take(missing));
    }
}

#[cfg(test)]
mod tests {
    use cinedex_domain::silent;

    use super::*;
    use crate::freeze::CodedVectors;
    use crate::freeze::tests::{directions, numbers};

    static NEVER: AtomicBool = AtomicBool::new(false);

    /// The share of each node's ten nearest that its links and theirs contain.
    fn around(space: Coded<'_>, slots: &Slots) -> f64 {
        let nodes = space.scales.len();
        let mut query = CodedQuery::new(&[]);
        let mut products = vec![0; nodes];
        let mut found = 0;
        for node in 0..nodes as u32 {
            query.set_codes(space.codes.row(node as usize));
            space.codes.inner_products(0, &query, &mut products);
            let mut nearest: Vec<u32> = (0..nodes as u32).filter(|&other| other != node).collect();
            let score = |other: u32| space.scales[other as usize] * products[other as usize] as f32;
            nearest.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
            let near = |other: &u32| {
                slots.of(node).iter().any(|&link| link == *other || slots.of(link).contains(other))
            };
            found += nearest[..10].iter().filter(|other| near(other)).count();
        }
        found as f64 / (10 * nodes) as f64
    }

    #[test]
    fn from_random_links_rounds_find_the_nearest_whatever_the_number_of_threads() {
        let vectors = directions(600, 12, 5);
        let order = numbers(600);
        let coded = CodedVectors::new(vectors.view(), &order);
        let random =
            (0..600u32).map(|node| (1..5).map(|step| (node * 7 + step * 131) % 600).collect::<Vec<_>>());
        let slots = Slots::new(random, 600, 16);
        let refinement = Refinement { capacity: 16, rounds: vec![40, 40], spread: SPREAD };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| refine(coded.view(), slots.clone(), &refinement, &silent, &NEVER)).unwrap()
        };
        let refined = on(1);
        assert!(around(coded.view(), &refined) > 0.97, "{}", around(coded.view(), &refined));
        assert!(around(coded.view(), &slots) < 0.2);
        assert_eq!(on(3), refined);
        assert!(refined.iter().all(|links| links.len() <= 16));
        let itself = |(node, links): (u32, &[u32])| links.contains(&node);
        assert!(!(0..).zip(refined.iter()).any(itself));
        let cancelled = refine(coded.view(), slots, &refinement, &silent, &AtomicBool::new(true));
        assert!(matches!(cancelled, Err(IndexError::Cancelled)));
    }
}
