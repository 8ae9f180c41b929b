//! poem with its own server-side sessions in redis, over the reconnecting multiplexed connection its
//! documentation shows. The plain route lies outside the middleware.

use std::error::Error;

use poem::listener::TcpListener;
use poem::session::{CookieConfig, RedisStorage, ServerSession, Session};
use poem::{EndpointExt, Route, Server, get, handler};
use redis::Client;
use redis::aio::ConnectionManager;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().ok_or("usage: peer-poem-redis PORT REDIS_URL")?;
    let client = Client::open(args.next().ok_or("usage: peer-poem-redis PORT REDIS_URL")?)?;
    let storage = RedisStorage::new(ConnectionManager::new(client).await?);
    let sessions = ServerSession::new(CookieConfig::default().secure(false), storage);
    let app = Route::new()
        .at("/", get(plain))
        .at("/read", get(read).with(&sessions))
        .at("/bump", get(bump).with(&sessions));
    Ok(Server::new(TcpListener::bind(format!("127.0.0.1:{port}"))).run(app).await?)
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
