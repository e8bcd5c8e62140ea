//! Lists of names in a flat file, one list a movie: each name stands there once, and a list is numbers of names. It knows
//! nothing of which names filters know.

use std::collections::HashMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::IndexError;
use crate::container::{Container, Section, SectionData};
use crate::text::{Texts, pack};

/// Lists to be written.
pub(crate) struct ListData<'a> {
    /// Each once.
    pub(crate) names: Vec<&'a str>,
    /// `list_count + 1` positions in `values`.
    pub(crate) offsets: Vec<u64>,
    /// Numbers of names.
    pub(crate) values: Vec<u32>,
}

impl<'a> ListData<'a> {
    /// Numbers names in the order in which they come first.
    pub(crate) fn new<L: IntoIterator<Item = &'a str>>(lists: impl Iterator<Item = L>) -> Self {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut made = Self { names: Vec::new(), offsets: vec![0], values: Vec::new() };
        for list in lists {
            for name in list {
                let number = *numbers.entry(name).or_insert_with(|| {
                    made.names.push(name);
                    made.names.len() as u32 - 1
                });
                made.values.push(number);
            }
            made.offsets.push(made.values.len() as u64);
        }
        made
    }

    /// Numbers names anew, so that they ascend without ASCII case; of those equal without it the one that came first stands
    /// first.
    pub(crate) fn sorted_without_case(mut self) -> Self {
        let mut order: Vec<u32> = (0..self.names.len() as u32).collect();
        order.sort_by_cached_key(|&name| self.names[name as usize].to_ascii_lowercase());
        let mut new = vec![0; order.len()];
        for (number, &name) in (0..).zip(&order) {
            new[name as usize] = number;
        }
        self.names = order.iter().map(|&name| self.names[name as usize]).collect();
        self.values.iter_mut().for_each(|value| *value = new[*value as usize]);
        self
    }

    /// The sections that hold the lists.
    pub(crate) fn write(&self, name: &str, sections: &mut Vec<SectionData<'_>>) {
        let (offsets, bytes) = pack(self.names.iter().copied());
        sections.extend([
            SectionData::owned(format!("{name}.lists"), self.offsets.clone()),
            SectionData::owned(format!("{name}.values"), self.values.clone()),
            SectionData::owned(format!("{name}.offsets"), offsets),
            SectionData::owned(format!("{name}.bytes"), bytes),
        ]);
    }
}

/// The lists of an open file.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(crate) names: Texts,
    offsets: Section<u64>,
    values: Section<u32>,
}

impl Lists {
    /// Reads `count` lists and checks that their names exist.
    pub(crate) fn open(container: &Container, name: &str, count: usize) -> Result<Self, IndexError> {
        let section = |part: &str| format!("{name}.{part}");
        let name_count = container.section::<u64>(&section("offsets"))?.len().saturating_sub(1);
        let names = Texts::open(container, &section("offsets"), &section("bytes"), name_count)?;
        let values = container.section::<u32>(&section("values"))?;
        let offsets = container.offsets(&section("lists"), count, values.len())?;
        container.check_below(&section("values"), &values, names.len())?;
        Ok(Self { names, offsets, values })
    }

    /// Numbers of the names of one list. Panics out of range.
    #[inline]
    pub(crate) fn values(&self, row: usize) -> &[u32] {
        &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// One list. Panics out of range.
    pub(crate) fn of(&self, row: usize) -> Names<'_> {
        Names { texts: &self.names, values: self.values(row) }
    }
}

/// Names of one movie, for example its genres, in their order. Serialized as a list of strings.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    texts: &'a Texts,
    values: &'a [u32],
}

impl<'a> Names<'a> {
    /// How many.
    pub fn len(self) -> usize {
        self.values.len()
    }

    /// Whether none is known.
    pub fn is_empty(self) -> bool {
        self.values.is_empty()
    }

    /// Each name.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.values.iter().map(move |&name| self.texts.get(name as usize))
    }

    /// How many of these names `other` has too: names of the same kind, of movies of one bundle.
    pub fn count_common(self, other: Self) -> usize {
        self.values.iter().filter(|name| other.values.contains(name)).count()
    }

    /// A copy of each name.
    pub fn to_vec(self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }
}

impl fmt::Debug for Names<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Names<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
