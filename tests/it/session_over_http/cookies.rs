//! When the cookie comes, how often, and what it says.

use super::{shop, shop_with};

#[test]
fn who_does_not_touch_the_session_gets_nothing_of_it() {
    let server = shop();
    let mut browser = server.browser();
    for path in ["/plain", "/nothing-here", "/probe"] {
        let answer = browser.get(path);
        assert_eq!(answer.header("set-cookie"), None, "{path}");
        assert_eq!((answer.header("cache-control"), answer.header("vary")), (None, None), "{path}");
    }
    let answer = browser.get("/read");
    assert_eq!(answer.header("set-cookie"), None, "a read makes no session");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(answer.header("vary"), Some("Cookie"));
}

#[test]
fn the_first_write_sets_the_cookie_once_on_any_answer() {
    let server = shop();
    for (path, status, n) in [
        ("/count", 200, "1"),
        ("/redirect", 303, "1"),
        ("/no-content", 204, "1"),
        ("/not-found", 404, "1"),
        ("/refused", 403, "1"),
        ("/stream", 200, "2"),
    ] {
        let mut browser = server.browser();
        let answer = browser.get(path);
        assert_eq!(answer.status, status, "{path}");
        let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {path}"));
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        let id = pair.strip_prefix("session=").expect("the name");
        assert_eq!(id.len(), 43, "{cookie}");
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=86400"] {
            assert!(
                attributes.split("; ").any(|found| found == attribute),
                "{attribute}: {cookie}"
            );
        }
        assert!(!attributes.contains("Domain") && !attributes.contains("Secure"), "{cookie}");
        assert_eq!(answer.header("cache-control"), Some("private, no-store"), "{path}");
        assert_eq!(answer.header("vary"), Some("Cookie"), "{path}");
        // The very next request, on another connection, reads what was written.
        let next = browser.get("/read");
        assert_eq!((next.text().as_str(), next.header("set-cookie")), (n, None), "{path}");
        assert_eq!(browser.get("/count").header("set-cookie"), None, "{path}: not on every answer");
    }
}

#[test]
fn a_body_that_may_read_the_session_is_kept_from_shared_caches() {
    let server = shop();
    let mut browser = server.browser();
    let privacy = |answer: &crate::support::Answer| {
        let value = |name| answer.header(name).map(str::to_owned);
        (value("cache-control"), value("vary"))
    };
    let anonymous = browser.get("/streamed-read");
    assert_eq!((anonymous.text().as_str(), privacy(&anonymous)), ("0", (None, None)));
    browser.get("/count");
    let answer = browser.get("/streamed-read");
    assert_eq!(answer.text(), "1");
    let private = (Some("private, no-store".to_owned()), Some("Cookie".to_owned()));
    assert_eq!(privacy(&answer), private, "it holds what only this visitor may see");
    let answer = browser.get("/streamed-for-all");
    assert_eq!(privacy(&answer), (Some("max-age=60".to_owned()), None), "the handler knows better");
}

#[test]
fn changes_that_a_stream_does_not_save_are_told_with_their_request() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/count");
    assert_eq!(browser.get("/streamed-unsaved").status, 200);
    let told = || crate::support::Journal::lines_with("GET /streamed-unsaved: ");
    crate::support::wait_until("it is told", crate::support::PATIENCE, || !told().is_empty());
    let lines = told();
    assert!(lines[0].starts_with("WARN ") && lines[0].contains("session().save()"), "{lines:?}");
    assert_eq!(browser.get("/read").text(), "1", "and they are lost");
}

#[test]
fn a_5xx_discards_changes_and_sets_no_cookie() {
    let server = shop();
    let mut browser = server.browser();
    for path in ["/fails", "/big"] {
        let answer = browser.get(path);
        assert!(answer.status >= 500, "{path}: {}", answer.status);
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
    assert_eq!(browser.get("/count").text(), "1");
    assert_eq!(browser.get("/fails").status, 502);
    assert_eq!(browser.get("/read").text(), "1");
}

#[test]
fn an_id_the_server_did_not_make_is_not_adopted_and_not_deleted() {
    let server = shop();
    let mut known = server.browser();
    known.get("/count");
    let id = known.session().expect("a session").to_owned();
    let unknown = "A".repeat(43);
    for value in [
        unknown.as_str(),
        "",
        "x",
        "../../etc/passwd",
        "a b",
        "\"quoted\"",
        &id[..42],
        &format!("{id}A"),
        &id.to_lowercase(),
        "%2e%2e",
        &"x".repeat(4000),
    ] {
        let mut wire = server.connect();
        let send = |path: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nCookie: session={value}\r\n\r\n")
        };
        wire.send(send("/read"));
        let answer = wire.answer();
        assert_eq!((answer.text().as_str(), answer.header("set-cookie")), ("0", None), "{value}");
        wire.send(send("/count"));
        let answer = wire.answer();
        assert_eq!(answer.text(), "1", "{value}");
        let cookie = answer.header("set-cookie").expect("a new session");
        assert!(!cookie.contains(&format!("session={value};")), "adopted: {cookie}");
    }
    assert_eq!(known.get("/read").text(), "1");
}

#[test]
fn of_several_cookies_a_live_one_is_found_and_two_are_none() {
    let server = shop();
    let (mut ada, mut bob) = (server.browser(), server.browser());
    ada.get("/count");
    bob.get("/count");
    let (a, b) = (ada.session().expect("a session"), bob.session().expect("a session"));
    let unknown = "B".repeat(43);
    for (cookies, expected) in [
        (format!("session={a}"), "1"),
        (format!("session={unknown}; session={a}"), "1"),
        (format!("session={a}; session={unknown}"), "1"),
        (format!("session=x; session={a}"), "1"),
        (format!("session={a}; session={a}"), "1"),
        (format!("other=1; session={a}; another=2"), "1"),
        (format!("session={a}; session={b}"), "0"),
        (format!("Session={a}"), "0"),
        (format!("xsession={a}"), "0"),
    ] {
        let mut wire = server.connect();
        wire.send(format!("GET /read HTTP/1.1\r\nHost: x\r\nCookie: {cookies}\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!(
            (answer.text().as_str(), answer.header("set-cookie")),
            (expected, None),
            "{cookies}"
        );
    }
    let two_lines =
        format!("GET /read HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\nCookie: session={a}\r\n\r\n");
    let mut wire = server.connect();
    wire.send(two_lines);
    assert_eq!(wire.answer().text(), "1");
    assert_eq!((ada.get("/read").text(), bob.get("/read").text()), ("1".into(), "1".into()));
}

#[test]
fn destroying_deletes_the_cookie_and_the_record() {
    let server = shop();
    for path in ["/destroy", "/logout"] {
        let mut browser = server.browser();
        browser.get("/count");
        let before = browser.clone();
        let answer = browser.get(path);
        let cookie = answer.header("set-cookie").expect("a deletion");
        assert!(cookie.starts_with("session=;") && cookie.contains("Max-Age=0"), "{cookie}");
        assert!(cookie.contains("Path=/"), "{cookie}");
        assert_eq!(browser.session(), None);
        assert_eq!(before.clone().get("/read").text(), "0", "the old id is dead");
        let answer = before.clone().get("/count");
        let again = answer.header("set-cookie").expect("a fresh session");
        assert!(!again.contains(before.session().expect("it had one")), "resurrected: {again}");
    }
}

#[test]
fn login_changes_the_id_and_ends_the_old_one() {
    let server = shop();
    let mut browser = server.browser();
    browser.get("/count");
    let before = browser.clone();
    let answer = browser.get("/login/ada");
    assert_eq!(answer.headers("set-cookie").len(), 1);
    assert_ne!(browser.session(), before.session());
    assert_eq!(browser.get("/user").text(), "ada");
    assert_eq!(browser.get("/read").text(), "1", "the data came along");
    assert_eq!(before.clone().get("/user").text(), "nobody");
    assert_eq!(before.clone().get("/read").text(), "0");
}

#[test]
fn a_handlers_own_caching_rules_stand() {
    let server = shop();
    let answer = server.browser().get("/cached");
    assert_eq!(answer.headers("cache-control"), ["public, max-age=60"]);
    assert_eq!(answer.headers("vary"), ["Accept", "Cookie"]);
}

#[test]
fn settings_of_the_cookie_are_kept() {
    let server = shop_with(
        "cookie_name = sid\ncookie_lifespan = 0\n[cookie]\nsame_site = strict\npath = /app\n",
    );
    let answer = server.browser().get("/count");
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("sid="), "{cookie}");
    assert!(cookie.contains("SameSite=Strict") && cookie.contains("Path=/app"), "{cookie}");
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
    let server = shop_with("[cookie]\nsecure = true\n");
    let answer = server.browser().get("/count");
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-session=") && cookie.contains("Secure"), "{cookie}");
    let server = shop_with("use_cookies = false\n");
    assert_eq!(server.browser().get("/count").header("set-cookie"), None);
}

#[test]
fn the_id_is_nowhere_but_in_the_cookie() {
    let server = shop();
    let mut browser = server.browser();
    let answer = browser.get("/count");
    let id = browser.session().expect("a session").to_owned();
    assert_eq!(answer.head.matches(&id).count(), 1);
    for file in server.sessions().files() {
        assert!(!file.to_string_lossy().contains(&id), "{}", file.display());
        let bytes = std::fs::read(&file).expect("a session file");
        assert!(!bytes.windows(id.len()).any(|window| window == id.as_bytes()));
    }
    assert_eq!(crate::support::Journal::lines_with(&id), Vec::<String>::new());
}

#[test]
fn a_handlers_own_cookie_of_the_sessions_name_does_not_stand_beside_it() {
    let server = crate::support::serve("", |app| {
        app.get("/", |ctx| {
            ctx.session.set("k", 1)?;
            maypole::Response::new(maypole::StatusCode::OK, "")
                .append_header("set-cookie", "session=planted; Path=/")?
                .append_header("set-cookie", "sessions=another")
        });
    });
    let answer = server.browser().get("/");
    let cookies = answer.headers("set-cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(cookies.iter().all(|cookie| !cookie.contains("planted")), "{cookies:?}");
}
