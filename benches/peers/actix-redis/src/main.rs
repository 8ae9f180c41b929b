//! actix-web with actix-session's redis store, as its documentation sets it up. The plain route lies
//! outside the middleware.

use std::io;

use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::{App, HttpServer, Responder, Result, web};

#[actix_web::main]
async fn main() -> io::Result<()> {
    let usage = || io::Error::other("usage: peer-actix-redis PORT REDIS_URL");
    let mut args = std::env::args().skip(1);
    let port = args.next().ok_or_else(usage)?;
    let url = args.next().ok_or_else(usage)?;
    let store = RedisSessionStore::new(url).await.map_err(io::Error::other)?;
    let key = Key::generate();
    HttpServer::new(move || {
        let sessions =
            || SessionMiddleware::builder(store.clone(), key.clone()).cookie_secure(false).build();
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
