//! Typing errors between two words: insertions, deletions, substitutions and swaps of neighbours.

/// The longest word that errors are forgiven in, the width of the bit vectors.
const MAX_WORD_BYTES: usize = 64;
/// The most errors forgiven in a word.
const MAX_ERRORS: usize = 2;

/// How a word is misspelt, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Typo {
    /// A whole word, with this many errors.
    Whole(u8),
    /// The beginning of a word, with this many errors.
    Beginning(u8),
}

/// A word that others are compared with, by the bit-parallel optimal string alignment of Hyyrö 2003.
pub(crate) struct Pattern {
    /// For each ASCII letter or digit a bit where the word has it.
    positions: [u64; 36],
    length: usize,
}

impl Pattern {
    /// `word`: lower-case ASCII letters and digits. `None` if no error is forgiven in it: it has fewer than 4 letters or
    /// more than 64, or is a number.
    pub(crate) fn new(word: &str) -> Option<Self> {
        if allowed_errors(word.len()) == 0 || is_number(word) {
            return None;
        }
        let mut positions = [0; 36];
        for (bit, byte) in word.bytes().enumerate() {
            if let Some(slot) = slot(byte) {
                positions[slot] |= 1 << bit;
            }
        }
        Some(Self { positions, length: word.len() })
    }

    /// How the word is `text`, or begins it, with an error or two; `None` if it does without any or with too many. A text
    /// of fewer than 4 letters or a number is not taken for misspelt.
    pub(crate) fn compare(&self, text: &str) -> Option<Typo> {
        if text.len() < 4 || is_number(text) {
            return None;
        }
        let (whole, beginning) = self.errors(text);
        let forgiven = |errors: Option<usize>, length: usize| {
            u8::try_from(errors?).ok().filter(|errors| *errors <= allowed_errors(length))
        };
        // An error at the end of a beginning leaves less to go by.
        match (forgiven(whole, self.length), forgiven(Some(beginning), self.length - 1)) {
            (Some(0), _) | (_, Some(0)) | (None, None) => None,
            (Some(errors), _) => Some(Typo::Whole(errors)),
            (None, Some(errors)) => Some(Typo::Beginning(errors)),
        }
    }

    /// Errors between the word and `text`, unless there are more than [`MAX_ERRORS`] by the length alone; and errors between
    /// the word and that beginning of `text` which has the fewest.
    fn errors(&self, text: &str) -> (Option<usize>, usize) {
        let last = 1_u64 << (self.length - 1);
        let (mut vertical_up, mut vertical_down) = (u64::MAX, 0_u64);
        let (mut diagonal, mut previous) = (0_u64, 0_u64);
        let mut distance = self.length;
        let mut fewest = distance;
        // A beginning longer than this has more errors than allowed by its length alone.
        let most = self.length + MAX_ERRORS;
        for byte in text.bytes().take(most) {
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
        ((text.len() <= most).then_some(distance), fewest)
    }
}

/// How many errors a word of `length` bytes may have: none below 4, 1 below 8, then 2.
fn allowed_errors(length: usize) -> u8 {
    match length {
        0..4 => 0,
        4..8 => 1,
        8..=MAX_WORD_BYTES => 2,
        _ => 0,
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
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

    fn check(word: &str, text: &str, expect: Option<Typo>) {
        let found = Pattern::new(word).and_then(|pattern| pattern.compare(text));
        assert_eq!(found, expect, "{word} {text}");
    }

    #[test]
    fn each_kind_of_error_counts_one() {
        check("matrix", "matrix", None);
        check("matrx", "matrix", Some(Typo::Whole(1)));
        check("mattrix", "matrix", Some(Typo::Whole(1)));
        check("metrix", "matrix", Some(Typo::Whole(1)));
        check("martix", "matrix", Some(Typo::Whole(1)));
        check("godfahtr", "godfather", Some(Typo::Whole(2)));
        check("abcdef", "uvwxyz", None);
    }

    #[test]
    fn a_beginning_may_have_errors_too_but_short_words_and_numbers_none() {
        check("crouhc", "crouching", Some(Typo::Beginning(1)));
        check("land", "and", None);
        check("lnad", "landscape", None);
        check("lnad", "land", Some(Typo::Whole(1)));
        check("mna", "mane", None);
        check("1918", "1917", None);
        check("seven", "se7en", Some(Typo::Whole(1)));
        check(&"x".repeat(65), &"x".repeat(64), None);
    }

    /// The same by the full table of distances.
    fn table(word: &[u8], text: &[u8]) -> (usize, usize) {
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
        let last = &rows[word.len()];
        (last[text.len()], last.iter().copied().min().unwrap_or(0))
    }

    proptest! {
        #[test]
        fn the_bits_agree_with_the_table(word in "[abc]{4,12}", text in "[abc]{0,16}") {
            let (whole, fewest) = table(word.as_bytes(), text.as_bytes());
            let found = Pattern::new(&word).unwrap().errors(&text);
            let most = word.len() + MAX_ERRORS;
            prop_assert_eq!(found.0, (text.len() <= most).then_some(whole));
            prop_assert!(found.1 == fewest || (found.1 > MAX_ERRORS && fewest > MAX_ERRORS));
        }
    }
}
