//! One line of ratings, quick where it is plain and exact about what is wrong where it is not.

use cinedex_domain::RatingScale;

use super::fields::{self, Encoding, Fault, Separator};

const BAD_RATING: &str = "the rating is not a number";
const OFF_SCALE: &str = "the rating is off the scale";
const BAD_TIME: &str = "the timestamp is not a whole number of seconds since 1970";

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// A rating as it stands in its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RatingRow<'a> {
    pub(super) user_id: std::borrow::Cow<'a, str>,
    pub(super) movie_id: std::borrow::Cow<'a, str>,
    /// `movie_id` as a number.
    pub(super) movie: u32,
    /// On the scale.
    pub(super) value: f32,
    pub(super) timestamp_ms: Option<i64>,
}

/// The form of a file of ratings.
#[derive(Debug, Clone, Copy)]
pub(super) struct RatingFormat {
    pub(super) separator: Separator,
    /// Names of user, movie, rating and time.
    pub(super) columns: [&'static str; 4],
    pub(super) scale: RatingScale,
    /// Whether rows without the fourth field are read too.
    pub(super) time_optional: bool,
}

impl RatingFormat {
    /// Reads one line. Plain rows (small canonical numbers, no quotes) take a path without allocation or search.
    pub(super) fn parse<'a>(&self, line: &'a [u8]) -> Result<RatingRow<'a>, Fault> {
        match parse_plain(line, self.separator.bytes(), self.time_optional) {
            Some(row) if self.scale.contains(row.value) => Ok(row),
            _ => self.parse_any(line),
        }
    }

    fn parse_any<'a>(&self, line: &'a [u8]) -> Result<RatingRow<'a>, Fault> {
        let [user_column, movie_column, value_column, time_column] = self.columns;
        let line = match Encoding::Utf8.decode(line)? {
            std::borrow::Cow::Borrowed(text) => text,
            std::borrow::Cow::Owned(_) => return Err(Fault::new(user_column, fields::INVALID_UTF8, "")),
        };
        let mut found = match self.separator.split(line, &self.columns) {
            Err(_) if self.time_optional => self.separator.split(line, &self.columns[..3])?,
            split => split?,
        };
        let time = if found.len() == 4 { found.pop() } else { None };
        fields::id(&found[0], user_column)?;
        let movie = fields::id(&found[1], movie_column)?;
        let value = found[2]
            .parse()
            .ok()
            .filter(|value: &f32| value.is_finite())
            .ok_or_else(|| Fault::new(value_column, BAD_RATING, &found[2]))?;
        if !self.scale.contains(value) {
            return Err(Fault::new(value_column, OFF_SCALE, &found[2]));
        }
        let timestamp_ms = match time {
            Some(time) => Some(parse_time(&time).ok_or_else(|| Fault::new(time_column, BAD_TIME, &time))?),
            None => None,
        };
        let mut found = found.into_iter();
        let user_id = found.next().unwrap_or_default();
        let movie_id = found.next().unwrap_or_default();
        Ok(RatingRow { user_id, movie_id, movie, value, timestamp_ms })
    }
}

/// Milliseconds of a whole number of seconds, up to the year 9999.
fn parse_time(text: &str) -> Option<i64> {
    let seconds: i64 = text.parse().ok()?;
    let plain = !text.starts_with('+') && seconds.abs() <= LAST_SECOND;
    plain.then_some(seconds * 1000)
}

/// A row of plain decimals: ids of up to nine digits without leading zeros, a rating of one digit and perhaps one decimal,
/// a time of up to eleven digits.
fn parse_plain<'a>(line: &'a [u8], separator: &[u8], time_optional: bool) -> Option<RatingRow<'a>> {
    let (_, user_id, rest) = plain_id(line)?;
    let rest = rest.strip_prefix(separator)?;
    let (movie, movie_id, rest) = plain_id(rest)?;
    let rest = rest.strip_prefix(separator)?;
    let (value, rest) = plain_value(rest)?;
    let (user_id, movie_id) = (user_id.into(), movie_id.into());
    if rest.is_empty() && time_optional {
        return Some(RatingRow { user_id, movie_id, movie, value, timestamp_ms: None });
    }
    let rest = rest.strip_prefix(separator)?;
    if rest.is_empty() || rest.len() > 11 {
        return None;
    }
    let mut seconds = 0_i64;
    for &byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        seconds = seconds * 10 + i64::from(digit);
    }
    Some(RatingRow { user_id, movie_id, movie, value, timestamp_ms: Some(seconds * 1000) })
}

fn plain_id(bytes: &[u8]) -> Option<(u32, &str, &[u8])> {
    let mut number = 0_u32;
    let mut length = 0;
    for &byte in bytes.iter().take(10) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        // Ten digits may wrap; they are refused below.
        number = number.wrapping_mul(10).wrapping_add(u32::from(digit));
        length += 1;
    }
    if length == 0 || length > 9 || (bytes[0] == b'0' && length > 1) {
        return None;
    }
    let (id, rest) = bytes.split_at(length);
    Some((number, std::str::from_utf8(id).ok()?, rest))
}

fn plain_value(bytes: &[u8]) -> Option<(f32, &[u8])> {
    let (&whole, rest) = bytes.split_first()?;
    if !whole.is_ascii_digit() {
        return None;
    }
    let value = f32::from(whole - b'0');
    match rest {
        [b'.', decimal, rest @ ..] if decimal.is_ascii_digit() => {
            // Divides, so that the value is the nearest to the decimal, as the general path has it.
            Some(((value * 10.0 + f32::from(decimal - b'0')) / 10.0, rest))
        }
        _ => Some((value, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CSV: RatingFormat = RatingFormat {
        separator: Separator::Comma,
        columns: ["userId", "movieId", "rating", "timestamp"],
        scale: RatingScale::FIVE_STARS,
        time_optional: false,
    };

    const DAT: RatingFormat = RatingFormat {
        separator: Separator::Colons,
        columns: ["1", "2", "3", "4"],
        scale: RatingScale::FIVE_STARS,
        time_optional: true,
    };

    fn check(format: &RatingFormat, line: &str, expect: (&str, u32, f32, Option<i64>)) {
        let row = format.parse(line.as_bytes()).unwrap();
        assert_eq!((row.user_id.as_ref(), row.movie, row.value, row.timestamp_ms), expect, "{line}");
        assert_eq!(row.movie_id, row.movie.to_string());
    }

    fn check_fault(line: &str, column: &str, reason: &str) {
        let fault = CSV.parse(line.as_bytes()).unwrap_err();
        assert_eq!((fault.column.as_ref(), fault.reason), (column, reason), "{line}");
    }

    #[test]
    fn ratings_are_read_in_every_form() {
        check(&CSV, "1,31,2.5,1260759144", ("1", 31, 2.5, Some(1_260_759_144_000)));
        check(&CSV, "\"1\",31,\"4\",0", ("1", 31, 4.0, Some(0)));
        check(&CSV, "4294967295,31,0.50,-5", ("4294967295", 31, 0.5, Some(-5000)));
        check(&DAT, "1::1193::5::978300760", ("1", 1193, 5.0, Some(978_300_760_000)));
        check(&DAT, "1::1193::5", ("1", 1193, 5.0, None));
    }

    #[test]
    fn a_fault_names_its_column_and_reason() {
        check_fault("1,31,2.5", "timestamp", fields::WRONG_FIELD_COUNT);
        check_fault("1,31,2.5,1,1", "5", fields::WRONG_FIELD_COUNT);
        check_fault("x,31,2.5,1", "userId", "the id is not a whole number without leading zeros");
        check_fault("1,031,2.5,1", "movieId", "the id is not a whole number without leading zeros");
        check_fault("1,31,good,1", "rating", BAD_RATING);
        check_fault("1,31,NaN,1", "rating", BAD_RATING);
        check_fault("1,31,inf,1", "rating", BAD_RATING);
        check_fault("1,31,0,1", "rating", OFF_SCALE);
        check_fault("1,31,5.5,1", "rating", OFF_SCALE);
        check_fault("1,31,-3,1", "rating", OFF_SCALE);
        check_fault("1,31,3,yesterday", "timestamp", BAD_TIME);
        check_fault("1,31,3,", "timestamp", BAD_TIME);
        check_fault("1,31,3,1e9", "timestamp", BAD_TIME);
        check_fault("1,31,3,999999999999999", "timestamp", BAD_TIME);
        let fault = CSV.parse(b"1,\xFF,3,1").unwrap_err();
        assert_eq!(fault.reason, fields::INVALID_UTF8);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            CSV.parse(&line).ok();
            DAT.parse(&line).ok();
        }

        #[test]
        fn nearly_good_lines_never_panic(line in "[0-9.,:\"-]{0,30}") {
            CSV.parse(line.as_bytes()).ok();
            DAT.parse(line.as_bytes()).ok();
        }

        #[test]
        fn the_quick_path_agrees_with_the_general_one(
            user in 0_u32.., movie in 0_u32.., halves in 1_u8..=10, tenth in 5_u8..=50, time in 0_i64..LAST_SECOND, whole: bool
        ) {
            let value = if whole { format!("{}", f32::from(halves) / 2.0) } else { format!("{:.1}", f32::from(tenth) / 10.0) };
            let line = format!("{user},{movie},{value},{time}");
            let quick = CSV.parse(line.as_bytes()).unwrap();
            prop_assert_eq!(&quick, &CSV.parse_any(line.as_bytes()).unwrap());
            prop_assert_eq!(quick.value, value.parse::<f32>().unwrap());
            prop_assert_eq!(quick.timestamp_ms, Some(time * 1000));
        }
    }
}
