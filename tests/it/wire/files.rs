//! Files as answers.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::support::{TempDir, TestServer, check, serve};

fn files() -> (TestServer, TempDir) {
    let directory = TempDir::new();
    let root = directory.path().to_path_buf();
    let server = serve("", move |app| {
        app.get("/file/{name}", move |ctx| ctx.file(root.join(ctx.param::<String>("name")?)));
    });
    for (name, bytes) in [("a.txt", &b"hello"[..]), ("empty.html", b""), ("data.bin", b"\0\xff")] {
        std::fs::write(directory.path().join(name), bytes).expect("a file");
    }
    let sparse = std::fs::File::create(directory.path().join("large.bin")).expect("a file");
    sparse.set_len(64 * 1024 * 1024).expect("a sparse file");
    std::fs::create_dir(directory.path().join("directory")).expect("a directory");
    (server, directory)
}

fn get(name: &str) -> String {
    format!("GET /file/{name} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn a_file_is_sent_with_its_type_and_length() {
    let (server, _directory) = files();
    for (name, content_type, body) in [
        ("a.txt", "text/plain; charset=utf-8", &b"hello"[..]),
        ("empty.html", "text/html; charset=utf-8", b""),
        ("data.bin", "application/octet-stream", b"\0\xff"),
    ] {
        let mut wire = server.connect();
        let answer = wire.get(&format!("/file/{name}"));
        assert_eq!((answer.status, answer.body.as_slice()), (200, body), "{name}");
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
        assert!(answer.header("last-modified").is_some());
        assert_eq!(wire.get("/probe").text(), "probe");
    }
    check(&server, get("a.txt").replace("GET", "HEAD"), "200\nopen");
    check(&server, get("a.txt").replace("1.1", "1.0"), "200 hello\nclosed");
    check(&server, get("a.txt").repeat(3), "200 hello\n200 hello\n200 hello\nopen");
}

#[test]
fn what_is_no_file_is_404() {
    let (server, _directory) = files();
    for name in ["nothing", "directory", "a.txt%2Fb", "%2Fnothing"] {
        check(&server, get(name), "404 404 Not Found\nopen");
    }
}

#[test]
fn a_file_the_client_has_is_304() {
    let (server, _directory) = files();
    let modified = {
        let answer = server.connect().get("/file/a.txt");
        answer.header("last-modified").expect("a date").to_owned()
    };
    let since = |date: &str| {
        get("a.txt").replace("\r\n\r\n", &format!("\r\nIf-Modified-Since: {date}\r\n\r\n"))
    };
    check(&server, since(&modified), "304\nopen");
    check(&server, since("Sun, 06 Nov 1994 08:49:37 GMT"), "200 hello\nopen");
    check(&server, since("yesterday"), "200 hello\nopen");
}

/// RFC 9110, 13.2: evaluated in this order, and always.
#[test]
fn conditions_on_a_file_are_looked_at() {
    let (server, _directory) = files();
    let modified = {
        let answer = server.connect().get("/file/a.txt");
        answer.header("last-modified").expect("a date").to_owned()
    };
    let early = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (conditions, status) in [
        ("If-Match: *".to_owned(), 200),
        ("If-Match: \"a\"".to_owned(), 412),
        ("If-Match: W/\"a\", \"b\"".to_owned(), 412),
        (format!("If-Match: \"a\"\r\nIf-Modified-Since: {modified}"), 412),
        (format!("If-Match: *\r\nIf-Unmodified-Since: {early}"), 200),
        (format!("If-Unmodified-Since: {early}"), 412),
        (format!("If-Unmodified-Since: {modified}"), 200),
        ("If-Unmodified-Since: Fri, 01 Jan 2100 00:00:00 GMT".to_owned(), 200),
        ("If-Unmodified-Since: yesterday".to_owned(), 200),
        (format!("If-Unmodified-Since: {early}\r\nIf-Unmodified-Since: {early}"), 200),
        ("If-None-Match: *".to_owned(), 304),
        (format!("If-None-Match: *\r\nIf-Modified-Since: {early}"), 304),
        ("If-None-Match: \"a\", \"b\"".to_owned(), 200),
        (format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {modified}"), 200),
        (format!("If-Modified-Since: {modified}\r\nIf-Modified-Since: {modified}"), 200),
        (format!("If-Unmodified-Since: {modified}\r\nIf-Modified-Since: {modified}"), 304),
    ] {
        for method in ["GET", "HEAD"] {
            let request = get("a.txt").replace("GET", method);
            let request = request.replace("\r\n\r\n", &format!("\r\n{conditions}\r\n\r\n"));
            let mut wire = server.connect();
            wire.send(request);
            let answer = wire.try_answer_to(method == "HEAD").expect("an answer");
            assert_eq!(answer.status, status, "{method} {conditions:?}");
        }
    }
    // What is not there has no condition (13.2.1).
    let missing = get("nothing").replace("\r\n\r\n", "\r\nIf-Match: *\r\n\r\n");
    check(&server, missing, "404 404 Not Found\nopen");
}

fn date_of(path: &Path, date: SystemTime) {
    let file = File::options().write(true).open(path).expect("the file");
    file.set_modified(date).expect("its date");
}

fn tag_of(server: &TestServer, name: &str) -> Option<String> {
    server.connect().get(&format!("/file/{name}")).header("etag").map(str::to_owned)
}

/// Two contents of one length are told apart by the date, down to the nanosecond; while that
/// cannot be relied on the tag is weak.
#[test]
fn a_file_has_a_tag() {
    let (server, directory) = files();
    let path = directory.path().join("a.txt");
    let now = SystemTime::now();
    let settled = now - Duration::from_secs(60);
    date_of(&path, settled);
    let tag = tag_of(&server, "a.txt").expect("a tag");
    assert!(tag.starts_with('"') && tag.ends_with("-5\""), "{tag}");
    assert_eq!(tag_of(&server, "a.txt"), Some(tag.clone()));
    let written = Instant::now();
    std::fs::write(&path, "world").expect("another text");
    let young = tag_of(&server, "a.txt").expect("a tag");
    let is_old = written.elapsed() >= Duration::from_secs(2);
    assert!(young.starts_with("W/\"") || is_old && young.starts_with('"'), "{young}");
    assert!(young.ends_with("-5\""), "{young}");
    date_of(&path, settled + Duration::from_nanos(1));
    assert_ne!(tag_of(&server, "a.txt"), Some(tag.clone()));
    std::fs::write(&path, "hello world").expect("a longer text");
    date_of(&path, settled);
    assert_eq!(tag_of(&server, "a.txt"), Some(tag.replace("-5\"", "-b\"")));
    date_of(&path, now + Duration::from_secs(3600));
    assert!(tag_of(&server, "a.txt").is_some_and(|tag| tag.starts_with("W/\"")));
    // A date that tells nothing is none.
    for secs in [0, 1, 86_399] {
        date_of(&path, SystemTime::UNIX_EPOCH + Duration::from_secs(secs));
        let answer = server.connect().get("/file/a.txt");
        assert_eq!((answer.status, answer.header("etag")), (200, None));
        assert_eq!(answer.header("last-modified"), None);
        let date = "\r\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT\r\n\r\n";
        let since = get("a.txt").replace("\r\n\r\n", date);
        check(&server, since, "200 hello world\nopen");
    }
}

#[test]
fn conditions_name_the_tag() {
    let (server, directory) = files();
    let early = "Sun, 06 Nov 1994 08:49:37 GMT";
    date_of(&directory.path().join("a.txt"), SystemTime::now() - Duration::from_secs(60));
    let tag = tag_of(&server, "a.txt").expect("a tag");
    date_of(&directory.path().join("empty.html"), SystemTime::now() + Duration::from_secs(3600));
    let weak = tag_of(&server, "empty.html").expect("a tag");
    for (name, conditions, status) in [
        ("a.txt", format!("If-None-Match: {tag}"), 304),
        ("a.txt", format!("If-None-Match: W/{tag}"), 304),
        ("a.txt", format!("If-None-Match: \"x,\" , {tag}"), 304),
        ("a.txt", format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}"), 304),
        // The tag goes before the date.
        ("a.txt", format!("If-None-Match: {tag}\r\nIf-Modified-Since: {early}"), 304),
        ("a.txt", "If-None-Match: \"x\"".to_owned(), 200),
        ("a.txt", format!("If-None-Match: {}", tag.trim_matches('"')), 200),
        ("a.txt", format!("If-Match: {tag}"), 200),
        ("a.txt", format!("If-Match: \"x\", {tag}"), 200),
        ("a.txt", format!("If-Match: {tag}\r\nIf-Unmodified-Since: {early}"), 200),
        ("a.txt", format!("If-Match: {tag}\r\nIf-None-Match: {tag}"), 304),
        ("a.txt", format!("If-Match: W/{tag}"), 412),
        ("a.txt", format!("If-Match: x, {tag}"), 412),
        ("empty.html", format!("If-None-Match: {weak}"), 304),
        ("empty.html", format!("If-None-Match: {}", weak.trim_start_matches("W/")), 304),
        ("empty.html", format!("If-Match: {weak}"), 412),
        ("empty.html", "If-Match: *".to_owned(), 200),
    ] {
        for method in ["GET", "HEAD"] {
            let request = get(name).replace("GET", method);
            let request = request.replace("\r\n\r\n", &format!("\r\n{conditions}\r\n\r\n"));
            let mut wire = server.connect();
            wire.send(request);
            let answer = wire.try_answer_to(method == "HEAD").expect("an answer");
            assert_eq!(answer.status, status, "{method} {name} {conditions:?}");
            if status != 412 {
                let own = if name == "a.txt" { &tag } else { &weak };
                assert_eq!(answer.header("etag"), Some(own.as_str()));
            }
        }
    }
}

#[test]
fn a_large_file_arrives_whole() {
    let (server, _directory) = files();
    let mut wire = server.connect();
    let answer = wire.get("/file/large.bin");
    assert_eq!((answer.body.len(), answer.is_whole), (64 * 1024 * 1024, true));
    assert_eq!(wire.get("/probe").text(), "probe");
}

#[test]
fn a_file_that_shrinks_meanwhile_is_seen_to_be_cut() {
    let (server, directory) = files();
    let mut wire = server.connect();
    wire.send(get("large.bin"));
    assert_eq!(wire.take(1000).len(), 1000);
    // More than the sockets between us hold is still in the file.
    let file = std::fs::OpenOptions::new().write(true).open(directory.path().join("large.bin"));
    file.expect("the file").set_len(1000).expect("it shrinks");
    assert!(wire.rest().len() < 64 * 1024 * 1024 - 1000);
    server.expect_no_connections();
    assert_eq!(server.connect().get("/probe").text(), "probe");
}
