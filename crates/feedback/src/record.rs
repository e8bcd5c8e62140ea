//! Entries and notes as bytes. It knows nothing of files, checksums or order; bytes that come back are checked field by field.
//!
//! A record is a tag, the time received, and its fields: text as length and bytes, integers as LEB128 (signed ones zigzag).
//! Notes are what the log writes for itself: the answer to an idempotency key, and an event id whose event has left.

use cinedex_domain::{Event, InteractionKind, Location, Movie, MovieId, UserId};

use crate::entry::{Appended, Entry};
use crate::error::FeedbackError;

/// The most bytes that a record may have.
pub(crate) const MAX_RECORD_BYTES: usize = 1 << 20;

const INTERACTION: u8 = 0;
const FORGOTTEN: u8 = 1;
const MOVIE_PUT: u8 = 2;
const MOVIE_WITHDRAWN: u8 = 3;
const ANSWERED: u8 = 4;
const REMEMBERED: u8 = 5;

const HAS_VALUE: u8 = 1 << 5;
const HAS_LOCATION: u8 = 1 << 6;
const HAS_EVENT_ID: u8 = 1 << 7;

/// 96 bits that stand for an event id of a user, or for an idempotency key. Among 10^9 names two agree by accident with a
/// probability of 10^-11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint {
    pub(crate) high: u64,
    pub(crate) low: u32,
}

impl Fingerprint {
    /// Of an event id, which is the user's own.
    pub(crate) fn of_event(user_id: &str, event_id: &str) -> Self {
        let mut bytes = Vec::with_capacity(user_id.len() + event_id.len() + 2);
        put_text(&mut bytes, user_id);
        bytes.extend_from_slice(event_id.as_bytes());
        Self::of(&bytes)
    }

    /// Of an idempotency key.
    pub(crate) fn of_key(key: &str) -> Self {
        Self::of(key.as_bytes())
    }

    fn of(bytes: &[u8]) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_128(bytes);
        Self { high: (hash >> 64) as u64, low: hash as u32 }
    }
}

/// A record as it lies in a buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Record<'a> {
    Interaction(Interaction<'a>),
    Forgotten(&'a str),
    /// The movie's id, and its facts as JSON.
    MoviePut(&'a str, &'a [u8]),
    MovieWithdrawn(&'a str),
    /// The answer that a key was given, for the hash of its body.
    Answered(Fingerprint, u64, Appended),
    /// The name of an event that has left.
    Remembered(Fingerprint),
}

/// An event as it lies in a buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interaction<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) movie_id: &'a str,
    pub(crate) kind: InteractionKind,
    pub(crate) value: Option<f32>,
    pub(crate) timestamp_ms: i64,
    pub(crate) location: Option<&'a str>,
    pub(crate) event_id: Option<&'a str>,
}

/// Appends the bytes of an entry.
pub(crate) fn encode_entry(out: &mut Vec<u8>, received_ms: i64, entry: &Entry) -> Result<(), FeedbackError> {
    match entry {
        Entry::Interaction(event) => encode_event(out, received_ms, event),
        Entry::Forgotten(user_id) => {
            put_head(out, FORGOTTEN, received_ms);
            put_text(out, user_id.as_str());
        }
        Entry::MoviePut(movie) => {
            put_head(out, MOVIE_PUT, received_ms);
            put_text(out, movie.movie_id.as_str());
            let facts =
                serde_json::to_vec(movie).expect("a movie has only text keys and finite or absent numbers");
            if facts.len() > MAX_RECORD_BYTES / 2 {
                return Err(FeedbackError::LargeMovie { found: facts.len(), max: MAX_RECORD_BYTES / 2 });
            }
            put_bytes(out, &facts);
        }
        Entry::MovieWithdrawn(movie_id) => {
            put_head(out, MOVIE_WITHDRAWN, received_ms);
            put_text(out, movie_id.as_str());
        }
    }
    Ok(())
}

/// Appends the bytes of the note that a key was answered.
pub(crate) fn encode_answered(
    out: &mut Vec<u8>,
    received_ms: i64,
    key: Fingerprint,
    body_hash: u64,
    answer: Appended,
) {
    put_head(out, ANSWERED, received_ms);
    put_fingerprint(out, key);
    out.extend_from_slice(&body_hash.to_le_bytes());
    put_number(out, u64::from(answer.accepted));
    put_number(out, u64::from(answer.duplicates));
    put_number(out, answer.position);
}

/// Appends the bytes of the note that an event was there.
pub(crate) fn encode_remembered(out: &mut Vec<u8>, received_ms: i64, event: Fingerprint) {
    put_head(out, REMEMBERED, received_ms);
    put_fingerprint(out, event);
}

/// Reads a record and when it was received; `None` if the bytes are not exactly one record.
pub(crate) fn decode(bytes: &[u8]) -> Option<(i64, Record<'_>)> {
    let mut rest = bytes;
    let tag = take_byte(&mut rest)?;
    let received_ms = take_signed(&mut rest)?;
    let record = match tag {
        INTERACTION => Record::Interaction(take_interaction(&mut rest)?),
        FORGOTTEN => Record::Forgotten(take_text(&mut rest)?),
        MOVIE_PUT => {
            let movie_id = take_text(&mut rest)?;
            Record::MoviePut(movie_id, take_bytes(&mut rest)?)
        }
        MOVIE_WITHDRAWN => Record::MovieWithdrawn(take_text(&mut rest)?),
        ANSWERED => {
            let key = take_fingerprint(&mut rest)?;
            let body_hash = u64::from_le_bytes(take_array(&mut rest)?);
            let accepted = u32::try_from(take_number(&mut rest)?).ok()?;
            let duplicates = u32::try_from(take_number(&mut rest)?).ok()?;
            let position = take_number(&mut rest)?;
            Record::Answered(key, body_hash, Appended { accepted, duplicates, position })
        }
        REMEMBERED => Record::Remembered(take_fingerprint(&mut rest)?),
        _ => return None,
    };
    rest.is_empty().then_some((received_ms, record))
}

impl Record<'_> {
    /// The entry; `None` for a note, and an error if a field is not what it must be.
    pub(crate) fn to_entry(self) -> Result<Option<Entry>, Malformed> {
        let entry = match self {
            Self::Interaction(event) => event.to_event().map(Entry::Interaction),
            Self::Forgotten(user_id) => UserId::new(user_id).ok().map(Entry::Forgotten),
            Self::MoviePut(_, facts) => serde_json::from_slice::<Movie>(facts).ok().map(Entry::MoviePut),
            Self::MovieWithdrawn(movie_id) => MovieId::new(movie_id).ok().map(Entry::MovieWithdrawn),
            Self::Answered(..) | Self::Remembered(_) => return Ok(None),
        };
        entry.map(Some).ok_or(Malformed)
    }
}

/// A record whose fields are not what they must be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Interaction<'_> {
    /// The event, if every field is what it must be.
    pub(crate) fn to_event(self) -> Option<Event> {
        Some(Event {
            user_id: UserId::new(self.user_id).ok()?,
            movie_id: MovieId::new(self.movie_id).ok()?,
            kind: self.kind,
            value: self.value,
            timestamp_ms: self.timestamp_ms,
            location: self.location.map(str::parse::<Location>).transpose().ok()?,
            event_id: self.event_id.map(str::to_owned),
        })
    }
}

fn encode_event(out: &mut Vec<u8>, received_ms: i64, event: &Event) {
    put_head(out, INTERACTION, received_ms);
    let mut kind = event.kind as u8;
    kind |= if event.value.is_some() { HAS_VALUE } else { 0 };
    kind |= if event.location.is_some() { HAS_LOCATION } else { 0 };
    kind |= if event.event_id.is_some() { HAS_EVENT_ID } else { 0 };
    out.push(kind);
    put_text(out, event.user_id.as_str());
    put_text(out, event.movie_id.as_str());
    put_signed(out, event.timestamp_ms);
    if let Some(value) = event.value {
        out.extend_from_slice(&value.to_le_bytes());
    }
    if let Some(location) = &event.location {
        put_text(out, location.as_str());
    }
    if let Some(event_id) = &event.event_id {
        put_text(out, event_id);
    }
}

fn take_interaction<'a>(rest: &mut &'a [u8]) -> Option<Interaction<'a>> {
    let kind = take_byte(rest)?;
    let user_id = take_text(rest)?;
    let movie_id = take_text(rest)?;
    let timestamp_ms = take_signed(rest)?;
    let value = if kind & HAS_VALUE == 0 { None } else { Some(f32::from_le_bytes(take_array(rest)?)) };
    let location = if kind & HAS_LOCATION == 0 { None } else { Some(take_text(rest)?) };
    let event_id = if kind & HAS_EVENT_ID == 0 { None } else { Some(take_text(rest)?) };
    let kind = *InteractionKind::ALL.get(usize::from(kind & !(HAS_VALUE | HAS_LOCATION | HAS_EVENT_ID)))?;
    Some(Interaction { user_id, movie_id, kind, value, timestamp_ms, location, event_id })
}

fn put_head(out: &mut Vec<u8>, tag: u8, received_ms: i64) {
    out.push(tag);
    put_signed(out, received_ms);
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_fingerprint(out: &mut Vec<u8>, fingerprint: Fingerprint) {
    out.extend_from_slice(&fingerprint.high.to_le_bytes());
    out.extend_from_slice(&fingerprint.low.to_le_bytes());
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    take_array::<1>(rest).map(|[byte]| byte)
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(rest)?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_signed(rest: &mut &[u8]) -> Option<i64> {
    let number = take_number(rest)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    take(rest, length)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(rest)?).ok()
}

fn take_fingerprint(rest: &mut &[u8]) -> Option<Fingerprint> {
    let high = u64::from_le_bytes(take_array(rest)?);
    Some(Fingerprint { high, low: u32::from_le_bytes(take_array(rest)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Entry> {
        let id = "[a-zA-Z0-9é]{1,12}";
        let place = proptest::option::of("[A-Z]{2}(/[A-Z0-9]{1,3}(/[a-zé]{1,9})?)?");
        let event = (id, id, 0..6_usize, any::<i64>(), any::<f32>(), place, proptest::option::of(".{1,40}"));
        let event = event.prop_map(|(user, movie, kind, timestamp_ms, value, place, event_id)| {
            let kind = InteractionKind::ALL[kind];
            Entry::Interaction(Event {
                user_id: UserId::new(&user).unwrap(),
                movie_id: MovieId::new(&movie).unwrap(),
                kind,
                value: (kind == InteractionKind::Rating && value.is_finite()).then_some(value),
                timestamp_ms,
                location: place.map(|place| place.parse().unwrap()),
                event_id,
            })
        });
        let movie = (id, ".{0,30}", any::<Option<u16>>(), proptest::collection::vec(".{0,9}", 0..4));
        let movie = movie.prop_map(|(movie_id, title, year, tags)| {
            Entry::MoviePut(Movie { year, tags, ..Movie::new(MovieId::new(&movie_id).unwrap(), title) })
        });
        prop_oneof![
            4 => event,
            1 => id.prop_map(|user| Entry::Forgotten(UserId::new(&user).unwrap())),
            1 => movie,
            1 => id.prop_map(|movie| Entry::MovieWithdrawn(MovieId::new(&movie).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn an_entry_is_read_back(entry in entries(), received_ms in any::<i64>()) {
            let mut bytes = Vec::new();
            encode_entry(&mut bytes, received_ms, &entry).unwrap();
            let (received, record) = decode(&bytes).unwrap();
            prop_assert_eq!(received, received_ms);
            prop_assert_eq!(record.to_entry(), Ok(Some(entry)));
            for end in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..end]), None, "cut at {}", end);
            }
            bytes.push(0);
            prop_assert_eq!(decode(&bytes), None);
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some((_, record)) = decode(&bytes) {
                let _ = record.to_entry();
            }
        }

        #[test]
        fn notes_are_read_back(high in any::<u64>(), low in any::<u32>(), accepted in any::<u32>(), duplicates in any::<u32>(), position in any::<u64>()) {
            let (name, answer) = (Fingerprint { high, low }, Appended { accepted, duplicates, position });
            let mut bytes = Vec::new();
            encode_answered(&mut bytes, -5, name, high, answer);
            prop_assert_eq!(decode(&bytes), Some((-5, Record::Answered(name, high, answer))));
            bytes.clear();
            encode_remembered(&mut bytes, 5, name);
            prop_assert_eq!(decode(&bytes), Some((5, Record::Remembered(name))));
        }
    }

    #[test]
    fn an_event_takes_few_bytes() {
        let event = Event {
            user_id: UserId::new("162541").unwrap(),
            movie_id: MovieId::new("318").unwrap(),
            kind: InteractionKind::Like,
            value: None,
            timestamp_ms: 1_700_000_000_000,
            location: None,
            event_id: None,
        };
        let mut bytes = Vec::new();
        encode_entry(&mut bytes, 1_700_000_000_000, &Entry::Interaction(event)).unwrap();
        assert_eq!(bytes.len(), 25);
    }

    #[test]
    fn fingerprints_keep_user_and_event_apart() {
        assert_ne!(Fingerprint::of_event("ab", "c"), Fingerprint::of_event("a", "bc"));
        assert_eq!(Fingerprint::of_event("ab", "c"), Fingerprint::of_event("ab", "c"));
    }
}
