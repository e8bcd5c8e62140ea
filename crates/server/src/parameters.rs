//! What a request asks for, read from its query or body by the table of routes, and its normal form: two requests that ask
//! for the same have the same one.

use std::fmt::Write as _;

use cinedex_domain::{MovieFilter, MovieId, check_id};
use cinedex_recommender::{PlaceRequest, Window};

use crate::problem::{Code, Problem};
use crate::routes::{Kind, Parameter, Route};

/// Everything that parameters can say; what a route does not have stays at its default.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) query: String,
    pub(crate) limit: usize,
    pub(crate) cursor: Option<String>,
    pub(crate) location: PlaceRequest,
    pub(crate) user: Option<String>,
    pub(crate) diversity: f32,
    pub(crate) explain: bool,
    pub(crate) include_seen: bool,
    pub(crate) window: Window,
    pub(crate) filter: MovieFilter,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            query: String::new(),
            limit: 20,
            cursor: None,
            location: PlaceRequest::Unasked,
            user: None,
            diversity: 0.0,
            explain: false,
            include_seen: false,
            window: Window::default(),
            filter: MovieFilter::default(),
        }
    }
}

/// Reads a query string. `None` and an empty one are the same.
pub(crate) fn read_query(route: &Route, query: Option<&[u8]>) -> Result<Parameters, Problem> {
    let mut reader = Reader::new(route, Code::InvalidParameter);
    for pair in query.unwrap_or_default().split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = decode_form(halves.next().unwrap_or_default());
        let name = name.map_err(|why| Problem::field(Code::InvalidParameter, "query", why))?;
        let parameter = reader.parameter(&name)?;
        match decode_form(halves.next().unwrap_or_default()) {
            Ok(value) => reader.read(parameter, &value)?,
            Err(why) => return Err(Problem::field(Code::InvalidParameter, &name, why)),
        }
    }
    Ok(reader.finish())
}

/// Decodes a segment of a path, and checks that it may be an id.
pub(crate) fn read_id(name: &str, segment: &str) -> Result<String, Problem> {
    let refused = |why: String| Problem::field(Code::InvalidParameter, name, why);
    let id = decode(segment.as_bytes()).map_err(|why| refused(why.to_owned()))?;
    check_id(&id).map_err(|error| refused(error.to_string()))?;
    Ok(id)
}

/// Collects values, each checked by its row of the table.
pub(crate) struct Reader<'r> {
    route: &'r Route,
    /// The code of a value that cannot be.
    invalid: Code,
    parameters: Parameters,
    counts: Vec<(&'static str, usize)>,
}

impl<'r> Reader<'r> {
    pub(crate) fn new(route: &'r Route, invalid: Code) -> Self {
        Self { route, invalid, parameters: Parameters::default(), counts: Vec::new() }
    }

    /// The row of a parameter's name.
    pub(crate) fn parameter(&self, name: &str) -> Result<&'static Parameter, Problem> {
        self.route.parameter(name).ok_or_else(|| {
            let known: Vec<&str> = self.route.parameters().map(|parameter| parameter.name).collect();
            let detail = if known.is_empty() {
                "unknown; this route has no parameters".to_owned()
            } else {
                format!("unknown; this route has {}", known.join(", "))
            };
            Problem::field(Code::UnknownParameter, name, detail)
        })
    }

    /// Takes one value.
    pub(crate) fn read(&mut self, parameter: &'static Parameter, value: &str) -> Result<(), Problem> {
        let name = parameter.name;
        let refused = |why: String| Problem::field(self.invalid, name, why);
        let position = self.counts.iter().position(|(counted, _)| *counted == name).unwrap_or_else(|| {
            self.counts.push((name, 0));
            self.counts.len() - 1
        });
        self.counts[position].1 += 1;
        let count = self.counts[position].1;
        if count > parameter.most {
            return Err(refused(match parameter.most {
                1 => "given more than once".to_owned(),
                most => format!("at most {most} values"),
            }));
        }
        check_kind(parameter.kind, value).map_err(refused)?;
        self.parameters.set(name, value).map_err(refused)
    }

    pub(crate) fn finish(self) -> Parameters {
        let mut parameters = self.parameters;
        let filter = &mut parameters.filter;
        for list in [
            &mut filter.genres_any,
            &mut filter.genres_all,
            &mut filter.genres_none,
            &mut filter.countries,
            &mut filter.languages,
        ] {
            for name in list.iter_mut() {
                name.make_ascii_lowercase();
            }
            list.sort_unstable();
            list.dedup();
        }
        filter.exclude.sort_unstable();
        filter.exclude.dedup();
        parameters
    }
}

impl Parameters {
    /// Takes a value that has passed [`check_kind`]. The names are those of the table of routes.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || value.to_owned();
        let filter = &mut self.filter;
        match name {
            "q" => self.query = text(),
            "limit" => self.limit = number(value)?,
            "cursor" => self.cursor = Some(text()),
            "location" => {
                let refused =
                    |error: cinedex_domain::DomainError| format!("{error}, or world for everywhere");
                self.location = value.parse().map_err(refused)?;
            }
            "user" => self.user = Some(text()),
            "diversity" => self.diversity = number(value)?,
            "explain" => self.explain = value == "true",
            "window" => self.window = window(value).ok_or("not a window")?,
            "include_seen" => self.include_seen = value == "true",
            "genre" => filter.genres_any.push(text()),
            "genre_all" => filter.genres_all.push(text()),
            "genre_none" => filter.genres_none.push(text()),
            "year_min" => filter.year_min = Some(number(value)?),
            "year_max" => filter.year_max = Some(number(value)?),
            "country" => filter.countries.push(text()),
            "language" => filter.languages.push(text()),
            "runtime_max" => filter.runtime_max = Some(number(value)?),
            "max_age" => filter.max_age = Some(number(value)?),
            "adult" => filter.adult = value == "true",
            "exclude" => filter.exclude.push(MovieId::new(value).map_err(|error| error.to_string())?),
            _ => return Err("not implemented".to_owned()),
        }
        Ok(())
    }

    /// The normal form, without limit and cursor. Values carry their length, so that no two requests share one.
    pub(crate) fn normal_form(&self) -> String {
        let mut form = String::new();
        let mut put = |name: &str, value: &str| {
            write!(form, "{name}:{}:{value};", value.len()).expect("a string takes all text");
        };
        let filter = &self.filter;
        let lists = [
            ("genre", &filter.genres_any),
            ("genre_all", &filter.genres_all),
            ("genre_none", &filter.genres_none),
            ("country", &filter.countries),
            ("language", &filter.languages),
        ];
        for (name, list) in lists {
            for value in list {
                put(name, value);
            }
        }
        filter.exclude.iter().for_each(|id| put("exclude", id.as_str()));
        let numbers = [
            ("year_min", filter.year_min),
            ("year_max", filter.year_max),
            ("runtime_max", filter.runtime_max),
            ("max_age", filter.max_age.map(u16::from)),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                put(name, &value.to_string());
            }
        }
        let flags = [("adult", filter.adult), ("include_seen", self.include_seen), ("explain", self.explain)];
        flags.iter().filter(|(_, set)| *set).for_each(|(name, _)| put(name, ""));
        if self.diversity > 0.0 {
            put("diversity", &self.diversity.to_string());
        }
        if let Some(location) = self.location.as_str() {
            // The spelling comes back in the answer.
            put("location", location);
        }
        if self.window != Window::default() {
            put("window", &format!("{:?}", self.window));
        }
        if let Some(user) = &self.user {
            put("user", user);
        }
        if !self.query.is_empty() {
            put("q", &self.query);
        }
        form
    }
}

fn window(name: &str) -> Option<Window> {
    match name {
        "day" => Some(Window::Day),
        "week" => Some(Window::Week),
        "month" => Some(Window::Month),
        "all" => Some(Window::All),
        _ => None,
    }
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| "not a number".to_owned())
}

fn check_kind(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Text(most) if value.len() > most => Err(format!("at most {most} bytes")),
        Kind::Text(_) => Ok(()),
        Kind::Id => check_id(value).map_err(|error| error.to_string()),
        Kind::Integer(lowest, highest) => {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            match value.parse::<u64>() {
                Ok(number) if digits && (u64::from(lowest)..=u64::from(highest)).contains(&number) => Ok(()),
                _ => Err(format!("must be a whole number from {lowest} to {highest}")),
            }
        }
        Kind::Number(lowest, highest) => match value.parse::<f32>() {
            Ok(number) if (lowest..=highest).contains(&number) => Ok(()),
            _ => Err(format!("must be a number from {lowest} to {highest}")),
        },
        Kind::Boolean if value == "true" || value == "false" => Ok(()),
        Kind::Boolean => Err("must be true or false".to_owned()),
        Kind::Choice(names) if names.contains(&value) => Ok(()),
        Kind::Choice(names) => Err(format!("must be one of {}", names.join(", "))),
    }
}

/// Undoes the encoding of forms: a plus is a space.
pub(crate) fn decode_form(bytes: &[u8]) -> Result<String, &'static str> {
    if bytes.contains(&b'+') {
        let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        decode(&spaced)
    } else {
        decode(bytes)
    }
}

fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    let mut rest = bytes;
    while let Some(position) = rest.iter().position(|byte| *byte == b'%') {
        let digits = rest.get(position + 1..position + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err("a % must be followed by two hexadecimal digits");
        }
        rest = &rest[position + 3..];
    }
    let decoded = percent_encoding::percent_decode(bytes).collect();
    String::from_utf8(decoded).map_err(|_| "not valid UTF-8 after percent-decoding")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{Found, ROUTES, find};

    fn route(path: &str) -> &'static Route {
        match find("GET", path) {
            Found::Route(route, _) => route,
            _ => panic!("{path}"),
        }
    }

    fn check_same(left: &str, right: &str, expect: bool) {
        let form = |query: &str| {
            read_query(route("/v1/users/1/recommendations"), Some(query.as_bytes())).unwrap().normal_form()
        };
        assert_eq!(form(left) == form(right), expect, "{left} {right}");
    }

    #[test]
    fn the_normal_form_tells_what_differs_and_nothing_else() {
        check_same("genre=Drama&genre=crime", "genre=CRIME&genre=drama&genre=Drama", true);
        check_same("limit=5", "limit=10&cursor=x", true);
        check_same("year_min=1990", "year_min=01990", true);
        check_same("adult=false", "", true);
        check_same("genre=a&genre=b", "genre=a%2Cb", false);
        check_same("genre=Drama", "genre_all=Drama", false);
        check_same("exclude=1&exclude=2", "exclude=2&exclude=1", true);
        check_same("exclude=1", "exclude=2", false);
        check_same("explain=true", "include_seen=true", false);
        check_same("location=us/ca", "location=US/CA", true);
        check_same("location=World", "location=world", true);
        check_same("location=world", "", false);
    }

    fn check_refused(query: &str, code: Code, field: &str) {
        let problem = read_query(route("/v1/users/1/recommendations"), Some(query.as_bytes())).unwrap_err();
        assert_eq!((problem.code, problem.errors[0].field.as_str()), (code, field), "{query}");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        check_refused("limt=5", Code::UnknownParameter, "limt");
        check_refused("q=heat", Code::UnknownParameter, "q");
        for limit in ["0", "101", "-1", "+5", "1e1", "", "999999999999999999999", "٣"] {
            check_refused(&format!("limit={limit}"), Code::InvalidParameter, "limit");
        }
        for diversity in ["NaN", "inf", "1.01", "-0.1", "x"] {
            check_refused(&format!("diversity={diversity}"), Code::InvalidParameter, "diversity");
        }
        check_refused("limit=5&limit=5", Code::InvalidParameter, "limit");
        check_refused("explain=yes", Code::InvalidParameter, "explain");
        check_refused("location=USA", Code::InvalidParameter, "location");
        check_refused("exclude=", Code::InvalidParameter, "exclude");
        check_refused(&format!("exclude={}", "x".repeat(257)), Code::InvalidParameter, "exclude");
        check_refused("genre=%ff", Code::InvalidParameter, "genre");
        check_refused("genre=%zz", Code::InvalidParameter, "genre");
        check_refused("%ff=1", Code::InvalidParameter, "query");
        check_refused("year_min=70000", Code::InvalidParameter, "year_min");
    }

    #[test]
    fn ids_are_decoded_once_and_are_only_ids() {
        assert_eq!(read_id("movie_id", "%2e%2e").unwrap(), "..");
        assert_eq!(read_id("movie_id", "a%2Fb").unwrap(), "a/b");
        assert_eq!(read_id("movie_id", "%252F").unwrap(), "%2F");
        assert_eq!(read_id("movie_id", "a+b").unwrap(), "a+b");
        assert_eq!(read_id("movie_id", "%E4%B8%83").unwrap(), "七");
        for segment in ["", "%", "%f", "%ff", &"x".repeat(257)] {
            assert_eq!(read_id("movie_id", segment).unwrap_err().code, Code::InvalidParameter, "{segment}");
        }
    }

    #[test]
    fn every_parameter_of_the_table_is_implemented() {
        for parameter in ROUTES.iter().flat_map(Route::parameters) {
            let value = match parameter.kind {
                Kind::Text(_) if parameter.name == "location" => "US",
                Kind::Text(_) | Kind::Id => "x",
                Kind::Integer(..) | Kind::Number(..) => "1",
                Kind::Boolean => "true",
                Kind::Choice(names) => names[0],
            };
            assert!(Parameters::default().set(parameter.name, value).is_ok(), "{}", parameter.name);
        }
    }
}
