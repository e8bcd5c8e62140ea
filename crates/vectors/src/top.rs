//! The best k of many scores, in the one order that every ranking has.

/// A row and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Row, for example a movie's.
    pub index: u32,
    /// The higher the better.
    pub score: f32,
}

/// Keeps the best `k` of what is pushed: by descending score, ties by ascending index. Memory grows with what is pushed,
/// up to twice `k`: when that is full, the worse half goes, which is cheaper than keeping an order. A score that is not a number
/// is left out; a negative zero becomes a positive one.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    /// What is kept, in no order; behind `k` of them, what may still go.
    keys: Vec<u64>,
    /// The key of the k-th best when the worse half went last; 0 before.
    worst: u64,
    /// Its score.
    threshold: f32,
}

impl TopK {
    /// Room for the best `k`, which may be 0.
    pub fn new(k: usize) -> Self {
        let threshold = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { k, keys: Vec::with_capacity(room(k).min(2048)), worst: 0, threshold }
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

    /// A score below this can no longer enter: at most that of the k-th best, to which [`settle`](Self::settle) raises it; negative
    /// infinity before there are `k`, positive infinity if `k` is 0.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Lets go of all but the best `k` of what was pushed so far.
    pub fn settle(&mut self) {
        let new = self.keys.len() > self.k || (self.keys.len() == self.k && self.worst == 0);
        if self.k == 0 || !new {
            return;
        }
        let (_, worst, _) = self.keys.select_nth_unstable_by(self.k - 1, |left, right| right.cmp(left));
        self.worst = *worst;
        self.threshold = scored_of(self.worst).score;
        self.keys.truncate(self.k);
    }

    /// How many are kept so far.
    pub fn len(&self) -> usize {
        self.keys.len().min(self.k)
    }

    /// Whether none is kept so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The best, descending by score, ties by ascending index.
    pub fn into_sorted(mut self) -> Vec<Scored> {
        self.settle();
        self.keys.sort_unstable_by(|left, right| right.cmp(left));
        self.keys.into_iter().map(scored_of).collect()
    }

    #[inline]
    fn insert(&mut self, scored: Scored) {
        let key = key_of(scored);
        if self.k == 0 || key <= self.worst {
            return;
        }
        self.keys.push(key);
        if self.keys.len() >= room(self.k) {
            self.settle();
        }
    }
}

/// Keys held before the worse ones go.
fn room(k: usize) -> usize {
    k.saturating_mul(2)
}

/// One number that is the higher the better: the bits of the score, turned so that they order as the scores do, then those of
/// the index, complemented.
#[inline]
fn key_of(scored: Scored) -> u64 {
    let bits = (scored.score + 0.0).to_bits();
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(!scored.index)
}

#[inline]
fn scored_of(key: u64) -> Scored {
    let ordered = (key >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    Scored { index: !(key as u32), score: f32::from_bits(bits) }
}

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
        top.settle();
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
