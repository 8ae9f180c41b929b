//! A counter that moves in all tabs at once: a click anywhere changes the session, and every tab
//! that shows it is told.
//!
//! ```text
//! $ cargo run --bin 16_live_counter
//! $ curl -c jar -b jar localhost:8080/ | grep count
//! $ curl -c jar -b jar -X POST localhost:8080/click
//! <output id="count" data-version="..">1</output>
//! ```

use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/", |ctx| {
        ctx.session.increment("count", 0)?; // the first visit makes the session
        ctx.session.save()?;
        Ok(Html(PAGE.replace("{counter}", &counter()?)))
    });
    app.post("/click", |ctx| {
        ctx.session.increment("count", 1)?;
        ctx.session.save()?; // from here on version and count are the stored ones
        Ok(Html(counter()?))
    });
    app.get("/live", |ctx| {
        ctx.websocket(|ws| {
            ws.follow(session().changes()?)?; // first follow, then read: nothing is missed
            loop {
                ws.send(counter()?)?;
                if ws.recv()?.is_none() {
                    return Ok(());
                }
            }
        })
    });
    app.post("/logout", |ctx| {
        ctx.session.logout()?; // closes the sockets of all tabs with code 4401
        Ok(ctx.redirect("/bye"))
    });
    app.get("/bye", |_ctx| Html("<!doctype html><title>Bye</title><p id=bye>Bye.</p>"));
    app.get("/htmx.js", |_ctx| script(include_str!("htmx/htmx.min.js")));
    app.get("/hx-ws.js", |_ctx| script(include_str!("htmx/hx-ws.min.js")));
}

fn counter() -> Result<String> {
    let count: i64 = session().get_or("count", 0)?;
    let version = session().version()?.unwrap_or_default();
    Ok(format!(r#"<output id="count" data-version="{version}">{count}</output>"#))
}

fn script(text: &'static str) -> Result<Response> {
    Response::new(StatusCode::OK, text).header("content-type", "text/javascript")
}

const PAGE: &str = include_str!("16_live_counter.html");

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
