//! Many short texts in two arrays of a flat file: where each begins, and their bytes; and ids, which are texts in order.

use std::cmp::Ordering;

use cinedex_domain::{IdKey, check_id};
use rayon::prelude::*;

use crate::IndexError;
use crate::container::{Container, Section};
use crate::error::Fault;

/// Ids that one thread checks without asking for more.
const IDS_AT_A_TIME: usize = 1 << 15;

/// Texts to be written: `count + 1` offsets, and the bytes of all.
pub(crate) fn pack<'a>(texts: impl IntoIterator<Item = &'a str>) -> (Vec<u64>, Vec<u8>) {
    let mut offsets = vec![0];
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
        offsets.push(bytes.len() as u64);
    }
    (offsets, bytes)
}

/// Texts of an open file, all of them UTF-8.
#[derive(Debug)]
pub(crate) struct Texts {
    offsets: Section<u64>,
    bytes: Section<u8>,
}

impl Texts {
    /// Reads `count` texts from two sections and checks that each is UTF-8.
    pub(crate) fn open(
        container: &Container,
        offsets: &str,
        bytes_name: &str,
        count: usize,
    ) -> Result<Self, IndexError> {
        let bytes = container.section::<u8>(bytes_name)?;
        let offsets = container.offsets(offsets, count, bytes.len())?;
        let texts = Self { offsets, bytes };
        // All at once is much faster than one by one: each is valid if the whole is and none begins within a character.
        let within = |offset: u64| texts.bytes.get(offset as usize).is_some_and(|byte| byte & 0xc0 == 0x80);
        let whole = std::str::from_utf8(&texts.bytes).is_ok();
        if whole && !texts.offsets.iter().fold(false, |any, &offset| any | within(offset)) {
            return Ok(texts);
        }
        let broken = |&position: &usize| std::str::from_utf8(texts.bytes_of(position)).is_err();
        let position = (0..count).find(broken).unwrap_or(0);
        Err(container.fault(Fault::Text { section: bytes_name.to_owned(), position }))
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// One text. Panics out of range.
    pub(crate) fn get(&self, position: usize) -> &str {
        std::str::from_utf8(self.bytes_of(position)).unwrap_or_default()
    }

    fn bytes_of(&self, position: usize) -> &[u8] {
        &self.bytes[self.offsets[position] as usize..self.offsets[position + 1] as usize]
    }
}

/// Ids of an open file: valid, unique, in canonical order.
#[derive(Debug)]
pub(crate) struct Ids(Texts);

impl Ids {
    /// Reads `count` ids from two sections and checks each.
    pub(crate) fn open(
        container: &Container,
        offsets: &str,
        bytes: &str,
        count: usize,
    ) -> Result<Self, IndexError> {
        let ids = Self(Texts::open(container, offsets, bytes, count)?);
        let check = |range: std::ops::Range<usize>| {
            let mut previous = range.start.checked_sub(1).map(|before| IdKey::of(ids.get(before)));
            for position in range {
                let (id, section) = (ids.get(position), || bytes.to_owned());
                if check_id(id).is_err() {
                    return Err(container.fault(Fault::Text { section: section(), position }));
                }
                let key = Some(IdKey::of(id));
                if previous >= key {
                    return Err(container.fault(Fault::Order { section: section(), position }));
                }
                previous = key;
            }
            Ok(())
        };
        let starts: Vec<usize> = (0..count).step_by(IDS_AT_A_TIME).collect();
        let checked: Vec<Result<(), IndexError>> =
            starts.into_par_iter().map(|start| check(start..count.min(start + IDS_AT_A_TIME))).collect();
        // The first fault is told, whichever thread found one first.
        checked.into_iter().collect::<Result<(), IndexError>>()?;
        Ok(ids)
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// One id. Panics out of range.
    pub(crate) fn get(&self, position: usize) -> &str {
        self.0.get(position)
    }

    /// The row of an id.
    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        let key = IdKey::of(id);
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match IdKey::of(self.get(middle)).cmp(&key) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(middle as u32),
            }
        }
        None
    }
}
