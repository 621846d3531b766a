//! The web page: its files as they were built (`ui/dist`), embedded in the binary.
//!
//! `/assets/…` are files whose names change with their content, so they are kept for ever by whoever
//! fetched them. Every other path that is no face of the server is a view of the page, which finds out
//! by itself which one, and is answered with `index.html`. A file is packed when it is first asked for,
//! and kept so: a server whose page nobody opens spends nothing on it.
//!
//! What is here is the same for everybody and says nothing of the server, so it needs no token; what the
//! page then asks for does. It must never be answered without [`POLICY`], which keeps whatever got into a
//! record from being run as a part of the page.

use std::{
    collections::HashMap,
    io::Write,
    sync::{LazyLock, OnceLock},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use protocol::{Error, ErrorKind};
use rust_embed::RustEmbed;

use super::reply;

/// What the page may do: use its own files and call its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
const INDEX: &str = "index.html";
const ASSETS: &str = "/assets/";
/// Brotli's quality and window: beyond this quality it takes ten times as long for some percent.
const BROTLI: (u32, u32) = (9, 22);

/// Paths that begin so are the server's own.
const FACES: [&str; 4] = ["rpc", "api", "healthz", "metrics"];

#[derive(RustEmbed)]
#[folder = "ui/dist/"]
struct Built;

/// Whether a path is the page's: one of its files or of its views.
pub(super) fn has(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    !FACES.contains(&first.unwrap_or_default())
}

/// Answers a path of the page.
pub(super) async fn get(path: &str, headers: &HeaderMap) -> Response<Body> {
    let name = if path.starts_with(ASSETS) {
        &path[1..]
    } else {
        INDEX
    };
    let Some(file) = FILES.get(name) else {
        let error = Error::new(
            ErrorKind::NotFound,
            "the page has no such file; it is another version of the page: load it again",
        );
        return with_policy(reply::error(StatusCode::NOT_FOUND, &error));
    };
    let mut response = if name == INDEX && file.is_known(headers) {
        let mut known = Response::new(Body::empty());
        *known.status_mut() = StatusCode::NOT_MODIFIED;
        known
    } else {
        let accepted = headers.get(header::ACCEPT_ENCODING);
        let accepted = accepted.and_then(|value| value.to_str().ok());
        file.packed_as(Packing::chosen(accepted)).await
    };
    let keep = if name == INDEX {
        "no-cache"
    } else {
        "public, max-age=31536000, immutable"
    };
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&file.tag) {
        out.insert(header::ETAG, tag);
    }
    with_policy(response)
}

fn with_policy(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert::<HeaderName>(name, value);
    }
    response
}

static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    let files = Built::iter().filter_map(|name| {
        let file = Built::get(&name)?;
        let plain = match file.data {
            std::borrow::Cow::Borrowed(data) => Bytes::from_static(data),
            std::borrow::Cow::Owned(data) => data.into(),
        };
        let hash = file.metadata.sha256_hash();
        let tag: String = hash[..16].iter().map(|b| format!("{b:02x}")).collect();
        let file = File {
            content_type: content_type(&name),
            tag: format!("W/\"{tag}\""),
            plain,
            brotli: OnceLock::new(),
            gzip: OnceLock::new(),
        };
        Some((name.into_owned(), file))
    });
    files.collect()
});

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// A file of the page, plain and packed.
struct File {
    content_type: &'static str,
    /// Weak: the same for every packing.
    tag: String,
    plain: Bytes,
    brotli: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
}

impl File {
    /// Whether the caller has this very file.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let had = headers.get(header::IF_NONE_MATCH);
        let had = had.and_then(|value| value.to_str().ok());
        had.is_some_and(|had| had.split(',').any(|one| one.trim() == self.tag))
    }

    async fn packed_as(&'static self, packing: Packing) -> Response<Body> {
        let (cell, name) = match packing {
            Packing::Brotli => (&self.brotli, "br"),
            Packing::Gzip => (&self.gzip, "gzip"),
            Packing::None => {
                return reply::typed(StatusCode::OK, self.content_type, self.plain.clone());
            }
        };
        let packed = match cell.get() {
            Some(packed) => Some(packed.clone()),
            // The first time takes some milliseconds of computing.
            None => tokio::task::spawn_blocking(move || {
                cell.get_or_init(|| pack(&self.plain, packing)).clone()
            })
            .await
            .inspect_err(|error| tracing::error!(%error, "a file of the page can't be packed"))
            .ok(),
        };
        let Some(packed) = packed.filter(|packed| packed.len() < self.plain.len()) else {
            return reply::typed(StatusCode::OK, self.content_type, self.plain.clone());
        };
        let mut response = reply::typed(StatusCode::OK, self.content_type, packed);
        let name = HeaderValue::from_static(name);
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, name);
        response
    }
}

/// Writing to memory does not fail; should it, what is plain is shorter than nothing.
fn pack(plain: &Bytes, packing: Packing) -> Bytes {
    let packed = match packing {
        Packing::None => Ok(plain.to_vec()),
        Packing::Brotli => {
            let (quality, window) = BROTLI;
            let mut writer = brotli::CompressorWriter::new(Vec::new(), 4_096, quality, window);
            writer.write_all(plain).map(|()| writer.into_inner())
        }
        Packing::Gzip => {
            let mut writer = GzEncoder::new(Vec::new(), Compression::best());
            writer.write_all(plain).and_then(|()| writer.finish())
        }
    };
    packed.map_or_else(|_| plain.clone(), Bytes::from)
}

/// How a file is packed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Brotli,
    Gzip,
    None,
}

impl Packing {
    /// The shortest that a caller takes, by its `Accept-Encoding`.
    fn chosen(accepted: Option<&str>) -> Self {
        let takes = |wanted: &str| {
            let mut any = false;
            for one in accepted.unwrap_or_default().split(',') {
                let mut parts = one.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                let refused = parts
                    .filter_map(|part| part.strip_prefix("q="))
                    .any(|q| q.parse().is_ok_and(|q: f32| q == 0.0));
                if name.eq_ignore_ascii_case(wanted) {
                    return !refused;
                }
                any |= name == "*" && !refused;
            }
            any
        };
        if takes("br") {
            Self::Brotli
        } else if takes("gzip") {
            Self::Gzip
        } else {
            Self::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_packing_that_is_taken() {
        for (accepted, packing) in [
            (None, Packing::None),
            (Some(""), Packing::None),
            (Some("identity"), Packing::None),
            (Some("gzip"), Packing::Gzip),
            (Some("gzip, deflate, br, zstd"), Packing::Brotli),
            (Some("br;q=0, gzip;q=0.5"), Packing::Gzip),
            (Some("br; q=0.000, *"), Packing::Gzip),
            (Some("*"), Packing::Brotli),
            (Some("*;q=0"), Packing::None),
            (Some("GZIP"), Packing::Gzip),
            (Some("brotli"), Packing::None),
        ] {
            assert_eq!(Packing::chosen(accepted), packing, "{accepted:?}");
        }
    }

    #[test]
    fn paths_of_the_server_are_none_of_the_pages() {
        for path in [
            "/",
            "/plays",
            "/plays/x",
            "/assets/a.js",
            "/apiary",
            "/rpcs",
        ] {
            assert!(has(path), "{path}");
        }
        for path in [
            "/rpc", "/rpc/x", "/api", "/api/x", "//api/x", "/healthz", "/metrics",
        ] {
            assert!(!has(path), "{path}");
        }
    }

    #[test]
    fn what_was_built_is_there() {
        let index = FILES.get(INDEX).expect("index.html");
        let text = String::from_utf8_lossy(&index.plain);
        let files = text.split('"').filter(|part| part.starts_with(ASSETS));
        let files: Vec<_> = files.collect();
        assert!(files.len() > 1, "{files:?}");
        for file in files {
            assert!(FILES.contains_key(&file[1..]), "{file}");
        }
    }
}
