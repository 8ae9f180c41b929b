//! actix-web with actix-session's cookie sessions: the state travels in an encrypted cookie.
//! The plain route lies outside the middleware.

use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::{App, HttpServer, Responder, Result, web};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let key = Key::generate();
    let port = std::env::args().nth(1).unwrap_or_default();
    HttpServer::new(move || {
        let sessions = || {
            SessionMiddleware::builder(CookieSessionStore::default(), key.clone())
                .cookie_secure(false)
                .build()
        };
        App::new()
            .service(web::resource("/read").wrap(sessions()).route(web::get().to(read)))
            .service(web::resource("/bump").wrap(sessions()).route(web::get().to(bump)))
            .route("/", web::get().to(plain))
    })
    .bind(format!("127.0.0.1:{port}"))?
    .run()
    .await
}

async fn plain() -> impl Responder {
    "Hello, World!"
}

async fn read(session: Session) -> Result<String> {
    Ok(session.get::<i64>("n")?.unwrap_or(0).to_string())
}

async fn bump(session: Session) -> Result<String> {
    let n = session.get::<i64>("n")?.unwrap_or(0) + 1;
    session.insert("n", n)?;
    Ok(n.to_string())
}
