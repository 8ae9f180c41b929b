//! Parameters, wildcards, groups and middleware.
//!
//! ```text
//! $ cargo run --bin 02_routes
//! $ curl localhost:8080/users/7
//! user 7
//! $ curl localhost:8080/files/a/b.txt
//! file a/b.txt
//! $ curl localhost:8080/admin/
//! 403 Forbidden
//! $ curl -H 'X-Admin: yes' localhost:8080/admin/
//! all of it
//! ```

use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/users/{id}", |ctx| {
        let id: u64 = ctx.param("id")?; // no number: 400
        Ok(format!("user {id}\n"))
    });
    app.get("/files/{*path}", |ctx| Ok(format!("file {}\n", ctx.param::<String>("path")?)));
    app.group("/admin", |g| {
        g.with(only_admins);
        g.get("/", |_ctx| "all of it\n");
    });
    app.fallback(|ctx| (StatusCode::NOT_FOUND, format!("nothing at {}\n", ctx.path())));
}

/// Middleware: a function around the rest.
fn only_admins(ctx: &RequestContext, next: Next<'_>) -> Response {
    if ctx.header("x-admin").is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(ctx)
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
