//! What handlers may put into a response, and what never leaves.

use maypole::prelude::*;

use crate::support::{TestServer, check, serve};

fn splitter() -> TestServer {
    serve("[app]\nenv = development\n", |app| {
        app.get("/header", |ctx| {
            ctx.set_header("X-Name", decoded(ctx))?;
            Ok("set")
        });
        app.get("/header-name", |ctx| {
            ctx.set_header(&decoded(ctx), "value")?;
            Ok("set")
        });
        app.get("/response-header", |ctx| {
            Response::new(StatusCode::OK, "set").header("X-Name", decoded(ctx))
        });
        app.get("/redirect", |ctx| ctx.redirect(decoded(ctx)));
        app.get("/cookie-value", |ctx| {
            ctx.set_cookie(&Cookie::new("name", decoded(ctx)))?;
            Ok("set")
        });
        app.get("/cookie-name", |ctx| {
            ctx.set_cookie(&Cookie::new(decoded(ctx), "value"))?;
            Ok("set")
        });
        app.get("/cookie-path", |ctx| {
            ctx.set_cookie(&Cookie::build(("name", "value")).path(decoded(ctx)).build())?;
            Ok("set")
        });
        app.get("/framing", |_ctx| {
            Response::new(StatusCode::OK, "framed")
                .header("Content-Length", "3")?
                .header("Transfer-Encoding", "chunked")?
                .header("Connection", "keep-alive")?
                .header("Date", "yesterday")
        });
        app.get("/close", |_ctx| {
            Response::new(StatusCode::OK, "bye").header("Connection", "close")
        });
        app.get("/twice", |ctx| {
            ctx.set_header("Content-Type", "text/x-own")?;
            ctx.set_header("Cache-Control", "public")?;
            ctx.set_header("Cache-Control", "max-age=5")?;
            Ok("own")
        });
        app.get("/two-cookies", |ctx| {
            ctx.set_cookie(&Cookie::new("a", "1"))?;
            ctx.set_cookie(&Cookie::new("b", "2"))?;
            ctx.set_cookie(&Cookie::new("a", "3"))?;
            Ok("set")
        });
        app.get("/session-cookie", |ctx| {
            ctx.set_cookie(&Cookie::new("session", "stolen"))?;
            Ok("set")
        });
    })
}

fn decoded(ctx: &RequestContext) -> String {
    let query: Vec<(String, String)> = ctx.query().unwrap_or_default();
    query.into_iter().find(|(name, _)| name == "v").map(|(_, value)| value).unwrap_or_default()
}

#[test]
fn no_value_starts_a_header_line_of_its_own() {
    let server = splitter();
    let attacks = [
        "a%0d%0aSet-Cookie:%20evil=1",
        "a%0aSet-Cookie:%20evil=1",
        "a%0dSet-Cookie:%20evil=1",
        "%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0a%0d%0a",
        "a%00b",
        "a%7f",
    ];
    for path in [
        "/header",
        "/header-name",
        "/response-header",
        "/redirect",
        "/cookie-value",
        "/cookie-name",
        "/cookie-path",
    ] {
        for attack in attacks {
            let mut wire = server.connect();
            let answer = wire.get(&format!("{path}?v={attack}"));
            assert_eq!(answer.status, 500, "{path} {attack}: {}", answer.head);
            assert!(!answer.head.contains("evil"), "{path} {attack}: {}", answer.head);
            assert_eq!(wire.get("/probe").text(), "probe", "{path} {attack}");
        }
    }
    for path in ["/header", "/redirect", "/cookie-value"] {
        let status = server.connect().get(&format!("{path}?v=fine")).status;
        assert!(status == 200 || status == 303, "{path}: {status}");
    }
}

/// RFC 9110, 10.2.2: a URI reference, whatever the handler's text was.
#[test]
fn a_redirect_leads_to_a_valid_address() {
    let server = splitter();
    for (query, expected) in [
        ("/cart", "/cart"),
        ("/%C3%A9%20%C3%BC", "/%C3%A9%20%C3%BC"),
        ("/%F0%9F%8D%B5?q=%E8%8C%B6", "/%F0%9F%8D%B5?q=%E8%8C%B6"),
        // What is encoded, and what has a meaning, stays.
        ("/a%2520b%25C3%25a9%253F", "/a%20b%C3%a9%3F"),
        (
            "https://u:p@[::1]:8080/a;b=c,d/(e)*!'$?f=g%26h=%2B#top",
            "https://u:p@[::1]:8080/a;b=c,d/(e)*!'$?f=g&h=+#top",
        ),
        ("../x/./y~z_-.", "../x/./y~z_-."),
        ("?page=2", "?page=2"),
        // No escapes, though they begin like some.
        ("/100%25", "/100%25"),
        ("/100%25/%254/%25zz/%25", "/100%25/%254/%25zz/%25"),
        // A browser would take the backslash for a second slash, and leave for another host.
        ("/%5Cevil.example", "/%5Cevil.example"),
        ("/%22%3C%3E%5E%60%7B%7C%7D", "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("", ""),
    ] {
        let query = query.replace('#', "%23");
        let answer = server.connect().get(&format!("/redirect?v={query}"));
        assert_eq!((answer.status, answer.header("location")), (303, Some(expected)), "{query}");
    }
    for control in ["%00", "%09", "%0a", "%0d", "%1b", "%7f"] {
        assert_eq!(server.connect().get(&format!("/redirect?v=/a{control}b")).status, 500);
    }
}

#[test]
fn the_framing_is_the_engines_alone() {
    let server = splitter();
    let mut wire = server.connect();
    let answer = wire.get("/framing");
    assert_eq!(answer.text(), "framed");
    assert_eq!(answer.header("content-length"), Some("6"));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_ne!(answer.header("date"), Some("yesterday"));
    assert_eq!(wire.get("/probe").text(), "probe");
    let answer = wire.get("/close");
    assert_eq!(answer.header("connection"), Some("close"));
    wire.expect_end();
}

#[test]
fn a_header_that_is_set_replaces_what_was_there() {
    let server = splitter();
    let answer = server.connect().get("/twice");
    assert_eq!(answer.header("content-type"), Some("text/x-own"));
    assert_eq!(answer.header("cache-control"), Some("max-age=5"));
}

#[test]
fn cookies_are_set_once_each_and_never_the_sessions() {
    let server = splitter();
    let answer = server.connect().get("/two-cookies");
    let mut cookies = answer.headers("set-cookie");
    cookies.sort_unstable();
    assert_eq!(cookies, ["a=3", "b=2"]);
    let answer = server.connect().get("/session-cookie");
    assert_eq!((answer.status, answer.header("set-cookie")), (500, None));
}

#[test]
fn an_interim_status_is_no_answer() {
    let server = serve("[app]\nenv = production\nname = x\n[cookie]\nsecure = false\n", |app| {
        app.get("/{status}", |ctx| {
            let status: u16 = ctx.param("status")?;
            Ok((StatusCode::from_u16(status)?, "text"))
        });
    });
    for status in [100, 101, 102, 103, 199] {
        let request = format!("GET /{status} HTTP/1.1\r\nHost: x\r\n\r\n");
        check(&server, request, "500 500 Internal Server Error\nopen");
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[test]
fn the_text_of_an_error_is_never_html() {
    let server = serve("", |app| {
        app.post("/", |ctx| {
            ctx.set_header("Content-Type", "text/html")?;
            ctx.set_header("Content-Encoding", "gzip")?;
            ctx.set_header("X-Other", "kept")?;
            let Nothing {} = ctx.json()?;
            Ok("<p>fine")
        });
    });
    let post = |json: &str| {
        let mut wire = server.connect();
        let length = json.len();
        wire.send(format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{json}"
        ));
        wire.answer()
    };
    let answer = post("{\"<script>\":1}");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("<script>"), "else there is nothing to test");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!((answer.header("content-encoding"), answer.header("x-other")), (None, Some("kept")));
    assert_eq!(post("{}").header("content-type"), Some("text/html"));
}
