//! Many short texts in two arrays of a flat file: where each begins, and their bytes.

use crate::IndexError;
use crate::container::{Container, Section};
use crate::error::Fault;

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
        for position in 0..count {
            if std::str::from_utf8(texts.bytes_of(position)).is_err() {
                return Err(container.fault(Fault::Text { section: bytes_name.to_owned(), position }));
            }
        }
        Ok(texts)
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
