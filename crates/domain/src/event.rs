//! What a user did with a movie, as it arrives while serving: one interaction with its time, place and name for retries.

use serde::{Deserialize, Serialize};

use crate::{DomainError, InteractionKind, Location, MovieId, UserId};

/// The longest event id, in bytes of UTF-8.
pub const MAX_EVENT_ID_BYTES: usize = 256;

/// The latest time of an event: the last millisecond of the year 9999. The earliest is 0, the start of 1970.
pub const MAX_TIMESTAMP_MS: i64 = 253_402_300_799_999;

/// Something a user did with a movie, as it arrives while serving. [`Event::check`] says whether it makes sense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who.
    pub user_id: UserId,
    /// With what.
    pub movie_id: MovieId,
    /// What.
    pub kind: InteractionKind,
    /// The rating, finite: there for [`InteractionKind::Rating`] and for nothing else.
    #[serde(default)]
    pub value: Option<f32>,
    /// When, in milliseconds since 1970 UTC, by the caller's clock; 0 to [`MAX_TIMESTAMP_MS`].
    pub timestamp_ms: i64,
    /// Where the user was.
    #[serde(default)]
    pub location: Option<Location>,
    /// The caller's name for this event, 1 to [`MAX_EVENT_ID_BYTES`] bytes: sent again for the same user it counts once.
    #[serde(default)]
    pub event_id: Option<String>,
}

impl Event {
    /// Checks what the types leave open: a finite value for a rating and none for anything else, the time, and the event id.
    pub fn check(&self) -> Result<(), DomainError> {
        let invalid = |field, expected| Err(DomainError::InvalidEvent { field, expected });
        match (self.kind, self.value) {
            (InteractionKind::Rating, None) => return invalid("value", "there, because the kind is rating"),
            (InteractionKind::Rating, Some(value)) if !value.is_finite() => {
                return invalid("value", "a finite number");
            }
            (InteractionKind::Rating, Some(_)) | (_, None) => {}
            (_, Some(_)) => return invalid("value", "left out, because only a rating has one"),
        }
        if !(0..=MAX_TIMESTAMP_MS).contains(&self.timestamp_ms) {
            return invalid("timestamp_ms", "between the years 1970 and 9999, in milliseconds");
        }
        if self.event_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_EVENT_ID_BYTES) {
            return invalid("event_id", "1 to 256 bytes");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            user_id: UserId::new("7").unwrap(),
            movie_id: MovieId::new("318").unwrap(),
            kind: InteractionKind::Like,
            value: None,
            timestamp_ms: 1,
            location: None,
            event_id: None,
        }
    }

    fn check(event: Event, field: Option<&str>) {
        match (event.check(), field) {
            (Ok(()), None) => {}
            (Err(DomainError::InvalidEvent { field: found, .. }), Some(field)) => assert_eq!(found, field),
            (found, expect) => panic!("{found:?} where {expect:?} was expected"),
        }
    }

    #[test]
    fn only_a_rating_has_a_value_and_it_is_finite() {
        let rating = |value| Event { kind: InteractionKind::Rating, value, ..event() };
        check(event(), None);
        check(rating(Some(4.5)), None);
        check(rating(None), Some("value"));
        check(rating(Some(f32::NAN)), Some("value"));
        check(rating(Some(f32::INFINITY)), Some("value"));
        check(Event { value: Some(4.0), ..event() }, Some("value"));
    }

    #[test]
    fn time_and_event_id_have_limits() {
        let at = |timestamp_ms| Event { timestamp_ms, ..event() };
        let named = |id: &str| Event { event_id: Some(id.to_owned()), ..event() };
        check(at(0), None);
        check(at(-1), Some("timestamp_ms"));
        check(at(MAX_TIMESTAMP_MS), None);
        check(at(MAX_TIMESTAMP_MS + 1), Some("timestamp_ms"));
        check(named("e"), None);
        check(named(&"e".repeat(256)), None);
        check(named(""), Some("event_id"));
        check(named(&"é".repeat(129)), Some("event_id"));
    }

    #[test]
    fn an_event_is_read_with_as_little_as_it_needs() {
        let text = r#"{"user_id":7,"movie_id":"318","kind":"like","timestamp_ms":1}"#;
        assert_eq!(serde_json::from_str::<Event>(text).unwrap(), event());
    }
}
