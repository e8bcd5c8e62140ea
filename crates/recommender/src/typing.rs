//! Typing errors between two words: insertions, deletions, substitutions and swaps of neighbours.

/// The longest word that errors are forgiven in, the width of the bit vectors.
const MAX_WORD_BYTES: usize = 64;

/// How many errors a word of `length` bytes may have: none below 4, 1 below 8, then 2.
pub(crate) fn allowed_errors(length: usize) -> u8 {
    match length {
        0..4 => 0,
        4..8 => 1,
        8..=MAX_WORD_BYTES => 2,
        _ => 0,
    }
}

/// A word that others are compared with, by the bit-parallel optimal string alignment of Hyyrö 2003.
pub(crate) struct Pattern {
    /// For each ASCII letter or digit a bit where the word has it.
    positions: [u64; 36],
    length: usize,
}

impl Pattern {
    /// `word`: lower-case ASCII letters and digits, at most 64.
    pub(crate) fn new(word: &str) -> Self {
        debug_assert!(word.len() <= MAX_WORD_BYTES, "allowed_errors is 0 for longer words");
        let mut positions = [0; 36];
        for (bit, byte) in word.bytes().enumerate().take(MAX_WORD_BYTES) {
            if let Some(slot) = slot(byte) {
                positions[slot] |= 1 << bit;
            }
        }
        Self { positions, length: word.len() }
    }

    /// Errors between the word and that beginning of `text` which has the fewest; `None` above `limit`.
    pub(crate) fn errors(&self, text: &str, limit: u8) -> Option<u8> {
        let last = 1_u64 << (self.length - 1);
        let (mut vertical_up, mut vertical_down) = (u64::MAX, 0_u64);
        let (mut diagonal, mut previous) = (0_u64, 0_u64);
        let mut distance = self.length;
        let mut fewest = distance;
        // A beginning longer than this has more errors than allowed by its length alone.
        for byte in text.bytes().take(self.length + usize::from(limit)) {
            let here = slot(byte).map_or(0, |slot| self.positions[slot]);
            let swap = ((!diagonal & here) << 1) & previous;
            diagonal =
                ((here & vertical_up).wrapping_add(vertical_up) ^ vertical_up) | here | vertical_down | swap;
            let up = vertical_down | !(diagonal | vertical_up);
            let down = diagonal & vertical_up;
            distance = distance + usize::from(up & last != 0) - usize::from(down & last != 0);
            let up = (up << 1) | 1;
            vertical_up = (down << 1) | !(diagonal | up);
            vertical_down = up & diagonal;
            previous = here;
            fewest = fewest.min(distance);
        }
        u8::try_from(fewest).ok().filter(|errors| *errors <= limit)
    }
}

fn slot(byte: u8) -> Option<usize> {
    match byte {
        b'a'..=b'z' => Some(usize::from(byte - b'a')),
        b'0'..=b'9' => Some(usize::from(byte - b'0') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(word: &str, text: &str, expect: Option<u8>) {
        assert_eq!(Pattern::new(word).errors(text, 2), expect, "{word} {text}");
    }

    #[test]
    fn each_kind_of_error_counts_one() {
        check("matrix", "matrix", Some(0));
        check("matrx", "matrix", Some(1));
        check("mattrix", "matrix", Some(1));
        check("metrix", "matrix", Some(1));
        check("martix", "matrix", Some(1));
        check("godfahtr", "godfather", Some(2));
        check("abcdef", "uvwxyz", None);
    }

    /// The same by the full table of distances.
    fn table(word: &[u8], text: &[u8]) -> usize {
        let mut rows = vec![vec![0; text.len() + 1]; word.len() + 1];
        for i in 0..=word.len() {
            for j in 0..=text.len() {
                rows[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let change = rows[i - 1][j - 1] + usize::from(word[i - 1] != text[j - 1]);
                    let plain = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && word[i - 1] == text[j - 2] && word[i - 2] == text[j - 1] {
                        plain.min(rows[i - 2][j - 2] + 1)
                    } else {
                        plain
                    }
                };
            }
        }
        rows[word.len()].iter().copied().min().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn the_bits_agree_with_the_table(word in "[abc]{1,9}", text in "[abc]{0,12}") {
            let expect = u8::try_from(table(word.as_bytes(), text.as_bytes())).unwrap();
            let found = Pattern::new(&word).errors(&text, 2);
            prop_assert_eq!(found, (expect <= 2).then_some(expect));
        }
    }
}
