//! Bodies: that of `POST /v1/recommendations`, read field by field against the table of routes, and what the readers of
//! other bodies share, so that each fault names its field and nothing of the parser's own words gets out.

use std::collections::BTreeMap;

use cinedex_domain::{InteractionKind, MovieId};
use cinedex_recommender::HistoryItem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::parameters::{Parameters, Reader};
use crate::problem::{Code, Problem};
use crate::routes::{Kind, Parameter, Route};

/// The longest history.
pub(crate) const MAX_HISTORY: usize = 5_000;

/// An object of JSON, its values unread.
pub(crate) type Object<'a> = BTreeMap<String, &'a RawValue>;

/// Reads a body: an object with `history` and the route's parameters, of which repeatable ones may be lists.
pub(crate) fn read_body(route: &Route, bytes: &[u8]) -> Result<(Parameters, Vec<HistoryItem>), Problem> {
    let object = read_object(bytes, "a history")?;
    let mut history = None;
    let mut reader = Reader::new(route, Code::InvalidBody);
    for (name, value) in object {
        if name == "history" {
            history = Some(read_history(value)?);
            continue;
        }
        let parameter =
            reader.parameter(&name).map_err(|problem| Problem { code: Code::InvalidBody, ..problem })?;
        if value.get() == "null" {
            continue;
        }
        match parse::<Vec<&RawValue>>(value) {
            Some(list) if parameter.most > 1 => {
                for value in list {
                    reader.read(parameter, &scalar(parameter, value)?)?;
                }
            }
            _ => reader.read(parameter, &scalar(parameter, value)?)?,
        }
    }
    let history =
        history.ok_or_else(|| invalid("history", "missing; a list of {movie_id, kind?, value?}"))?;
    Ok((reader.finish(), history))
}

/// The object that a body must be, which has `what`.
pub(crate) fn read_object<'a>(bytes: &'a [u8], what: &str) -> Result<Object<'a>, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = if error.is_data() {
            format!("the body must be a JSON object with {what}")
        } else {
            format!("the body is not JSON, at line {} column {}", error.line(), error.column())
        };
        Problem::new(Code::InvalidBody, detail)
    })
}

/// A value of one type; nothing is told of why it is not.
pub(crate) fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// A field of a body that is wrong.
pub(crate) fn invalid(field: &str, detail: &str) -> Problem {
    Problem::field(Code::InvalidBody, field, detail)
}

fn read_history(value: &RawValue) -> Result<Vec<HistoryItem>, Problem> {
    let expected = "must be a list of {movie_id, kind?, value?}";
    let entries: Vec<&RawValue> = parse(value).ok_or_else(|| invalid("history", expected))?;
    if entries.len() > MAX_HISTORY {
        return Err(invalid("history", &format!("at most {MAX_HISTORY} entries")));
    }
    entries.into_iter().enumerate().map(|(position, entry)| read_entry(position, entry)).collect()
}

fn read_entry(position: usize, entry: &RawValue) -> Result<HistoryItem, Problem> {
    let field = |name: &str| format!("history[{position}]{name}");
    let object: Object<'_> =
        parse(entry).ok_or_else(|| invalid(&field(""), "must be an object {movie_id, kind?, value?}"))?;
    let (mut movie_id, mut kind, mut value) = (None::<MovieId>, None, None::<f32>);
    for (name, raw) in object {
        match name.as_str() {
            "movie_id" => {
                let id = parse(raw).ok_or_else(|| {
                    invalid(&field(".movie_id"), "must be a string of 1 to 256 bytes, or an unsigned integer")
                })?;
                movie_id = Some(id);
            }
            "kind" => {
                let known = "must be rating, watch, like, dislike, favorite or skip";
                kind =
                    parse::<Option<InteractionKind>>(raw).ok_or_else(|| invalid(&field(".kind"), known))?;
            }
            "value" => {
                value = parse::<Option<f32>>(raw)
                    .filter(|value| value.is_none_or(f32::is_finite))
                    .ok_or_else(|| invalid(&field(".value"), "must be a number"))?;
            }
            other => {
                return Err(invalid(
                    &field(&format!(".{other}")),
                    "unknown; an entry has movie_id, kind, value",
                ));
            }
        }
    }
    let movie_id = movie_id.ok_or_else(|| invalid(&field(".movie_id"), "missing"))?;
    let kind = kind.unwrap_or(if value.is_some() { InteractionKind::Rating } else { InteractionKind::Like });
    if kind == InteractionKind::Rating && value.is_none() {
        return Err(invalid(&field(".value"), "missing; a rating needs one"));
    }
    Ok(HistoryItem { movie_id, kind, value })
}

/// The text of one value, of the JSON type that the parameter has.
fn scalar(parameter: &Parameter, value: &RawValue) -> Result<String, Problem> {
    let raw = value.get();
    let (text, expected) = match parameter.kind {
        Kind::Text(_) | Kind::Choice(_) => (parse::<String>(value), "must be a string"),
        Kind::Id => (
            parse::<MovieId>(value).map(|id| id.as_str().to_owned()),
            "must be a string of 1 to 256 bytes, or an unsigned integer",
        ),
        Kind::Integer(..) | Kind::Number(..) => {
            (parse::<f64>(value).map(|_| raw.to_owned()), "must be a number")
        }
        Kind::Boolean => (parse::<bool>(value).map(|_| raw.to_owned()), "must be true or false"),
    };
    text.ok_or_else(|| invalid(parameter.name, expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{Found, find};

    fn read(body: &str) -> Result<(Parameters, Vec<HistoryItem>), Problem> {
        match find("POST", "/v1/recommendations") {
            Found::Route(route, _) => read_body(route, body.as_bytes()),
            _ => panic!("the route exists"),
        }
    }

    #[test]
    fn the_example_of_the_contract_is_read() {
        let (parameters, history) = read(
            r#"{"history":[{"movie_id":"1","kind":"like"},{"movie_id":2,"kind":"rating","value":2.5},{"movie_id":"3"}],
               "location":"KR","limit":20,"genre":["Drama"],"exclude":["7",8],"explain":true,"diversity":0.5}"#,
        )
        .unwrap();
        assert_eq!(parameters.filter.genres_any, ["drama"]);
        assert_eq!(parameters.filter.exclude.len(), 2);
        assert!(parameters.explain && parameters.diversity == 0.5 && parameters.limit == 20);
        assert_eq!(parameters.location.as_str(), Some("KR"));
        let kinds: Vec<_> =
            history.iter().map(|item| (item.movie_id.as_str(), item.kind, item.value)).collect();
        let expect = [
            ("1", InteractionKind::Like, None),
            ("2", InteractionKind::Rating, Some(2.5)),
            ("3", InteractionKind::Like, None),
        ];
        assert_eq!(kinds, expect);
    }

    fn check(body: &str, field: Option<&str>) {
        let problem = read(body).unwrap_err();
        assert_eq!(problem.code, Code::InvalidBody, "{body}");
        assert_eq!(
            problem.errors.first().map(|error| error.field.as_str()),
            field,
            "{body}: {}",
            problem.detail
        );
    }

    #[test]
    fn every_fault_names_its_field() {
        check("", None);
        check("{", None);
        check("[]", None);
        check("\"x\"", None);
        check("{\"history\":[]} x", None);
        check("{}", Some("history"));
        check(r#"{"history":{}}"#, Some("history"));
        check(r#"{"history":[1]}"#, Some("history[0]"));
        check(r#"{"history":[{}]}"#, Some("history[0].movie_id"));
        check(r#"{"history":[{"movie_id":""}]}"#, Some("history[0].movie_id"));
        check(r#"{"history":[{"movie_id":"1"},{"movie_id":-1}]}"#, Some("history[1].movie_id"));
        check(r#"{"history":[{"movie_id":"1","kind":"love"}]}"#, Some("history[0].kind"));
        check(r#"{"history":[{"movie_id":"1","kind":"rating"}]}"#, Some("history[0].value"));
        check(r#"{"history":[{"movie_id":"1","value":1e999}]}"#, Some("history[0].value"));
        check(r#"{"history":[{"movie_id":"1","stars":5}]}"#, Some("history[0].stars"));
        check(r#"{"history":[],"limit":"5"}"#, Some("limit"));
        check(r#"{"history":[],"limit":0}"#, Some("limit"));
        check(r#"{"history":[],"limit":1.5}"#, Some("limit"));
        check(r#"{"history":[],"limit":[5]}"#, Some("limit"));
        check(r#"{"history":[],"genre":[1]}"#, Some("genre"));
        check(r#"{"history":[],"explain":1}"#, Some("explain"));
        check(r#"{"history":[],"cursor":"x"}"#, Some("cursor"));
        check(r#"{"history":[],"location":"Narnia"}"#, Some("location"));
    }

    #[test]
    fn a_deep_or_long_body_is_refused() {
        check(&format!(r#"{{"history":{}"#, "[".repeat(100_000)), None);
        let entries = vec![r#"{"movie_id":"1"}"#; MAX_HISTORY + 1].join(",");
        check(&format!(r#"{{"history":[{entries}]}}"#), Some("history"));
    }
}
