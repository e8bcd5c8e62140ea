//! Files as memory, and numbers as bytes and back. All unsafe code of the crate is here; nothing outside it can tell a
//! mapped file from a slice.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

#[cfg(not(target_endian = "little"))]
compile_error!("the files of a bundle are little-endian and read in place");

/// A number that a file holds as it stands in memory.
pub(crate) trait Element: sealed::Plain + Copy + Send + Sync + 'static {
    /// Its code in the table of sections.
    const CODE: u32;
}

mod sealed {
    /// # Safety
    /// Only for numbers without padding, of which every pattern of bits is a value.
    pub(crate) unsafe trait Plain {}
}

macro_rules! element {
    ($($number:ty: $code:literal),*) => {$(
        // SAFETY: a primitive number: no padding, every pattern of bits is a value.
        unsafe impl sealed::Plain for $number {}
        impl Element for $number {
            const CODE: u32 = $code;
        }
    )*};
}

element!(u8: 1, u32: 2, u64: 3, i64: 4, f32: 5);

/// A file in memory, read-only.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: Mmap,
}

impl Mapping {
    /// Maps a whole file, privately.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: a map is undefined behaviour if the file shrinks or changes under it. The files of a bundle are written in
        // a temporary directory, renamed into place whole, and never written again by this program: a new index is a new
        // directory, and removing one unlinks its files, which keeps the pages of maps that are open. They are read-only,
        // against accidents; who edits one in place while it is served breaks the contract of `Bundle`. The map is private
        // to this process.
        let map = unsafe { MmapOptions::new().map_copy_read_only(&file)? };
        Ok(Self { map })
    }

    /// The file's bytes; they begin at a page.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }
}

/// Reads bytes as numbers; `None` if they are not aligned or do not make whole numbers.
#[inline]
pub(crate) fn numbers<T: Element>(bytes: &[u8]) -> Option<&[T]> {
    if bytes.is_empty() {
        // Nothing may stand anywhere.
        return Some(&[]);
    }
    let whole = bytes.len().is_multiple_of(size_of::<T>());
    if !whole || !bytes.as_ptr().addr().is_multiple_of(align_of::<T>()) {
        return None;
    }
    // SAFETY: the pointer is aligned for T, the range is exactly the bytes borrowed, and every pattern of bits is a T.
    Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<T>(), bytes.len() / size_of::<T>()) })
}

/// Numbers as the bytes that a file holds.
pub(crate) fn bytes_of<T: Element>(numbers: &[T]) -> &[u8] {
    // SAFETY: the range is exactly the numbers borrowed, which have no padding, and a byte needs no alignment.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast::<u8>(), size_of_val(numbers)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_bytes_and_back() {
        let values = [1u32, 0x0403_0201, u32::MAX];
        assert_eq!(bytes_of(&values)[4..8], [1, 2, 3, 4]);
        assert_eq!(numbers::<u32>(bytes_of(&values)), Some(&values[..]));
        assert_eq!(numbers::<f32>(&[]), Some(&[][..]));
    }

    #[test]
    fn what_is_not_aligned_or_not_whole_is_refused() {
        let values = [0u64; 3];
        let bytes = bytes_of(&values);
        assert_eq!(numbers::<u64>(&bytes[1..9]), None);
        assert_eq!(numbers::<u32>(&bytes[..6]), None);
    }
}
