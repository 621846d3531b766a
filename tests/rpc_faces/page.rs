//! The web page: served to everybody who may reach the server, under a policy of its own.

use std::io::Read;

use bytes::Bytes;
use hero_logic::http::Token;
use http_body_util::Full;
use hyper::{Method, Request};

use crate::support::{Answer, Server, get, send};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

async fn ask(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = get(path);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    send(server.tcp().await, request).await.whole().await
}

/// The files that the page names.
async fn assets(server: &Server) -> Vec<String> {
    let index = server.get("/").await;
    let text = String::from_utf8(index.body.to_vec()).unwrap();
    let files = text.split('"').filter(|part| part.starts_with("/assets/"));
    files.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_view_is_the_page_and_its_files_are_kept() {
    let server = Server::start().await;
    for path in [
        "/",
        "/plays",
        "/plays/0190a/x",
        "/flows/1",
        "/compare?a=1&b=2",
        "/inbox",
        "/system",
        "/no/such/view",
        "/../../etc/passwd",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(answer.headers["cache-control"], "no-cache", "{path}");
        assert!(answer.body.starts_with(b"<!doctype html>"), "{path}");
    }
    let files = assets(&server).await;
    assert!(files.iter().any(|file| file.ends_with(".js")), "{files:?}");
    for file in files {
        let answer = server.get(&file).await;
        assert_eq!(answer.status, 200, "{file}");
        assert_eq!(
            answer.headers["cache-control"],
            "public, max-age=31536000, immutable"
        );
        assert!(!answer.body.is_empty() && !answer.body.starts_with(b"<!doctype"));
    }
    for path in [
        "/assets/no.js",
        "/assets/",
        "/assets/../index.html",
        "/assets/..%2findex.html",
        "/api",
        "/api/nothing",
        "/rpc/x",
        "/healthz/x",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.json()["error"]["data"]["kind"],
            "not_found",
            "{path}"
        );
    }
}

#[tokio::test]
async fn all_of_the_page_is_under_its_policy() {
    let server = Server::start().await;
    let mut paths = assets(&server).await;
    paths.extend(["/".into(), "/plays/x".into(), "/assets/no.js".into()]);
    for path in paths {
        let answer = server.get(&path).await;
        assert_eq!(answer.headers["content-security-policy"], POLICY, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    }
}

#[tokio::test]
async fn a_file_is_packed_as_its_reader_takes_it() {
    let server = Server::start().await;
    let files = assets(&server).await;
    let script = files.iter().find(|file| file.ends_with(".js")).unwrap();
    let plain = server.get(script).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let brotli = ask(&server, script, &[("accept-encoding", "gzip, deflate, br")]).await;
    assert_eq!(brotli.headers["content-encoding"], "br");
    let mut unpacked = Vec::new();
    let mut reader = brotli::Decompressor::new(&*brotli.body, 4_096);
    reader.read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let gzip = ask(&server, script, &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.headers["content-encoding"], "gzip");
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&*gzip.body);
    reader.read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    for answer in [&plain, &brotli, &gzip] {
        assert_eq!(answer.headers["vary"], "accept-encoding");
    }
    assert!(brotli.body.len() < gzip.body.len() && gzip.body.len() < plain.body.len());
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let server = Server::start().await;
    let first = server.get("/plays").await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let again = ask(&server, "/", &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.headers["content-security-policy"], POLICY);
    let other = ask(&server, "/", &[("if-none-match", "W/\"other\"")]).await;
    assert_eq!((other.status, other.body), (200, first.body));
}

#[tokio::test]
async fn the_page_needs_no_token_and_its_calls_do() {
    let server = Server::with(|config| config.token = Some(Token::new("s3cret").unwrap())).await;
    for path in ["/", "/plays", &assets(&server).await[0]] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    for path in ["/metrics", "/api/plays/p/spans", "/api/nothing", "/rpc"] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_foreign_name_gets_no_page() {
    let server = Server::start().await;
    for (name, value) in [("host", "evil.example"), ("origin", "http://evil.example")] {
        for path in ["/", "/plays", &assets(&server).await[0]] {
            let answer = ask(&server, path, &[(name, value)]).await;
            assert_eq!(answer.status, 403, "{path} {name}");
            assert!(!answer.body.starts_with(b"<!doctype html>"));
        }
    }
}

#[tokio::test]
async fn the_page_is_only_read() {
    let server = Server::start().await;
    let with = |method: Method| {
        Request::builder()
            .method(method)
            .uri("/plays")
            .header("host", "localhost")
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
        let answer = send(server.tcp().await, with(method.clone()))
            .await
            .whole()
            .await;
        assert_eq!(answer.status, 405, "{method}");
    }
    let head = send(server.tcp().await, with(Method::HEAD))
        .await
        .whole()
        .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}
