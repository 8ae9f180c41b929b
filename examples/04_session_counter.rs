//! A page that counts its visits: in this browser, over reloads, tabs and restarts of the server.
//!
//! ```text
//! $ cargo run --release
//! $ curl -c jar -b jar localhost:8080/count
//! visits: 1
//! $ curl -c jar -b jar localhost:8080/count
//! visits: 2
//! ```

use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/", |ctx| {
        let visits = ctx.session.increment("visits", 1)?;
        Ok(Html(PAGE.replace("{visits}", &visits.to_string())))
    });
    app.get("/count", |ctx| {
        let visits = ctx.session.increment("visits", 1)?;
        Ok(format!("visits: {visits}\n"))
    });
    app.post("/forget", |ctx| {
        ctx.session.destroy()?;
        Ok(ctx.redirect("/"))
    });
}

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><title>maypole: visits</title>
<link rel="icon" href="data:,">
<style>body { font: 18px/1.5 system-ui; max-width: 34em; margin: 4em auto; padding: 0 1em }</style>
<h1>Visits: <span id="visits">{visits}</span></h1>
<p>Reload, open a second tab, close the browser, restart the server (even with <code>kill -9</code>):
the number goes on.</p>
<form method="post" action="/forget"><button>Forget me</button></form>
</html>
"#;

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
