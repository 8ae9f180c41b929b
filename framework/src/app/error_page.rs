//! The page a programmer sees in development when a request fails.

use std::fmt::Write;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

use crate::context::RequestContext;
use crate::response::Response;

/// Whether this failure shall have it: one of the server in any case; one of the client where a
/// browser asks, so that programs and tests get the bytes they would get in production.
pub(super) fn is_due(ctx: &RequestContext, response: &Response) -> bool {
    let status = response.status();
    status.is_server_error() || status.is_client_error() && accepts_html(ctx)
}

fn accepts_html(ctx: &RequestContext) -> bool {
    ctx.header("accept").is_some_and(|accept| accept.contains("text/html"))
}

/// Replaces the body by the chain of causes, as HTML or text. Never used in production.
pub(super) fn dress(ctx: &RequestContext, response: &mut Response) {
    let Some(error) = response.error() else { return };
    let mut causes = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    let is_html = accepts_html(ctx);
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

#[cfg(test)]
mod tests {
    use std::io;

    use crate::config::Config;
    use crate::testing::{TestClient, TestResponse};
    use crate::{App, Error, StatusCode};

    const CAUSE: &str = "no <b>tea</b> left";

    fn app(env: &str) -> TestClient {
        let config = format!("[app]\nname = pages\nenv = {env}\n[cookie]\nsecure = false\n");
        let mut app = App::with_config(Config::parse(&config, "test.ini").unwrap());
        app.get("/theirs", |_| -> crate::Result<()> {
            Err(Error::with_status(StatusCode::CONFLICT, CAUSE))
        });
        app.get("/ours", |_| -> crate::Result<()> { Err(io::Error::other(CAUSE).into()) });
        app.get("/number/{n}", |ctx| Ok(ctx.param::<u8>("n")?.to_string()));
        app.get("/own", |_| (StatusCode::NOT_FOUND, "a page of the app"));
        app.test_client().unwrap()
    }

    fn visit(client: &TestClient, path: &str) -> TestResponse {
        client.get(path).header("Accept", "text/html,*/*;q=0.8").send()
    }

    #[test]
    fn in_development_a_browser_sees_the_causes_of_every_failure() {
        let client = app("development");
        for (path, status) in [("/theirs", 409), ("/ours", 500)] {
            let page = visit(&client, path);
            assert_eq!(page.status(), status);
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            let text = page.text();
            assert!(text.contains("<pre>no &lt;b&gt;tea&lt;/b&gt; left</pre>"), "{text}");
            assert!(!text.contains("<b>tea"), "{text}");
        }
        let page = visit(&client, "/number/x").text();
        assert!(page.contains("the part &quot;n&quot; of the address is not valid"), "{page}");
        assert!(page.contains("route <code>/number/{n}</code>"), "{page}");
        assert_eq!(visit(&client, "/own").text(), "a page of the app");
        assert_eq!(visit(&client, "/nowhere").text(), "404 Not Found\n");
    }

    #[test]
    fn in_development_a_program_gets_of_its_own_mistakes_what_production_says() {
        let (here, there) = (app("development"), app("production"));
        for path in ["/theirs", "/number/x", "/own", "/nowhere"] {
            let (here, there) = (here.get(path).send(), there.get(path).send());
            assert_eq!((here.text(), here.headers()), (there.text(), there.headers()), "{path}");
        }
        assert!(here.get("/ours").send().text().contains(CAUSE));
    }

    #[test]
    fn production_shows_no_cause_to_anybody() {
        let client = app("production");
        for (path, text) in
            [("/theirs", "409 Conflict\n"), ("/ours", "500 Internal Server Error\n")]
        {
            for answer in [client.get(path).send(), visit(&client, path)] {
                assert_eq!(answer.text(), text);
            }
        }
    }
}
