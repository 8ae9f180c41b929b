//! Every file of `tests/corpus` through its fuzz entry, and with the outcome its name promises.

use std::path::PathBuf;

use crate::http::chunked::ChunkedDecoder;
use crate::http::fuzz;
use crate::http::limits::Limits;
use crate::http::parse::parse_head;

/// Name and bytes of all files for one parser, at least `at_least` of them.
#[expect(clippy::disallowed_methods, reason = "a test may wait for the disk")]
fn corpus(parser: &str, at_least: usize) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus").join(parser);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    assert!(files.len() >= at_least, "only {} files in {}", files.len(), folder.display());
    files
}

/// Compares an outcome with the first word of the file name: `ok`, `more` or a status.
fn check(name: &str, outcome: Result<bool, u16>) {
    let outcome = match outcome {
        Ok(true) => "ok".to_owned(),
        Ok(false) => "more".to_owned(),
        Err(status) => status.to_string(),
    };
    assert_eq!(name.split('-').next(), Some(&*outcome), "{name}");
}

#[test]
fn heads() {
    for (name, bytes) in corpus("head", 70) {
        fuzz::head(&bytes);
        let parsed = parse_head(&bytes, &Limits::default());
        check(&name, parsed.map(|it| it.is_some()).map_err(|it| it.status.as_u16()));
    }
}

#[test]
fn chunked_bodies() {
    for (name, bytes) in corpus("chunked", 30) {
        fuzz::chunked(&bytes);
        let progress = ChunkedDecoder::new(&Limits::default()).discard(&bytes, usize::MAX);
        check(&name, progress.map(|it| it.finished).map_err(|it| it.status.as_u16()));
    }
}

#[test]
fn the_smaller_parsers() {
    for (_, bytes) in corpus("cookie", 10) {
        fuzz::cookie(&bytes);
    }
    for (_, bytes) in corpus("path", 20) {
        fuzz::path(&bytes);
    }
    for (_, bytes) in corpus("forwarded", 10) {
        fuzz::forwarded(&bytes);
    }
    for (_, bytes) in corpus("range", 12) {
        fuzz::range(&bytes);
    }
    for (_, bytes) in corpus("etag", 8) {
        fuzz::entity_tag(&bytes);
    }
}

/// Every parser, with the bytes of every other parser's corpus damaged one byte at a time: no
/// panic, no contradiction. Cheap fuzzing that always runs and always runs the same way.
#[test]
fn damaged_files() {
    let hostile = [0, b'\t', b'\n', b'\r', b' ', b'%', b',', b':', b';', b'"', b'0', 0x7f, 0xff];
    for parser in ["head", "chunked", "cookie", "path", "forwarded", "range", "etag"] {
        for (_, bytes) in corpus(parser, 1) {
            for at in 0..bytes.len().min(160) {
                let mut damaged = bytes[..bytes.len().min(200)].to_vec();
                damaged[at] = hostile[(at * 7 + bytes.len()) % hostile.len()];
                fuzz::head(&damaged);
                fuzz::chunked(&damaged);
                fuzz::cookie(&damaged);
                fuzz::path(&damaged);
                fuzz::forwarded(&damaged);
                fuzz::range(&damaged);
                fuzz::entity_tag(&damaged);
            }
        }
    }
}
