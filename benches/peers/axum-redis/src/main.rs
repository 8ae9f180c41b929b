//! axum with tower-sessions in redis, over the pool of six that the store's documentation shows. The
//! plain route lies outside the session layer.

use std::error::Error;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_sessions::{Session, SessionManagerLayer};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, Pool};

type Answer = Result<String, StatusCode>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().ok_or("usage: peer-axum-redis PORT REDIS_URL")?;
    let url = args.next().ok_or("usage: peer-axum-redis PORT REDIS_URL")?;
    let pool = Pool::new(Config::from_url(&url)?, None, None, None, 6)?;
    let _connecting = pool.connect();
    pool.wait_for_connect().await?;
    let sessions = SessionManagerLayer::new(RedisStore::new(pool)).with_secure(false);
    let app = Router::new()
        .route("/read", get(read))
        .route("/bump", get(bump))
        .layer(sessions)
        .route("/", get(|| async { "Hello, World!" }));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, app).await?)
}

async fn read(session: Session) -> Answer {
    let n: i64 = session.get("n").await.map_err(failed)?.unwrap_or(0);
    Ok(n.to_string())
}

async fn bump(session: Session) -> Answer {
    let n: i64 = session.get("n").await.map_err(failed)?.unwrap_or(0) + 1;
    session.insert("n", n).await.map_err(failed)?;
    Ok(n.to_string())
}

fn failed(_: tower_sessions::session::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
