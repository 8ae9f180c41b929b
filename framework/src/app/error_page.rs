//! The page a programmer sees in development when a request fails with a 5xx.

use std::fmt::Write;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

use crate::context::RequestContext;
use crate::response::Response;

/// Replaces the body by the chain of causes, as HTML or text. Never used in production.
pub(super) fn dress(ctx: &RequestContext, response: &mut Response) {
    let Some(error) = response.error() else { return };
    let mut causes = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    let is_html = ctx.header("accept").is_some_and(|accept| accept.contains("text/html"));
    let body = if is_html { html(ctx, response, &causes) } else { text(ctx, response, &causes) };
    let content_type =
        if is_html { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.set_text(body);
}

fn text(ctx: &RequestContext, response: &Response, causes: &[String]) -> String {
    let mut page = format!("{}\n\n{} {}\n", response.status(), ctx.method(), ctx.path());
    for cause in causes {
        writeln!(page, "  {cause}").ok();
    }
    writeln!(page, "\nroute {:?}, request {}", ctx.route(), ctx.request_id()).ok();
    page.push_str("This page is shown in development only ([app] env).\n");
    page
}

fn html(ctx: &RequestContext, response: &Response, causes: &[String]) -> String {
    let mut list = String::new();
    for cause in causes {
        write!(list, "<li><pre>{}</pre>", escape(cause)).ok();
    }
    format!(
        "<!doctype html><meta charset=utf-8><title>{status}</title>\
         <style>body{{font:16px/1.5 system-ui;max-width:50em;margin:3em auto;padding:0 1em}}\
         pre{{white-space:pre-wrap;background:#f4f4f4;padding:.5em}}small{{color:#666}}</style>\
         <h1>{status}</h1><p><b>{method}</b> <code>{path}</code></p><ol>{list}</ol>\
         <small>route <code>{route}</code>, request {id}. \
         This page is shown in development only (<code>[app] env</code>).</small>\n",
        status = response.status(),
        method = ctx.method(),
        path = escape(ctx.path()),
        route = escape(ctx.route()),
        id = ctx.request_id(),
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
