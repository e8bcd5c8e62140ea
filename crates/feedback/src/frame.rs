//! Records in a segment's bytes: length, checksum, position, payload. It finds what is whole after a crash or an alteration,
//! and knows nothing of files.
//!
//! A segment is 16 bytes that name the format, then frames. A frame is
//! `length and marks: u32, xxh3: u64, position: u64, payload`, little-endian. The marks say that a frame is the first or the
//! last of its call. The checksum covers all else, and where the frame stands: the segment's first position and the offset.
//! So a copy of a frame at another place, or one hidden in somebody's text, is none.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::record::MAX_RECORD_BYTES;
use crate::store::BatchRecord;

/// What a segment begins with; the digits are the version of the format.
pub(crate) const MAGIC: &[u8; 16] = b"cinedex log 0001";

/// Bytes of a frame before its payload.
pub(crate) const HEAD: usize = 20;

const OPENS: u32 = 1 << 31;
const CLOSES: u32 = 1 << 30;
const LENGTH: u32 = CLOSES - 1;

/// A segment is searched for good frames behind damage until this many bytes were hashed in vain, so that crafted bytes cannot
/// make opening slow.
const SEARCH_BYTES: usize = 1 << 30;

/// What stands at an offset.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parsed<'a> {
    /// A whole frame of so many bytes.
    Whole(BatchRecord<'a>, usize),
    /// The beginning of what may be one of so many bytes.
    Short(usize),
    /// No frame.
    Bad,
}

/// Appends a frame that will stand at `offset` of the segment that begins with position `first`.
pub(crate) fn put_frame(out: &mut Vec<u8>, first: u64, offset: u64, record: &BatchRecord<'_>) {
    let mut head = record.payload.len() as u32;
    head |= if record.opens { OPENS } else { 0 };
    head |= if record.closes { CLOSES } else { 0 };
    out.extend_from_slice(&head.to_le_bytes());
    let checksum_at = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&record.position.to_le_bytes());
    out.extend_from_slice(record.payload);
    let checksum = checksum(&out[checksum_at + 8..], head, first, offset);
    out[checksum_at..checksum_at + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads the frame with which `bytes` begin, which stand at `offset` of the segment that begins with `first`.
pub(crate) fn parse_frame(bytes: &[u8], first: u64, offset: u64) -> Parsed<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Parsed::Short(HEAD) };
    let head = u32::from_le_bytes(*head);
    let length = (head & LENGTH) as usize;
    if length == 0 || length > MAX_RECORD_BYTES {
        return Parsed::Bad;
    }
    let Some((expected, rest)) = rest.split_first_chunk::<8>() else { return Parsed::Short(HEAD + length) };
    let Some(covered) = rest.get(..8 + length) else { return Parsed::Short(HEAD + length) };
    if checksum(covered, head, first, offset) != u64::from_le_bytes(*expected) {
        return Parsed::Bad;
    }
    let (position, payload) = covered.split_first_chunk::<8>().expect("eight bytes and more were taken");
    let (opens, closes) = (head & OPENS != 0, head & CLOSES != 0);
    let record = BatchRecord { position: u64::from_le_bytes(*position), payload, opens, closes };
    Parsed::Whole(record, HEAD + length)
}

/// Position and payload of a frame that is known to be good.
pub(crate) fn open_frame(frame: &[u8]) -> (u64, &[u8]) {
    let (head, payload) = frame.split_at(HEAD);
    let position = head.last_chunk().expect("a head ends with the position's eight bytes");
    (u64::from_le_bytes(*position), payload)
}

/// What of a segment is good.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The frames of whole calls, as ranges of bytes, ascending.
    pub(crate) frames: Vec<Range<usize>>,
    /// Bytes that belong to no whole call, without those of the header.
    pub(crate) lost: usize,
    /// Whether some of them stand before good frames.
    pub(crate) within: bool,
    /// The last good position before the first of them.
    pub(crate) good_until: Option<u64>,
}

/// Finds the whole calls in a segment, given with its header; `after` is the last position before the segment. Frames at
/// positions that descend are not good.
pub(crate) fn recover(segment: &[u8], first: u64, after: u64) -> Recovered {
    let mut found = Recovered::default();
    let mut call = Call::default();
    let mut last = after;
    let mut offset = MAGIC.len().min(segment.len());
    let mut end_of_good = offset;
    let mut search = SEARCH_BYTES;
    while offset < segment.len() {
        let Parsed::Whole(frame, size) = parse_frame(&segment[offset..], first, offset as u64) else {
            call = Call::default();
            match next_frame(segment, first, offset + 1, &mut search) {
                Some(next) => offset = next,
                None => break,
            }
            continue;
        };
        if let Some(last_of_call) = call.take(&frame, offset..offset + size, last) {
            let start = call.frames[0].start;
            if start > end_of_good {
                found.good_until.get_or_insert(last);
                found.within = true;
                found.lost += start - end_of_good;
            }
            end_of_good = offset + size;
            last = last_of_call;
            found.frames.append(&mut call.frames);
            call = Call::default();
        }
        offset += size;
    }
    if end_of_good < segment.len() {
        found.good_until.get_or_insert(last);
        found.lost += segment.len() - end_of_good;
    }
    found
}

/// A call that is being put together.
#[derive(Default)]
struct Call {
    frames: Vec<Range<usize>>,
    last: u64,
}

impl Call {
    /// Takes the next frame; the call's last position when it is whole. A frame that does not follow gives the call up.
    fn take(&mut self, frame: &BatchRecord<'_>, range: Range<usize>, before: u64) -> Option<u64> {
        if frame.opens {
            self.frames.clear();
        } else if self.frames.is_empty() {
            return None;
        }
        // A note has the position of the entry before it. A compacted segment has gaps, between calls.
        let follows =
            if frame.opens { frame.position >= before } else { frame.position.wrapping_sub(self.last) <= 1 };
        if !follows {
            self.frames.clear();
            return None;
        }
        self.frames.push(range);
        self.last = frame.position;
        frame.closes.then_some(frame.position)
    }
}

fn next_frame(segment: &[u8], first: u64, from: usize, search: &mut usize) -> Option<usize> {
    for offset in from..segment.len().saturating_sub(HEAD) {
        let bytes = &segment[offset..];
        let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & LENGTH;
        if length == 0 || length as usize > MAX_RECORD_BYTES || bytes.len() < HEAD + length as usize {
            continue;
        }
        *search = search.checked_sub(length as usize + 64)?;
        if matches!(parse_frame(bytes, first, offset as u64), Parsed::Whole(..)) {
            return Some(offset);
        }
    }
    None
}

fn checksum(covered: &[u8], head: u32, first: u64, offset: u64) -> u64 {
    let place = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ offset.rotate_left(24);
    xxh3_64_with_seed(covered, place ^ u64::from(head).rotate_left(48))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment of calls with so many records each, and where each call ends.
    fn segment(calls: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut position) = (MAGIC.to_vec(), Vec::new(), 0);
        for &count in calls {
            for index in 0..count {
                position += 1;
                let payload = format!("record {position}");
                let record = BatchRecord {
                    position,
                    payload: payload.as_bytes(),
                    opens: index == 0,
                    closes: index + 1 == count,
                };
                let offset = bytes.len() as u64;
                put_frame(&mut bytes, 1, offset, &record);
            }
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_whole_segment_is_recovered_whole() {
        let (bytes, _) = segment(&[1, 3, 2]);
        let found = recover(&bytes, 1, 0);
        assert_eq!((found.frames.len(), found.lost, found.within, found.good_until), (6, 0, false, None));
        assert_eq!(recover(MAGIC, 1, 0), Recovered::default());
        assert_eq!(recover(b"", 1, 0), Recovered::default());
    }

    #[test]
    fn cut_anywhere_it_keeps_the_whole_calls() {
        let calls = [1, 3, 2];
        let (bytes, ends) = segment(&calls);
        for cut in MAGIC.len()..bytes.len() {
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            let records: usize = calls[..whole].iter().sum();
            let found = recover(&bytes[..cut], 1, 0);
            assert_eq!(found.frames.len(), records, "cut at {cut}");
            assert_eq!(found.lost, cut - if whole == 0 { MAGIC.len() } else { ends[whole - 1] });
            assert!(!found.within);
        }
    }

    #[test]
    fn flipped_anywhere_it_loses_that_call_and_no_other() {
        let calls = [1, 3, 2, 1];
        let (bytes, ends) = segment(&calls);
        for at in MAGIC.len()..bytes.len() {
            for bit in [0, 3, 7] {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                let hit = ends.iter().position(|&end| at < end).unwrap();
                let found = recover(&altered, 1, 0);
                assert_eq!(found.frames.len(), 7 - calls[hit], "bit {bit} of byte {at}");
                assert_eq!(found.within, hit < 3);
                let before: usize = calls[..hit].iter().sum();
                assert_eq!(found.good_until, Some(before as u64));
            }
        }
    }

    #[test]
    fn a_frame_at_another_place_is_none() {
        let (bytes, _) = segment(&[1, 1]);
        assert!(recover(&bytes, 2, 0).frames.is_empty());
        let moved = [MAGIC.as_slice(), b"x", &bytes[MAGIC.len()..]].concat();
        assert!(recover(&moved, 1, 0).frames.is_empty());
        let twice = [bytes.as_slice(), &bytes[MAGIC.len()..]].concat();
        assert_eq!(recover(&twice, 1, 0).frames.len(), 2);
    }

    #[test]
    fn noise_is_searched_and_refused() {
        let noise: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let segment = [MAGIC.as_slice(), &noise].concat();
        let found = recover(&segment, 1, 0);
        assert_eq!((found.frames.len(), found.lost), (0, noise.len()));
    }
}
