//! The best k of many scores, in the one order that every ranking has.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A row and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Row, for example a movie's.
    pub index: u32,
    /// The higher the better.
    pub score: f32,
}

/// Keeps the best `k` of what is pushed: by descending score, ties by ascending index. Memory grows with what is pushed,
/// not with `k`. A score that is not a number is left out.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    threshold: f32,
    heap: BinaryHeap<Worst>,
}

impl TopK {
    /// Room for the best `k`, which may be 0.
    pub fn new(k: usize) -> Self {
        let threshold = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { k, threshold, heap: BinaryHeap::with_capacity(k.min(1024)) }
    }

    /// Offers one row.
    #[inline]
    pub fn push(&mut self, index: u32, score: f32) {
        if score >= self.threshold {
            self.insert(Scored { index, score });
        }
    }

    /// Offers a whole slice of scores: the row of the first is `first`.
    pub fn push_all(&mut self, first: u32, scores: &[f32]) {
        for (index, &score) in (first..).zip(scores) {
            self.push(index, score);
        }
    }

    /// A score below this can no longer enter: that of the k-th best, negative infinity until there are `k`, positive
    /// infinity if `k` is 0.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// How many are kept so far.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is kept so far.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The best, descending by score, ties by ascending index.
    pub fn into_sorted(self) -> Vec<Scored> {
        self.heap.into_sorted_vec().into_iter().map(|Worst(scored)| scored).collect()
    }

    fn insert(&mut self, scored: Scored) {
        if self.k == 0 {
            return;
        }
        if self.heap.len() < self.k {
            self.heap.push(Worst(scored));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && Worst(scored) < *worst
        {
            *worst = Worst(scored);
        }
        if self.heap.len() == self.k {
            self.threshold = self.heap.peek().map_or(f32::NEG_INFINITY, |Worst(worst)| worst.score);
        }
    }
}

/// Ordered so that the greatest is the worst; scores are numbers.
#[derive(Debug, Clone, Copy)]
struct Worst(Scored);

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.0.score.partial_cmp(&self.0.score).unwrap_or(Ordering::Equal);
        by_score.then(self.0.index.cmp(&other.0.index))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worst {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(k: usize, scores: &[f32], expect: &[u32]) {
        let mut top = TopK::new(k);
        top.push_all(0, scores);
        assert_eq!(top.into_sorted().iter().map(|scored| scored.index).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn ties_go_by_ascending_index_and_what_is_not_a_number_is_left_out() {
        check(2, &[1.0, 3.0, 3.0, 3.0], &[1, 2]);
        check(9, &[0.0, -0.0, f32::NAN, f32::NEG_INFINITY], &[0, 1, 3]);
        check(0, &[1.0, f32::INFINITY], &[]);
        check(usize::MAX, &[1.0], &[0]);
    }

    #[test]
    fn the_threshold_is_the_kth_best() {
        let mut top = TopK::new(2);
        top.push(0, 1.0);
        assert_eq!(top.threshold(), f32::NEG_INFINITY);
        top.push_all(1, &[3.0, 2.0]);
        assert_eq!((top.threshold(), top.len(), top.is_empty()), (2.0, 2, false));
    }

    proptest! {
        #[test]
        fn it_agrees_with_sorting(scores in prop::collection::vec(-4i8..4, 0..60), k in 0usize..70) {
            let mut top = TopK::new(k);
            for (index, &score) in scores.iter().enumerate().rev() {
                top.push(index as u32, f32::from(score));
            }
            let mut order: Vec<u32> = (0..scores.len() as u32).collect();
            order.sort_by_key(|&index| (-scores[index as usize], index));
            order.truncate(k);
            prop_assert_eq!(top.into_sorted().iter().map(|scored| scored.index).collect::<Vec<_>>(), order);
        }
    }
}
