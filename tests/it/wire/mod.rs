//! HTTP/1.1 as RFC 9110 and 9112 have it, from the other end of real sockets.

mod bodies;
mod clients_that_leave;
mod connections;
mod expectations;
mod files;
mod files_beneath;
mod files_ranges;
mod fuzz;
mod heads;
mod responses;
mod sizes;
mod smuggling;
mod streams;
mod targets;
mod upgrades;

use maypole::prelude::*;

use crate::support::{TestServer, serve};

/// The routes that the wire tests talk to.
fn ground() -> TestServer {
    ground_with("")
}

fn ground_with(config: &str) -> TestServer {
    serve(config, |app| {
        app.get("/", |_ctx| "home");
        app.get("/empty", |_ctx| ());
        app.get("/unchanged", |_ctx| (StatusCode::NOT_MODIFIED, "never sent"));
        app.get("/no-content-with-text", |_ctx| (StatusCode::NO_CONTENT, "never sent"));
        app.get("/where/{*rest}", |ctx| {
            let rest: String = ctx.param("rest")?;
            Ok(format!("{} [{rest}] {} {}", ctx.path(), ctx.query_string(), ctx.host()))
        });
        app.post("/echo", |ctx| ctx.body_bytes());
        app.put("/echo", |ctx| ctx.body_bytes());
        app.post("/ignore", |_ctx| "ignored");
        app.post("/small", |ctx| ctx.body_bytes()).body_limit(10);
    })
}
