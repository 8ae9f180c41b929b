//! Reading a request's body: raw, whole, as JSON or as a form, always within a bound.

use std::fmt;
use std::io::{self, Read};

use http::StatusCode;
use serde::de::DeserializeOwned;

use super::RequestContext;
use crate::error::{Error, Result};

/// Where the bytes of a body come from.
pub(crate) trait BodySource: fmt::Debug + Send + Sync {
    /// The next decoded bytes, waiting for them; 0 at the end. Fails with a [`BodyError`](crate::error::BodyError) inside
    /// the `io::Error`. `limit` bounds the whole body, not this call.
    fn read(&self, buffer: &mut [u8], limit: u64) -> io::Result<usize>;

    /// How long the body is, where its head says so.
    fn length(&self) -> Option<u64>;
}

/// The body of a request as a stream of bytes.
///
/// Errors of [`read`](Read::read), passed on with `?`, become the answer they stand for: 413, 408
/// or 400.
#[derive(Debug)]
pub struct RequestBody<'a> {
    source: Option<&'a dyn BodySource>,
    limit: u64,
}

impl<'a> RequestBody<'a> {
    pub(super) fn new(source: Option<&'a dyn BodySource>, limit: u64) -> Self {
        Self { source, limit }
    }

    /// The length the client announced; `None` for a chunked body. 0 if there is none.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.source.map_or(Some(0), BodySource::length)
    }
}

impl Read for RequestBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source {
            Some(source) => source.read(buffer, self.limit),
            None => Ok(0),
        }
    }
}

/// Reads everything, trusting no announced length further than 64 KiB ahead of what has come.
pub(super) fn read_all(mut body: RequestBody<'_>) -> Result<Vec<u8>> {
    const STEP: usize = 64 * 1024;
    let announced = usize::try_from(body.length().unwrap_or(0)).unwrap_or(STEP);
    let mut bytes = Vec::with_capacity(announced.min(STEP));
    let mut filled = 0;
    loop {
        if filled == bytes.len() {
            bytes.resize((filled + announced.clamp(512, STEP)).max(filled * 2), 0);
        }
        let Some(free) = bytes.get_mut(filled..) else { break };
        match body.read(free)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

pub(super) fn expect_type(
    ctx: &RequestContext,
    is_right: impl Fn(&str) -> bool,
    wanted: &str,
) -> Result<()> {
    let full = ctx.header("content-type").unwrap_or_default();
    let essence = full.split(';').next().unwrap_or_default().trim();
    if is_right(essence) {
        return Ok(());
    }
    let message = format!("the body must be sent with Content-Type: {wanted}");
    Err(Error::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

pub(super) fn is_json(essence: &str) -> bool {
    let essence = essence.to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

pub(super) fn is_form(essence: &str) -> bool {
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8], max_depth: usize) -> Result<T> {
    if json_depth(bytes) > max_depth {
        return Err(Error::request(StatusCode::BAD_REQUEST, "the JSON is nested too deeply"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let status = match error.classify() {
            serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        Error::request(status, format!("the JSON cannot be read: {error}"))
    })
}

/// How deep arrays and objects are nested: recursion on what a client sends would eat the stack.
fn json_depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

pub(super) fn read_form<T: DeserializeOwned>(
    bytes: &[u8],
    max_fields: usize,
    what: &str,
) -> Result<T> {
    let fields = bytes.split(|byte| *byte == b'&').filter(|field| !field.is_empty()).count();
    if fields > max_fields {
        return Err(Error::request(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the {what} has too many fields"),
        ));
    }
    serde_html_form::from_bytes(bytes).map_err(|error| {
        let field = guilty_field::<T>(bytes);
        let message = format!("the {what} cannot be read: {field}{error}");
        Error::request(StatusCode::BAD_REQUEST, message)
    })
}

/// The name of the field whose value is none, as it stands before the reason; nothing where the
/// reason names it. Found by reading once more, which only a client's mistake pays for. A map has
/// the names that the client chose.
fn guilty_field<T: DeserializeOwned>(bytes: &[u8]) -> String {
    let again = serde_html_form::Deserializer::from_bytes(bytes);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(again) else { return String::new() };
    let path = error.path();
    let name = path.to_string();
    let is_fit = name.len() <= 100 && !name.chars().any(char::is_control);
    if path.iter().next().is_some() && is_fit { format!("{name}: ") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{json_depth, read_form};

    #[test]
    fn a_form_that_cannot_be_read_names_the_field() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "what could not be read is never looked at")]
        struct Order {
            article: u32,
            colours: Vec<String>,
            gift: Option<bool>,
        }
        let refused = |form: &str| {
            let error = read_form::<Order>(form.as_bytes(), 9, "form").unwrap_err();
            error.to_string().trim_start_matches("the form cannot be read: ").to_owned()
        };
        assert!(refused("article=x&colours=red").starts_with("article: invalid digit"));
        assert!(refused("article=1&colours=red&gift=maybe").starts_with("gift: invalid value"));
        assert_eq!(refused("colours=red"), "missing field `article`");
        let twice = read_form::<BTreeMap<String, String>>(b"a=1&b=2&b=3", 9, "query").unwrap_err();
        assert!(twice.to_string().starts_with("the query cannot be read: b: "), "{twice}");
        let odd = read_form::<BTreeMap<String, u8>>(b"a%0Ab=x", 9, "query").unwrap_err();
        assert!(!odd.to_string().contains('\n'), "{odd}");
    }

    #[test]
    fn depth_counts_nesting_outside_strings() {
        let cases: [(&str, usize); 6] = [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[1,{"b":[]}]}"#, 4),
            (r#""[[[[""#, 0),
            (r#"["\"[[",[]]"#, 2),
            ("]]][", 1),
        ];
        for (text, depth) in cases {
            assert_eq!(json_depth(text.as_bytes()), depth, "{text}");
        }
    }
}
