//! Two clients: an ordinary one, as an app would use it, and one that sends exactly the bytes it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// Expects success and JSON.
    #[track_caller]
    pub(crate) fn done(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()
    }

    /// Expects a problem document, whole and without a word of the machinery, about `field` if one is named.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str, field: Option<&str>) -> Value {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{text}");
        let problem = self.json();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{text}");
        let id = problem["request_id"].as_str().unwrap();
        assert!(!id.is_empty() && self.header("x-request-id") == Some(id), "{text}");
        for said in ["type", "title", "detail"] {
            assert!(problem[said].as_str().is_some_and(|said| !said.is_empty()), "{said} in {text}");
        }
        if field.is_some() {
            assert_eq!(problem["errors"][0]["field"].as_str(), field, "{text}");
        }
        for leak in ["panicked", "serde", ".rs:", "actix", "RUST_BACKTRACE"] {
            assert!(!text.contains(leak), "{text}");
        }
        problem
    }
}

/// An app's client.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_mins(1)))
        .build()
        .into()
}

#[track_caller]
pub(crate) fn get(agent: &Agent, address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = agent.get(format!("http://{address}{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request.call().unwrap_or_else(|error| panic!("{target}: {error}")))
}

#[track_caller]
pub(crate) fn post(
    agent: &Agent,
    address: SocketAddr,
    target: &str,
    media_type: &str,
    body: &[u8],
) -> Answer {
    let request = agent.post(format!("http://{address}{target}")).header("content-type", media_type);
    read(request.send(body).unwrap_or_else(|error| panic!("{target}: {error}")))
}

/// Any method, with a JSON body where there is one.
#[track_caller]
pub(crate) fn send(
    agent: &Agent,
    method: &str,
    address: SocketAddr,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Answer {
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{address}{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        None => agent.run(request.body(()).unwrap()),
        Some(body) => {
            let request = request.header("content-type", "application/json").body(body.to_string()).unwrap();
            agent.run(request)
        }
    };
    read(answer.unwrap_or_else(|error| panic!("{method} {target}: {error}")))
}

fn read(response: ureq::http::Response<ureq::Body>) -> Answer {
    let (head, mut body) = response.into_parts();
    let headers = head.headers.iter();
    Answer {
        status: head.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: body.read_to_vec().unwrap(),
    }
}

/// Sends bytes as they are and reads until the server closes; `None` where it closed without an answer.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    // The server may refuse, and close, before all is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next()?.get(9..12)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    Some(Answer {
        status,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: answer[end + 4..].to_vec(),
    })
}

/// A request of one line, its target sent as it is written.
pub(crate) fn request_line(method: &str, target: &[u8]) -> Vec<u8> {
    [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"].concat()
}

/// The ids of a list, of movies or of users, in its order.
#[track_caller]
pub(crate) fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let id = |item: &Value| {
        item.get("movie_id").or(item.get("user_id")).and_then(Value::as_str).expect("an id").to_owned()
    };
    items.iter().map(id).collect()
}
