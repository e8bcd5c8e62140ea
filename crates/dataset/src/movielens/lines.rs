//! Lines of a file as bytes, in one pass and bounded memory. It knows nothing of fields.

use std::io::Read;

use cinedex_domain::{Progress, Step};

use crate::DatasetError;
use crate::archive::SourceFile;

/// A longer line is cut here; what remains is malformed in every format that is read by lines.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Visits each line with its number from 1, without its line end (`\n` or `\r\n`), a byte order mark at the start of the
/// file left out. Empty lines are visited too. Reports progress in bytes. Returns the number of lines.
pub(crate) fn for_each_line(
    mut file: SourceFile<'_>,
    progress: Progress<'_>,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), DatasetError>,
) -> Result<u64, DatasetError> {
    let stage = format!("reading {}", file.name);
    let total = file.bytes;
    let mut lines = Lines::new(MAX_LINE_BYTES);
    let mut done = 0;
    loop {
        let read = match file.read(lines.free_space()) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(file.failed(error)),
        };
        if read == 0 {
            lines.finish(&mut visit)?;
            return Ok(lines.number);
        }
        lines.filled(read, &mut visit)?;
        done += read as u64;
        progress(Step::new(&stage, done, Some(total)));
    }
}

/// A buffer of one line at least, in which complete lines are found as it fills.
struct Lines {
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that belong to a line without an end yet.
    kept: usize,
    number: u64,
    /// Whether the line that goes on was visited already, cut.
    cut: bool,
}

impl Lines {
    fn new(capacity: usize) -> Self {
        Self { buffer: vec![0; capacity], kept: 0, number: 0, cut: false }
    }

    fn free_space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.kept..]
    }

    fn filled(
        &mut self,
        read: usize,
        visit: &mut impl FnMut(u64, &[u8]) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        let end = self.kept + read;
        let mut start = 0;
        for at in memchr::memchr_iter(b'\n', &self.buffer[self.kept..end]) {
            let line_end = self.kept + at;
            if self.cut {
                self.cut = false;
            } else {
                self.number += 1;
                visit(self.number, trim_line(self.number, &self.buffer[start..line_end]))?;
            }
            start = line_end + 1;
        }
        self.buffer.copy_within(start..end, 0);
        self.kept = end - start;
        if self.kept == self.buffer.len() {
            self.visit_rest(visit)?;
            self.cut = true;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        visit: &mut impl FnMut(u64, &[u8]) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        if self.kept > 0 { self.visit_rest(visit) } else { Ok(()) }
    }

    fn visit_rest(
        &mut self,
        visit: &mut impl FnMut(u64, &[u8]) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        let kept = std::mem::take(&mut self.kept);
        if self.cut {
            return Ok(());
        }
        self.number += 1;
        visit(self.number, trim_line(self.number, &self.buffer[..kept]))
    }
}

fn trim_line(number: u64, line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(bytes: &[u8], capacity: usize, chunk: usize) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        let mut visit = |number: u64, line: &[u8]| {
            found.push((number, line.to_vec()));
            Ok(())
        };
        let mut lines = Lines::new(capacity);
        let mut rest = bytes;
        while !rest.is_empty() {
            let free = lines.free_space();
            let take = chunk.min(free.len()).min(rest.len());
            free[..take].copy_from_slice(&rest[..take]);
            rest = &rest[take..];
            lines.filled(take, &mut visit).unwrap();
        }
        lines.finish(&mut visit).unwrap();
        found
    }

    fn check(text: &str, expect: &[&str]) {
        for chunk in [1, 3, 100] {
            let found = lines(text.as_bytes(), 8, chunk);
            let texts: Vec<_> = found.iter().map(|(_, line)| std::str::from_utf8(line).unwrap()).collect();
            assert_eq!(texts, expect, "{text:?} in chunks of {chunk}");
            assert!(found.iter().zip(1..).all(|((number, _), expect)| *number == expect));
        }
    }

    #[test]
    fn lines_end_in_either_way_or_with_the_file() {
        check("a\nb\r\n\nc", &["a", "b", "", "c"]);
        check("a\n", &["a"]);
        check("", &[]);
        check("\u{feff}id\nx", &["id", "x"]);
    }

    #[test]
    fn a_line_beyond_the_buffer_is_cut_and_the_next_is_whole() {
        check("0123456789abcdef\nnext\n", &["01234567", "next"]);
        check("01234567\nnext\n", &["01234567", "next"]);
        check("0123456789abcdef0123", &["01234567"]);
    }

    proptest! {
        #[test]
        fn short_lines_are_those_of_the_standard_library(text in "[a\\n]{0,60}", chunk in 1_usize..9) {
            let expect: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
            let found: Vec<Vec<u8>> = lines(text.as_bytes(), 64, chunk).into_iter().map(|(_, line)| line).collect();
            prop_assert_eq!(found, expect);
        }
    }
}
