//! The program that tests start, stop and kill as a process of its own; settings come from the
//! environment.

use std::io::Write;
use std::time::Duration;

use maypole::prelude::*;

fn routes(app: &mut App) {
    app.get("/", |_ctx| "home");
    app.get("/count", |ctx| Ok(ctx.session.increment("count", 1)?.to_string()));
    app.get("/read", |ctx| Ok(ctx.session.get_or("count", 0_i64)?.to_string()));
    // A client that sends `Expect: 100-continue` learns by the 100 that the handler runs, and
    // holds it there until it sends the body.
    app.post("/wait", |ctx| Ok(ctx.body_bytes()?.len().to_string()));
    app.post("/count-and-wait", |ctx| {
        let count = ctx.session.increment("count", 1)?;
        ctx.body_bytes()?;
        Ok(count.to_string())
    });
    app.get("/blocked/{ms}", |ctx| {
        let limit = Duration::from_millis(ctx.param("ms")?);
        block(limit)?;
        Ok("unblocked")
    });
    app.get("/long", |_ctx| {
        Response::stream(|out| {
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..1024 {
                out.write_all(&piece)?;
            }
            Ok(())
        })
    });
}

/// Holds a thread of the blocking pool for a while.
fn block(limit: Duration) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a thread of the blocking pool shall be held")]
    blocking(move || std::thread::sleep(limit))
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
