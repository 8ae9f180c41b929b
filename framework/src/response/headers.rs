//! The headers of a response, made into a map only when somebody asks for one.
//!
//! Nearly every answer has a `Content-Type` and no more, or the two lines of a session beside it.
//! A map for them was an eighth of all that is done for a short answer.

use std::sync::OnceLock;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};

use crate::http::{PRIVATE_CACHE_CONTROL, PRIVATE_VARY, ResponseHeaders};

/// While `map` is absent the headers are what the other fields say.
#[derive(Default)]
pub(super) struct Headers {
    content_type: Option<HeaderValue>,
    is_private: bool,
    map: Option<Box<HeaderMap>>,
    /// What the other fields say, for whoever looked.
    seen: OnceLock<Box<HeaderMap>>,
}

impl Headers {
    pub(super) fn set_content_type(&mut self, value: HeaderValue) {
        if self.map.is_none() && self.seen.get().is_none() {
            self.content_type = Some(value);
        } else {
            self.map_mut().insert(CONTENT_TYPE, value);
        }
    }

    /// Adds the lines of an answer for one visitor alone, if nobody has set a header but
    /// `Content-Type`; false if somebody has.
    pub(super) fn set_private(&mut self) -> bool {
        let is_easy = self.map.is_none() && self.seen.get().is_none();
        self.is_private |= is_easy;
        is_easy
    }

    pub(super) fn map(&self) -> &HeaderMap {
        match &self.map {
            Some(map) => map,
            None => self.seen.get_or_init(|| few(self.content_type.clone(), self.is_private)),
        }
    }

    pub(super) fn map_mut(&mut self) -> &mut HeaderMap {
        let Self { content_type, is_private, map, seen } = self;
        map.get_or_insert_with(|| {
            seen.take().unwrap_or_else(|| few(content_type.take(), *is_private))
        })
    }

    /// The headers as they are written.
    pub(super) fn written(&self) -> ResponseHeaders<'_> {
        match &self.map {
            Some(map) => ResponseHeaders::Map(map),
            None => ResponseHeaders::Few {
                content_type: self.content_type.as_ref(),
                is_private: self.is_private,
            },
        }
    }
}

fn few(content_type: Option<HeaderValue>, is_private: bool) -> Box<HeaderMap> {
    let mut map = HeaderMap::new();
    if let Some(value) = content_type {
        map.insert(CONTENT_TYPE, value);
    }
    if is_private {
        map.insert(CACHE_CONTROL, HeaderValue::from_static(PRIVATE_CACHE_CONTROL));
        map.insert(VARY, HeaderValue::from_static(PRIVATE_VARY));
    }
    Box::new(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{ResponseHead, ResponseLength, encode_head};

    fn encoded(headers: ResponseHeaders<'_>) -> String {
        let mut out = Vec::new();
        let head = ResponseHead {
            status: http::StatusCode::OK,
            headers,
            length: ResponseLength::Exact(0),
            date: b"Thu, 01 Jan 1970 00:00:00 GMT",
            is_http10: false,
            is_head_request: false,
            keep_alive: true,
        };
        let _ = encode_head(&mut out, &head);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn few_headers_are_written_as_the_map_of_them_is() {
        for content_type in [None, Some("text/html")] {
            for is_private in [false, true] {
                let mut headers = Headers::default();
                if let Some(value) = content_type {
                    headers.set_content_type(HeaderValue::from_static(value));
                }
                if is_private {
                    assert!(headers.set_private());
                }
                let few = encoded(headers.written());
                assert_eq!(few, encoded(ResponseHeaders::Map(headers.map())));
                assert_eq!(few.contains("private"), is_private);
                headers.map_mut();
                assert_eq!(few, encoded(headers.written()));
            }
        }
    }

    #[test]
    fn a_header_that_was_looked_at_can_still_be_changed() {
        let mut headers = Headers::default();
        headers.set_content_type(HeaderValue::from_static("a/b"));
        assert_eq!(headers.map().len(), 1);
        assert!(!headers.set_private(), "left to whoever looks at what is there");
        headers.set_content_type(HeaderValue::from_static("c/d"));
        assert_eq!(headers.map()[CONTENT_TYPE], "c/d");
        headers.map_mut().remove(CONTENT_TYPE);
        assert!(headers.map().is_empty());
        assert!(matches!(headers.written(), ResponseHeaders::Map(map) if map.is_empty()));
    }
}
