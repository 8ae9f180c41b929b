//! What tells one state of a file from another, and the conditions of requests that ask for it.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

use http::header::{ETAG, LAST_MODIFIED};
use http::{Method, StatusCode};

use super::RequestContext;
use crate::error::Result;
use crate::http::{EntityTag, entity_tags, http_date, imf_fixdate};
use crate::response::Response;

/// A file that was changed so short a time ago may be changed again within the same tick of its
/// date: file systems keep dates as fine as the kernel's clock ticks (10 ms), some in whole
/// seconds or two.
const SETTLED: Duration = Duration::from_secs(2);
/// The second of January 1970. Earlier dates are those of tools that give all files the same one.
const FIRST_DATE: u64 = 86_400;

/// The date of a file, and the tag made of date and length; neither of a file without a date.
#[derive(Debug, Default)]
pub(super) struct Validators {
    modified: Option<SystemTime>,
    opaque: String,
    is_weak: bool,
}

impl Validators {
    /// Of a file that is open; `now` decides whether its bytes can still change unseen.
    pub(super) fn of(metadata: &Metadata, now: SystemTime) -> Self {
        let is_date = |date: &SystemTime| unix_secs(*date) >= FIRST_DATE;
        let Some(modified) = metadata.modified().ok().filter(is_date) else {
            return Self::default();
        };
        let since_1970 = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let opaque = format!("\"{:x}-{:x}\"", since_1970.as_nanos(), metadata.len());
        let is_settled = now.duration_since(modified).is_ok_and(|age| age >= SETTLED);
        // No date that is still to come is told (RFC 9110, 8.8.2.1).
        Self { modified: Some(modified.min(now)), opaque, is_weak: !is_settled }
    }

    fn tag(&self) -> Option<EntityTag<'_>> {
        let opaque = self.opaque.as_bytes();
        self.modified.is_some().then_some(EntityTag { is_weak: self.is_weak, opaque })
    }

    /// What the conditions of the request make of the file: 200, 304 or 412, looked at in the order
    /// of RFC 9110, 13.2.2. Dates count in whole seconds, as clients are told them.
    pub(super) fn conditions(&self, ctx: &RequestContext) -> StatusCode {
        if !matches!(*ctx.method(), Method::GET | Method::HEAD) {
            return StatusCode::OK;
        }
        let is_newer_than =
            |name| self.modified.zip(only_date(ctx, name)).map(|(own, date)| unix_secs(own) > date);
        match self.is_named(ctx, "if-match", |own, other| own.is_strongly(other)) {
            Some(false) => return StatusCode::PRECONDITION_FAILED,
            None if is_newer_than("if-unmodified-since") == Some(true) => {
                return StatusCode::PRECONDITION_FAILED;
            }
            Some(true) | None => {}
        }
        let is_fresh = self
            .is_named(ctx, "if-none-match", |own, other| own.is_weakly(other))
            .unwrap_or_else(|| is_newer_than("if-modified-since") == Some(false));
        if is_fresh { StatusCode::NOT_MODIFIED } else { StatusCode::OK }
    }

    /// Whether a condition names the file: by `*`, which any file is, or by its tag. `None` without
    /// such a condition.
    fn is_named(
        &self,
        ctx: &RequestContext,
        condition: &str,
        is_same: impl Fn(&EntityTag<'_>, &EntityTag<'_>) -> bool,
    ) -> Option<bool> {
        let mut values = ctx.head().header_all(condition).peekable();
        values.peek()?;
        let own = self.tag();
        let is_own = |other| own.as_ref().is_some_and(|own| is_same(own, &other));
        Some(values.any(|value| value == b"*" || entity_tags(value).any(is_own)))
    }

    /// Adds `ETag` and `Last-Modified`.
    pub(super) fn tell(&self, response: Response) -> Result<Response> {
        let Some(modified) = self.modified else { return Ok(response) };
        let weak = if self.is_weak { "W/" } else { "" };
        response
            .header(ETAG.as_str(), format!("{weak}{}", self.opaque))?
            .header(LAST_MODIFIED.as_str(), imf_fixdate(unix_secs(modified)))
    }
}

/// Several dates are none, as is one that cannot be read: the condition is passed over.
fn only_date(ctx: &RequestContext, name: &str) -> Option<u64> {
    http_date(ctx.head().header_once(name)?).map(unix_secs)
}

fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
