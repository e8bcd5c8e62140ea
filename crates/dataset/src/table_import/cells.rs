//! A cell to a value, or to what is wrong with it. It knows nothing of files and rows.

use std::borrow::Cow;

use cinedex_domain::{InteractionKind, Location, check_id};
use cinedex_storage::{Cell, Interner};

use super::TimeUnit;

pub(super) const BAD_ID: &str = "an id is text of 1 to 256 bytes or a whole number";

/// Milliseconds of 9999-12-31T23:59:59.999Z, and of 0000-01-01T00:00:00Z.
const LAST_MS: i64 = 253_402_300_799_999;
const FIRST_MS: i64 = -62_167_219_200_000;

/// Why a row is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The field; the table knows its column. A text that is no field is a column itself.
    pub(super) field: Cow<'static, str>,
    pub(super) reason: &'static str,
    pub(super) found: String,
}

impl Fault {
    pub(super) fn new(field: &'static str, reason: &'static str, found: &str) -> Self {
        // No more than a rejection shows, whatever the length of the cell.
        Self { field: Cow::Borrowed(field), reason, found: found.chars().take(61).collect() }
    }
}

/// An id, which must be there.
pub(super) fn id<'a>(cell: Cell<'a>, field: &'static str) -> Result<Cow<'a, str>, Fault> {
    let text = match cell {
        Cell::Null => return Err(Fault::new(field, "the id is missing", "")),
        cell => cell.as_text().ok_or_else(|| Fault::new(field, BAD_ID, &describe(&cell)))?,
    };
    match check_id(&text) {
        Ok(()) => Ok(text),
        Err(_) => Err(Fault::new(field, BAD_ID, &text)),
    }
}

/// The kind of an interaction.
pub(super) fn kind(cell: &Cell<'_>, default: InteractionKind) -> Result<InteractionKind, Fault> {
    match cell {
        Cell::Null => Ok(default),
        Cell::Text(text) => match text.parse() {
            Ok(kind) => Ok(kind),
            Err(_) => text.to_ascii_lowercase().parse().map_err(|_| unknown_kind(text)),
        },
        other => Err(unknown_kind(&describe(other))),
    }
}

fn unknown_kind(found: &str) -> Fault {
    Fault::new("kind", "the kind is none of rating, watch, like, dislike, favorite, skip", found)
}

/// A finite number, or none.
pub(super) fn number(cell: &Cell<'_>, field: &'static str) -> Result<Option<f32>, Fault> {
    let number = match cell {
        Cell::Null => return Ok(None),
        Cell::Float(number) if number.is_nan() => return Ok(None),
        Cell::Float(number) => *number as f32,
        Cell::Integer(number) => *number as f32,
        Cell::Text(text) => text.parse().unwrap_or(f32::NAN),
        _ => f32::NAN,
    };
    if number.is_finite() {
        Ok(Some(number))
    } else {
        Err(Fault::new(field, "not a finite number", &describe(cell)))
    }
}

/// A whole number that fits, or none.
pub(super) fn whole<T: TryFrom<i128>>(cell: &Cell<'_>, field: &'static str) -> Result<Option<T>, Fault> {
    let fault = || Fault::new(field, "not a whole number, or out of range", &describe(cell));
    let number: i128 = match cell {
        Cell::Null => return Ok(None),
        Cell::Float(number) if number.is_nan() => return Ok(None),
        Cell::Integer(number) => *number,
        // Tools write whole numbers with gaps as 1994.0.
        Cell::Float(number) if number.fract() == 0.0 && number.abs() < 1e18 => *number as i128,
        Cell::Text(text) => text.strip_suffix(".0").unwrap_or(text).parse().map_err(|_| fault())?,
        _ => return Err(fault()),
    };
    T::try_from(number).map(Some).map_err(|_| fault())
}

/// True or false, or none.
pub(super) fn boolean(cell: &Cell<'_>, field: &'static str) -> Result<Option<bool>, Fault> {
    let text = match cell {
        Cell::Null => return Ok(None),
        Cell::Boolean(value) => return Ok(Some(*value)),
        Cell::Integer(number) => Cow::Owned(number.to_string()),
        Cell::Text(text) => Cow::Borrowed(*text),
        _ => Cow::Borrowed(""),
    };
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" => Ok(Some(true)),
        "0" | "false" | "f" | "no" => Ok(Some(false)),
        _ => Err(Fault::new(field, "not true or false", &describe(cell))),
    }
}

/// Text, or none.
pub(super) fn text(cell: &Cell<'_>, field: &'static str) -> Result<Option<String>, Fault> {
    match cell {
        Cell::Null => Ok(None),
        cell => match cell.as_text() {
            Some(text) => Ok(Some(text.into_owned())),
            None => Err(Fault::new(field, "not text", &describe(cell))),
        },
    }
}

/// A list of texts, or a text of parts; empty parts are left out.
pub(super) fn texts(cell: &Cell<'_>, separator: char, field: &'static str) -> Result<Vec<String>, Fault> {
    let fault = || Fault::new(field, "not text or a list of texts", &describe(cell));
    let parts: Vec<Cow<'_, str>> = match cell {
        Cell::Null => Vec::new(),
        Cell::Text(text) => text.split(separator).map(Cow::Borrowed).collect(),
        Cell::List(cells) => cells
            .iter()
            .filter(|cell| **cell != Cell::Null)
            .map(|cell| cell.as_text().ok_or_else(fault))
            .collect::<Result<_, _>>()?,
        _ => return Err(fault()),
    };
    Ok(parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

/// Any value of one cell as text, for attributes.
pub(super) fn attribute(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Null | Cell::List(_) => None,
        cell => Some(describe(cell)),
    }
}

fn describe(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => (*text).to_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Float(number) => number.to_string(),
        Cell::Boolean(value) => value.to_string(),
        Cell::TimestampMs(time) => jiff::Timestamp::from_millisecond(*time)
            .map_or_else(|_| time.to_string(), |time| time.to_string()),
        Cell::List(_) => "a list".to_owned(),
    }
}

/// Reads times.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeCell {
    pub(super) unit: TimeUnit,
}

impl TimeCell {
    /// Milliseconds since 1970 UTC, in the years 0 to 9999, or none.
    pub(super) fn read(self, cell: &Cell<'_>) -> Result<Option<i64>, Fault> {
        let milliseconds = match cell {
            Cell::Null => return Ok(None),
            Cell::Float(number) if number.is_nan() => return Ok(None),
            Cell::TimestampMs(time) => Some(*time),
            Cell::Integer(number) => i64::try_from(*number).ok().and_then(|number| self.scale(number)),
            Cell::Float(number) => Some(self.scale_fraction(*number)),
            Cell::Text(text) => match text.parse::<i64>() {
                Ok(number) => self.scale(number),
                Err(_) => match text.parse::<f64>() {
                    Ok(number) => Some(self.scale_fraction(number)),
                    Err(_) => Some(written_time(text).ok_or_else(|| bad_time(text))?),
                },
            },
            Cell::Boolean(_) | Cell::List(_) => return Err(bad_time(&describe(cell))),
        };
        match milliseconds {
            Some(time) if (FIRST_MS..=LAST_MS).contains(&time) => Ok(Some(time)),
            _ => {
                let reason =
                    "the time is past the year 9999 or before 0: does the unit, seconds or milliseconds, fit";
                Err(Fault::new("timestamp", reason, &describe(cell)))
            }
        }
    }

    fn scale(self, number: i64) -> Option<i64> {
        match self.unit {
            TimeUnit::Seconds => number.checked_mul(1000),
            TimeUnit::Milliseconds => Some(number),
        }
    }

    /// Saturates, so that what is not finite is out of range.
    fn scale_fraction(self, number: f64) -> i64 {
        match self.unit {
            _ if number.is_nan() => i64::MAX,
            TimeUnit::Seconds => (number * 1000.0).floor() as i64,
            TimeUnit::Milliseconds => number.floor() as i64,
        }
    }
}

fn bad_time(found: &str) -> Fault {
    Fault::new("timestamp", "not a time: write a number, or RFC 3339 as 2026-03-21T10:00:00Z", found)
}

fn written_time(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Places by the text that they were written as, each parsed once.
#[derive(Default)]
pub(super) struct Places {
    texts: Interner,
    /// The stored spelling; `None` for a malformed one.
    canonical: Vec<Option<String>>,
}

impl Places {
    /// The stored spelling of a place.
    pub(super) fn canonical(&mut self, cell: &Cell<'_>) -> Result<&str, Fault> {
        let reason = "not a place: write US, US/CA or US/CA/Fresno";
        let Cell::Text(text) = cell else { return Err(Fault::new("location", reason, &describe(cell))) };
        let code = self.texts.intern(text) as usize;
        if code == self.canonical.len() {
            let place: Option<Location> = text.parse().ok();
            self.canonical.push(place.map(|place| place.to_string()));
        }
        self.canonical[code].as_deref().ok_or_else(|| Fault::new("location", reason, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_time(cell: Cell<'_>, unit: TimeUnit, expect: Option<i64>) {
        assert_eq!(TimeCell { unit }.read(&cell).ok().flatten(), expect, "{cell:?}");
    }

    #[test]
    fn times_are_numbers_of_the_unit_or_rfc_3339() {
        use TimeUnit::{Milliseconds, Seconds};
        check_time(Cell::Text("964982703"), Seconds, Some(964_982_703_000));
        check_time(Cell::Integer(964_982_703), Seconds, Some(964_982_703_000));
        check_time(Cell::Text("964982703.25"), Seconds, Some(964_982_703_250));
        check_time(Cell::Text("964982703250"), Milliseconds, Some(964_982_703_250));
        check_time(Cell::Text("2000-07-30T18:45:03Z"), Seconds, Some(964_982_703_000));
        check_time(Cell::Text("2000-07-30T20:45:03.5+02:00"), Milliseconds, Some(964_982_703_500));
        check_time(Cell::Text("2000-07-30 18:45:03"), Seconds, Some(964_982_703_000));
        check_time(Cell::Text("1970-01-02"), Seconds, Some(86_400_000));
        check_time(Cell::TimestampMs(-5), Seconds, Some(-5));
        check_time(Cell::Null, Seconds, None);
        check_time(Cell::Float(f64::NAN), Seconds, None);
    }

    #[test]
    fn a_time_of_another_unit_or_of_no_sense_is_a_fault() {
        for cell in [
            Cell::Text("964982703000"),
            Cell::Text("9223372036854775807"),
            Cell::Text("-inf"),
            Cell::Text("nan"),
            Cell::Text("yesterday"),
            Cell::Text("2000-13-01T00:00:00Z"),
            Cell::Boolean(true),
            Cell::Integer(i128::MAX),
        ] {
            assert!(TimeCell { unit: TimeUnit::Seconds }.read(&cell).is_err(), "{cell:?}");
        }
    }

    #[test]
    fn numbers_must_be_finite_and_fit() {
        assert_eq!(number(&Cell::Text("3.5"), "value"), Ok(Some(3.5)));
        assert_eq!(number(&Cell::Float(f64::NAN), "value"), Ok(None));
        for cell in [
            Cell::Text("NaN"),
            Cell::Text("inf"),
            Cell::Text("five"),
            Cell::Float(1e300),
            Cell::Boolean(true),
        ] {
            assert!(number(&cell, "value").is_err(), "{cell:?}");
        }
        assert_eq!(whole::<u16>(&Cell::Text("1994.0"), "year"), Ok(Some(1994)));
        assert_eq!(whole::<u16>(&Cell::Float(1994.0), "year"), Ok(Some(1994)));
        assert!(whole::<u16>(&Cell::Text("70000"), "year").is_err());
        assert!(whole::<u16>(&Cell::Float(1994.5), "year").is_err());
    }

    #[test]
    fn ids_are_text_or_whole_numbers() {
        assert_eq!(id(Cell::Integer(318), "movie_id").unwrap(), "318");
        assert_eq!(id(Cell::Text("tt01"), "movie_id").unwrap(), "tt01");
        for cell in [Cell::Null, Cell::Float(1.0), Cell::Text(""), Cell::Boolean(true)] {
            assert!(id(cell, "movie_id").is_err());
        }
        assert!(id(Cell::Text(&"x".repeat(257)), "movie_id").is_err());
    }

    #[test]
    fn lists_are_lists_or_text_of_parts() {
        assert_eq!(texts(&Cell::Text("Crime| Drama||"), '|', "genres").unwrap(), ["Crime", "Drama"]);
        let list = Cell::List(vec![Cell::Text("Crime"), Cell::Null, Cell::Integer(7)]);
        assert_eq!(texts(&list, '|', "genres").unwrap(), ["Crime", "7"]);
        assert!(texts(&Cell::Boolean(true), '|', "genres").is_err());
    }

    #[test]
    fn kinds_and_places_are_read_without_case() {
        assert_eq!(kind(&Cell::Text("Like"), InteractionKind::Watch), Ok(InteractionKind::Like));
        assert_eq!(kind(&Cell::Null, InteractionKind::Watch), Ok(InteractionKind::Watch));
        assert!(kind(&Cell::Text("play"), InteractionKind::Watch).is_err());
        let mut places = Places::default();
        assert_eq!(places.canonical(&Cell::Text("us/ca/Fresno")).unwrap(), "US/CA/Fresno");
        assert!(places.canonical(&Cell::Text("USA")).is_err());
        assert!(places.canonical(&Cell::Text("USA")).is_err());
        assert_eq!(places.canonical(&Cell::Text("us/ca/Fresno")).unwrap(), "US/CA/Fresno");
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_a_fault(text in "\\PC{0,30}") {
            let cell = Cell::Text(&text);
            number(&cell, "value").ok();
            whole::<u16>(&cell, "year").ok();
            TimeCell { unit: TimeUnit::Seconds }.read(&cell).ok();
            Places::default().canonical(&cell).ok();
        }
    }
}
