//! maypole as its users run it: three routes, everything else from config.ini's defaults and the
//! environment (`MAYPOLE_SERVER_LISTEN`, `MAYPOLE_SESSION_BACKEND`, `MAYPOLE_LOG_ACCESS`).

use maypole::prelude::*;

fn main() -> maypole::Result<()> {
    let mut app = App::new()?;
    if let Some(port) = std::env::args().nth(1) {
        app.config_mut().server.listen = format!("127.0.0.1:{port}").parse()?;
    }
    app.get("/", |_ctx| "Hello, World!");
    app.get("/read", |ctx| Ok(ctx.session.get::<i64>("n")?.unwrap_or(0).to_string()));
    app.get("/bump", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
    app.run()
}
