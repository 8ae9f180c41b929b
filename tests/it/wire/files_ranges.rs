//! Parts of files: `Range` and `If-Range`, by RFC 9110, 14 and 13.1.5.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use maypole::prelude::*;

use crate::support::{TempDir, TestServer, check, serve, talk};

const LARGE: u64 = 64 * 1024 * 1024;
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// Of that date, and ten bytes.
const TAG: &str = "\"ae1b981bc490a00-a\"";

fn files() -> (TestServer, TempDir) {
    let directory = TempDir::new();
    let root = directory.path().to_path_buf();
    let server = serve("", move |app| {
        // As one that compresses would.
        app.with(|ctx, next| {
            let response = next.run(ctx);
            if ctx.query_string() != "packed" || response.status() != 200 {
                return Ok(response);
            }
            Response::new(StatusCode::OK, "packed").header("Content-Encoding", "x-packed")
        });
        let at = root.clone();
        app.get("/file/{name}", move |ctx| ctx.file(at.join(ctx.param::<String>("name")?)));
        let at = root.clone();
        app.post("/file/{name}", move |ctx| ctx.file(at.join(ctx.param::<String>("name")?)));
        let at = root.clone();
        app.get("/in/{*path}", move |ctx| ctx.file_in(&at, ctx.param::<String>("path")?));
        let at = root.join("a.txt");
        app.get("/none", move |ctx| ctx.file(&at)?.header("Accept-Ranges", "none"));
        let at = root.join("a.txt");
        app.get("/lost", move |ctx| Ok(ctx.file(&at)?.with_status(StatusCode::NOT_FOUND)));
        let at = root.join("a.txt");
        app.get("/tagged/{tag}", move |ctx| {
            let tag = if ctx.param::<String>("tag")? == "weak" { "W/\"v1\"" } else { "\"v1\"" };
            ctx.set_header("ETag", tag)?;
            ctx.file(&at)
        });
        let at = root.join("a.txt");
        app.get("/kept", move |ctx| {
            ctx.session.set("seen", true)?;
            ctx.file(&at)?
                .header("Cache-Control", "public, max-age=31536000")?
                .header("Content-Disposition", "attachment")?
                .header("X-Mine", "1")
        });
        app.get("/text", |_ctx| "hello");
    });
    for (name, bytes) in [("a.txt", &b"0123456789"[..]), ("empty.html", b"")] {
        let mut file = File::create(directory.path().join(name)).expect("a file");
        file.write_all(bytes).expect("its bytes");
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        file.set_modified(long_ago).expect("its date");
    }
    let large = File::create(directory.path().join("large.bin")).expect("a file");
    large.set_len(LARGE).expect("a sparse file");
    for (at, bytes) in [(LARGE / 2 + 3, b"middle"), (LARGE - 6, b"ending")] {
        large.write_all_at(bytes, at).expect("its bytes");
    }
    (server, directory)
}

fn get(target: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n")
}

/// The answer with this part of `0123456789`, to the byte.
fn partial(content_range: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-type: text/plain; charset=utf-8\r\n\
         etag: {TAG}\r\nlast-modified: {MODIFIED}\r\naccept-ranges: bytes\r\n\
         content-range: {content_range}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn whole(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n\
         etag: {TAG}\r\nlast-modified: {MODIFIED}\r\naccept-ranges: bytes\r\ncontent-length: 10\r\n\r\n{body}"
    )
}

const UNSATISFIABLE: &str = "HTTP/1.1 416 Range Not Satisfiable\r\n\
    content-type: text/plain; charset=utf-8\r\naccept-ranges: bytes\r\ncache-control: no-store\r\n\
    content-range: bytes */10\r\ncontent-length: 26\r\n\r\n416 Range Not Satisfiable\n";

#[test]
fn a_part_is_sent() {
    let (server, _directory) = files();
    for (range, content_range, body) in [
        ("bytes=0-3", "bytes 0-3/10", "0123"),
        ("bytes=4-6", "bytes 4-6/10", "456"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=0-", "bytes 0-9/10", "0123456789"),
        ("bytes=9-1000", "bytes 9-9/10", "9"),
        ("bytes=-1000", "bytes 0-9/10", "0123456789"),
        ("Bytes=0-0", "bytes 0-0/10", "0"),
    ] {
        let line = format!("Range: {range}");
        for target in ["/file/a.txt", "/in/a.txt"] {
            assert_eq!(talk(&server, get(target, &[&line])), partial(content_range, body));
        }
    }
    assert_eq!(talk(&server, get("/file/a.txt", &[])), whole("0123456789"));
    // The connection goes on behind a part.
    let three = ["bytes=0-1", "bytes=2-", "bytes=10-"];
    let pipelined = three.map(|range| get("/file/a.txt", &[&format!("Range: {range}")])).concat();
    let refused = "416 416 Range Not Satisfiable";
    check(&server, pipelined, &format!("206 01\n206 23456789\n{refused}\nopen"));
    let old = get("/file/a.txt", &["Range: bytes=1-2"]).replace("HTTP/1.1", "HTTP/1.0");
    check(&server, old, "206 12\nclosed");
}

#[test]
fn what_begins_behind_the_end_is_416() {
    let (server, _directory) = files();
    for range in
        ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=11-,20-30", "bytes=99999999999999999999-"]
    {
        let request = get("/file/a.txt", &[&format!("Range: {range}")]);
        assert_eq!(talk(&server, request), UNSATISFIABLE, "{range}");
    }
}

#[test]
fn what_is_no_range_of_bytes_is_passed_over() {
    let (server, _directory) = files();
    for lines in [
        &["Range: bytes=5-2"][..],
        &["Range: bytes=0-1,x"],
        &["Range: bytes=a-"],
        &["Range: bytes=-"],
        &["Range: bytes="],
        &["Range: bytes"],
        &["Range:"],
        &["Range: items=0-1"],
        &["Range: bytes = 0-1"],
        &["Range: bytes=0-1", "Range: bytes=0-1"],
        &["Range: bytes=\u{e9}-1"],
    ] {
        assert_eq!(talk(&server, get("/file/a.txt", lines)), whole("0123456789"), "{lines:?}");
    }
    // Ranges of files alone.
    let answer = talk(&server, get("/text", &["Range: bytes=0-1"]));
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("accept-ranges"), "{answer}");
}

#[test]
fn ranges_are_for_get_alone() {
    let (server, _directory) = files();
    for range in ["bytes=0-1", "bytes=10-"] {
        let head = get("/file/a.txt", &[&format!("Range: {range}")]).replace("GET", "HEAD");
        assert_eq!(talk(&server, head), whole(""));
        let post = get("/file/a.txt", &[&format!("Range: {range}")]).replace("GET", "POST");
        let answer = talk(&server, post);
        assert_eq!(answer, whole("0123456789").replace("accept-ranges: bytes\r\n", ""));
    }
}

#[test]
fn several_ranges_are_one_part_or_the_whole() {
    let (server, _directory) = files();
    for (ranges, content_range, body) in [
        ("0-1,2-3", "bytes 0-3/10", "0123"),
        ("5-,3-6", "bytes 3-9/10", "3456789"),
        ("0-1,90-", "bytes 0-1/10", "01"),
    ] {
        let request = get("/file/a.txt", &[&format!("Range: bytes={ranges}")]);
        assert_eq!(talk(&server, request), partial(content_range, body));
    }
    let many: Vec<_> = (0..1000).map(|at| format!("{}-{}", 2 * at, 2 * at)).collect();
    for ranges in ["0-0,-1", "0-0,2-2,4-4", &vec!["0-,5-5"; 500].join(","), &many.join(",")] {
        let request = get("/file/a.txt", &[&format!("Range: bytes={ranges}")]);
        let got = talk(&server, request);
        let expected = if ranges.starts_with("0-,") {
            partial("bytes 0-9/10", "0123456789")
        } else {
            whole("0123456789")
        };
        assert_eq!(got, expected, "{ranges:.20}");
    }
}

#[test]
fn a_part_is_sent_if_the_client_has_the_same() {
    let (server, _directory) = files();
    let later = "Sun, 06 Nov 1994 08:49:38 GMT";
    let earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
    for (target, if_range, is_same) in [
        ("/file/a.txt", MODIFIED, true),
        // Two more ways to write that date.
        ("/file/a.txt", "Sunday, 06-Nov-94 08:49:37 GMT", true),
        ("/file/a.txt", "Sun Nov  6 08:49:37 1994", true),
        // Another date, also a later one: not the same.
        ("/file/a.txt", later, false),
        ("/file/a.txt", earlier, false),
        ("/file/a.txt", "yesterday", false),
        ("/file/a.txt", "", false),
        ("/file/a.txt", "*", false),
        ("/file/a.txt", "\"v1\"", false),
        ("/file/a.txt", TAG, true),
        ("/file/a.txt", &format!("W/{TAG}"), false),
        // The tag that leaves counts, not the file's own.
        ("/tagged/strong", TAG, false),
        ("/tagged/strong", "\"v1\"", true),
        ("/tagged/strong", "\"v1\", \"v2\"", false),
        ("/tagged/strong", "\"V1\"", false),
        ("/tagged/strong", "\"v2\"", false),
        ("/tagged/strong", "v1", false),
        ("/tagged/strong", "\"", false),
        ("/tagged/strong", MODIFIED, true),
        // Weak ones never match, not even each other.
        ("/tagged/strong", "W/\"v1\"", false),
        ("/tagged/weak", "W/\"v1\"", false),
        ("/tagged/weak", "\"v1\"", false),
    ] {
        let if_range = format!("If-Range: {if_range}");
        for lines in [["Range: bytes=1-2", &if_range], [&if_range, "Range: bytes=1-2"]] {
            let expected = if is_same { "206 12\nopen" } else { "200 0123456789\nopen" };
            check(&server, get(target, &lines), expected);
        }
        // Behind the end it is refused only if it is the same.
        let refused = if is_same { "416 416 Range Not Satisfiable" } else { "200 0123456789" };
        let request = get(target, &["Range: bytes=10-", &if_range]);
        check(&server, request, &format!("{refused}\nopen"));
        // Without a range it says nothing.
        check(&server, get(target, &[&if_range]), "200 0123456789\nopen");
    }
    let twice = format!("If-Range: {MODIFIED}");
    let twice = get("/file/a.txt", &["Range: bytes=1-2", &twice, &twice]);
    check(&server, twice, "200 0123456789\nopen");
}

/// RFC 9110, 13.2.2: the conditions first, then `If-Range`, then the range.
#[test]
fn conditions_come_before_ranges() {
    let (server, _directory) = files();
    let since = format!("If-Modified-Since: {MODIFIED}");
    let unmodified = format!("If-Unmodified-Since: {MODIFIED}");
    let same = format!("If-Range: {MODIFIED}");
    for (lines, expected) in [
        (&["If-None-Match: *"][..], "304"),
        (&[&since], "304"),
        (&[&since, &same], "304"),
        (&["If-Match: \"a\""], "412 412 Precondition Failed"),
        (&[&format!("If-None-Match: W/{TAG}")], "304"),
        (&[&format!("If-Match: {TAG}")], "206 12"),
        (&["If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT"], "412 412 Precondition Failed"),
        (&["If-Match: *"], "206 12"),
        (&[&unmodified], "206 12"),
        (&["If-Match: *", &same, "If-None-Match: \"b\""], "206 12"),
        (&["If-Match: *", "If-Range: \"c\""], "200 0123456789"),
    ] {
        let lines = [&["Range: bytes=1-2"], lines].concat();
        check(&server, get("/file/a.txt", &lines), &format!("{expected}\nopen"));
        let unsatisfiable = get("/file/a.txt", &lines).replace("bytes=1-2", "bytes=10-");
        let expected = expected.replace("206 12", "416 416 Range Not Satisfiable");
        check(&server, unsatisfiable, &format!("{expected}\nopen"));
    }
    check(&server, get("/file/nothing", &["Range: bytes=1-2"]), "404 404 Not Found\nopen");
}

/// No `Content-Range` can tell of a part of nothing.
#[test]
fn an_empty_file_is_sent_whole() {
    let (server, _directory) = files();
    for range in ["bytes=0-", "bytes=0-0", "bytes=1-", "bytes=-1", "bytes=-0"] {
        let answer = talk(&server, get("/file/empty.html", &[&format!("Range: {range}")]));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\naccept-ranges: bytes\r\ncontent-length: 0\r\n"), "{answer}");
        assert!(!answer.contains("content-range"), "{answer}");
    }
}

#[test]
fn a_handler_has_the_last_word() {
    let (server, _directory) = files();
    let answer = talk(&server, get("/none", &["Range: bytes=1-2"]));
    let none = whole("0123456789").replace("accept-ranges: bytes", "accept-ranges: none");
    assert_eq!(answer, none);
    // The page of an error is no partial content.
    check(&server, get("/lost", &["Range: bytes=1-2"]), "404 0123456789\nopen");
    check(&server, get("/lost", &["Range: bytes=10-"]), "404 0123456789\nopen");
}

/// Middleware sees the whole file: what it makes of it has neither parts nor a tag of the file.
#[test]
fn middleware_meets_no_part() {
    let (server, _directory) = files();
    let packed = "HTTP/1.1 200 OK\r\ncontent-encoding: x-packed\r\ncontent-length: 6\r\n\r\npacked";
    for lines in [&["Range: bytes=1-2"][..], &["Range: bytes=10-"], &[]] {
        assert_eq!(talk(&server, get("/file/a.txt?packed", lines)), packed);
    }
    check(&server, get("/file/a.txt?other", &["Range: bytes=1-2"]), "206 12\nopen");
}

#[test]
fn a_refusal_keeps_what_is_not_about_the_file() {
    let (server, _directory) = files();
    let mut wire = server.connect();
    wire.send(get("/kept", &["Range: bytes=1-2"]));
    let part = wire.answer();
    assert_eq!((part.status, part.text().as_str()), (206, "12"));
    assert_eq!(part.header("cache-control"), Some("public, max-age=31536000"));
    assert_eq!(part.header("content-disposition"), Some("attachment"));
    wire.send(get("/kept", &["Range: bytes=10-"]));
    let refused = wire.answer();
    assert_eq!(refused.status, 416);
    // A cache that was told to keep the file does not keep this.
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(refused.header("content-range"), Some("bytes */10"));
    for name in ["content-disposition", "last-modified", "etag"] {
        assert_eq!(refused.header(name), None);
    }
    assert_eq!(refused.header("x-mine"), Some("1"));
    assert_eq!(refused.header("vary"), Some("Cookie"));
    assert!(refused.header("set-cookie").is_some_and(|line| line.contains("session")));
}

#[test]
fn a_part_of_a_large_file_is_read_from_where_it_begins() {
    let (server, directory) = files();
    let mut wire = server.connect();
    let mut part = |range: &str| {
        wire.send(get("/file/large.bin", &[&format!("Range: bytes={range}")]));
        wire.answer()
    };
    let middle = LARGE / 2 + 3;
    assert_eq!(part(&format!("{middle}-{}", middle + 5)).text(), "middle");
    assert_eq!(part("-6").text(), "ending");
    // Longer than one piece, and at no round place.
    let long = part(&format!("{}-{}", middle - 100_000, middle + 99_999));
    assert_eq!(long.header("content-length"), Some("200000"));
    assert_eq!((long.body.len(), &long.body[100_000..100_006]), (200_000, &b"middle"[..]));
    let rest = part(&format!("{middle}-"));
    assert_eq!((rest.body.len() as u64, rest.is_whole), (LARGE - middle, true));
    assert_eq!(
        (&rest.body[..6], &rest.body[rest.body.len() - 6..]),
        (&b"middle"[..], &b"ending"[..])
    );
    // Put together again it is the file.
    let mut whole = Vec::new();
    while (whole.len() as u64) < LARGE {
        let next = part(&format!("{}-{}", whole.len(), whole.len() + 9_999_999));
        assert_eq!(next.status, 206);
        whole.extend(next.body);
    }
    assert!(whole == std::fs::read(directory.path().join("large.bin")).expect("the file"));
}

#[test]
fn a_part_that_shrinks_meanwhile_is_seen_to_be_cut() {
    let (server, directory) = files();
    let mut wire = server.connect();
    wire.send(get("/file/large.bin", &["Range: bytes=1000-"]));
    assert_eq!(wire.take(1000).len(), 1000);
    let file = File::options().write(true).open(directory.path().join("large.bin"));
    file.expect("the file").set_len(2000).expect("it shrinks");
    assert!((wire.rest().len() as u64) < LARGE - 2000);
    server.expect_no_connections();
    check(
        &server,
        get("/file/large.bin", &["Range: bytes=2000-"]),
        "416 416 Range Not Satisfiable\nopen",
    );
    check(&server, get("/file/large.bin", &["Range: bytes=-2"]), "206 \0\0\nopen");
}
