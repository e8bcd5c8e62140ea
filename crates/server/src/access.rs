//! Who may pass: the key that a request carries against the scope of its route, and how many requests its caller has sent.

use std::net::IpAddr;

use crate::ServerError;
use crate::ServerOptions;
use crate::keys::{Holder, KeyRing, Scope};
use crate::limiter::{Caller, Limiter, Quota};
use crate::problem::{Code, Problem};
use crate::routes::Route;

/// Keys and limits.
pub(crate) struct Access {
    pub(crate) keys: KeyRing,
    limiter: Option<Limiter>,
}

/// Who sent a request, as far as that is known.
#[derive(Debug, Default)]
pub(crate) struct Visitor {
    /// Whose key it carried.
    pub(crate) holder: Option<Holder>,
    /// What the caller may still send, if that is limited.
    pub(crate) quota: Option<Quota>,
}

impl Access {
    pub(crate) fn new(options: &ServerOptions) -> Result<Self, ServerError> {
        let burst = if options.rate_burst == 0 { options.rate_limit } else { options.rate_burst };
        let limiter = (options.rate_limit > 0).then(|| Limiter::new(options.rate_limit, burst));
        Ok(Self { keys: KeyRing::open(options)?, limiter })
    }

    /// Whether a request may go on to its route, and who sent it. `route` is none where no route was found: that counts as a
    /// request, too. A route without a scope is neither limited nor closed.
    pub(crate) fn check(
        &self,
        route: Option<&Route>,
        authorization: Option<&[u8]>,
        address: Option<IpAddr>,
    ) -> (Visitor, Result<(), Problem>) {
        let scope = route.map(|route| route.scope);
        if scope == Some(None) {
            return (Visitor::default(), Ok(()));
        }
        let holder = authorization.and_then(|value| self.keys.holder(value));
        let quota = self.limiter.as_ref().map(|limiter| {
            let named = holder.as_ref().map(|holder| Caller::Key(holder.name.clone()));
            limiter.count(named.unwrap_or_else(|| Caller::at(address)))
        });
        let refused = quota.and_then(|quota| quota.retry_seconds).map(too_many);
        let scope = scope.flatten();
        let result = refused.map_or_else(|| self.pass(scope, holder.as_ref(), authorization.is_some()), Err);
        (Visitor { holder, quota }, result)
    }

    /// The values of `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) of an answer.
    pub(crate) fn quota_headers(&self, visitor: &Visitor) -> Option<[String; 2]> {
        let (limiter, quota) = (self.limiter.as_ref()?, visitor.quota?);
        let policy = if visitor.holder.is_some() { "key" } else { "address" };
        let (burst, window) = (limiter.burst(), limiter.window_seconds());
        let Quota { remaining, reset_seconds, .. } = quota;
        Some([
            format!("\"{policy}\";q={burst};w={window}"),
            format!("\"{policy}\";r={remaining};t={reset_seconds}"),
        ])
    }

    fn pass(&self, scope: Option<Scope>, holder: Option<&Holder>, tried: bool) -> Result<(), Problem> {
        let Some(scope) = scope.filter(|scope| self.keys.is_closed(*scope)) else { return Ok(()) };
        if scope == Scope::Admin && !self.keys.has_key_of(Scope::Admin) {
            let detail = "set CINEDEX_ADMIN_KEY, or make a key with cinedex keys create";
            return Err(Problem::new(Code::AdminDisabled, detail));
        }
        match holder {
            Some(holder) if holder.scope >= scope => Ok(()),
            Some(holder) => {
                let (has, needs) = (holder.scope.as_str(), scope.as_str());
                let detail = format!("the key has scope {has}, this route needs {needs}");
                Err(Problem::new(Code::Forbidden, detail))
            }
            None => {
                let what = if tried { "this key is not in force" } else { "no key came with the request" };
                let needs = scope.as_str();
                let detail = format!("{what}; send Authorization: Bearer with a key of scope {needs}");
                Err(Problem::new(Code::Unauthorized, detail))
            }
        }
    }
}

fn too_many(seconds: u64) -> Problem {
    let detail = format!("too many requests; try again in {seconds} s");
    Problem { retry_after: Some(seconds), ..Problem::new(Code::RateLimited, detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Key, KeyFile, hash_key};
    use crate::routes::{Found, find};

    const KEYS: [(&str, Scope); 3] =
        [("reader-key", Scope::Read), ("writer-key", Scope::Write), ("admin-key", Scope::Admin)];

    fn access(scopes: &[Scope], rate_limit: u32) -> Access {
        let folder = tempfile::tempdir().unwrap();
        let keys_file = folder.path().join("keys.toml");
        let key = |(key, scope): &(&str, Scope)| Key {
            name: (*key).to_owned(),
            scope: *scope,
            sha256: hash_key(key),
            created: String::new(),
        };
        let keys = KEYS.iter().filter(|(_, scope)| scopes.contains(scope)).map(key).collect();
        std::fs::write(&keys_file, toml::to_string(&KeyFile { keys }).unwrap()).unwrap();
        Access::new(&ServerOptions { keys_file, rate_limit, ..ServerOptions::default() }).unwrap()
    }

    fn code(access: &Access, method: &str, path: &str, key: Option<&str>) -> Option<&'static str> {
        let Found::Route(route, _) = find(method, path) else { panic!("{path} is a route") };
        let authorization = key.map(|key| format!("Bearer {key}"));
        let address = Some([127, 0, 0, 1].into());
        let (_, result) = access.check(Some(route), authorization.as_deref().map(str::as_bytes), address);
        result.err().map(|problem| problem.code.row().name)
    }

    #[test]
    fn a_scope_is_open_until_it_has_a_key_and_admin_never_is() {
        let none = access(&[], 0);
        assert_eq!(code(&none, "GET", "/v1/popular", None), None);
        assert_eq!(code(&none, "GET", "/v1/popular", Some("nonsense")), None);
        assert_eq!(code(&none, "GET", "/v1/admin/tasks", None), Some("admin_disabled"));
        let admin = access(&[Scope::Admin], 0);
        assert_eq!(code(&admin, "GET", "/v1/popular", None), None);
        assert_eq!(code(&admin, "GET", "/v1/admin/tasks", None), Some("unauthorized"));
        assert_eq!(code(&admin, "GET", "/v1/admin/tasks", Some("reader-key")), Some("unauthorized"));
        assert_eq!(code(&admin, "GET", "/v1/admin/tasks", Some("admin-key")), None);
    }

    #[test]
    fn a_scope_holds_those_before_it() {
        let all = access(&[Scope::Read, Scope::Write, Scope::Admin], 0);
        for (path, expect) in [
            ("/v1/popular", [None, None, None]),
            ("/v1/admin/tasks", [Some("forbidden"), Some("forbidden"), None]),
        ] {
            for ((key, _), expect) in KEYS.iter().zip(expect) {
                assert_eq!(code(&all, "GET", path, Some(key)), expect, "{path} {key}");
            }
            assert_eq!(code(&all, "GET", path, None), Some("unauthorized"));
        }
        assert_eq!(code(&all, "GET", "/livez", None), None);
        assert_eq!(code(&all, "GET", "/metrics", None), Some("unauthorized"));
    }

    #[test]
    fn each_key_has_a_limit_of_its_own_and_probes_none() {
        let access = access(&[Scope::Admin], 1);
        for key in [None, Some("admin-key")] {
            assert_eq!(code(&access, "GET", "/v1/popular", key), None);
            assert_eq!(code(&access, "GET", "/v1/popular", key), Some("rate_limited"));
            assert_eq!(code(&access, "GET", "/readyz", key), None);
        }
        // Who guesses keys is limited by address.
        assert_eq!(code(&access, "GET", "/v1/admin/tasks", Some("wrong")), Some("rate_limited"));
        let (visitor, _) = access.check(None, None, Some([127, 0, 0, 2].into()));
        let headers = access.quota_headers(&visitor).unwrap();
        assert_eq!(headers, ["\"address\";q=1;w=1", "\"address\";r=0;t=1"]);
    }
}
