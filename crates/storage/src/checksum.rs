//! Checksums: SHA-256 against alteration, XXH3 against accident.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::StorageError;

/// SHA-256 of a whole file, 64 lower-case hex digits.
pub fn sha256_file(path: &Path) -> Result<String, StorageError> {
    let mut file = File::open(path).map_err(StorageError::io("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 18];
    loop {
        let read = file.read(&mut buffer).map_err(StorageError::io("read", path))?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// SHA-256 of bytes, 64 lower-case hex digits.
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// XXH3 of bytes, 64 bits: quick, and no protection against malice.
pub fn xxh3(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_agrees_with_the_published_test_vector() {
        let expect = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_bytes(b"abc"), expect);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(sha256_file(&path).unwrap(), expect);
        assert!(sha256_file(folder.path().join("none").as_path()).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn xxh3_agrees_with_the_published_value_of_nothing() {
        assert_eq!(xxh3(b""), 0x2d06_8005_38d3_94c2);
    }
}
