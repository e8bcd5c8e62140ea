//! One line to its fields, and a field to a value or to what is wrong with it. It knows nothing of files.

use std::borrow::Cow;

use crate::Rejection;

pub(super) const WRONG_FIELD_COUNT: &str = "wrong number of fields";
pub(super) const INVALID_UTF8: &str = "invalid UTF-8";
const BAD_QUOTES: &str = "a quote is not closed, or text follows it";
const BAD_ID: &str = "the id is not a whole number without leading zeros";
pub(super) const BAD_NUMBER: &str = "not a whole number";

/// Why a row is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) column: Cow<'static, str>,
    pub(super) reason: &'static str,
    pub(super) found: String,
}

impl Fault {
    pub(super) fn new(column: &'static str, reason: &'static str, found: &str) -> Self {
        // No more than a rejection shows, whatever the length of the line.
        let found = found.chars().take(80).collect();
        Self { column: Cow::Borrowed(column), reason, found }
    }

    pub(super) fn rejection(&self, file: &str, line: u64) -> Rejection {
        Rejection::new(file, line, &self.column, self.reason, &self.found)
    }
}

/// What stands between two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// `u.data`.
    Tab,
    /// `u.item`, `u.user`, `u.genre`.
    Bar,
    /// The `.dat` files.
    Colons,
    /// CSV: fields may stand in double quotes, a double quote in them is doubled.
    Comma,
}

impl Separator {
    /// The separator's bytes.
    pub(super) fn bytes(self) -> &'static [u8] {
        match self {
            Self::Tab => b"\t",
            Self::Bar => b"|",
            Self::Colons => b"::",
            Self::Comma => b",",
        }
    }

    /// Splits a line into as many fields as there are `columns`; the last column of a table without quotes takes no
    /// separators either.
    pub(super) fn split<'a>(
        self,
        line: &'a str,
        columns: &[&'static str],
    ) -> Result<Vec<Cow<'a, str>>, Fault> {
        let fields = match self {
            Self::Tab => line.split('\t').map(Cow::Borrowed).collect(),
            Self::Bar => line.split('|').map(Cow::Borrowed).collect(),
            Self::Colons => line.split("::").map(Cow::Borrowed).collect(),
            Self::Comma => split_csv(line).ok_or_else(|| Fault::new("1", BAD_QUOTES, line))?,
        };
        expect_columns(fields, columns, line)
    }
}

fn expect_columns<'a>(
    fields: Vec<Cow<'a, str>>,
    columns: &[&'static str],
    line: &str,
) -> Result<Vec<Cow<'a, str>>, Fault> {
    if fields.len() == columns.len() {
        return Ok(fields);
    }
    let mut fault = Fault::new("", WRONG_FIELD_COUNT, line);
    fault.column = match columns.get(fields.len()) {
        Some(missing) => Cow::Borrowed(missing),
        None => Cow::Owned((columns.len() + 1).to_string()),
    };
    Err(fault)
}

/// The fields of one CSV line (RFC 4180 without line ends in fields, which `MovieLens` has none of); `None` if a quote is
/// not closed or is followed by something else than a comma.
fn split_csv(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, after) =
                rest.split_once(',').map_or((rest, None), |(field, after)| (field, Some(after)));
            fields.push(Cow::Borrowed(field));
            let Some(after) = after else { return Some(fields) };
            rest = after;
            continue;
        };
        let (field, after) = split_quoted(quoted)?;
        fields.push(field);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn split_quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut doubled = false;
    let mut from = 0;
    loop {
        let at = from + text[from..].find('"')?;
        if text[at + 1..].starts_with('"') {
            doubled = true;
            from = at + 2;
            continue;
        }
        let inner = &text[..at];
        let field = if doubled { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) };
        return Some((field, &text[at + 1..]));
    }
}

/// How the bytes of a file are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// ISO-8859-1.
    Latin1,
}

impl Encoding {
    pub(super) fn decode(self, line: &[u8]) -> Result<Cow<'_, str>, Fault> {
        match self {
            Self::Utf8 => match std::str::from_utf8(line) {
                Ok(text) => Ok(Cow::Borrowed(text)),
                Err(_) => Err(Fault::new("1", INVALID_UTF8, &String::from_utf8_lossy(line))),
            },
            Self::Latin1 => Ok(encoding_rs::mem::decode_latin1(line)),
        }
    }
}

/// A `MovieLens` id: a whole number below 2^32 without leading zeros.
pub(super) fn id(text: &str, column: &'static str) -> Result<u32, Fault> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    match text.parse() {
        Ok(id) if canonical => Ok(id),
        _ => Err(Fault::new(column, BAD_ID, text)),
    }
}

/// A whole number below 2^32.
pub(super) fn number(text: &str, column: &'static str) -> Result<u32, Fault> {
    match text.parse() {
        Ok(number) if !text.starts_with('+') => Ok(number),
        _ => Err(Fault::new(column, BAD_NUMBER, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_csv(line: &str, expect: Option<&[&str]>) {
        let found = split_csv(line);
        let found = found.as_ref().map(|fields| fields.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
        assert_eq!(found.as_deref(), expect, "{line}");
    }

    #[test]
    fn csv_fields_may_be_quoted() {
        check_csv("1,Heat,Action", Some(&["1", "Heat", "Action"]));
        check_csv(r#"1,"Matrix, The",Action"#, Some(&["1", "Matrix, The", "Action"]));
        check_csv(r#""say ""hi""",,"""#, Some(&[r#"say "hi""#, "", ""]));
        check_csv("a,\"\"\"\"", Some(&["a", "\""]));
        check_csv("a,\"\"\"", None);
        check_csv("a,\"", None);
        check_csv(r#""say ""hi""",,"#, Some(&[r#"say "hi""#, "", ""]));
        check_csv("", Some(&[""]));
        check_csv(r#""open"#, None);
        check_csv(r#""a"b,c"#, None);
    }

    #[test]
    fn a_wrong_number_of_fields_names_the_first_missing_or_superfluous_column() {
        let columns = ["userId", "movieId", "rating"];
        let column = |line: &str| Separator::Comma.split(line, &columns).unwrap_err().column.into_owned();
        assert_eq!(column("1,2"), "rating");
        assert_eq!(column("1,2,3,4"), "4");
        assert_eq!(Separator::Colons.split("1::2::3", &columns).unwrap(), ["1", "2", "3"]);
    }

    #[test]
    fn ids_are_canonical() {
        assert_eq!(id("4294967295", "1"), Ok(u32::MAX));
        for text in ["", "01", "+1", "-1", " 1", "1.0", "4294967296", "a", "１"] {
            assert_eq!(id(text, "1").unwrap_err().reason, BAD_ID, "{text:?}");
        }
        assert!(number("+3", "1").is_err());
    }

    #[test]
    fn latin1_is_read_and_broken_utf8_is_a_fault() {
        assert_eq!(Encoding::Latin1.decode(b"L\xE9on").unwrap(), "Léon");
        assert_eq!(Encoding::Utf8.decode("Léon".as_bytes()).unwrap(), "Léon");
        assert_eq!(Encoding::Utf8.decode(b"L\xE9on").unwrap_err().reason, INVALID_UTF8);
    }

    proptest! {
        #[test]
        fn written_csv_is_read_back(fields in proptest::collection::vec("[a\", é|]{0,6}", 1..5)) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(&fields).unwrap();
            let line = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(split_csv(line.trim_end_matches('\n')).unwrap(), fields);
        }

        #[test]
        fn any_line_splits_or_is_a_fault(line in "\\PC{0,40}") {
            for separator in [Separator::Tab, Separator::Bar, Separator::Colons, Separator::Comma] {
                separator.split(&line, &["1", "2"]).ok();
            }
        }
    }
}
