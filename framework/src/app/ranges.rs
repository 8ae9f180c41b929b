//! Parts of files: what `Range` and `If-Range` make of an answer that is a whole file.
//!
//! It is looked at when nothing changes the answer any more, since all of this speaks of the answer
//! as it would be sent (RFC 9110, 13.2.2 and 14.2): the conditions came first, a page of an error
//! is sent whole, and `If-Range` is compared with the `ETag` and the `Last-Modified` that leave.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED,
};
use http::{Method, StatusCode};

use super::service::describes_content;
use crate::context::RequestContext;
use crate::http::{RequestHead, Selection, http_date, select};
use crate::into_response::phrase;
use crate::response::Response;

/// Says that parts of a file can be had, and cuts the answer down to the one that is asked for.
pub(super) fn narrow(ctx: &RequestContext, response: &mut Response) {
    let Some(whole) = response.file_length() else { return };
    let is_read = matches!(*ctx.method(), Method::GET | Method::HEAD);
    if response.status() != StatusCode::OK || !is_read {
        return;
    }
    let bytes = HeaderValue::from_static("bytes");
    let accepted = response.headers_mut().entry(ACCEPT_RANGES).or_insert(bytes);
    // `none`, where a handler wants its file to be taken as a whole. The RFC defines ranges for GET
    // alone: HEAD is answered as without them.
    if accepted != "bytes" || ctx.method() == Method::HEAD {
        return;
    }
    let Some(value) = ctx.head().header_once("range") else { return };
    if !has_the_same(ctx.head(), response.headers()) {
        return;
    }
    match select(value, whole) {
        Selection::Whole => {}
        Selection::Part { start, length } => {
            let end = start.saturating_add(length).saturating_sub(1);
            set_content_range(response, &format!("bytes {start}-{end}/{whole}"));
            response.cut_file(start, length);
        }
        Selection::Nothing => {
            refuse(response);
            set_content_range(response, &format!("bytes */{whole}"));
        }
    }
}

/// Whether the client has a part of what would be sent (RFC 9110, 13.1.5): the same strong entity
/// tag, or the very same date where that is as strong (8.8.2.2).
fn has_the_same(head: &RequestHead, headers: &HeaderMap) -> bool {
    if head.header_bytes("if-range").is_none() {
        return true;
    }
    let Some(value) = head.header_once("if-range") else { return false };
    if value.starts_with(b"\"") {
        return headers.get(ETAG).is_some_and(|tag| tag.as_bytes() == value);
    }
    // A weak tag says that the content may have changed since within the second of its date.
    if headers.get(ETAG).is_some_and(|tag| tag.as_bytes().starts_with(b"W/")) {
        return false;
    }
    let modified = headers.get(LAST_MODIFIED).and_then(|value| http_date(value.as_bytes()));
    modified.is_some() && http_date(value) == modified
}

/// 416, with what the answer says of other things than the file. A cache that was told to keep
/// the file must not keep this in its place.
fn refuse(response: &mut Response) {
    let mut refusal = phrase(StatusCode::RANGE_NOT_SATISFIABLE);
    let headers = refusal.headers_mut();
    for (name, value) in response.headers() {
        if !describes_content(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    let is_kept_by_nobody =
        |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("no-store"));
    if !headers.get(CACHE_CONTROL).is_some_and(is_kept_by_nobody) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    *response = refusal;
}

fn set_content_range(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    use crate::prelude::*;

    /// RFC 9110, 13.1.5 and 8.8.2.2: a file may change twice in the second of its date.
    #[test]
    fn the_date_of_what_was_just_changed_continues_nothing() {
        let dir = std::env::temp_dir().join(format!("maypole-if-range-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("a.txt");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut app = App::with_defaults();
        app.config_mut().session_file.path = dir.join("sessions");
        app.get("/", move |ctx| ctx.file(&path));
        let client = app.test_client().unwrap();
        // Not over before the test is.
        let soon = SystemTime::now() + Duration::from_secs(600);
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (date, status) in [(soon, 200), (long_ago, 206)] {
            file.set_modified(date).unwrap();
            let whole = client.get("/").send();
            let date = whole.header("last-modified").unwrap();
            assert!(httpdate::parse_http_date(date).unwrap() <= SystemTime::now(), "{date}");
            let part = client.get("/").header("Range", "bytes=1-2").header("If-Range", date).send();
            assert_eq!(part.status(), status, "{date}");
        }
        std::fs::remove_dir_all(dir).ok();
    }
}
