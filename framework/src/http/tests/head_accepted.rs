//! What an accepted head says, whole and cut at every place.

use http::{Method, Version};

use super::head;
use crate::http::head::{BodyLength, RequestHead};
use crate::http::limits::Limits;
use crate::http::parse::{parse_head, parse_head_from};

/// Parses `text`, which must be a complete head with nothing behind it: no prefix may give an
/// answer, and bytes behind it must not change one.
fn check(text: impl AsRef<[u8]>) -> RequestHead {
    let text = text.as_ref();
    let limits = Limits::default();
    for len in 0..text.len() {
        for seen in [0, len / 2, len.saturating_sub(1)] {
            let parsed = parse_head_from(&text[..len], seen, &limits);
            assert!(matches!(parsed, Ok(None)), "{}: {parsed:?}", text[..len].escape_ascii());
        }
    }
    let Ok(Some((_, used))) = parse_head_from(text, text.len() - 1, &limits) else {
        panic!("{}", text.escape_ascii());
    };
    assert_eq!(used, text.len());
    let longer = [text, b"\r\n\0garbage"].concat();
    match parse_head(&longer, &limits) {
        Ok(Some((head, used))) if used == text.len() => head,
        other => panic!("{}: {other:?}", text.escape_ascii()),
    }
}

fn get(target: &str) -> RequestHead {
    check(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n"))
}

#[test]
fn everything_a_head_says() {
    let head = check(
        "PATCH /a%20b/c?x=1&y=%20 HTTP/1.1\r\nHost: localhost:8080\r\nX-Empty:\r\nAccept: a\r\n\
         accept:\t b \t\r\nCookie: s=1; t=\"2\"\r\ncookie: u=a+b%20\r\nContent-Length: 12\r\n\r\n",
    );
    assert_eq!(head.method(), Method::PATCH);
    assert_eq!(head.version(), Version::HTTP_11);
    assert_eq!(head.target(), "/a%20b/c?x=1&y=%20");
    assert_eq!(head.path_raw(), "/a%20b/c");
    assert_eq!(head.path(), "/a b/c");
    assert_eq!(head.query(), "x=1&y=%20");
    assert_eq!(head.host(), Some("localhost:8080"));
    assert_eq!(head.header("x-empty"), Some(""));
    assert_eq!(head.header("ACCEPT"), Some("a"));
    assert_eq!(head.header_all("Accept").collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(head.header("missing"), None);
    assert_eq!(head.headers().len(), 7);
    assert_eq!(head.headers().nth(3), Some(("accept", b"b".as_slice())));
    let cookies: Vec<_> = head.cookies().collect();
    assert_eq!(cookies, [("s", "1"), ("t", "\"2\""), ("u", "a+b%20")]);
    assert_eq!(head.body_length(), BodyLength::Exact(12));
    assert!(head.keep_alive() && !head.expects_continue());
}

#[test]
fn values_that_are_no_text() {
    let head = check(b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n");
    assert_eq!(head.header("x"), None);
    assert_eq!(head.header_bytes("x"), Some(b"caf\xe9".as_slice()));
}

#[test]
fn targets() {
    for (target, path, query, host) in [
        ("/", "/", "", "a.example"),
        ("/?", "/", "", "a.example"),
        ("/?a?b/../c", "/", "a?b/../c", "a.example"),
        ("//evil.example/x", "//evil.example/x", "", "a.example"),
        ("/a|b[c]^{d}`", "/a|b[c]^{d}`", "", "a.example"),
        ("/x?a[]=\\", "/x", "a[]=\\", "a.example"),
        ("http://b.example", "/", "", "b.example"),
        ("http://b.example?q", "/", "q", "b.example"),
        ("HTTPS://b.example:8443/x/./y?q", "/x/y", "q", "b.example:8443"),
        ("http://[::1]/x", "/x", "", "[::1]"),
        ("http://b.example:/x", "/x", "", "b.example:"),
    ] {
        let head = get(target);
        assert_eq!((head.path(), head.query(), head.host()), (path, query, Some(host)), "{target}");
        assert_eq!(head.target(), target);
    }
    assert_eq!(check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path(), "*");
}

#[test]
fn hosts() {
    for host in [
        "a",
        "A.Example",
        "a.",
        "1.2.3.4",
        "1.2.3.4:80",
        "a:",
        "a:0",
        "a:65535",
        "a:000080",
        "[::]",
        "[::1]:8080",
        "[::ffff:1.2.3.4]",
        "[v1f.a:b]",
        "a_b",
        "a%2Fb",
        "xn--caf-dma.example",
        "a!$&'()*+,;=~-",
    ] {
        let head = check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(head.host(), Some(host));
    }
    assert_eq!(check("GET / HTTP/1.0\r\n\r\n").host(), None);
}

#[test]
fn methods_are_tokens_and_keep_their_case() {
    for method in
        ["get", "M-SEARCH", "PROPFIND", "!#$%&'*+-.^_`|~", "A23456789012345678901234567890BC"]
    {
        let head = check(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(head.method().as_str(), method);
    }
}

#[test]
fn keep_alive_by_version_and_tokens() {
    for (version, connection, expected) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: y ,\tclose\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Proxy-Connection: close\r\n", true),
        ("1.9", "", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let head = check(format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n"));
        assert_eq!(head.keep_alive(), expected, "{version} {connection}");
    }
}

#[test]
fn bodies_and_expectations() {
    for (version, fields, body, expects) in [
        ("1.1", "", BodyLength::None, false),
        ("1.1", "Content-Length: 0\r\n", BodyLength::None, false),
        ("1.1", "Content-Length: 007\r\n", BodyLength::Exact(7), false),
        ("1.1", "Content-Length: 18446744073709551615\r\n", BodyLength::Exact(u64::MAX), false),
        ("1.1", "tRANSFER-eNCODING: \t cHUNKED \r\n", BodyLength::Chunked, false),
        ("1.1", "Content-Length: 1\r\nExpect: 100-CONTINUE\r\n", BodyLength::Exact(1), true),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
            BodyLength::Chunked,
            true,
        ),
        ("1.1", "Expect: 100-continue\r\n", BodyLength::None, false),
        ("1.0", "Content-Length: 1\r\nExpect: 100-continue\r\n", BodyLength::Exact(1), false),
        ("1.0", "Content-Length: 1\r\nExpect: nothing\r\n", BodyLength::Exact(1), false),
    ] {
        let head = check(format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!((head.body_length(), head.expects_continue()), (body, expects), "{fields}");
    }
}

#[test]
fn upgrades() {
    let asks = "Upgrade: h2c, WebSocket\r\nConnection: keep-alive, Upgrade\r\n";
    let head = check(format!("GET / HTTP/1.1\r\nHost: a\r\n{asks}\r\n"));
    assert!(head.wants_upgrade_to("websocket") && head.wants_upgrade_to("h2c"));
    assert!(!head.wants_upgrade_to("web"));
    assert_eq!(head.upgrade_protocols().collect::<Vec<_>>(), ["h2c", "WebSocket"]);
    // Without the connection option the field was meant for somebody else; 1.0 has no upgrade.
    assert!(
        !check("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")
            .wants_upgrade_to("websocket")
    );
    assert!(!check(format!("GET / HTTP/1.0\r\n{asks}\r\n")).wants_upgrade_to("websocket"));
}

#[test]
fn many_headers_and_the_end_of_the_allowance() {
    for count in [1, 16, 17, 23, 24, 25, 99] {
        let lines: String = (0..count).map(|at| format!("X-{at}: {at}\r\n")).collect();
        let head = head(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes());
        assert_eq!(head.headers().len(), count + 1);
        assert_eq!(head.header(&format!("x-{}", count - 1)), Some(&*(count - 1).to_string()));
    }
}

#[test]
fn one_empty_line_may_come_first() {
    let text = b"\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let (head, used) = parse_head(text, &Limits::default()).unwrap().unwrap();
    assert_eq!((head.path(), head.host(), used), ("/x", Some("a"), text.len() - 4));
}

#[test]
fn debug_shows_no_header_and_no_query() {
    let head = check("GET /p?token=secret HTTP/1.1\r\nHost: a\r\nCookie: s=secret\r\n\r\n");
    assert!(!format!("{head:?}").contains("secret"));
}
