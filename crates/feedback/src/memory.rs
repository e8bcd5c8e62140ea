//! What was sent before, by name: event ids and idempotency keys, remembered for a time. Only the writer asks it.

use std::collections::HashMap;

use hashbrown::HashTable;

use crate::entry::Appended;
use crate::record::Fingerprint;

const MINUTE_MS: i64 = 60_000;

/// Names below this number are never gone through.
const SMALLEST_PURGE: usize = 1 << 16;

/// Names that were seen. 16 bytes an event id and 48 a key, in tables that are between 44 and 88 % full. What is older than the
/// time to remember leaves when a table has doubled since it was last gone through.
pub(crate) struct Memory {
    events: HashTable<Seen>,
    keys: HashMap<Fingerprint, Answer>,
    remember_minutes: i64,
    purge_at: usize,
}

#[derive(Clone, Copy)]
struct Seen {
    high: u64,
    low: u32,
    minute: u32,
}

#[derive(Clone, Copy)]
struct Answer {
    body_hash: u64,
    appended: Appended,
    minute: u32,
}

/// What is known of an idempotency key.
pub(crate) enum Known {
    /// It is new.
    New,
    /// It was answered so.
    Answered(Appended),
    /// It was used for another body.
    OtherBody,
}

impl Memory {
    pub(crate) fn new(remember_ms: i64) -> Self {
        let remember_minutes = remember_ms / MINUTE_MS + 1;
        Self { events: HashTable::new(), keys: HashMap::new(), remember_minutes, purge_at: SMALLEST_PURGE }
    }

    /// Whether a name given at `then_ms` is still remembered.
    pub(crate) fn remembers(&self, then_ms: i64, now_ms: i64) -> bool {
        i64::from(minute(then_ms)) + self.remember_minutes >= i64::from(minute(now_ms))
    }

    /// Remembers an event; false if it is known already.
    pub(crate) fn insert_event(&mut self, event: Fingerprint, now_ms: i64) -> bool {
        self.make_room(now_ms);
        let seen = Seen { high: event.high, low: event.low, minute: minute(now_ms) };
        match self.events.entry(event.high, |known| is(known, event), |known| known.high) {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(seen);
                true
            }
        }
    }

    /// Takes back [`Memory::insert_event`].
    pub(crate) fn remove_event(&mut self, event: Fingerprint) {
        if let Ok(known) = self.events.find_entry(event.high, |known| is(known, event)) {
            known.remove();
        }
    }

    /// What is known of a key.
    pub(crate) fn key(&self, key: Fingerprint, body_hash: u64) -> Known {
        match self.keys.get(&key) {
            None => Known::New,
            Some(answer) if answer.body_hash == body_hash => Known::Answered(answer.appended),
            Some(_) => Known::OtherBody,
        }
    }

    /// Remembers how a key was answered.
    pub(crate) fn insert_key(&mut self, key: Fingerprint, body_hash: u64, appended: Appended, now_ms: i64) {
        self.make_room(now_ms);
        self.keys.insert(key, Answer { body_hash, appended, minute: minute(now_ms) });
    }

    /// Takes back [`Memory::insert_key`].
    pub(crate) fn remove_key(&mut self, key: Fingerprint) {
        self.keys.remove(&key);
    }

    /// Names remembered.
    pub(crate) fn len(&self) -> usize {
        self.events.len() + self.keys.len()
    }

    /// Bytes taken by the tables.
    pub(crate) fn bytes(&self) -> u64 {
        (self.events.capacity() * 8 / 7 * 17 + self.keys.capacity() * 8 / 7 * 49) as u64
    }

    fn make_room(&mut self, now_ms: i64) {
        if self.len() < self.purge_at {
            return;
        }
        let from = i64::from(minute(now_ms)) - self.remember_minutes;
        self.events.retain(|seen| i64::from(seen.minute) >= from);
        self.keys.retain(|_, answer| i64::from(answer.minute) >= from);
        self.purge_at = (self.len() * 2).max(SMALLEST_PURGE);
    }
}

fn is(seen: &Seen, event: Fingerprint) -> bool {
    seen.high == event.high && seen.low == event.low
}

fn minute(time_ms: i64) -> u32 {
    u32::try_from(time_ms.max(0) / MINUTE_MS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn name(number: u64) -> Fingerprint {
        Fingerprint::of_event("user", &number.to_string())
    }

    #[test]
    fn a_name_is_known_until_it_is_taken_back() {
        let mut memory = Memory::new(7 * DAY_MS);
        assert!(memory.insert_event(name(1), 0));
        assert!(!memory.insert_event(name(1), 5 * DAY_MS));
        memory.remove_event(name(1));
        assert!(memory.insert_event(name(1), 0));
        let appended = Appended { accepted: 1, duplicates: 0, position: 9 };
        memory.insert_key(name(2), 7, appended, 0);
        assert!(matches!(memory.key(name(2), 7), Known::Answered(found) if found == appended));
        assert!(matches!(memory.key(name(2), 8), Known::OtherBody));
        memory.remove_key(name(2));
        assert!(matches!(memory.key(name(2), 7), Known::New));
    }

    #[test]
    fn memory_is_bounded_by_what_came_in_the_time_to_remember() {
        let mut memory = Memory::new(7 * DAY_MS);
        let a_day = 30_000;
        for number in 0..60 * a_day {
            let now = (number / a_day) as i64 * DAY_MS;
            assert!(memory.insert_event(name(number), now));
            if number >= 7 * a_day {
                assert!(!memory.insert_event(name(number - 7 * a_day + 1), now), "day {}", now / DAY_MS);
            }
        }
        let most = 2 * 9 * a_day as usize;
        assert!(memory.len() <= most, "{} names", memory.len());
        assert!(memory.bytes() <= most as u64 * 48, "{} bytes", memory.bytes());
    }
}
