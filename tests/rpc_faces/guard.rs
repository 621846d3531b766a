//! What keeps web pages and strangers out.

use std::sync::Arc;

use bytes::Bytes;
use hero_logic::http::{ListenConfig, Token, serve_faces};
use http_body_util::Full;
use hyper::Request;
use protocol::ErrorKind;
use serde_json::json;

use crate::{
    store::SmallStore,
    support::{Answer, Server, State, call, faces, send},
};

/// Every route, the way its rightful caller asks.
const ROUTES: [(&str, &str); 4] = [
    ("POST", "/rpc"),
    ("GET", "/api/plays/p/spans"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
];

fn request(route: (&str, &str), headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(route.0).uri(route.1);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if route.0 == "POST" {
        request = request.header("content-type", "application/json");
    }
    let body = call(1, "echo", json!([1])).to_string();
    request.body(Full::new(body.into())).unwrap()
}

async fn over_tcp(server: &Server, route: (&str, &str), headers: &[(&str, &str)]) -> Answer {
    send(server.tcp().await, request(route, headers))
        .await
        .whole()
        .await
}

#[tokio::test]
async fn a_foreign_name_or_page_reaches_nothing() {
    let server = Server::with(|config| config.hosts = vec!["Flows.Example".into()]).await;
    let port = server.serving.tcp().unwrap().port();
    let own = format!("127.0.0.1:{port}");
    let same = format!("http://{own}");
    for route in ROUTES {
        for headers in [
            &[("host", "evil.example")][..],
            &[("host", "localhost.evil.example")],
            &[],
            &[("host", "localhost"), ("host", "evil.example")],
            &[("host", &own), ("origin", "http://evil.example")],
            &[("host", &own), ("origin", "null")],
            &[("host", &own), ("origin", "http://127.0.0.1:1")],
            &[("host", "evil.example"), ("origin", "http://evil.example")],
        ] {
            let answer = over_tcp(&server, route, headers).await;
            assert_eq!(answer.status, 403, "{route:?} {headers:?}");
            let message = answer.json()["error"]["message"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(message.len() > 20, "{message}");
        }
        for headers in [
            &[("host", "localhost")][..],
            &[("host", "[::1]:1234")],
            &[("host", "flows.example")],
            &[("host", &own), ("origin", &same)],
        ] {
            let answer = over_tcp(&server, route, headers).await;
            assert_ne!(answer.status, 403, "{route:?} {headers:?}");
        }
    }
}

#[tokio::test]
async fn the_socket_has_no_name_to_check_but_pages_stay_out() {
    let server = Server::start().await;
    for (headers, status) in [
        (&[("host", "whatever")][..], 200),
        (&[], 200),
        (
            &[("host", "whatever"), ("origin", "http://evil.example")],
            403,
        ),
        (&[("origin", "http://evil.example")], 403),
    ] {
        let request = request(("POST", "/rpc"), headers);
        let answer = send(server.unix().await, request).await.whole().await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn no_response_invites_another_origin_or_a_cache() {
    let server = Server::start().await;
    for route in ROUTES {
        for host in ["localhost", "evil.example"] {
            let answer = over_tcp(&server, route, &[("host", host)]).await;
            assert_eq!(
                answer.headers["x-content-type-options"], "nosniff",
                "{route:?}"
            );
            assert_eq!(answer.headers["cache-control"], "no-store", "{route:?}");
            let cors = answer
                .headers
                .keys()
                .any(|k| k.as_str().starts_with("access-control"));
            assert!(!cors, "{route:?}");
        }
    }
    // The question that a browser asks first is not answered with a permission.
    let asked = [
        ("host", "localhost"),
        ("access-control-request-method", "POST"),
    ];
    assert_eq!(
        over_tcp(&server, ("OPTIONS", "/rpc"), &asked).await.status,
        405
    );
}

#[tokio::test]
async fn with_a_token_tcp_callers_must_show_it() {
    let server = Server::with(|config| config.token = Some(Token::new("s3cret").unwrap())).await;
    for route in ROUTES {
        for (given, fits) in [
            (None, false),
            (Some("Bearer wrong"), false),
            (Some("Bearer "), false),
            (Some("Basic s3cret"), false),
            (Some("s3cret"), false),
            (Some("Bearer s3cret"), true),
            (Some("bearer s3cret"), true),
        ] {
            let mut headers = vec![("host", "localhost")];
            headers.extend(given.map(|given| ("authorization", given)));
            let answer = over_tcp(&server, route, &headers).await;
            let open = fits || route.1 == "/healthz";
            assert_eq!(answer.status != 401, open, "{route:?} {given:?}");
            if answer.status == 401 {
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
                assert_eq!(answer.json()["error"]["code"], -32006);
                assert_eq!(answer.json()["jsonrpc"] == "2.0", route.1 == "/rpc");
            }
        }
    }
    // The socket is kept by its mode.
    let request = request(("POST", "/rpc"), &[]);
    assert_eq!(
        send(server.unix().await, request)
            .await
            .whole()
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn beyond_loopback_only_with_a_token() {
    let start = async |address: &str, token: Option<Token>| {
        let config = ListenConfig {
            tcp: Some(address.into()),
            token,
            ..ListenConfig::default()
        };
        serve_faces(
            faces(&State::new(), Arc::new(SmallStore::default())),
            config,
        )
        .await
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = start(address, None).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidInput, "{address}");
        assert!(
            refused.message.contains("--token-file"),
            "{}",
            refused.message
        );
    }
    assert!(
        start("0.0.0.0:0", Some(Token::new("t").unwrap()))
            .await
            .is_ok()
    );
    assert!(start("localhost:0", None).await.is_ok());
    let nonsense = start("nonsense", None).await.unwrap_err();
    assert_eq!(nonsense.kind, ErrorKind::InvalidInput);
}
