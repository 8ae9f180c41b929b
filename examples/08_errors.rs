//! `?` on any error is a 500 with the cause in the log; `Error::with_status` chooses another
//! answer; a panic is a 500 too, and the server lives.
//!
//! ```text
//! $ cargo run --bin 08_errors
//! $ curl -i localhost:8080/articles/9
//! HTTP/1.1 404 Not Found
//! $ curl -i localhost:8080/parse/x
//! HTTP/1.1 500 Internal Server Error
//! $ curl -i localhost:8080/panic
//! HTTP/1.1 500 Internal Server Error
//! ```

use maypole::prelude::*;

/// The routes of this example.
///
/// # Panics
/// In the route made for that.
#[expect(clippy::panic, reason = "to show what becomes of it")]
pub fn routes(app: &mut App) {
    app.get("/articles/{id}", |ctx| {
        let id: usize = ctx.param("id")?;
        let article = ["first", "second"].get(id);
        article.copied().ok_or_else(|| Error::with_status(StatusCode::NOT_FOUND, "no such article"))
    });
    app.get("/parse/{number}", |ctx| {
        let number: i32 = ctx.param::<String>("number")?.parse()?; // a foreign error: 500
        Ok(format!("{number}\n"))
    });
    app.get("/panic", |_ctx| -> &str { panic!("on purpose") });
    app.with(report_errors);
}

/// Middleware sees the error a response was made from; the client does not.
fn report_errors(ctx: &RequestContext, next: Next<'_>) -> Response {
    let response = next.run(ctx);
    match response.error() {
        Some(_) => {
            let id = ctx.request_id();
            response.header("X-Request-Id", id).unwrap_or_else(IntoResponse::into_response)
        }
        None => response,
    }
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
