//! Records of a CSV file in bounded memory. A quote that is never closed costs its own line, not the rest of the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// A longer record, line ends in quotes included, is malformed.
const MAX_RECORD_BYTES: usize = 1 << 18;

pub(crate) const UNCLOSED: &str = "a quote is not closed";
const TOO_LONG: &str = "the row is longer than 262144 bytes";
const NOT_UTF8: &str = "invalid UTF-8";

/// One record: its text without quotes, and the end of each field in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CsvRecord<'a> {
    pub(crate) text: &'a str,
    pub(crate) ends: &'a [usize],
}

impl<'a> CsvRecord<'a> {
    /// A field without the white space around it; `None` if there are fewer.
    pub(crate) fn field(&self, column: usize) -> Option<&'a str> {
        let end = *self.ends.get(column)?;
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        Some(self.text[start..end].trim())
    }
}

/// What stands at a place in the file.
pub(crate) enum Found<'a> {
    /// A record.
    Record(CsvRecord<'a>),
    /// Something that is none, and why; what follows is whole again.
    Malformed(&'static str),
}

/// Reads records one after the other; empty lines are passed over.
pub(crate) struct CsvRecords<R> {
    input: BufReader<R>,
    parser: csv_core::Reader,
    /// The lines of the record being read.
    record: Vec<u8>,
    /// Lines that were read ahead in vain, and how far they have been read again.
    again: Vec<u8>,
    again_from: usize,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Lines consumed.
    line: u64,
    bytes: u64,
}

impl CsvRecords<File> {
    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<R: Read> CsvRecords<R> {
    pub(crate) fn new(input: R, delimiter: u8) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 18, input),
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            record: Vec::new(),
            again: Vec::new(),
            again_from: 0,
            text: vec![0; 1024],
            ends: vec![0; 64],
            line: 0,
            bytes: 0,
        }
    }

    /// The next record with the line on which it begins, from 1; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Found<'_>)>> {
        let mut line = self.line + 1;
        loop {
            self.record.clear();
            if !self.read_line()? {
                return Ok(None);
            }
            if self.record.iter().any(|&byte| byte != b'\n' && byte != b'\r') {
                break;
            }
            line = self.line + 1;
        }
        if self.record.len() > MAX_RECORD_BYTES {
            self.skip_line()?;
            return Ok(Some((line, Found::Malformed(TOO_LONG))));
        }
        let first_line_bytes = self.record.len();
        self.parser.reset();
        let (mut written, mut fields, mut from) = (0, 0, 0);
        loop {
            let (result, read, text, ends) = self.parser.read_record(
                &self.record[from..],
                &mut self.text[written..],
                &mut self.ends[fields..],
            );
            (from, written, fields) = (from + read, written + text, fields + ends);
            match result {
                csv_core::ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                csv_core::ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                csv_core::ReadRecordResult::Record => break,
                // Within quotes: the next line belongs to it, if there is one and it is not too much.
                csv_core::ReadRecordResult::InputEmpty | csv_core::ReadRecordResult::End => {
                    if self.record.len() > MAX_RECORD_BYTES || !self.read_line()? {
                        self.read_again_after(first_line_bytes, line);
                        return Ok(Some((line, Found::Malformed(UNCLOSED))));
                    }
                }
            }
        }
        if from < self.record.len() {
            // A lone carriage return ended the record within the line.
            self.read_again_after(from, self.line - 1);
        }
        Ok(Some((line, decode(&self.text[..written], &self.ends[..fields]))))
    }

    /// Appends a line with its end to the record; false at the end of the file. At most a little more than a record may hold.
    fn read_line(&mut self) -> io::Result<bool> {
        let before = self.record.len();
        if self.again_from < self.again.len() {
            let rest = &self.again[self.again_from..];
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            self.record.extend_from_slice(&rest[..length]);
            self.again_from += length;
        } else {
            let limit = MAX_RECORD_BYTES as u64 + 1;
            let read = (&mut self.input).take(limit).read_until(b'\n', &mut self.record)?;
            self.bytes += read as u64;
            // The last line may have no end: it gets one.
            if read > 0 && (read as u64) < limit && self.record.last() != Some(&b'\n') {
                self.record.push(b'\n');
            }
        }
        self.line += u64::from(self.record.len() > before);
        Ok(self.record.len() > before)
    }

    /// Passes over the rest of a line that is too long.
    fn skip_line(&mut self) -> io::Result<()> {
        while self.record.last() != Some(&b'\n') {
            self.record.clear();
            if !self.read_line()? {
                return Ok(());
            }
            self.line -= 1;
        }
        Ok(())
    }

    /// Puts all but the first bytes of the record back, to be read again as the lines after `line`.
    fn read_again_after(&mut self, bytes: usize, line: u64) {
        let mut again = self.record.split_off(bytes);
        again.extend_from_slice(&self.again[self.again_from..]);
        self.again = again;
        self.again_from = 0;
        self.line = line;
    }
}

fn decode<'a>(text: &'a [u8], ends: &'a [usize]) -> Found<'a> {
    match std::str::from_utf8(text) {
        Ok(text) if ends.iter().all(|&end| text.is_char_boundary(end)) => {
            Found::Record(CsvRecord { text, ends })
        }
        _ => Found::Malformed(NOT_UTF8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<(u64, Result<Vec<String>, &'static str>)> {
        let mut records = CsvRecords::new(bytes, b',');
        let mut all = Vec::new();
        while let Some((line, found)) = records.next().unwrap() {
            let found = match found {
                Found::Record(record) => Ok((0..record.ends.len())
                    .map(|column| record.field(column).unwrap().to_owned())
                    .collect()),
                Found::Malformed(reason) => Err(reason),
            };
            all.push((line, found));
        }
        all
    }

    fn check(text: &str, expect: &[(u64, &[&str])]) {
        let found = read(text.as_bytes());
        let expect: Vec<_> = expect
            .iter()
            .map(|(line, fields)| (*line, Ok(fields.iter().map(|&field| field.to_owned()).collect())))
            .collect();
        assert_eq!(found, expect, "{text:?}");
    }

    #[test]
    fn records_are_lines_or_more_in_quotes() {
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("\u{feff}a\r\n\r\nb", &[(1, &["a"]), (3, &["b"])]);
        check("\"x, \"\"y\"\"\",2\n3,4", &[(1, &["x, \"y\"", "2"]), (2, &["3", "4"])]);
        check("\"two\nlines\",2\nb,c\n", &[(1, &["two\nlines", "2"]), (3, &["b", "c"])]);
        check("5\" disc, b \n", &[(1, &["5\" disc", "b"])]);
        check("a,\n,b\n\"\"\n", &[(1, &["a", ""]), (2, &["", "b"]), (3, &[""])]);
        check("", &[]);
        check("a\rb\nc\n", &[(1, &["a"]), (1, &["b"]), (2, &["c"])]);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_line_only() {
        let found = read(b"1,\"open\n2,b\n3,c\n");
        assert_eq!(found[0], (1, Err(UNCLOSED)));
        assert_eq!(found[1], (2, Ok(vec!["2".into(), "b".into()])));
        assert_eq!(found[2], (3, Ok(vec!["3".into(), "c".into()])));
        let mut long = b"h\n\"open\n".to_vec();
        (0..100_000).for_each(|number| long.extend_from_slice(format!("{number}\n").as_bytes()));
        let found = read(&long);
        assert_eq!((found.len(), &found[1]), (100_002, &(2, Err(UNCLOSED))));
        assert_eq!(found[100_001], (100_002, Ok(vec!["99999".into()])));
    }

    #[test]
    fn a_line_too_long_and_text_that_is_not_utf8_are_passed_over() {
        let mut text = vec![b'x'; MAX_RECORD_BYTES * 3];
        text.extend_from_slice(b"\nL\xE9on\n\xC3,\xA9\nnext\n");
        let reasons: Vec<_> = read(&text).into_iter().map(|(line, found)| (line, found.err())).collect();
        assert_eq!(reasons, [(1, Some(TOO_LONG)), (2, Some(NOT_UTF8)), (3, Some(NOT_UTF8)), (4, None)]);
    }

    proptest! {
        #[test]
        fn written_csv_is_read_back(rows in proptest::collection::vec(proptest::collection::vec("[a\",é\n]{0,5}", 2), 1..6)) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let found: Vec<_> = read(&writer.into_inner().unwrap()).into_iter().map(|(_, row)| row.unwrap()).collect();
            let trimmed: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|field| field.trim().to_owned()).collect()).collect();
            prop_assert_eq!(found, trimmed);
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..80)) {
            read(&bytes);
        }
    }
}
