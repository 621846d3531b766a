//! Keeps web pages and strangers out.
//!
//! A page in somebody's browser can send requests to this machine: `Host` must therefore be a name
//! that only this server goes by (a page that had its own name point here is found out), and
//! `Origin`, where a browser sends one, must be that same host. No CORS header is ever sent. With a
//! token, callers on TCP must show it; the Unix socket is kept by its file mode instead. The page's own
//! files take no token. Who answers a play's question shows the question's own token instead of both.

use std::{fmt, net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use protocol::{Error, ErrorKind};

use super::{page, reply, resume};

/// What callers on TCP have to show. Never printed.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// Takes the text of a token file: surrounding white space does not count.
    ///
    /// # Errors
    /// `invalid_input` for an empty token, or one that no header can carry.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::invalid_input(
                "the token must be one line of visible ASCII characters, without spaces, and not empty",
            ));
        }
        Ok(Self(text.into()))
    }

    /// Compares without telling by its duration where the difference is.
    fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own
            .iter()
            .zip(given)
            .fold(own.len() ^ given.len(), |all, (a, b)| {
                all | usize::from(a ^ b)
            });
        std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How a request came in; on every request, put there by the listener.
#[derive(Clone, Copy, Debug)]
pub(super) enum Came {
    /// Over TCP, to this address of the machine.
    Tcp(IpAddr),
    Unix,
}

/// What is let through.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) token: Option<Token>,
    /// Further names that the server goes by (without port), lower case.
    pub(super) hosts: Vec<String>,
}

/// The check before every route.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.admit(&request) {
        Ok(()) => next.run(request).await,
        Err((status, error)) => refuse(request.uri(), status, &error),
    };
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn refuse(uri: &Uri, status: StatusCode, error: &Error) -> Response {
    let mut response = if uri.path() == "/rpc" {
        reply::rpc_error(status, error)
    } else {
        reply::error(status, error)
    };
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
    }
    response.into_response()
}

impl Guard {
    fn admit(&self, request: &Request) -> Result<(), (StatusCode, Error)> {
        let came = request.extensions().get::<Came>().copied();
        let headers = request.headers();
        // Whoever has a question's token may answer it, from wherever.
        let open = request.uri().path().starts_with(resume::PREFIX);
        self.host_and_origin(came, request.uri(), headers, open)
            .map_err(|what| {
                let error = Error::new(ErrorKind::Unauthorized, what);
                (StatusCode::FORBIDDEN, error)
            })?;
        match (&self.token, came) {
            (None, _) | (_, Some(Came::Unix)) => Ok(()),
            _ if open || needs_no_token(request.uri().path()) => Ok(()),
            (Some(token), _) => match bearer(headers) {
                Some(given) if token.is(given) => Ok(()),
                given => {
                    let what = if given.is_some() {
                        "the token is wrong"
                    } else {
                        "a token is required: send `Authorization: Bearer TOKEN`"
                    };
                    let error = Error::new(ErrorKind::Unauthorized, what);
                    Err((StatusCode::UNAUTHORIZED, error))
                }
            },
        }
    }

    fn host_and_origin(
        &self,
        came: Option<Came>,
        uri: &Uri,
        headers: &HeaderMap,
        any_origin: bool,
    ) -> Result<(), String> {
        let host = single(headers, &header::HOST)?;
        if let Some(Came::Tcp(address)) = came {
            let Some(host) = host else {
                return Err("the request has no Host header".to_owned());
            };
            self.known(host, address)?;
            if let Some(authority) = uri.authority() {
                self.known(authority.as_str(), address)?;
            }
        } else if came.is_none() {
            return Err("the request came in by an unknown way".to_owned());
        }
        if any_origin {
            return Ok(());
        }
        let Some(origin) = single(headers, &header::ORIGIN)? else {
            return Ok(());
        };
        let same = host.is_some_and(|host| same_origin(origin, host));
        same.then_some(()).ok_or_else(|| {
            format!("a page of {origin:?} may not call this server: Origin and Host differ")
        })
    }

    fn known(&self, host: &str, address: IpAddr) -> Result<(), String> {
        let refused = || {
            format!(
                "Host {host:?} is none of this server's names; use localhost, 127.0.0.1 or [::1], \
                 or allow the name when starting the server"
            )
        };
        let authority: Authority = host.parse().map_err(|_| refused())?;
        let (name, _) = parts(&authority).ok_or_else(refused)?;
        let known = name == "localhost"
            || self.hosts.contains(&name)
            || name.parse::<IpAddr>().is_ok_and(|ip| {
                ip == IpAddr::from([127, 0, 0, 1])
                    || ip == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
                    || ip == address.to_canonical()
            });
        known.then_some(()).ok_or_else(refused)
    }
}

/// The page asks for the token itself, and sends it with its calls.
fn needs_no_token(path: &str) -> bool {
    path == "/healthz" || page::has(path)
}

/// The name (lower case, an IPv6 address without brackets) and the port of an authority.
fn parts(authority: &Authority) -> Option<(String, Option<u16>)> {
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    let port = match authority.as_str()[host.len()..].strip_prefix(':') {
        None => None,
        Some(digits) => Some(digits.parse().ok()?),
    };
    let name = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    Some((name.unwrap_or(host).to_ascii_lowercase(), port))
}

/// Whether a page of this origin was served under this very Host.
fn same_origin(origin: &str, host: &str) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else {
        return false;
    };
    let default = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let whole = |authority: &Authority| {
        parts(authority).map(|(name, port)| (name, port.unwrap_or(default)))
    };
    let of_host = host.parse().ok().and_then(|host| whole(&host));
    of_host.is_some() && origin.authority().and_then(whole) == of_host
}

/// A header that must not be there twice.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, String> {
    let mut all = headers.get_all(name).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(format!("the request has several {name} headers"));
    }
    first
        .map(|value| value.to_str())
        .transpose()
        .map_err(|_| format!("the {name} header can't be read"))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard {
            token: None,
            hosts: vec!["flows.example".into()],
        }
    }

    #[test]
    fn only_the_servers_own_names_are_known() {
        let address = IpAddr::from([10, 0, 0, 7]);
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "10.0.0.7:9",
            "flows.example:443",
        ] {
            assert_eq!(guard().known(host, address), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "user@localhost",
            "10.0.0.8",
            "[::2]",
            "localhost:99999",
            "localhost:x",
            "0.0.0.0",
        ] {
            assert!(guard().known(host, address).is_err(), "{host}");
        }
    }

    #[test]
    fn an_origin_is_the_same_only_with_host_and_port() {
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("http://LOCALHOST", "localhost:80"),
            ("https://flows.example", "flows.example"),
            ("http://[::1]:5", "[::1]:5"),
        ] {
            assert!(same_origin(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "localhost"),
            ("", ""),
            ("http://localhost:3000", "localhost:8080"),
            ("http://evil.example", "localhost"),
            ("https://localhost:80", "localhost:8080"),
            ("file://", "localhost"),
            ("localhost", "localhost"),
            ("chrome-extension://localhost", "localhost"),
        ] {
            assert!(!same_origin(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn a_token_is_compared_whole_and_never_printed() {
        let token = Token::new(" s3cret\n").unwrap();
        assert!(token.is(b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3crett", b"S3cret", b"s3cret\0"] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
        assert!(!format!("{token:?}").contains("s3cret"));
        for bad in ["", " \n", "two words", "ümlaut", "a\nb"] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
    }
}
