//! Where a list goes on: an opaque text that names the bundle on which it began, how far it came, what it showed and which
//! request it belongs to, so that nothing comes twice or is skipped, whatever is swapped or happens meanwhile.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Seconds that a cursor is good for, counted from a moment at most [`ISSUE_STEP_SECONDS`] before it was made. With what a
/// kept answer may be old (at most 300 s) it lives at least ten minutes.
pub(crate) const LIFE_SECONDS: u64 = 20 * 60;

/// Cursors are dated in steps, so that the same request gives the same bytes, and so the same `ETag`, for a while.
pub(crate) const ISSUE_STEP_SECONDS: u64 = 5 * 60;

/// The most items that a cursor remembers; a list that is followed further goes on only while nothing changes it.
pub(crate) const MAX_SHOWN: usize = 1_000;

const FORMAT: u8 = 2;
/// Format, first page, offset, request, stamp, time, how much was shown; then that; then the version; then a checksum.
const HEAD_BYTES: usize = 1 + 1 + 8 + 8 + 8 + 8 + 2;
const MARK_BYTES: usize = 5;
const CHECKSUM_BYTES: usize = 8;
const MAX_VERSION_BYTES: usize = 64;

/// A position in one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Items of the first page.
    pub(crate) first_page: u8,
    /// Items answered so far; of a history the position in the log before which it goes on.
    pub(crate) offset: u64,
    /// [`hash`] of the normalised request, cursor and limit left out.
    pub(crate) request: u64,
    /// [`hash`] of the state of what is live and changes the list.
    pub(crate) stamp: u64,
    /// [`mark`]s of the items answered so far, in their order; at most [`MAX_SHOWN`].
    pub(crate) shown: Vec<u64>,
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
        let shown = &self.shown[..self.shown.len().min(MAX_SHOWN)];
        let variable = shown.len() * MARK_BYTES + self.version.len();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + variable + CHECKSUM_BYTES);
        bytes.extend([FORMAT, self.first_page]);
        for number in [self.offset, self.request, self.stamp, self.issued] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend((shown.len() as u16).to_le_bytes());
        for mark in shown {
            bytes.extend(&mark.to_le_bytes()[..MARK_BYTES]);
        }
        bytes.extend(self.version.as_bytes());
        bytes.extend(hash(&bytes).to_le_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that [`encode`](Self::encode) made; anything else is refused.
    pub(crate) fn decode(text: &str) -> Result<Self, NotACursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotACursor)?;
        let (payload, checksum) =
            bytes.split_at_checked(bytes.len().saturating_sub(CHECKSUM_BYTES)).ok_or(NotACursor)?;
        let (head, rest) = payload.split_at_checked(HEAD_BYTES).ok_or(NotACursor)?;
        if checksum != hash(payload).to_le_bytes() || head[0] != FORMAT {
            return Err(NotACursor);
        }
        let count = number(&head[HEAD_BYTES - 2..]) as usize;
        let (shown, version) = rest.split_at_checked(count * MARK_BYTES).ok_or(NotACursor)?;
        if count > MAX_SHOWN || version.len() > MAX_VERSION_BYTES {
            return Err(NotACursor);
        }
        Ok(Self {
            first_page: head[1],
            offset: number(&head[2..10]),
            request: number(&head[10..18]),
            stamp: number(&head[18..26]),
            issued: number(&head[26..34]),
            shown: shown.chunks_exact(MARK_BYTES).map(number).collect(),
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

/// What a cursor remembers of an item: 40 bits of its id's hash. Only when a list has changed are items held against them: at a
/// thousand shown, one in a million of such pages leaves out an item that was not shown.
pub(crate) fn mark(id: &str) -> u64 {
    let hash = hash(id.as_bytes());
    (hash ^ hash >> 40) & ((1 << (8 * MARK_BYTES)) - 1)
}

/// A number of at most eight bytes, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
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
            stamp: 0xfedc_ba98_7654_3210,
            shown: ["318", "50", "七"].map(mark).to_vec(),
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
    fn it_remembers_so_much_and_no_more() {
        let ids = (0..2_000).map(|id: u32| id.to_string());
        let long = Cursor { shown: ids.map(|id| mark(&id)).collect(), ..cursor() };
        assert_eq!(Cursor::decode(&long.encode()).unwrap().shown, long.shown[..MAX_SHOWN]);
        assert!(long.encode().len() < 8_192, "it fits the parameter");
        let distinct: std::collections::HashSet<u64> = long.shown.iter().copied().collect();
        assert_eq!(distinct.len(), 2_000);
    }

    #[test]
    fn it_lives_ten_minutes_at_least_and_not_for_ever() {
        let made = 1_700_000_123;
        assert!(!cursor().is_expired(made + 10 * 60 + 300));
        assert!(cursor().is_expired(made + LIFE_SECONDS + 1));
    }
}
