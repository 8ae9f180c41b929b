//! Sessions as a browser sees them: cookies and headers, over real sockets, on real files.

mod cookies;
mod damage;
mod full;
mod races;

use std::io::Write;

use maypole::prelude::*;

use crate::support::{TestServer, serve};

fn shop() -> TestServer {
    shop_with("")
}

fn shop_with(config: &str) -> TestServer {
    let config = format!("[session]\nnew_sessions_per_minute = 0\n{config}");
    serve(&config, routes)
}

fn routes(app: &mut App) {
    app.get("/plain", |_ctx| "plain");
    app.get("/read", |ctx| Ok(ctx.session.get_or("n", 0_i64)?.to_string()));
    app.get("/count", |ctx| Ok(ctx.session.increment("n", 1)?.to_string()));
    app.get("/redirect", |ctx| {
        ctx.session.increment("n", 1)?;
        Ok(ctx.redirect("/read"))
    });
    app.get("/no-content", |ctx| ctx.session.increment("n", 1).map(drop));
    app.get("/not-found", |ctx| {
        ctx.session.increment("n", 1)?;
        Ok(StatusCode::NOT_FOUND)
    });
    app.get("/refused", |ctx| -> Result<()> {
        ctx.session.increment("n", 1)?;
        Err(Error::with_status(StatusCode::FORBIDDEN, "not you"))
    });
    app.get("/stream", |ctx| {
        ctx.session.increment("n", 1)?;
        Ok(Response::stream(|out| {
            session().increment("n", 1)?;
            session().save()?;
            out.write_all(b"streamed")?;
            Ok(())
        }))
    });
    app.get("/streamed-read", |_ctx| {
        Response::stream(|out| {
            write!(out, "{}", session().get_or("n", 0_i64)?)?;
            Ok(())
        })
    });
    app.get("/streamed-for-all", |_ctx| {
        Response::stream(|out| Ok(out.write_all(b"news")?)).header("cache-control", "max-age=60")
    });
    app.get("/streamed-unsaved", |_ctx| {
        Response::stream(|_out| session().increment("n", 1).map(drop))
    });
    app.get("/fails", |ctx| {
        ctx.session.increment("n", 1)?;
        Ok(StatusCode::BAD_GATEWAY)
    });
    app.get("/cached", |ctx| {
        ctx.set_header("Cache-Control", "public, max-age=60")?;
        ctx.set_header("Vary", "Accept")?;
        Ok(ctx.session.get_or("n", 0_i64)?.to_string())
    });
    app.get("/set/{key}/{value}", |ctx| {
        ctx.session.set(&ctx.param::<String>("key")?, &ctx.param::<String>("value")?)
    });
    app.get("/get/{key}", |ctx| {
        ctx.session.get_or(&ctx.param::<String>("key")?, "none".to_owned())
    });
    app.get("/big", |ctx| ctx.session.set("big", "x".repeat(1_000_000)));
    app.get("/destroy", |ctx| ctx.session.destroy());
    app.get("/login/{user}", |ctx| ctx.session.login(&ctx.param::<String>("user")?));
    app.get("/logout", |ctx| ctx.session.logout());
    app.get("/user", |ctx| Ok(ctx.session.user()?.unwrap_or_else(|| "nobody".to_owned())));
    // With `Expect: 100-continue` a client learns that the write is recorded, and holds the
    // request there until it sends its body.
    app.post("/slow/{key}", |ctx| {
        ctx.session.set(&ctx.param::<String>("key")?, "slow")?;
        ctx.body_bytes()?;
        Ok("slow")
    });
    app.get("/flash", |ctx| ctx.session.flash("notice", "saved"));
    app.get("/flashed", |ctx| {
        Ok(ctx.session.take_flash("notice")?.unwrap_or_else(|| "-".to_owned()))
    });
}
