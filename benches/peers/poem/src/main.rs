//! poem with its own server-side sessions in memory. The plain route lies outside the middleware.

use poem::listener::TcpListener;
use poem::session::{CookieConfig, MemoryStorage, ServerSession, Session};
use poem::{EndpointExt, Route, Server, get, handler};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let config = CookieConfig::default().secure(false);
    let sessions = ServerSession::new(config, MemoryStorage::new());
    let app = Route::new()
        .at("/", get(plain))
        .at("/read", get(read).with(&sessions))
        .at("/bump", get(bump).with(&sessions));
    let port = std::env::args().nth(1).unwrap_or_default();
    Server::new(TcpListener::bind(format!("127.0.0.1:{port}"))).run(app).await
}

#[handler]
fn plain() -> &'static str {
    "Hello, World!"
}

#[handler]
fn read(session: &Session) -> String {
    session.get::<i64>("n").unwrap_or(0).to_string()
}

#[handler]
fn bump(session: &Session) -> String {
    let n = session.get::<i64>("n").unwrap_or(0) + 1;
    session.set("n", n);
    n.to_string()
}
