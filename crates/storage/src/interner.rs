//! Strings numbered in the order of their first occurrence. It knows nothing of tables.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Strings numbered from 0 in the order of their first occurrence; their bytes stand in one buffer.
#[derive(Debug, Default, Clone)]
pub struct Interner {
    text: String,
    /// End of each string in `text`.
    ends: Vec<u64>,
    codes: HashTable<u32>,
    hasher: DefaultHashBuilder,
    latest: Option<u32>,
}

impl Interner {
    /// An interner of no strings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of `text`, a new one if it was not there. At most 2^32 - 1 strings fit.
    pub fn intern(&mut self, text: &str) -> u32 {
        if let Some(latest) = self.latest
            && self.get(latest) == text
        {
            return latest;
        }
        let hash = self.hasher.hash_one(text);
        let found = self.codes.find(hash, |&code| slice(&self.text, &self.ends, code) == text);
        let code = found.copied().unwrap_or_else(|| self.insert(hash, text));
        self.latest = Some(code);
        code
    }

    /// The number of `text`, if it is there.
    pub fn code(&self, text: &str) -> Option<u32> {
        self.codes.find(self.hasher.hash_one(text), |&code| self.get(code) == text).copied()
    }

    /// The string of a number. Panics if there is none.
    pub fn get(&self, code: u32) -> &str {
        slice(&self.text, &self.ends, code)
    }

    /// The number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All strings by number.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len() as u32).map(|code| self.get(code))
    }

    /// The strings from a number on.
    pub fn iter_from(&self, code: usize) -> impl Iterator<Item = &str> {
        (code..self.len()).map(|code| self.get(code as u32))
    }

    fn insert(&mut self, hash: u64, text: &str) -> u32 {
        let code = self.ends.len() as u32;
        self.text.push_str(text);
        self.ends.push(self.text.len() as u64);
        let (all, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.codes.insert_unique(hash, code, |&other| hasher.hash_one(slice(all, ends, other)));
        code
    }
}

fn slice<'a>(text: &'a str, ends: &[u64], code: u32) -> &'a str {
    let row = code as usize;
    let start = if row == 0 { 0 } else { ends[row - 1] };
    &text[start as usize..ends[row] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_follow_the_first_occurrence() {
        let mut interner = Interner::new();
        let codes: Vec<u32> = ["b", "a", "b", "", "ab", "a"].map(|text| interner.intern(text)).into();
        assert_eq!(codes, [0, 1, 0, 2, 3, 1]);
        assert_eq!(interner.iter().collect::<Vec<_>>(), ["b", "a", "", "ab"]);
        assert_eq!((interner.code("ab"), interner.code("x")), (Some(3), None));
    }

    proptest! {
        #[test]
        fn every_string_comes_back(texts in proptest::collection::vec("\\PC{0,3}", 0..200)) {
            let mut interner = Interner::new();
            let codes: Vec<u32> = texts.iter().map(|text| interner.intern(text)).collect();
            for (text, code) in texts.iter().zip(codes) {
                prop_assert_eq!(interner.get(code), text);
                prop_assert_eq!(interner.code(text), Some(code));
            }
        }
    }
}
