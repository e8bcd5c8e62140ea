//! A set of movies as one bit each: what a filter leaves, minus what a request takes away.

/// Which movies of a bundle may be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    words: Vec<u64>,
    length: usize,
    /// Bits that are set, so that whoever plans need not count.
    count: usize,
}

impl Allowed {
    /// All of `length` movies.
    pub fn all(length: usize) -> Self {
        let mut allowed = Self { words: vec![u64::MAX; length.div_ceil(64)], length, count: length };
        allowed.clear_tail();
        allowed
    }

    /// None of `length` movies.
    pub fn none(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(64)], length, count: 0 }
    }

    /// The number of movies that there are, allowed or not.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no movies at all.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether this movie may be answered; `false` beyond the end.
    #[inline]
    pub fn contains(&self, index: u32) -> bool {
        self.words.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// How many may be answered; known, not counted.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many are in both. Panics if the two are over different numbers of movies.
    pub fn count_common(&self, other: &Allowed) -> usize {
        assert_eq!(self.length, other.length, "both sets are over the movies of one bundle");
        let both = self.words.iter().zip(&other.words);
        both.map(|(mine, theirs)| (mine & theirs).count_ones() as usize).sum()
    }

    /// Adds one movie; beyond the end, nothing happens.
    pub fn insert(&mut self, index: u32) {
        if (index as usize) < self.length {
            let (word, bit) = (&mut self.words[index as usize / 64], 1 << (index % 64));
            self.count += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// Takes one movie away, for example one that the user has seen.
    pub fn remove(&mut self, index: u32) {
        if let Some(word) = self.words.get_mut(index as usize / 64) {
            let bit = 1 << (index % 64);
            self.count -= usize::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// Keeps what is also in `other`. Panics if the two are over different numbers of movies.
    pub fn intersect(&mut self, other: &Allowed) {
        self.combine(other, |mine, theirs| mine & theirs);
    }

    /// Adds what is in `other`. Panics if the two are over different numbers of movies.
    pub fn unite(&mut self, other: &Allowed) {
        self.combine(other, |mine, theirs| mine | theirs);
    }

    /// Takes away what is in `other`. Panics if the two are over different numbers of movies.
    pub fn subtract(&mut self, other: &Allowed) {
        self.combine(other, |mine, theirs| mine & !theirs);
    }

    /// The allowed movies, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(position, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(position as u32 * 64 + bit)
            })
        })
    }

    /// From a bit for each of `length` movies; bits beyond them are zero.
    pub(crate) fn from_words(words: Vec<u64>, length: usize) -> Self {
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, length, count }
    }

    /// A bit for each movie.
    pub(crate) fn into_words(self) -> Vec<u64> {
        self.words
    }

    fn combine(&mut self, other: &Allowed, operation: impl Fn(u64, u64) -> u64) {
        assert_eq!(self.length, other.length, "both sets are over the movies of one bundle");
        self.count = 0;
        for (mine, &theirs) in self.words.iter_mut().zip(&other.words) {
            *mine = operation(*mine, theirs);
            self.count += mine.count_ones() as usize;
        }
    }

    fn clear_tail(&mut self) {
        if !self.length.is_multiple_of(64)
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << (self.length % 64)) - 1;
        }
    }
}

impl Extend<u32> for Allowed {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, indices: I) {
        for index in indices {
            self.insert(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(length: usize) {
        let all = Allowed::all(length);
        assert_eq!((all.len(), all.count(), all.iter().count()), (length, length, length));
        assert_eq!(Allowed::none(length).count(), 0);
        assert!(!all.contains(length as u32) && !all.contains(u32::MAX));
    }

    #[test]
    fn all_is_as_many_as_there_are() {
        for length in [0, 1, 63, 64, 65, 128, 1000] {
            check(length);
        }
    }

    #[test]
    fn beyond_the_end_nothing_happens() {
        let mut allowed = Allowed::none(65);
        allowed.insert(65);
        allowed.insert(127);
        allowed.insert(u32::MAX);
        allowed.remove(u32::MAX);
        assert_eq!(allowed.count(), 0);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(left in prop::collection::btree_set(0u32..150, 0..80), right in prop::collection::btree_set(0u32..150, 0..80)) {
            let make = |set: &std::collections::BTreeSet<u32>| {
                let mut allowed = Allowed::none(150);
                allowed.extend(set.iter().copied());
                allowed
            };
            let collect = |allowed: &Allowed| allowed.iter().collect::<Vec<_>>();
            let mut both = make(&left);
            both.intersect(&make(&right));
            prop_assert_eq!(collect(&both), left.intersection(&right).copied().collect::<Vec<_>>());
            prop_assert_eq!(make(&left).count_common(&make(&right)), both.count());
            let mut either = make(&left);
            either.unite(&make(&right));
            prop_assert_eq!(collect(&either), left.union(&right).copied().collect::<Vec<_>>());
            let mut rest = make(&left);
            rest.subtract(&make(&right));
            prop_assert_eq!(collect(&rest), left.difference(&right).copied().collect::<Vec<_>>());
            for set in [&both, &either, &rest] {
                prop_assert_eq!(set.count(), set.iter().count());
            }
            prop_assert_eq!(rest.count(), left.difference(&right).count());
            for index in left.iter().chain(&right) {
                rest.insert(*index);
                either.remove(*index);
            }
            prop_assert_eq!((rest.count(), either.count()), (left.union(&right).count(), 0));
        }
    }
}
