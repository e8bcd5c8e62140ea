//! The body of `POST /v1/interactions`: one object or a list of them, read strictly, so that what is wrong names its field
//! and its place in the list. It knows neither the catalogue nor the log.

use cinedex_domain::{Event, InteractionKind, Location, MAX_EVENT_ID_BYTES, MovieId, UserId};
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::body::{Object, invalid, parse, read_object};
use crate::problem::Problem;

/// The most interactions of one request.
pub(crate) const MAX_INTERACTIONS: usize = 10_000;

/// How far ahead of this machine's clock an interaction may be, in milliseconds: clocks differ, but not by more.
const MAX_AHEAD_MS: i64 = 5 * 60 * 1_000;

/// What was posted.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) events: Vec<Event>,
    /// Whether they came as a list, so that a field is named with its place.
    is_list: bool,
}

impl Posted {
    /// What a field of the event at `position` is called.
    pub(crate) fn field(&self, position: usize, name: &str) -> String {
        field(self.is_list.then_some(position), name)
    }
}

/// Reads a body. `now_ms` is the time of an interaction that has none, and what the others are held against.
pub(crate) fn read_interactions(bytes: &[u8], now_ms: i64) -> Result<Posted, Problem> {
    let mut object = read_object(bytes, "an interaction, or with interactions, a list of them")?;
    let Some(list) = object.remove("interactions") else {
        return Ok(Posted { events: vec![read_event(None, object, now_ms)?], is_list: false });
    };
    if let Some(name) = object.keys().next() {
        return Err(invalid(name, "unknown beside interactions"));
    }
    let list: Vec<&RawValue> =
        parse(list).ok_or_else(|| invalid("interactions", "must be a list of interactions"))?;
    if list.len() > MAX_INTERACTIONS {
        return Err(invalid("interactions", &format!("at most {MAX_INTERACTIONS} in one request")));
    }
    let read = |(position, entry): (usize, &RawValue)| {
        let object = parse(entry).ok_or_else(|| {
            invalid(
                &field(Some(position), ""),
                "must be an object {user_id, movie_id, kind, value?, timestamp?, location?, event_id?}",
            )
        })?;
        read_event(Some(position), object, now_ms)
    };
    let events = list.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(Posted { events, is_list: true })
}

fn field(position: Option<usize>, name: &str) -> String {
    match position {
        None => name.to_owned(),
        Some(position) if name.is_empty() => format!("interactions[{position}]"),
        Some(position) => format!("interactions[{position}].{name}"),
    }
}

fn read_event(position: Option<usize>, object: Object<'_>, now_ms: i64) -> Result<Event, Problem> {
    let wrong = |name: &str, detail: &str| invalid(&field(position, name), detail);
    let id = "must be a string of 1 to 256 bytes, or an unsigned integer";
    let (mut user_id, mut movie_id, mut kind) = (None::<UserId>, None::<MovieId>, None::<InteractionKind>);
    let (mut value, mut timestamp_ms, mut location, mut event_id) = (None, now_ms, None, None);
    for (name, raw) in object {
        let is_null = raw.get() == "null";
        match name.as_str() {
            "user_id" => user_id = Some(parse(raw).ok_or_else(|| wrong("user_id", id))?),
            "movie_id" => movie_id = Some(parse(raw).ok_or_else(|| wrong("movie_id", id))?),
            "kind" => {
                let known = "must be rating, watch, like, dislike, favorite or skip";
                kind = Some(parse(raw).ok_or_else(|| wrong("kind", known))?);
            }
            "value" | "timestamp" | "location" | "event_id" if is_null => {}
            "value" => {
                let number = parse::<f32>(raw).filter(|value| value.is_finite());
                value = Some(number.ok_or_else(|| wrong("value", "must be a number"))?);
            }
            "timestamp" => {
                timestamp_ms = read_timestamp(raw, now_ms).map_err(|why| wrong("timestamp", why))?;
            }
            "location" => {
                let text: String = parse(raw).ok_or_else(|| wrong("location", "must be a string"))?;
                let place =
                    text.parse::<Location>().map_err(|error| wrong("location", &error.to_string()))?;
                location = Some(place);
            }
            "event_id" => {
                let text = parse::<String>(raw).filter(|id| (1..=MAX_EVENT_ID_BYTES).contains(&id.len()));
                event_id = Some(text.ok_or_else(|| wrong("event_id", "must be a string of 1 to 256 bytes"))?);
            }
            other => {
                let known = "unknown; an interaction has user_id, movie_id, kind, value, timestamp, location, event_id";
                return Err(wrong(other, known));
            }
        }
    }
    let missing = |name| wrong(name, "missing");
    let user_id = user_id.ok_or_else(|| missing("user_id"))?;
    let movie_id = movie_id.ok_or_else(|| missing("movie_id"))?;
    let kind = kind.ok_or_else(|| missing("kind"))?;
    if kind != InteractionKind::Rating {
        // It says nothing, here as in a history.
        value = None;
    } else if value.is_none() {
        return Err(wrong("value", "missing; a rating needs one"));
    }
    Ok(Event { user_id, movie_id, kind, value, timestamp_ms, location, event_id })
}

/// Milliseconds from 1970 to a little after now.
fn read_timestamp(raw: &RawValue, now_ms: i64) -> Result<i64, &'static str> {
    let expected = "must be an RFC 3339 time such as 2025-01-31T23:59:59Z, or milliseconds since 1970";
    let time = match parse::<String>(raw) {
        Some(text) => text.parse::<Timestamp>().map_err(|_| expected)?.as_millisecond(),
        None => parse::<i64>(raw).ok_or(expected)?,
    };
    if time < 0 {
        return Err("must not be before 1970");
    }
    if time > now_ms.saturating_add(MAX_AHEAD_MS) {
        return Err("must not be in the future, beyond five minutes for clocks that differ");
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    const NOW: i64 = 1_700_000_000_000;

    fn read(body: &str) -> Vec<Event> {
        read_interactions(body.as_bytes(), NOW).unwrap_or_else(|problem| panic!("{body}: {problem:?}")).events
    }

    #[test]
    fn one_or_many_are_read() {
        let one = read(r#"{"user_id":42,"movie_id":"318","kind":"like"}"#);
        assert_eq!(
            (one[0].user_id.as_str(), one[0].kind, one[0].timestamp_ms),
            ("42", InteractionKind::Like, NOW)
        );
        let many = read(
            r#"{"interactions":[
                {"user_id":"u","movie_id":7,"kind":"rating","value":4.5,"timestamp":1699999999999,"location":"us/ca/Fresno","event_id":"e-1"},
                {"user_id":"u","movie_id":"8","kind":"watch","value":0.9,"timestamp":"2023-01-31T23:59:59.5+01:00","location":null,"event_id":null}]}"#,
        );
        assert_eq!((many[0].value, many[0].timestamp_ms), (Some(4.5), 1_699_999_999_999));
        assert_eq!(many[0].location.as_ref().map(Location::as_str), Some("US/CA/Fresno"));
        assert_eq!(many[0].event_id.as_deref(), Some("e-1"));
        assert_eq!((many[1].value, many[1].timestamp_ms), (None, 1_675_205_999_500));
        assert!(many[1].location.is_none() && many[1].event_id.is_none());
        assert!(read(r#"{"interactions":[]}"#).is_empty());
        // Clocks differ.
        assert_eq!(read(&with("timestamp", &(NOW + 299_000).to_string()))[0].timestamp_ms, NOW + 299_000);
    }

    fn with(name: &str, value: &str) -> String {
        let mut fields =
            vec![("user_id", "\"u\""), ("movie_id", "\"1\""), ("kind", "\"rating\""), ("value", "3")];
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value));
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    }

    #[track_caller]
    fn check(body: &str, field: Option<&str>) {
        let problem = read_interactions(body.as_bytes(), NOW).unwrap_err();
        let found = problem.errors.first().map(|error| error.field.as_str());
        assert_eq!((problem.code, found), (Code::InvalidBody, field), "{body}");
    }

    #[test]
    fn every_fault_names_its_field() {
        for body in ["", "[]", "{", "null", "\"x\""] {
            check(body, None);
        }
        check("{}", Some("user_id"));
        for (name, values) in [
            ("user_id", &["\"\"", "-1", "1.5", "null", "[]"][..]),
            ("movie_id", &["\"\"", "true", "{}"]),
            ("kind", &["\"love\"", "\"Like\"", "1", "null"]),
            ("value", &["\"5\"", "1e999", "null", "[5]"]),
            (
                "timestamp",
                &[
                    "\"yesterday\"",
                    "\"2023-01-31\"",
                    "\"2023-01-31T10:00:00\"",
                    "1.5",
                    "-1",
                    "1e999",
                    "true",
                    "{}",
                ],
            ),
            ("location", &["\"Narnia\"", "\"world\"", "5"]),
            ("event_id", &["\"\"", "5"]),
            ("stars", &["5"]),
        ] {
            for value in values {
                check(&with(name, value), Some(name));
            }
        }
        check(&with("timestamp", &(NOW + 301_000).to_string()), Some("timestamp"));
        check(&with("timestamp", "\"2099-01-01T00:00:00Z\""), Some("timestamp"));
        check(&with("event_id", &format!("\"{}\"", "e".repeat(257))), Some("event_id"));
    }

    #[test]
    fn a_fault_in_a_list_names_its_place() {
        let good = with("event_id", "\"e\"");
        check(&format!(r#"{{"interactions":[{good},5]}}"#), Some("interactions[1]"));
        check(&format!(r#"{{"interactions":[{good},{}]}}"#, with("kind", "7")), Some("interactions[1].kind"));
        check(&format!(r#"{{"interactions":[{good}],"user_id":"u"}}"#), Some("user_id"));
        check(r#"{"interactions":{}}"#, Some("interactions"));
        let many = vec!["{}"; MAX_INTERACTIONS + 1].join(",");
        check(&format!(r#"{{"interactions":[{many}]}}"#), Some("interactions"));
    }
}
