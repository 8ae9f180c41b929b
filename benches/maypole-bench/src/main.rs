//! maypole as its users run it: four routes and those of connections that stay, everything else from
//! config.ini's defaults and the environment (`MAYPOLE_SERVER_LISTEN`, `MAYPOLE_SESSION_BACKEND`, `MAYPOLE_LOG_ACCESS`).

mod live;

use std::sync::atomic::{AtomicU64, Ordering};

use maypole::prelude::*;

fn main() -> maypole::Result<()> {
    let mut app = App::new()?;
    if let Some(port) = std::env::args().nth(1) {
        app.config_mut().server.listen = format!("127.0.0.1:{port}").parse()?;
    }
    app.get("/", |_ctx| "Hello, World!");
    app.get("/read", |ctx| Ok(ctx.session.get::<i64>("n")?.unwrap_or(0).to_string()));
    app.get("/bump", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
    // The first request of a jar: each session another user's.
    app.get("/login", |ctx| {
        static USERS: AtomicU64 = AtomicU64::new(0);
        ctx.session.login(USERS.fetch_add(1, Ordering::Relaxed))?;
        Ok(ctx.session.increment("n", 1)?.to_string())
    });
    app.get("/put/{bytes}", |ctx| {
        ctx.session.set("value", "x".repeat(ctx.param("bytes")?))?;
        Ok("stored")
    });
    live::routes(&mut app);
    app.run()
}
