//! Numbers that are not known of every movie, in a flat file: those that filters compare as bitmaps, one a binary digit
//! (bit-sliced, O'Neil & Quass 1997), so that a range of a million films is a few passes over bits; others as they are.

use crate::IndexError;
use crate::container::{Container, Section, SectionData};
use crate::error::Fault;
use crate::mapping::Element;

/// Words of a set that are compared at a time.
const BLOCK: usize = 64;

/// The words of a set of `count` movies, bit by bit.
pub(crate) fn bits(values: impl ExactSizeIterator<Item = bool>) -> Vec<u64> {
    let mut words = vec![0; values.len().div_ceil(64)];
    for (row, value) in values.enumerate() {
        words[row / 64] |= u64::from(value) << (row % 64);
    }
    words
}

/// A set of movies of an open file.
#[derive(Debug)]
pub(crate) struct Set(pub(crate) Section<u64>);

impl Set {
    /// Reads a set of `count` movies; nothing is in it beyond them.
    pub(crate) fn open(container: &Container, name: &str, count: usize) -> Result<Self, IndexError> {
        let words = container.section_of::<u64>(name, count.div_ceil(64))?;
        let beyond =
            words.last().map_or(0, |word| if count.is_multiple_of(64) { 0 } else { word >> (count % 64) });
        if beyond != 0 {
            return Err(container.fault(Fault::OutOfRange {
                section: name.to_owned(),
                position: words.len() - 1,
                found: (count as u64).next_multiple_of(64)
                    - 1
                    - u64::from(words[words.len() - 1].leading_zeros()),
                limit: count as u64,
            }));
        }
        Ok(Self(words))
    }

    /// Whether a movie is in it. Panics out of range.
    pub(crate) fn contains(&self, row: usize) -> bool {
        self.0[row / 64] >> (row % 64) & 1 == 1
    }
}

/// Numbers of some movies, as they are.
#[derive(Debug)]
pub(crate) struct Column<T> {
    known: Set,
    values: Section<T>,
}

impl<T: Element + Default> Column<T> {
    /// The sections that hold one value a movie.
    pub(crate) fn write(
        name: &str,
        values: impl ExactSizeIterator<Item = Option<T>> + Clone,
        sections: &mut Vec<SectionData<'_>>,
    ) {
        let known = bits(values.clone().map(|value| value.is_some()));
        let values: Vec<T> = values.map(Option::unwrap_or_default).collect();
        sections.push(SectionData::owned(format!("{name}.known"), known));
        sections.push(SectionData::owned(name, values));
    }

    /// Reads the numbers of `count` movies.
    pub(crate) fn open(container: &Container, name: &str, count: usize) -> Result<Self, IndexError> {
        let known = Set::open(container, &format!("{name}.known"), count)?;
        Ok(Self { known, values: container.section_of::<T>(name, count)? })
    }

    /// The number of a movie. Panics out of range.
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        self.known.contains(row).then(|| self.values[row])
    }
}

/// Numbers of some movies as bitmaps, to be compared with a bound.
#[derive(Debug)]
pub(crate) struct Sliced {
    known: Set,
    /// One set a binary digit, the lowest first; of movies that are known.
    digits: Section<u64>,
}

impl Sliced {
    /// The sections that hold one value a movie.
    pub(crate) fn write(
        name: &str,
        values: impl ExactSizeIterator<Item = Option<u16>> + Clone,
        sections: &mut Vec<SectionData<'_>>,
    ) {
        let known = bits(values.clone().map(|value| value.is_some()));
        let all = values.clone().flatten().fold(0, |all, value| all | value);
        let digits: Vec<u64> = (0..u16::BITS - all.leading_zeros())
            .flat_map(|digit| bits(values.clone().map(|value| value.unwrap_or(0) >> digit & 1 == 1)))
            .collect();
        sections.push(SectionData::owned(format!("{name}.known"), known));
        sections.push(SectionData::owned(format!("{name}.digits"), digits));
    }

    /// Reads the numbers of `count` movies, which have at most `most` binary digits; what is not known has none.
    pub(crate) fn open(
        container: &Container,
        name: &str,
        count: usize,
        most: u32,
    ) -> Result<Self, IndexError> {
        let known = Set::open(container, &format!("{name}.known"), count)?;
        let section = format!("{name}.digits");
        let digits = container.section::<u64>(&section)?;
        let words = known.0.len();
        if words == 0 || !digits.len().is_multiple_of(words) || digits.len() / words > most as usize {
            let (expected, found) = ((words * most as usize) as u64, digits.len() as u64);
            return Err(container.fault(Fault::Length { section, expected, found }));
        }
        for (digit, set) in digits.chunks_exact(words).enumerate() {
            if let Some(word) = set.iter().zip(known.0.iter()).position(|(set, known)| set & !known != 0) {
                let position = digit * words + word;
                let (found, limit) = (digits[position], known.0[word]);
                return Err(container.fault(Fault::OutOfRange { section, position, found, limit }));
            }
        }
        Ok(Self { known, digits })
    }

    /// The number of a movie. Panics out of range.
    pub(crate) fn get(&self, row: usize) -> Option<u16> {
        let digits = self.digits.chunks_exact(self.known.0.len());
        let bit = |set: &[u64]| (set[row / 64] >> (row % 64) & 1) as u16;
        let value = (0..).zip(digits).fold(0, |value, (digit, set)| value | bit(set) << digit);
        self.known.contains(row).then_some(value)
    }

    /// Keeps of a bit for each movie those that lie between the bounds; without bounds, all.
    pub(crate) fn keep(&self, allowed: &mut [u64], min: Option<u16>, max: Option<u16>) {
        if min.is_none() && max.is_none() {
            return;
        }
        for (number, block) in allowed.chunks_mut(BLOCK).enumerate() {
            let start = number * BLOCK;
            let known = &self.known.0[start..start + block.len()];
            block.iter_mut().zip(known).for_each(|(word, known)| *word &= known);
            if let Some(max) = max {
                let inside = self.at_most(start, known, max);
                block.iter_mut().zip(inside).for_each(|(word, inside)| *word &= inside);
            }
            if let Some(below) = min.and_then(|min| min.checked_sub(1)) {
                let outside = self.at_most(start, known, below);
                block.iter_mut().zip(outside).for_each(|(word, outside)| *word &= !outside);
            }
        }
    }

    /// The known movies of some words from `start` on whose number is at most `limit`: from the highest digit down, a number is
    /// less where a digit is the first to differ and the limit has it.
    fn at_most(&self, start: usize, known: &[u64], limit: u16) -> [u64; BLOCK] {
        let (mut less, mut equal) = ([0; BLOCK], [0; BLOCK]);
        equal[..known.len()].copy_from_slice(known);
        let words = self.known.0.len();
        let digits = self.digits.len() / words;
        if u32::from(limit) >> digits != 0 {
            return equal;
        }
        for digit in (0..digits).rev() {
            let set = &self.digits[digit * words + start..][..known.len()];
            let limit_has_it = limit >> digit & 1 == 1;
            for ((less, equal), set) in less.iter_mut().zip(&mut equal).zip(set) {
                if limit_has_it {
                    *less |= *equal & !set;
                    *equal &= set;
                } else {
                    *equal &= !set;
                }
            }
        }
        less.iter_mut().zip(equal).for_each(|(less, equal)| *less |= equal);
        less
    }
}
