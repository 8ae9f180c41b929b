//! The program that tests start, stop and kill as a process of its own; settings come from the
//! environment.

#[path = "../../examples/16_live_counter.rs"]
#[expect(dead_code, unreachable_pub, reason = "written as a program")]
mod live_counter;
mod sessions;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use maypole::prelude::*;

fn routes(app: &mut App) {
    app.get("/", |_ctx| "home");
    app.get("/pid", |_ctx| std::process::id().to_string());
    app.get("/peer", |ctx| ctx.peer_addr().to_string());
    app.get("/seen-as", |ctx| {
        let scheme = if ctx.is_secure() { "https" } else { "http" };
        let host = ctx.header("x-forwarded-host").unwrap_or_default();
        format!("{scheme} {} {host}", ctx.client_addr())
    });
    app.get("/die", |_ctx| die());
    app.post("/count-and-die", |ctx| {
        ctx.session.increment("count", 1)?;
        ctx.session.save()?;
        die();
        Ok(())
    });
    app.get("/upgrade", |_ctx| {
        Response::upgrade("echo", |mut peer| {
            let mut word = [0; 5];
            peer.read_exact(&mut word)?;
            peer.write_all(&word)?;
            Ok(())
        })
    });
    // A client that sends `Expect: 100-continue` learns by the 100 that the handler runs, and
    // holds it there until it sends the body.
    app.post("/wait", |ctx| Ok(ctx.body_bytes()?.len().to_string()));
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

#[expect(clippy::disallowed_types, reason = "it shall be held while a coroutine waits")]
static LOCK: std::sync::Mutex<u32> = std::sync::Mutex::new(0);

/// Handlers that break the first law, and one that keeps it.
fn stalling_routes(app: &mut App) {
    #[expect(clippy::disallowed_methods, reason = "a worker shall be held")]
    app.get("/held/{ms}", |ctx| {
        std::thread::sleep(Duration::from_millis(ctx.param("ms")?));
        Ok("let go")
    });
    app.get("/locked/{ms}", |ctx| {
        let mut count = LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        maypole::sleep(Duration::from_millis(ctx.param("ms")?));
        *count += 1;
        Ok(count.to_string())
    });
    app.get("/computed/{ms}", |ctx| {
        let (begin, limit) = (Instant::now(), Duration::from_millis(ctx.param("ms")?));
        while begin.elapsed() < limit {}
        Ok("computed")
    });
    app.get("/slept/{ms}", |ctx| {
        maypole::sleep(Duration::from_millis(ctx.param("ms")?));
        Ok("slept")
    });
}

/// Holds a thread of the blocking pool for a while.
fn block(limit: Duration) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a thread of the blocking pool shall be held")]
    blocking(move || std::thread::sleep(limit))
}

/// As if by kill -9.
fn die() {
    std::process::abort();
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    if std::env::var_os("TESTEE_IS_LIVE_COUNTER").is_some() {
        live_counter::routes(&mut app);
    } else {
        routes(&mut app);
        stalling_routes(&mut app);
        sessions::routes(&mut app);
    }
    app.run()
}
