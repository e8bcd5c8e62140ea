//! The documentation page for people, made from the table of routes: one HTML document that fetches nothing.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::keys::Scope;
use crate::live_routes::fields;
use crate::problem::CODES;
use crate::routes::{Answer, Kind, Parameter, ROUTES, Route};

/// The page and the content security policy that it is sent with.
pub(crate) struct Page {
    html: String,
    policy: String,
}

/// Stand in the page for what differs between requests.
const ORIGIN: &str = "\u{1}origin\u{1}";
const MOVIE_ID: &str = "\u{1}movie\u{1}";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1c1c1c;background:#fff}code,pre{font:14px/1.45 ui-monospace,monospace;background:#f3f3f0}code{padding:.1em .3em}\
pre{padding:.8rem;overflow-x:auto}table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}\
td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #ddd}h2{margin-top:2.5rem}\
h3{margin-top:2rem}a{color:#0b57a4}@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#161616}\
code,pre{background:#262626}td,th{border-color:#3a3a3a}a{color:#8ab8ee}}";

const INTRODUCTION: &str = "<p>Films like a film, films for a person, people of like taste, what is popular in a \
place and what is rising there; what people do is taken in and counts in the next answer. Answers are JSON; \
errors are <a href=\"#errors\">problem documents</a>. The machine-readable form of this page is \
<a href=\"/openapi.json\">/openapi.json</a>.</p>\
<p>A parameter that a route does not have is refused by its name. Repeats of a parameter mean any of the values, \
several parameters mean all of them; names compare without case. A film whose year, runtime, country, language or \
minimum age is unknown fails a filter on it. Lists carry <code>next_cursor</code>: send it as <code>cursor</code> for \
the next page, which never repeats or skips an item, even if the index is exchanged meanwhile.</p>\
<p>A URL is ASCII: percent-encode every other byte of an id, a title or a place, <code>%C3%A9</code> for é, and \
<code>%2F</code> for a slash in an id. A request with other bytes in its first line is not HTTP and is answered 400 without \
a body.</p>\
<p>A server may ask for keys: send one as <code>Authorization: Bearer …</code>. Each route has a scope, and a key is good \
for its own scope and those before it: read, write, admin. Where requests are limited, <code>RateLimit</code> says what is \
left, and 429 comes with <code>Retry-After</code>.</p>\
";

const EXAMPLES: &str = "<pre>curl '\u{1}origin\u{1}/v1/movies?q=godfather'\n\
curl '\u{1}origin\u{1}/v1/movies/\u{1}movie\u{1}/similar?limit=5'\n\
curl '\u{1}origin\u{1}/v1/users/42/recommendations?limit=10&amp;year_min=1990&amp;explain=true'\n\
curl '\u{1}origin\u{1}/v1/users/42/neighbors?limit=5'\n\
curl '\u{1}origin\u{1}/v1/popular?location=KR&amp;window=week'\n\
curl '\u{1}origin\u{1}/v1/trending?location=KR'\n\
curl -H 'content-type: application/json' \\\n     \
-d '{\"user_id\":\"42\",\"movie_id\":\"\u{1}movie\u{1}\",\"kind\":\"like\"}' \\\n     \
'\u{1}origin\u{1}/v1/interactions'\n\
curl -H 'content-type: application/json' \\\n     \
-d '{\"history\":[{\"movie_id\":\"\u{1}movie\u{1}\",\"kind\":\"like\"}],\"limit\":5}' \\\n     \
'\u{1}origin\u{1}/v1/recommendations'</pre>";

impl Page {
    /// Makes the page.
    pub(crate) fn new() -> Self {
        page()
    }

    /// The page for a client that asked `host` over `scheme` (the header as it came) when `movie_id` was in the catalogue. What is not plain
    /// is not shown: then the examples have paths alone, and a placeholder.
    pub(crate) fn html(&self, scheme: &str, host: Option<&str>, movie_id: Option<&str>) -> String {
        let plain = |text: &&str, further: &[u8]| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || further.contains(&byte);
            (1..=100).contains(&text.len()) && text.bytes().all(allowed)
        };
        let origin = host.filter(|host| plain(host, b".-:[]")).map(|host| format!("{scheme}://{host}"));
        let movie_id = movie_id.filter(|id| plain(id, b".-_")).unwrap_or("{movie_id}");
        self.html.replace(ORIGIN, &origin.unwrap_or_default()).replace(MOVIE_ID, movie_id)
    }

    /// Sent as `content-security-policy`.
    pub(crate) fn policy(&self) -> &str {
        &self.policy
    }
}

fn page() -> Page {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Cinedex API</title><style>{STYLE}</style></head><body>\
         <h1>Cinedex API</h1>{INTRODUCTION}{EXAMPLES}<h2>Routes</h2>"
    );
    for route in &ROUTES {
        write_route(&mut html, route).expect("a string takes all text");
    }
    html.push_str(
        "<h2 id=\"errors\">Errors</h2><table><tr><th>Code</th><th>Status</th><th>Meaning</th></tr>",
    );
    for row in &CODES {
        let (name, status, title) = (row.name, row.status, row.title);
        write!(
            html,
            "<tr id=\"{name}\"><td><code>{name}</code></td><td>{status}</td><td>{}</td></tr>",
            escape(title)
        )
        .expect("a string takes all text");
    }
    html.push_str("</table></body></html>");
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Page { html, policy }
}

fn write_route(html: &mut String, route: &Route) -> std::fmt::Result {
    let media_type = match route.answer {
        Answer::Json(_) | Answer::Accepted(_) => "application/json",
        Answer::Text(media_type) => media_type,
    };
    let scope = route.scope.map_or("", |scope| match scope {
        Scope::Read => " Scope <code>read</code>.",
        Scope::Write => " Scope <code>write</code>.",
        Scope::Admin => " Scope <code>admin</code>.",
    });
    write!(
        html,
        "<h3 id=\"{}\"><code>{} {}</code></h3><p>{}. {} Answers <code>{media_type}</code>.{scope}</p>",
        route.name,
        route.method.as_str(),
        escape(route.pattern),
        escape(route.summary),
        escape(route.description),
    )?;
    let mut parameters = route.parameters().peekable();
    if parameters.peek().is_some() || route.has_body() {
        let heading = if route.has_body() { "Field of the body" } else { "Parameter" };
        write!(html, "<table><tr><th>{heading}</th><th>Value</th><th>Meaning</th></tr>")?;
        for field in fields(route.operation) {
            let (name, value, description) = (field.name, field.value, escape(field.description));
            write!(html, "<tr><td><code>{name}</code></td><td>{value}</td><td>{description}</td></tr>")?;
        }
        for parameter in parameters {
            let (name, value) = (parameter.name, value_of(parameter));
            let description = escape(parameter.description);
            write!(html, "<tr><td><code>{name}</code></td><td>{value}</td><td>{description}</td></tr>")?;
        }
        html.push_str("</table>");
    }
    html.push_str("<p>Errors: ");
    for (position, code) in route.all_codes().enumerate() {
        let name = code.row().name;
        let comma = if position == 0 { "" } else { ", " };
        write!(html, "{comma}<a href=\"#{name}\">{name}</a>")?;
    }
    html.push_str(".</p>");
    Ok(())
}

fn value_of(parameter: &Parameter) -> String {
    let value = match parameter.kind {
        Kind::Text(_) => "text".to_owned(),
        Kind::Id => "id".to_owned(),
        Kind::Integer(lowest, highest) => format!("{lowest} to {highest}"),
        Kind::Number(lowest, highest) => format!("{lowest} to {highest}, fractions allowed"),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Choice(names) => names.join(", "),
    };
    if parameter.most > 1 { format!("{value}, repeatable") } else { value }
}

/// Text for HTML, with the table's back-quotes as code.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut code = false;
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '`' => {
                escaped.push_str(if code { "</code>" } else { "<code>" });
                code = !code;
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_parameter_and_code_is_on_the_page_and_nothing_is_fetched() {
        let page = Page::new();
        let (html, policy) =
            (page.html("http", Some("films.example:8080"), Some("heat-1995")), page.policy());
        for route in &ROUTES {
            assert!(html.contains(&format!("id=\"{}\"", route.name)), "{}", route.name);
            for parameter in route.parameters() {
                assert!(html.contains(&format!("<code>{}</code>", parameter.name)), "{}", parameter.name);
            }
        }
        for row in &CODES {
            assert!(html.contains(&format!("id=\"{}\"", row.name)), "{}", row.name);
        }
        for forbidden in ["<script", "src=", "@import", "url(", "<link", " style=", "onclick"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
    }

    #[test]
    fn examples_show_the_own_address_and_a_film_that_is_there() {
        let page = Page::new();
        let html = page.html("http", Some("films.example:8080"), Some("heat-1995"));
        assert!(html.contains("curl 'http://films.example:8080/v1/movies/heat-1995/similar?limit=5'"));
        assert!(html.contains("\"movie_id\":\"heat-1995\""));
        for strange in [None, Some(""), Some("a'b"), Some("<script>"), Some("a&b"), Some("a b"), Some("é")] {
            let html = page.html("http", strange, strange);
            assert!(html.contains("curl '/v1/movies/{movie_id}/similar?limit=5'"), "{strange:?}");
            assert!(!html.contains('\u{1}') && !html.contains("<script"), "{strange:?}");
        }
    }
}
