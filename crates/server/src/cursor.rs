//! Where a list goes on: an opaque text that names the bundle on which it began, how far it came and which request it
//! belongs to, so that nothing comes twice or is skipped, whatever is swapped meanwhile.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Seconds that a cursor is good for, counted from a moment at most [`ISSUE_STEP_SECONDS`] before it was made. With what a
/// kept answer may be old (at most 300 s) it lives at least ten minutes.
pub(crate) const LIFE_SECONDS: u64 = 20 * 60;

/// Cursors are dated in steps, so that the same request gives the same bytes, and so the same `ETag`, for a while.
pub(crate) const ISSUE_STEP_SECONDS: u64 = 5 * 60;

const FORMAT: u8 = 1;
/// Format, first page, offset, request, time; then the version; then a checksum.
const HEAD_BYTES: usize = 1 + 1 + 4 + 8 + 8;
const CHECKSUM_BYTES: usize = 8;
const MAX_VERSION_BYTES: usize = 64;

/// A position in one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Items of the first page.
    pub(crate) first_page: u8,
    /// Items answered so far.
    pub(crate) offset: u32,
    /// [`hash`] of the normalised request, cursor and limit left out.
    pub(crate) request: u64,
    /// Seconds since 1970, down to a whole step.
    pub(crate) issued: u64,
    /// The bundle on which the list began.
    pub(crate) version: String,
}

/// Why a text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotACursor;

impl Cursor {
    /// The text: base64url without padding.
    pub(crate) fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.version.len() + CHECKSUM_BYTES);
        bytes.extend([FORMAT, self.first_page]);
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.request.to_le_bytes());
        bytes.extend(self.issued.to_le_bytes());
        bytes.extend(self.version.as_bytes());
        bytes.extend(hash(&bytes).to_le_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that [`encode`](Self::encode) made; anything else is refused.
    pub(crate) fn decode(text: &str) -> Result<Self, NotACursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotACursor)?;
        let (payload, checksum) =
            bytes.split_at_checked(bytes.len().saturating_sub(CHECKSUM_BYTES)).ok_or(NotACursor)?;
        let (head, version) = payload.split_at_checked(HEAD_BYTES).ok_or(NotACursor)?;
        if checksum != hash(payload).to_le_bytes() || head[0] != FORMAT || version.len() > MAX_VERSION_BYTES {
            return Err(NotACursor);
        }
        let number = |from: usize, length: usize| {
            head[from..from + length].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        Ok(Self {
            first_page: head[1],
            offset: number(2, 4) as u32,
            request: number(6, 8),
            issued: number(14, 8),
            version: String::from_utf8(version.to_vec()).map_err(|_| NotACursor)?,
        })
    }

    /// Whether it is too old at `now`, in seconds since 1970.
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        now.saturating_sub(self.issued) > LIFE_SECONDS
    }
}

/// The date of a cursor made at `now`, in seconds since 1970.
pub(crate) fn issue_time(now: u64) -> u64 {
    now - now % ISSUE_STEP_SECONDS
}

/// FNV-1a of 64 bits: the same on every replica and after every restart. It finds accidents, not forgery: a forged cursor
/// shows its owner nothing that an honest one would not.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        Cursor {
            first_page: 20,
            offset: 40,
            request: 0x0123_4567_89ab_cdef,
            issued: issue_time(1_700_000_123),
            version: "20250131T235959Z-0123abcd".to_owned(),
        }
    }

    #[test]
    fn it_is_read_back() {
        assert_eq!(Cursor::decode(&cursor().encode()), Ok(cursor()));
    }

    #[test]
    fn a_changed_byte_is_noticed_anywhere() {
        let text = cursor().encode();
        for position in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            assert_eq!(Cursor::decode(std::str::from_utf8(&changed).unwrap()), Err(NotACursor), "{position}");
        }
        for end in 0..text.len() {
            assert_eq!(Cursor::decode(&text[..end]), Err(NotACursor), "{end}");
        }
        assert_eq!(Cursor::decode("é%00"), Err(NotACursor));
    }

    #[test]
    fn it_lives_ten_minutes_at_least_and_not_for_ever() {
        let made = 1_700_000_123;
        assert!(!cursor().is_expired(made + 10 * 60 + 300));
        assert!(cursor().is_expired(made + LIFE_SECONDS + 1));
    }
}
