//! Requests that failed, as log lines.

use log::Level;

use crate::context::RequestContext;
use crate::error::{Error, ErrorKind};
use crate::runtime::LogLimit;

/// Writes them. Faults that a whole crowd of requests meets, an overload or a store that is away, get
/// one line a second and kind; at the level `debug` every request has its own.
#[derive(Debug, Default)]
pub(super) struct Failures {
    overloads: LogLimit,
    full_stores: LogLimit,
    absent_stores: LogLimit,
    unsaved: LogLimit,
}

impl Failures {
    /// `is_ours` tells a failure of the server from one of its client.
    pub(super) fn log(&self, ctx: &RequestContext, error: &Error, is_ours: bool) {
        let limit = match error.kind() {
            ErrorKind::Overloaded => Some(&self.overloads),
            ErrorKind::StoreFull => Some(&self.full_stores),
            ErrorKind::StoreUnavailable => Some(&self.absent_stores),
            _ => None,
        };
        let left_out = match limit {
            Some(limit) if is_ours => limit.admit(),
            _ => is_ours.then(Default::default),
        };
        let level = if left_out.is_some() { Level::Error } else { Level::Debug };
        let left_out = left_out.unwrap_or_default();
        let request_id = ctx.request_id();
        let (method, path, chain) = (ctx.method(), ctx.path(), error.chain());
        log::log!(
            target: "maypole::request", level, request_id = request_id.as_str();
            "{method} {path}: {chain} [{request_id}]{left_out}"
        );
    }

    /// The body of an answer, or a socket, left changes in the session that nobody stored.
    pub(super) fn log_unsaved(&self, ctx: &RequestContext) {
        let Some(left_out) = self.unsaved.admit() else { return };
        let request_id = ctx.request_id();
        let (method, path) = (ctx.method(), ctx.path());
        log::warn!(
            target: "maypole::session", request_id = request_id.as_str();
            "{method} {path}: changes after the response head were not saved; session().save() \
             stores them [{request_id}]{left_out}"
        );
    }
}
